"""`lanveto rejudge`: another day's law on what was heard then; nothing is sent."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from scanner.cli import main

CASE = """\
- id: lorex
  ip: 192.0.2.42
  observations:
    - {channel: rtsp.header.www-authenticate, port: 554, value: 'Digest realm="Login to ND011906001122", nonce="00"'}
"""


def test_the_law_of_another_day(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    case, where = tmp_path / "case.yaml", str(tmp_path / "h.sqlite")
    case.write_text(CASE)
    law = ["--profile", "us-federal-contractor", "--format", "json"]
    assert main.run(["identify", str(case), "--store", where, *law]) == 0
    first = json.loads(capsys.readouterr().out)

    def refuse(*_: object) -> None:
        raise AssertionError("rejudging opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    assert main.run(["rejudge", "--store", where, "--format", "json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["devices"] == first["devices"]
    assert again["scan"]["id"] == first["scan"]["id"]
    assert main.run(["rejudge", "last", "--store", where, "--as-of", "2017-01-01", "--format", "json"]) == 0
    then = json.loads(capsys.readouterr().out)
    assert then["devices"][0]["manufacturer"] == "dahua"
    assert then["devices"][0]["action"] in {"none", "note", "plan"}
    assert main.run(["rejudge", "1", "--store", where, "--fail-on", "remove,investigate", "--output", str(tmp_path / "o")]) == 1
