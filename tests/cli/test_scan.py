"""The command line of `lanveto scan`: what is refused before anything is sent. Real scans are in tests/wire."""

from __future__ import annotations

import io
import json
import socket
from pathlib import Path

import pytest

from scanner.cli import main


def _run(*arguments: str) -> int:
    return main.run(["scan", *arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["300.1.1.1"], "300.1.1.1"),
        (["not a network"], "not a network"),
        (["10.0.0.9-10.0.0.1"], "10.0.0.9-10.0.0.1"),
        (["8.8.8.8"], "--allow-public"),
        (["127.0.0.1", "--ports", "9100"], "printers"),
        (["127.0.0.1", "--ports", "502"], "controllers"),
        (["127.0.0.1", "--ports", "http"], "--ports"),
        (["127.0.0.1", "--rate", "-1"], "--rate"),
        (["127.0.0.1", "--timeout", "9999"], "--timeout"),
        (["127.0.0.1", "--gentle", "--fast"], "contradict"),
        (["127.0.0.1", "--site", "a/b"], "--site"),
        (["127.0.0.1", "--format", "docx"], "--format"),
        (["127.0.0.1", "--fail-on", "remove"], "--profile"),
        (["127.0.0.1", "--profile", "us-federal-contractr"], "us-federal-contractor"),
        (["127.0.0.1", "--interface", "nosuch0"], "nosuch0"),
        (["127.0.0.1", "--mqtt", "mqtt://u:secret@h/p"], "process list"),
        (["127.0.0.1", "--mqtt-ca", "x"], "needs --mqtt"),
        (["127.0.0.1", "--output", "/no/such/folder/x.json"], "does not exist"),
        (["127.0.0.1", "--exclude", "nonsense!"], "nonsense!"),
        (["127.0.0.1", "--port-map", "/no/such/file"], "--port-map"),
    ],
)
def test_refused_before_anything_is_sent(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from scanner import engine

    monkeypatch.setattr(engine, "run", lambda *_, **__: pytest.fail("a scan was started"))
    # Some problems only the engine's own checks can see: they must be raised before it sends.
    if said in {"300.1.1.1", "not a network", "10.0.0.9-10.0.0.1", "--allow-public", "nosuch0", "nonsense!"}:
        monkeypatch.undo()
    assert _run(*arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "secret" not in error


def test_a_dry_run_sends_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
    assert _run("--dry-run", "127.0.0.1") == 0
    text = capsys.readouterr().out
    assert "1 addresses" in text
    assert "nothing was sent" in text


def test_no_target_and_no_terminal_needs_yes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from scanner import engine
    from scanner.targets import Proposal

    monkeypatch.setattr(engine, "proposal", lambda: Proposal(words=("192.0.2.0/24",), addresses=254))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert _run() == 2
    assert "--yes" in capsys.readouterr().err


def test_an_empty_address_is_not_all_clear(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    out = tmp_path / "report.json"
    code = _run("127.77.77.77", "--ports", "1", "--no-multicast", "--format", "json", "--output", str(out))
    assert code in {0, 3}
    document = json.loads(out.read_text())
    assert document["coverage"]["addresses"] == 1
    assert all(d["manufacturer"] is None for d in document["devices"])
