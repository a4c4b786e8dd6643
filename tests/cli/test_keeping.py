"""`--store`: a result goes into the history, and a history that fails costs the exit code, never the report."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from scanner.cli import main
from scanner.store import open_store, reading

CASE = """\
- id: lorex
  ip: 192.0.2.42
  observations:
    - {channel: rtsp.header.www-authenticate, port: 554, value: 'Digest realm="Login to ND011906001122", nonce="00"'}
"""


@pytest.fixture
def case(tmp_path: Path) -> Path:
    path = tmp_path / "case.yaml"
    path.write_text(CASE)
    return path


def test_identify_keeps_what_it_found(case: Path, tmp_path: Path) -> None:
    where = tmp_path / "h.sqlite"
    assert main.run(["identify", str(case), "--store", str(where), "--output", str(tmp_path / "o")]) == 0
    with open_store(where, create=False) as store:
        (entry,) = reading.entries(store)
        assert reading.report(store, entry.number).devices[0].identity.manufacturer == "dahua"


def test_the_environment_names_the_store(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANVETO_STORE", str(tmp_path / "env.sqlite"))
    assert main.run(["identify", str(case), "--output", str(tmp_path / "o")]) == 0
    assert (tmp_path / "env.sqlite").exists()


@pytest.mark.parametrize("command", ["identify", "scan"])
def test_a_store_that_fails_costs_the_exit_code_only(
    command: str, case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    where = tmp_path / "h.sqlite"
    open_store(where).close()
    with sqlite3.connect(where) as raw:
        raw.execute("UPDATE lanveto SET value = '99'")
    raw.close()
    arguments = {"identify": [str(case)], "scan": ["127.66.7.1", "--ports", "80", "--no-raw", "--no-multicast", "--timeout", "0.2"]}
    code = main.run([command, *arguments[command], "--store", str(where), "--format", "json"])
    out, err = capsys.readouterr()
    assert code == 3
    assert json.loads(out)["schema"] == 1
    assert "written by a newer lanveto" in err
    assert "not in the history" in err


def test_a_target_is_not_taken_for_a_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["scan", "--store", "192.0.2.0/24", "--dry-run"]) == 2
    assert "looks like a target" in capsys.readouterr().err
