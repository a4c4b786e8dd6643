"""References between files lead somewhere, and where they do not, place and reason are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner import knowledge
from scanner.knowledge import references

POLICY = (
    "id: m\ntitle: M\njurisdiction: X\nauthority: x\ncitation: c\neffect: advisory\nbinds: {binds}\n"
    "entities: [{listed}]\nin_force: 2020-01-01\nas_of: 2026-01-01\nsource: x\nconfidence: high\nverified: true\n"
)


def found(folder: Path) -> list[str]:
    return [f"{place}: {reason}" for place, reason in references.problems(knowledge.load([folder]))]


def test_what_ships_has_none(tmp_path: Path) -> None:
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("listed", "binds", "part"),
    [
        ("{name: A, entity: nobody}", "[private]", "entities[1]: no company is called 'nobody'"),
        ("{name: A, vendor: nobody}", "[private]", "entities[1]: no group is called 'nobody'"),
        ("{name: A, entity: axis, until: 2026-06-01}", "[private]", "lies after as_of"),
        ("{name: A, entity: axis}", "[someone]", "no profile is called 'someone'"),
        ("{name: A, entity: axis}", "[]", "at least one profile"),
    ],
)
def test_measures(tmp_path: Path, listed: str, binds: str, part: str) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "m.yaml").write_text(POLICY.format(listed=listed, binds=binds))
    assert any(part in text for text in found(tmp_path))


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ("owner: nobody", "owner: no company is called 'nobody'"),
        (
            "makers: [{vendor: nobody, scope: all, confidence: low, verified: true, sources: [x]}]",
            "makers: no company is called 'nobody'",
        ),
        (
            "model_patterns: [{regex: x, maker: nobody, verified: true, source: x}]",
            "model_patterns: no company is called 'nobody'",
        ),
    ],
)
def test_labels(tmp_path: Path, entry: str, part: str) -> None:
    (tmp_path / "brands").mkdir()
    (tmp_path / "brands" / "x.yaml").write_text(f"brands:\n- id: new-label\n  names: [New Label]\n  {entry}\n")
    assert [text for text in found(tmp_path) if part in text]


def test_companies(tmp_path: Path) -> None:
    (tmp_path / "vendors").mkdir()
    (tmp_path / "vendors" / "x.yaml").write_text(
        "group: acme\nentities: [{id: acme, label: Acme, names: [Acme], brands: [no-such-label]}]\n"
    )
    texts = found(tmp_path)
    assert any("no label is called 'no-such-label'" in text for text in texts)
    assert any("recognised_by" in text for text in texts)
