from __future__ import annotations

import socket
from pathlib import Path

import pytest

from scanner import engine, knowledge
from scanner.config import Plan
from scanner.errors import UsageProblem


def test_every_address_is_asked_and_nobody_is_invented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with socket.create_server(("127.41.0.3", 0)) as server:
        plan = Plan(targets=("127.41.0.0/29",), ports=(server.getsockname()[1],), assume_up=True, timeout=0.3)
        report = engine.run(plan, knowledge.load(()))

    assert [d.recording.ip for d in report.devices] == ["127.41.0.3"]
    assert next(m for m in report.coverage.methods if m.name == "assumed").hosts == 1


def test_too_many_are_refused() -> None:
    with pytest.raises(UsageProblem, match="at most 65536"):
        engine.dry_run(Plan(targets=("10.0.0.0/12",), assume_up=True))
