from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from scanner.net import interfaces, packet
from scanner.net.interfaces import Link
from scanner.net.packet import EQUAL, LOAD_BYTE, LOAD_HALF, TAKE, LinkGone, PacketSocket

Build = Callable[[dict[str, str]], Any]
DEVICE = {"10.77.0.7": "3c:ef:8c:00:00:07"}
SEND = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'here', ('10.77.255.254', 9))"
ONLY_DATAGRAMS = (
    (LOAD_HALF, 0, 0, 12), (EQUAL, 0, 3, 0x0800), (LOAD_BYTE, 0, 0, 23), (EQUAL, 0, 1, 17),
    (TAKE, 0, 0, 0xFFFF), (TAKE, 0, 0, 0),
)  # fmt: skip


def test_permission_is_told_without_an_exception() -> None:
    assert packet.permitted() is (os.geteuid() == 0 or packet.permitted())


@pytest.mark.root
def test_a_link_that_is_not_there_is_gone() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with pytest.raises(LinkGone, match="no-such-if"):
        PacketSocket(Link("no-such-if", 99, "aa:bb:cc:dd:ee:ff", True, True, True), 0x0806, ONLY_DATAGRAMS)


@pytest.mark.root
@pytest.mark.parametrize("headless", [False, True])
def test_the_kernel_lets_in_only_what_the_filter_takes(segment: Build, headless: bool) -> None:
    made = segment(DEVICE)
    link = next(found for found in interfaces.read().links if found.name == "s0")
    program = ((LOAD_BYTE, 0, 0, 9), (EQUAL, 0, 1, 17), (TAKE, 0, 0, 0xFFFF), (TAKE, 0, 0, 0)) if headless else ONLY_DATAGRAMS
    with PacketSocket(link, 0x0800, program, headless=headless) as sock:
        with pytest.raises(ConnectionRefusedError):  # a refusal comes back by TCP, which the filter drops
            socket.create_connection(("10.77.0.7", 9), timeout=2)
        made.inside(sys.executable, "-c", SEND)
        frames = list(sock.received())

    at = 0 if headless else 14
    assert frames
    assert {frame[at + 9] for frame in frames} == {17}
    assert sock.fileno() == -1
