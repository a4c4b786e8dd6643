"""What docs/platforms.md promises for systems other than Linux: no module that only Unix has is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from scanner.cli.options import FORMATS
from scanner.knowledge import registry
from tests.knowledge.test_refresh import as_csvs

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


STORE = ["--store", "{home}/h.sqlite"]
CHAIN: list[tuple[str, list[str]]] = [
    *((name, ["identify", FLEET, "--format", name, "--output", f"{{home}}/report.{name}"])
      for name in ("csv", "cyclonedx", "html", "inquiry", "json", "jsonl", "markdown", "xlsx")),
    ("show", ["rules", "show", "dahua"]),
    ("lookup", ["oui", "lookup", "44:19:b6:00:00:01"]),
    ("check", ["rules", "check"]),
    ("eval", ["rules", "eval", FLEET]),
    ("rules-update", ["rules", "update", "--reset"]),
    ("oui-update", ["oui", "update", "--from", "{home}/ieee"]),
    ("keep", ["identify", FLEET, *STORE, "--bundle", "{home}/e.zip"]),
    ("import", ["import", "{home}/arp.txt", *STORE]),
    ("verify", ["verify", "{home}/e.zip"]),
    ("history", ["history", *STORE]),
    ("diff", ["diff", *STORE]),
    ("rejudge", ["rejudge", "last~1", *STORE, "--as-of", "2027-01-01"]),
    ("prune", ["prune", *STORE, "--keep-scans", "2", "--yes"]),
    ("explain", ["explain", "10.77.0.22", "--from", FLEET]),
    ("config", ["config", "check", "{home}/lanveto.toml"]),
    ("completion", ["completion", "bash"]),
]  # fmt: skip
"""In this order, for some read what others wrote."""


def _runs(words: list[str], root: Path, home: Path) -> bool:
    done = _run([word.format(home=home) for word in words], root, home)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), f"{words}: {done.stderr.decode()}"
    return True


def test_works_without_what_only_unix_has(root: Path, tmp_path: Path) -> None:
    (tmp_path / "arp.txt").write_text("Internet  192.0.2.42  3  3cef.8c11.222a  ARPA  Vlan10\n", encoding="utf-8")
    (tmp_path / "lanveto.toml").write_text('site = "hq"\n', encoding="utf-8")
    as_csvs(tmp_path / "ieee", dict(registry.installed().blocks()))
    assert all(_runs(words, root, tmp_path) for _, words in CHAIN)
    assert {path.suffix[1:] for path in tmp_path.glob("report.*")} == set(FORMATS) - {"table"}


def test_the_modules_are_really_gone(root: Path, tmp_path: Path) -> None:
    done = _run(["scan", "127.0.0.1", "--dry-run"], root, tmp_path)
    assert done.returncode != 0
    assert b"fcntl" in done.stderr
