from __future__ import annotations

import ast
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
    assert len(declared) == len(set(declared))
    codes = [code.value for code in errors.Code]
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


def test_a_notice_has_one_code_and_keeps_it() -> None:
    said = errors.notice(errors.Code.LINK, "eth0 went down")
    assert said == "eth0 went down [E-LINK]"
    assert errors.notice(errors.Code.SCAN, said) == said
    assert errors.code_of(said) is errors.Code.LINK
    assert errors.without_code(said) == "eth0 went down"
    assert errors.code_of("a model [E-99]") is errors.code_of("plain") is None
    assert errors.without_code("a model [E-99]") == "a model [E-99]"
    assert errors.brief(errors.notice(errors.Code.LOST, "x" * 500 + "\x1b[2J"), 20).endswith(" [W-LOST]")


SOURCES = sorted((Path(__file__).resolve().parent.parent / "scanner").rglob("*.py"))
INFORMATION = {
    "cli/demo.py", "cli/main.py", "cli/options.py", "cli/prune.py", "cli/scan.py", "cli/simulate.py",
}  # fmt: skip
"""Files that may write to standard error by themselves: what is done or asked, and who says what is wrong."""


def _calls() -> list[tuple[str, ast.Call, str]]:
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                found.append((path.relative_to(SOURCES[0].parent).as_posix(), node, name))
    return found


def test_nothing_goes_around_the_type_that_asks_for_a_code() -> None:
    wrong = []
    for file, node, name in _calls():
        words = {keyword.arg for keyword in node.keywords}
        if name == "Notice" and file != "errors.py":
            wrong.append(f"{file}:{node.lineno}: a notice is made by `notice`, with a code")
        if name == "replace" and words & {"warnings", "failures"} and file != "model.py":
            wrong.append(f"{file}:{node.lineno}: `replace` asks for no type: use `Coverage.warned`")
        if "err" in words and file not in INFORMATION:
            wrong.append(f"{file}:{node.lineno}: say it with `options.complain`")
    assert not wrong, "\n".join(wrong)


def test_every_code_is_used() -> None:
    used = {
        node.attr
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).rpartition(".")[2] == "Code"
    }
    assert {code.name for code in errors.Code} == used
