from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scanner.errors import RulesProblem
from scanner.identify.matcher import index_of
from scanner.knowledge.fingerprints import Fingerprint, load
from scanner.model import Observation, Reading


def _folder(tmp_path: Path, text: str, name: str = "mine") -> Path:
    folder = tmp_path / name
    (folder / "fingerprints").mkdir(parents=True)
    (folder / "fingerprints" / "x.yaml").write_text("maker: dahua\nfingerprints:\n" + text)
    return folder


REST = "grade: strong, source: ['https://example.org'], seen: 2026-01-01, examples: [x]"


def _one(tmp_path: Path, match: str) -> Fingerprint:
    (found,) = load([_folder(tmp_path, f"- {{id: one, match: {match}, {REST}}}\n")])
    return found


def _fits(fingerprint: Fingerprint, **said: Any) -> bool:
    readings = []
    for channel, values in said.items():
        for value in values if isinstance(values, list) else [values]:
            name = channel.replace("_", ".")
            readings.append(Reading(name, value, Observation(channel=name, value=value)))
    return fingerprint.test(index_of(readings)) is not None


@pytest.mark.parametrize(
    ("match", "fits", "misses"),
    [
        ("{channel: http.title, regex: '^web service$'}", "WEB SERVICE", "A WEB SERVICE"),
        ("{channel: http.title, exact: ' Web Service '}", "WEB SERVICE\n", "WEB SERVICES"),
        ("{channel: http.title, prefix: web}", "Web Service", "My web"),
        ("{channel: http.title, contains: SERV}", "web service", "web site"),
    ],
)
def test_operations_ignore_case(tmp_path: Path, match: str, fits: str, misses: str) -> None:
    fingerprint = _one(tmp_path, match)
    assert _fits(fingerprint, http_title=fits)
    assert not _fits(fingerprint, http_title=misses)
    assert not _fits(fingerprint, http_body=fits)


def test_combinations(tmp_path: Path) -> None:
    both = _one(
        tmp_path,
        "{all: [{channel: http.title, exact: a}, {any: [{channel: http.body, exact: b},"
        " {channel: http.body, exact: c}]}, {not: {channel: http.body, exact: d}}]}",
    )
    assert _fits(both, http_title="a", http_body="c")
    assert not _fits(both, http_title="a")
    assert not _fits(both, http_title="a", http_body=["c", "d"])


def test_open_channel_families(tmp_path: Path) -> None:
    any_header = _one(tmp_path, "{channel: 'http.header.*', contains: dahua}")
    assert _fits(any_header, http_header_server="Dahua")
    assert not _fits(any_header, http_title="Dahua")


def test_groups_are_caught(tmp_path: Path) -> None:
    fingerprint = _one(tmp_path, "{channel: http.title, regex: 'Model (?P<model>[A-Z]+)'}")
    reading = Reading("http.title", "Model ABC", Observation(channel="http.title", value="Model ABC"))
    hit = fingerprint.test({"http.title": [reading]})
    assert hit is not None
    assert hit.caught == {"model": "ABC"}
    assert hit.readings == (reading,)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (f"{{id: one, match: {{channel: http.titel, exact: a}}, {REST}}}", r"match\.channel: 'http\.titel'"),
        (f"{{id: one, match: {{channel: http.title, regex: '('}}, {REST}}}", r"match\.regex: does not compile"),
        (f"{{id: one, match: {{channel: http.title, like: a}}, {REST}}}", "match: takes channel"),
        (f"{{id: one, match: {{not: {{channel: http.title, exact: a}}}}, {REST}}}", "needs a condition"),
        (f"{{id: one, match: {{channel: http.title, exact: a}}, oui: theirs, {REST}}}", "oui: 'theirs'"),
        (
            "{id: one, match: {channel: http.title, exact: a}, grade: shared, source: [x], seen: 2026-01-01}",
            "shared_with",
        ),
        ("{id: one, match: {channel: http.title, exact: a}, grade: great, source: [x], seen: 2026-01-01}", "grade"),
        ("{id: one, match: {channel: http.title, exact: a}, grade: hint, source: [], seen: 2026-01-01}", "source"),
        (f"{{id: one, match: {{channel: http.title, exact: a}}, colour: red, {REST}}}", "colour"),
    ],
)
def test_broken_entries_name_file_entry_and_key(tmp_path: Path, entry: str, reason: str) -> None:
    with pytest.raises(RulesProblem, match=reason) as caught:
        load([_folder(tmp_path, f"- {entry}\n")])
    assert "x.yaml" in str(caught.value)
    assert "'one'" in str(caught.value)


def test_an_overlay_replaces_by_id_and_ids_are_unique_within_a_folder(tmp_path: Path) -> None:
    ours = _folder(tmp_path, f"- {{id: one, match: {{channel: http.title, exact: a}}, {REST}}}\n", "ours")
    theirs = _folder(tmp_path, f"- {{id: one, match: {{channel: http.title, exact: b}}, {REST}}}\n", "theirs")
    (only,) = load([ours, theirs])
    assert _fits(only, http_title="b")
    twice = _folder(tmp_path, 2 * f"- {{id: one, match: {{channel: http.title, exact: a}}, {REST}}}\n", "twice")
    with pytest.raises(RulesProblem, match="twice"):
        load([twice])
