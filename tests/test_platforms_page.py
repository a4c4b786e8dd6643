"""What docs/platforms.md promises for systems other than Linux: no module that only Unix has is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_WITHOUT = """
import importlib.abc, sys
GONE = {"fcntl", "resource", "termios", "grp", "pwd"}
class Gone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in GONE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Gone())
for name in GONE:
    sys.modules.pop(name, None)
from scanner.cli.main import run
sys.exit(run(sys.argv[1:]))
"""
FLEET = "examples/demo-fleet.yaml"


def _run(words: list[str], root: Path, home: Path) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home), "LANVETO_DEBUG": ""}
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT, *words], cwd=root, env=env, capture_output=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "words",
    [
        *(["identify", FLEET, "--format", name]
          for name in ("csv", "cyclonedx", "html", "json", "jsonl", "markdown", "xlsx")),
        ["rules", "show", "dahua"],
        ["oui", "lookup", "44:19:b6:00:00:01"],
    ],
    ids=lambda words: "-".join(word for word in words if word.isalpha()),
)  # fmt: skip
def test_works_without_what_only_unix_has(words: list[str], root: Path, tmp_path: Path) -> None:
    done = _run(words, root, tmp_path)
    assert (done.returncode, bool(done.stdout)) == (0, True), done.stderr.decode()


def test_the_modules_are_really_gone(root: Path, tmp_path: Path) -> None:
    done = _run(["scan", "127.0.0.1", "--dry-run"], root, tmp_path)
    assert done.returncode != 0
    assert b"fcntl" in done.stderr
