from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanner.net import echo
from scanner.net.echo import EchoSocket

Build = Callable[[dict[str, str]], Any]
DEVICES = {f"10.77.0.{n}": f"3c:ef:8c:00:00:{n:02x}" for n in range(1, 5)}
PING = """
import os, sys, time
from scanner.net.echo import EchoSocket
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
with EchoSocket() as sock:
    sock.ask(sys.argv[1:])
    time.sleep(0.3)
    print(sock._raw, sorted(sock.replies()))
"""


def heard(sock: EchoSocket, number: int = 0) -> list[str]:
    """The replies: so many, however late they are, and whatever comes a little later."""
    found: list[str] = []
    for _ in range(200):
        found += sock.replies()
        if len(found) >= number:
            break
        time.sleep(0.1)
    time.sleep(0.3)
    return sorted([*found, *sock.replies()])


@pytest.fixture
def devices(segment: Build) -> Any:
    return segment(DEVICES)


@pytest.mark.root
def test_hosts_that_are_there_reply_and_only_to_whom_asked_them(devices: Any) -> None:
    with EchoSocket() as one, EchoSocket() as other:
        assert one.ask(["10.77.0.1", "10.77.0.2", "10.77.9.9"]) == (3, [])
        assert other.ask(["10.77.0.3"]) == (1, [])
        assert heard(one, 2) == ["10.77.0.1", "10.77.0.2"]
        assert heard(other, 1) == ["10.77.0.3"]


@pytest.mark.root
def test_a_reply_without_the_hosts_own_token_counts_for_nobody(devices: Any) -> None:
    with EchoSocket() as sock:
        sock.ask(["10.77.0.1"])
        sock._key = bytes(16)
        assert heard(sock) == []


@pytest.mark.root
def test_hosts_of_ipv6_reply_too(segment: Build) -> None:
    segment(DEVICES)
    subprocess.run(["sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=0"], check=True)
    with EchoSocket(wide=True) as sock:
        done, lost = sock.ask(["::1", "2001:db8::1"])
        assert (done, lost) == (2, ["2001:db8::1"])  # nobody knows a way there
        assert heard(sock, 1) == ["::1"]
        sock._key = bytes(16)
        sock.ask(["::1"])
        sock._key = bytes(range(16))
        assert heard(sock) == []


@pytest.mark.root
def test_where_no_way_leads_is_told(devices: Any) -> None:
    with EchoSocket() as sock:
        assert sock.ask(["10.99.0.1", "10.77.0.1"]) == (2, ["10.99.0.1"])


@pytest.mark.root
@pytest.mark.parametrize(("groups", "said"), [("0 65535", "False ['10.77.0.1', '10.77.0.2']"), ("1 0", None)])
def test_without_root_the_administrator_decides(devices: Any, groups: str, said: str | None) -> None:
    Path("/proc/sys/net/ipv4/ping_group_range").write_text(groups, encoding="ascii")
    done = subprocess.run(
        [sys.executable, "-c", PING,
         "10.77.0.1", "10.77.0.2", "10.77.9.9"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    if said is None:
        assert "PermissionError" in done.stderr
    else:
        assert done.stdout.strip() == said, done.stderr


def test_permission_is_told_without_an_exception() -> None:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
        may = True
    except PermissionError:
        may = False
    assert echo.permitted() >= may


def test_replies_for_which_there_is_no_room_are_counted() -> None:
    with EchoSocket() as sock:
        sock.ask(["127.0.0.1"] * 20)
        assert len(heard(sock, 20)) == 20
        assert sock.drops() == 0
        sock._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the smallest there is
        sock.ask(["127.0.0.1"] * 200)
        replies = heard(sock, 1)

        assert len(replies) < 200
        assert sock.drops() >= 200 - len(replies)  # Linux counts each twice on raw sockets of IPv4
