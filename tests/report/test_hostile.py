"""Every format, given reports in which each text is hostile: well-formed, nothing unescaped, no exception."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser

import defusedxml.ElementTree
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from scanner import knowledge
from scanner.cli.explain import story
from scanner.model import Report
from scanner.report import get, names

UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
"""What no output may hold: it moves a terminal's cursor, turns text around, hides it, or is no text at all."""
FORMULA = re.compile(r"[\s']*[=+\-@\uff0b\uff0d\uff1d\uff20|%]")
VOID = {"meta", "input", "br", "img", "link", "hr"}
TAGS = {
    "html", "head", "meta", "title", "style", "body", "a", "header", "h1", "h2", "h3", "p", "nav", "ul", "li", "main",
    "section", "dl", "div", "dt", "dd", "strong", "details", "summary", "figure", "figcaption", "span", "svg", "rect",
    "label", "input", "select", "option", "button", "table", "caption", "thead", "tbody", "tr", "th", "td", "noscript",
    "article", "ol", "b", "bdi", "code", "footer", "script",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "class", "href", "id", "tabindex", "hidden", "for", "type",
    "autocomplete", "value", "role", "aria-label", "aria-labelledby", "aria-hidden", "focusable", "width", "height", "scope",
    "data-a", "data-l", "data-m", "data-k", "rel", "open",
}  # fmt: skip


def told(text: str) -> str:
    """The text, after what holds for every format that is text."""
    text.encode()
    found = UNSEEN.search(text)
    assert found is None, ascii(text[max(0, found.start() - 60) : found.end() + 20]) if found else ""
    return text


class Page(HTMLParser):
    """Fails where a tag, an attribute or the nesting is not the template's own."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts = 0
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        self.scripts += tag == "script"
        for name, value in attrs:
            assert name in ATTRIBUTES, (tag, name)
            if name in {"id", "for", "aria-labelledby"}:
                assert re.fullmatch(r"[a-z][a-z0-9-]*", value or ""), value
            if name == "href":
                assert re.match(r"#[a-z]|https?://", value or ""), value
        if tag not in VOID and tag != "rect":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "rect":
            return
        while self.open and self.open[-1] != tag and self.open[-1] in {"tbody"}:
            self.open.pop()  # may be left out
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data[:80]}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data[:80]}")


def as_html(text: str) -> None:
    assert Page(told(text)).scripts == 1


def as_inquiry(text: str) -> None:
    assert Page(told(text)).scripts == 0


def as_csv(text: str) -> None:
    rows = list(csv.reader(io.StringIO(told(text))))
    assert len({len(row) for row in rows}) == 1
    assert not [cell for row in rows for cell in row if FORMULA.match(cell) and not cell.startswith("'")]


def as_xlsx(body: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        for name in archive.namelist():
            tree = defusedxml.ElementTree.fromstring(archive.read(name))
            assert not [e for e in tree.iter() if e.tag.rpartition("}")[2] in {"f", "hyperlink", "externalReference"}], name
    book = load_workbook(io.BytesIO(body))
    for sheet in book:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type in {"s", "inlineStr", "n"}, cell.data_type
                assert cell.value is None or isinstance(cell.value, str)
                assert cell.value is None or cell.value.startswith("'") or not FORMULA.match(cell.value)
                told(cell.value or "")


def as_markdown(text: str) -> None:
    rows = [line for line in told(text).splitlines() if line.startswith("|")]
    bare = [re.sub(r"\\.", "", row) for row in rows]
    assert len({row.count("|") for row in bare}) <= 1
    flat = re.sub(r"\\.", "", text)
    assert not re.search(r"[<>`\[\]@~&!]|https?:|www\.", flat), re.search(r".{40}(?:[<>`\[\]@~&!]|https?:|www\.).{0,40}", flat)
    assert [line for line in flat.splitlines() if line.startswith("#")] == [
        line for line in text.splitlines() if line in
        {"# Report of lanveto", "## Coverage", "## Devices", "## What the rules ask", "## Waivers", "## Versions"}
    ]  # fmt: skip


def as_json(text: str) -> None:
    assert json.loads(told(text))["schema"] == 1


def as_jsonl(text: str) -> None:
    for line in told(text).split("\n")[:-1]:
        assert isinstance(json.loads(line), dict)


def as_cyclonedx(text: str) -> None:
    json.loads(told(text))
    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert found is None, str(found)[:2000]


def as_table(text: str) -> None:
    told(text)


READERS: dict[str, Callable[..., None]] = {
    "html": as_html, "inquiry": as_inquiry, "csv": as_csv, "xlsx": as_xlsx, "markdown": as_markdown, "json": as_json,
    "jsonl": as_jsonl, "cyclonedx": as_cyclonedx, "table": as_table,
}  # fmt: skip


Make = Callable[..., Report]
TURNS = st.integers(0, 34)


def _for_all(texts: st.SearchStrategy[str], check: Callable[[str, int], None], examples: int) -> None:
    """Check that many texts; the same ones in every run. What fails is said as it is, without looking for less."""
    shown = settings(max_examples=examples, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    shown(given(texts, TURNS)(check))()


@pytest.mark.parametrize("name", READERS)
def test_whatever_is_said_the_output_is_well_formed(
    name: str, whole_report: Make, hostile_texts: st.SearchStrategy[str]
) -> None:
    def holds(text: str, turn: int) -> None:
        READERS[name](get(name).render(whole_report(text, turn)))

    for turn in range(5):
        holds("harmless", turn)
        holds("\ud800<r>\x1b[2J\u202e|=1</script>\x00</r>", turn)
    _for_all(hostile_texts, holds, 80 if name not in {"cyclonedx", "xlsx"} else 20)


def test_a_story_told_on_a_terminal_is_safe(whole_report: Make, hostile_texts: st.SearchStrategy[str]) -> None:
    rules = knowledge.load()

    def holds(text: str, turn: int) -> None:
        for device in whole_report(text, turn).devices:
            told("\n".join(story(device, rules, (text,))))

    _for_all(hostile_texts, holds, 80)


def test_no_format_is_left_out() -> None:
    assert set(READERS) == set(names())
