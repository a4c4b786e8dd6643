from __future__ import annotations

import re
from pathlib import Path

import pytest

from scanner import errors
from scanner.cli import main


def _kinds(kind: type[errors.LanvetoError] = errors.LanvetoError) -> list[type[errors.LanvetoError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in _kinds(below))]


def test_exit_codes_are_the_documented_ones() -> None:
    assert errors.UsageProblem("x").exit_code == 2
    assert errors.InputProblem("x").exit_code == 2
    assert errors.RulesProblem("x").exit_code == 2
    assert errors.ScanIncomplete("x").exit_code == 3


def test_every_code_has_one_kind_and_one_heading(root: Path) -> None:
    declared = [kind.__dict__["code"] for kind in _kinds() if kind.__module__ == "scanner.errors"]
    codes = [*declared, errors.INTERNAL, errors.SYSTEM]
    assert len(codes) == len(set(codes))
    headings = re.findall(r"^## (\S+)$", (root / "docs" / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(codes)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["identify", "nope.yaml", "--format", "docx"], "E-USAGE"),
        (["identify", "--colour"], "E-USAGE"),
        (["explain", "x", "--from", "nope.yaml"], "E-INPUT"),
        (["identify", "-", "--rules", "{here}"], "E-RULES"),
    ],
)
def test_a_sentence_ends_with_its_code(
    words: list[str], code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([word.format(here=tmp_path) for word in words]) == 2
    assert capsys.readouterr().err.rstrip().endswith(f"[{code}]")


def test_a_defect_has_a_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("x")

    monkeypatch.setattr("scanner.knowledge.load", broken)
    monkeypatch.delenv("LANVETO_DEBUG", raising=False)
    assert main.run(["identify", "nope.yaml"]) == 70
    assert capsys.readouterr().err.rstrip().endswith("[E-INTERNAL]")
