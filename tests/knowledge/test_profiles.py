from __future__ import annotations

from pathlib import Path

import pytest

from scanner.errors import RulesProblem, UsageProblem
from scanner.knowledge import profiles
from scanner.resources import data_dir

EXPECTED = {
    *("us-federal-agency", "us-federal-contractor", "us-grant-recipient", "us-fcc-carrier", "us-importer-seller"),
    *("us-dod", "us-texas-state", "us-louisiana-public", "uk-government", "uk-5g-operator", "canada-federal"),
    *("australia-commonwealth", "germany-5g-operator", "taiwan-public", "private"),
}


def test_what_ships() -> None:
    found = profiles.load([data_dir("rules")])
    assert set(found) >= EXPECTED
    for profile in found.values():
        assert profile.title.split()[0] in {"a", "an", "the"}, profile.title


def test_check() -> None:
    found = profiles.load([data_dir("rules")])
    found.check(())
    found.check(["private", "us-dod"])
    with pytest.raises(UsageProblem, match="did you mean us-federal-contractor"):
        found.check(["private", "us-federal-contracter"])
    with pytest.raises(UsageProblem, match="--profile qqq: no such profile; see"):
        found.check(["qqq"])


def test_an_overlay_adds_and_replaces(tmp_path: Path) -> None:
    (tmp_path / "profiles.yaml").write_text("profiles: [{id: ours, title: a club}, {id: private, title: a person}]\n")
    found = profiles.load([data_dir("rules"), tmp_path])
    assert found["ours"].title == "a club"
    assert found["private"].title == "a person"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("profiles: [{id: a, title: x}, {id: a, title: y}]\n", ("profiles.yaml", "'a'", "twice")),
        ("profiles: [{id: a}]\n", ("profiles.yaml", "'a'", "title")),
        ("profiles: [{id: A, title: x}]\n", ("no id",)),
        ("profiles: [7]\n", ("profiles.yaml",)),
        ("[]\n", ("profiles.yaml",)),
    ],
)
def test_broken_files(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    (tmp_path / "profiles.yaml").write_text(text)
    with pytest.raises(RulesProblem) as caught:
        profiles.load([tmp_path])
    for part in parts:
        assert part in str(caught.value)
