"""docs/writing-rules.md is true: its files are written as it shows them, and its commands do what it says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from scanner.cli import main

ELSEWHERE = ("lanveto scan ", "lanveto rules pack", "lanveto rules update", "make test")
"""Commands that tests of their own run: they need a network, newer rules, or this suite."""


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "writing-rules.md").read_text(encoding="utf-8")


@pytest.fixture
def workplace(page: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the page, and the corpus where the page expects it."""
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        first = block.splitlines()[0]
        assert re.fullmatch(r"# [\w./-]+\.yaml", first), "every file of the page begins with its name"
        path = tmp_path / first.removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block, encoding="utf-8")
    (tmp_path / "tests").symlink_to(root / "tests")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("workplace")
def test_every_command_works(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    run = [line for line in commands if not line.startswith(ELSEWHERE)]
    assert len(run) >= 8
    for line in run:
        program, *arguments = shlex.split(line)
        assert program == "lanveto", line
        given = [str(p) for a in arguments for p in (sorted(Path().glob(a)) if "*" in a else [a])]
        assert main.run(given) == 0, f"{line}\n{capsys.readouterr()}"


@pytest.mark.usefixtures("workplace")
def test_the_example_ends_as_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    before, after = (
        json.loads(_said(capsys, "identify", "odd-camera.yaml", "--format", "jsonl", *more))
        for more in ([], ["--rules", "my-rules"])
    )
    assert before["manufacturer"] is None
    assert (after["manufacturer"], after["level"], after["model"]) == ("northlight", "confirmed", "NL-D240")
    assert "all good" in _said(capsys, "rules", "check", "--rules", "my-rules")
    assert "1/1" in _said(capsys, "rules", "eval", "odd-camera.yaml", "--rules", "my-rules")


def _said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main.run(list(arguments)) == 0
    return capsys.readouterr().out
