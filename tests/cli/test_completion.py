"""The completion scripts, and what they complete."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from scanner.cli import main


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert "_LANVETO_COMPLETE" in text
    if shutil.which(shell) and shell == "bash":
        assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0


def test_commands_and_options_are_completed() -> None:
    def complete(words: str, number: int) -> str:
        env = os.environ | {"_LANVETO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        return subprocess.run([sys.executable, "-m", "scanner.cli.main"], env=env, capture_output=True, text=True, check=False).stdout

    assert "plain,history" in complete("lanveto hi", 1)
    assert "plain,--profile" in complete("lanveto scan --pro", 2)
