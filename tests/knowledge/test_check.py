from __future__ import annotations

from pathlib import Path

import pytest

from scanner import knowledge
from scanner.knowledge import Knowledge, check
from scanner.resources import data_dir

REST = "source: ['https://example.org'], seen: 2026-01-01"
GOOD = (
    "{id: acme-good, match: {channel: http.title, exact: acme cam}, grade: strong, examples: [Acme Cam], " + REST + "}"
)


def _problems(tmp_path: Path, *entries: str) -> list[str]:
    """What is found wrong in a small world of two makers."""
    folder = tmp_path / "rules"
    for name in ("vendors", "fingerprints", "policies"):
        (folder / name).mkdir(parents=True)
    (folder / "ids.yaml").write_text("makers: [acme, rival, unknown, software]\nbrands: [acme, looks-like-acme]\n")
    for maker in ("acme", "rival"):
        (folder / "vendors" / f"{maker}.yaml").write_text(
            f"group: {maker}\n"
            f"entities:\n- {{id: {maker}, label: {maker.title()}, names: [{maker} ltd], recognised_by: x}}\n"
        )
    (folder / "fingerprints" / "acme.yaml").write_text(
        "maker: acme\nfingerprints:\n" + "".join(f"- {entry}\n" for entry in entries)
    )
    return [str(finding) for finding in check.check(Knowledge([folder], data_dir("oui")))]


def test_a_sound_world(tmp_path: Path) -> None:
    assert _problems(tmp_path, GOOD) == []


def test_everything_that_ships_is_sound() -> None:
    assert [str(finding) for finding in check.check(knowledge.load())] == []


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("match: {channel: http.title, exact: x}, grade: strong, says: {manufacturer: nobody-knows}, examples: [x]",
         "says.manufacturer: 'nobody-knows' is not in rules/ids.yaml"),
        ("match: {channel: http.title, exact: x}, grade: strong, says: {brand: no-such}, examples: [x]",
         "says.brand: 'no-such'"),
        ("match: {channel: http.title, exact: x}, grade: strong, says: {kind: toaster}, examples: [x]",
         "says.kind: 'toaster'"),
        ("match: {channel: http.title, exact: x}, grade: shared, shared_with: [them], examples: [x]",
         "shared_with: 'them'"),
        ("match: {channel: http.title, exact: x}, grade: strong", "examples: has none"),
        ("match: {channel: http.title, exact: x}, grade: strong, examples: [y]",
         "examples[1]: does not match its own fingerprint"),
        ("match: {channel: http.title, exact: x}, grade: strong, examples: [x, {http.titel: x}]",
         "examples[2]: 'http.titel' is not in the vocabulary"),
        ("match: {channel: http.title, exact: x}, grade: strong, examples: [x], counter_examples: [X]",
         "counter_examples[1]: matches all the same"),
        ("match: {channel: 'http.header.*', exact: x}, grade: strong, examples: [x]",
         "needs examples that name their channel"),
        ("match: {channel: http.title, contains: acme}, grade: hint, says: {manufacturer: rival}, examples: [ACME cam]",
         "examples[1]: also matches 'acme-good' of acme"),
        ("match: {channel: http.title, regex: '(a+)+x'}, grade: strong, examples: [aax]", "can run away"),
        ("match: {channel: http.title, regex: '(?P<modle>x)'}, grade: strong, examples: [x]",
         "the group 'modle' fills nothing"),
        ("match: {channel: http.title, regex: x}, grade: strong, says: {model: 'DS-{model}'}, examples: [x]",
         "{model} is no named group"),
        ("match: {channel: http.title, regex: x}, grade: strong, examples: [x], seen: 2999-01-01",
         "seen: 2999-01-01 lies ahead"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, entry: str, reason: str) -> None:
    rest = REST if "seen:" not in entry else REST.partition(", seen")[0]
    problems = _problems(tmp_path, GOOD, f"{{id: acme-bad, {entry}, {rest}}}")
    assert any(reason in problem for problem in problems), problems
    assert all("acme.yaml: entry 'acme-bad'" in problem for problem in problems)


def test_makers_that_share_a_signal_may_both_match(tmp_path: Path) -> None:
    shared = (
        "{id: rival-too, match: {channel: http.title, exact: acme cam}, grade: shared, shared_with: [acme], "
        "says: {manufacturer: rival}, examples: [Acme Cam], " + REST + "}"
    )
    assert _problems(tmp_path, GOOD, shared) == []


def test_a_maker_without_a_company_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "ids.yaml").write_text("makers: [ghost]\nbrands: []\n")
    problems = [str(finding) for finding in check.check(Knowledge([folder], data_dir("oui")))]
    assert problems == ["rules/ids.yaml: makers: 'ghost' has no file in rules/vendors/"]
