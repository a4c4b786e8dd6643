from __future__ import annotations

import io
import sys

import pytest

from scanner.cli.progress import Line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_stays_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    line = Line()
    line.update("ARP", 1, 2, 0)
    line.clear()
    assert stream.getvalue() == ""


def test_a_terminal_sees_the_stage_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    clock = iter([0.0, 0.0, 10.0, 20.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    line = Line()
    line.update("ARP", 0, 254, 0)
    line.update("ARP", 127, 254, 3)
    line.clear()
    text = stream.getvalue()
    assert "ARP 127/254, 10 s left, 3 device(s)" in text
    assert text.endswith("\r\x1b[K")
