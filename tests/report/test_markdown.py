from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from scanner.model import Device, Report
from scanner.report.markdown import FORMAT, escaped

EVIL = "|x|<script>alert(1)</script>![i](http://evil.example/p.png)[l](javascript:x) @admin `c` www.evil.example **b**"


def test_answer_coverage_and_findings(make_report: Callable[..., Report]) -> None:
    text = FORMAT.render(make_report())
    assert text.startswith("# Report of lanveto\n")
    assert text.index("## Coverage") < text.index("## Devices") < text.index("## What the rules ask")
    assert "cameras on a recorder's own ports" in text
    assert "sha256 " + "0" * 64 in text


def test_a_hostile_device_writes_neither_markup_nor_cells(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    evil = make_device(model=EVIL, value=EVIL)
    text = FORMAT.render(make_report(replace(evil, columns=(("owner|", EVIL),))))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert not re.search(r"(?<!\\)<|(?<!\\)\]\(|(?<!\\)@|https?:/|www\.", text)


@pytest.mark.parametrize("text", ["a\\|b", "a\nb", "<b>", "http://x"])
def test_escaped_text_shows_as_it_is(text: str) -> None:
    assert "\n" not in escaped(text)
    assert re.sub(r"\\(.)", r"\1", escaped(text)) == text.replace("\n", " ")


def test_nothing_answered(make_report: Callable[..., Report]) -> None:
    assert "Nothing answered" in FORMAT.render(replace(make_report(), devices=()))
