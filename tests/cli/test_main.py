from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from scanner.cli import main
from scanner.errors import ScanIncomplete


def _lanveto(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scanner.cli.main", *arguments], capture_output=True, text=True, input=stdin, timeout=60
    )


def test_help_names_every_command_with_its_own_words() -> None:
    text = _lanveto("--help").stdout
    group = main.cli
    assert isinstance(group, click.Group)
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        assert name in text
        assert main._SUMMARY[name], f"{name} has no line in _SUMMARY"
    assert set(main._SUMMARY) == set(group.list_commands(context))


def test_help_imports_no_command() -> None:
    code = "import sys, scanner.cli.main as m; m.run(['--help']); print([n for n in sys.modules if n in (" + (
        "'msgspec', 'yaml', 'asyncio', 'scanner.cli.scan', 'scanner.knowledge')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_mistyped_command_gets_a_hint() -> None:
    done = _lanveto("identfy")
    assert done.returncode == 2
    assert "identify" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (ScanIncomplete("the broker is away"), 3, "the broker is away"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (PermissionError(13, "Permission denied", "/x"), 2, "/x"),
        (ZeroDivisionError("oops"), 70, "internal error"),
        (MemoryError(), 70, "out of memory"),
    ],
)
def test_every_failure_is_a_sentence_and_a_code(
    raised: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> int:
        raise raised

    monkeypatch.setattr(main.cli, "main", fail)
    assert main.run([]) == code
    assert said in capsys.readouterr().err


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m scanner.cli.main --help | head -n 1", shell=True, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr
