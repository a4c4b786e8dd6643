from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scanner.cli import by_nmap
from scanner.cli.main import run
from scanner.store import open_store, reading

GIVEN: dict[str, Any] = {"ports": None, "gentle": False, "fast": False, "interfaces": (), "exclude": ()}


def test_the_command_line_asks_no_more_than_a_scan_would() -> None:
    line = by_nmap.words({**GIVEN, "exclude": ("192.0.2.9",), "gentle": True}, ("192.0.2.0/24",), Path("x.xml"))

    assert line[-2:] == ["--", "192.0.2.0/24"]
    assert line[line.index("--exclude") + 1] == "192.0.2.9"
    assert "9100" in line[line.index("--exclude-ports") + 1].split(",")
    assert "-T2" in line
    assert not {"snmp-sysdescr", "default", "auth", "brute"} & set(line[line.index("--script") + 1].split(","))


def test_guards_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", "--engine", "nmap", "8.8.8.8", "--dry-run"]) == 2
    assert run(["scan", "--engine", "nmap"]) == 2
    told = capsys.readouterr().err
    assert "--allow-public" in told
    assert "name the targets" in told


def test_what_would_be_run_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", "--engine", "nmap", "127.0.0.1", "--dry-run", "--ports", "1"]) == 0
    assert "nmap -n -sV" in capsys.readouterr().out


def test_a_host_is_asked_and_reported(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert run(["scan", "--engine", "nmap", "127.0.0.1", "--ports", "1", "--format", "json"]) == 0
    assert '"nmap (engine)"' in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--resume", "--checkpoint"])
def test_what_nmap_cannot_keep_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", "--engine", "nmap", "127.0.0.1", option, "last", "--dry-run"]) == 2
    assert f"{option} is of no use with --engine nmap" in capsys.readouterr().err


def test_the_history_keeps_what_nmap_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    where = tmp_path / "h.sqlite"
    assert run(["scan", "--engine", "nmap", "127.0.0.1", "--ports", "1", "--store", str(where), "--output", str(tmp_path / "o")]) == 0
    with open_store(where, create=False) as store:
        (entry,) = reading.entries(store)
        assert reading.report(store, entry.number).scan.targets == ("127.0.0.1",)
