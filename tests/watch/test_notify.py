"""What systemd is told, heard on a socket of its kind."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from scanner.watch.notify import Notifier


def _socket(address: str) -> socket.socket:
    there = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    there.bind("\0" + address[1:] if address[0] == "@" else address)
    there.settimeout(5)
    return there


@pytest.mark.parametrize("abstract", [False, True])
def test_what_is_told_arrives(abstract: bool, tmp_path: Path) -> None:
    address = f"@lanveto-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with _socket(address) as there:
        notifier = Notifier({"NOTIFY_SOCKET": address})
        assert notifier.tell("READY=1", "STATUS=waiting")
        assert there.recv(1000) == b"READY=1\nSTATUS=waiting"
        assert notifier.reloading()
        first, second = there.recv(1000).decode().split("\n")
        assert first == "RELOADING=1"
        assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


@pytest.mark.parametrize("address", ["", "relative", "/nonexistent/socket", "vsock:1:2"])
def test_nobody_there_is_no_failure(address: str) -> None:
    assert not Notifier({"NOTIFY_SOCKET": address}).tell("READY=1")
    assert not Notifier({}).tell("READY=1")


@pytest.mark.parametrize(("limit", "who", "beat"), [
    ("30000000", "", 15.0), ("30000000", "own", 15.0), ("30000000", "1", None), ("", "", None),
    ("x", "", None), ("0", "", None),
])  # fmt: skip
def test_the_watchdog_is_fed_twice_in_its_time(limit: str, who: str, beat: float | None) -> None:
    process = str(os.getpid()) if who == "own" else who  # a name that is the same in every process of the test run
    assert Notifier({"WATCHDOG_USEC": limit, "WATCHDOG_PID": process}).beat == beat
