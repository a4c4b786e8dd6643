"""`lanveto history` over a history made by `identify`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scanner.cli import main
from scanner.store import open_store, outbox
from scanner.store.outbox import Draft

CASE = """\
- id: lorex
  ip: 192.0.2.42
  mac: "3c:ef:8c:11:22:33"
  observations:
    - {channel: rtsp.header.www-authenticate, port: 554, value: 'Digest realm="Login to ND011906001122", nonce="00"'}
"""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The account's own history, with two scans in it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    case = tmp_path / "case.yaml"
    case.write_text(CASE)
    where = tmp_path / "lanveto" / "history.sqlite"
    for profile in ("us-federal-contractor", "private"):
        assert main.run(["identify", str(case), "--profile", profile, "--store", str(where), "--output", str(tmp_path / "o")]) == 0
    return where


def test_without_a_history_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main.run(["history"]) == 2
    assert "there is no such file; `lanveto scan --store" in capsys.readouterr().err


def test_the_list(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["history"]) == 0
    assert "completed" in capsys.readouterr().out
    assert main.run(["history", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [s["scan"] for s in found["scans"]] == [2, 1]


def test_one_device(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["history", "3C-EF-8C-11-22-33"]) == 0
    assert "Dahua" in capsys.readouterr().out  # the name comes from the rules of today
    assert main.run(["history", "192.0.2.42", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["sightings"]
    assert [s["manufacturer"] for s in found] == ["dahua", "dahua"]
    assert found[1]["actions"]["us-889-a1b"] in {"remove", "investigate"}
    assert main.run(["history", "192.0.2.43"]) == 2
    assert "no device of that key" in capsys.readouterr().err


def test_a_report_again(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["history", "--report", "1", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["scan"]["profiles"] == ["us-federal-contractor"]
    assert main.run(["history", "--report", "9"]) == 2
    assert "scan 9: there is none" in capsys.readouterr().err


def test_what_a_receiver_refused(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["history", "--refused"]) == 0
    assert "Nothing was refused." in capsys.readouterr().out
    with open_store(kept) as store:
        outbox.register(store, ["tickets"])
        outbox.advance(store, "tickets", outbox.take(store, "tickets", 99)[-1].number)  # what is true now
        outbox.put(store, [Draft("e1", "hq", "finding-opened", b"{}"), Draft("e2", "hq", "finding-opened", b"{}")])
        first = outbox.take(store, "tickets", 1)[0]
        outbox.set_aside(store, "tickets", first, "HTTP 422\x1b[2J")
        outbox.advance(store, "tickets", first.number)
    assert main.run(["history", "--refused"]) == 0
    out = capsys.readouterr().out
    assert "HTTP 422" in out
    assert "\x1b" not in out
    assert "tickets: 1 waiting, 1 refused, 0 lost" in out
    assert main.run(["history", "--refused", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["refused"][0]["event"] == "e1"
    assert told["sinks"] == [{"sink": "tickets", "waiting": 1, "lost": 0, "refused": 1}]
    assert main.run(["history", "x", "--refused"]) == 2


def test_what_waits_for_a_receiver_that_is_gone_is_dropped_by_name_only(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_store(kept) as store:
        outbox.register(store, ["old", "new"])
        outbox.put(store, [Draft("e1", "hq", "finding-opened", b"{}")])
        (waiting, _) = {s.name: s.waiting for s in outbox.standing(store)}.values()
    config = tmp_path / "lanveto.toml"
    config.write_text('[publish.new]\ntype = "mqtt"\nurl = "mqtt://127.0.0.1"\n')
    assert main.run(["--config", str(config), "history", "--forget", "new"]) == 2
    assert "take it out first" in capsys.readouterr().err
    assert main.run(["history", "--forget", "olt"]) == 2
    assert "known are: new, old" in capsys.readouterr().err
    assert main.run(["history", "--forget", "old"]) == 0
    assert capsys.readouterr().out == f"old is forgotten, and {waiting} messages that waited for it.\n"
    with open_store(kept) as store:
        assert [s.name for s in outbox.standing(store)] == ["new"]
