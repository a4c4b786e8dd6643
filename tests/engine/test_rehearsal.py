from __future__ import annotations

import socket

import pytest

from scanner import engine
from scanner.config import Plan, Speed
from scanner.engine.rehearsal import duration
from scanner.errors import UsageProblem


def test_it_says_what_would_be_sent_and_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something was sent")

    for name in ("sendto", "connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    text = "\n".join(engine.dry_run(Plan(targets=("127.0.0.0/28",), exclude=("127.0.0.3", "3c:ef:8c"))))

    assert "13 addresses" in text
    assert "excluded: 1 of them; devices with MAC 3cef8c are not spoken to" in text
    assert "TCP connections to ports" in text
    assert "at most 5 requests a second" in text
    assert "never spoken to: TCP ports 102, 502, 9100" in text
    assert text.endswith("nothing was sent")


def test_a_fast_scan_says_so() -> None:
    assert "as fast as it answers" in "\n".join(engine.dry_run(Plan(targets=("127.0.0.1",), speed=Speed.FAST)))


def test_wrong_plans_are_told_here_too() -> None:
    with pytest.raises(UsageProblem):
        engine.dry_run(Plan(targets=("here",)))


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (42.4, "42 s"), (600, "10 min"), (9000, "2.5 h")])
def test_times_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
