from __future__ import annotations

import os
import socket
import subprocess
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
COUNT = """
import socket
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
sock.bind(("d0", 0x88B5))
print("up", flush=True)
while True:
    frame = sock.recv(100)
    print(len(frame), int.from_bytes(frame[-4:], "big"), flush=True)
"""
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


@pytest.mark.root
def test_a_burst_brings_every_frame_in_order_and_notices_that_the_link_is_gone(segment: Build) -> None:
    log = segment(DEVICE).start(COUNT)
    link = next(found for found in interfaces.read().links if found.name == "s0")
    head = b"\xff" * 6 + bytes.fromhex("3cef8c000001") + b"\x88\xb5" + bytes(46)
    numbers = [*range(1030), 7]  # more than two system calls hold
    with PacketSocket(link, 0x88B5, ONLY_DATAGRAMS) as sock:
        assert sock.burst(b"", 64) == 0
        rest = b"".join(head + number.to_bytes(4, "big") for number in numbers)
        while rest:  # a busy machine may have its queue full for a moment
            rest = rest[64 * sock.burst(rest, 64) :]
        assert sock.burst(head[:16] + bytes(4), 20) == 1  # another size has room of its own
        heard = [tuple(map(int, log.stdout.readline().split())) for _ in range(len(numbers) + 1)]
        assert heard == [*((64, number) for number in numbers), (20, 0)]
        subprocess.run(["ip", "link", "set", "s0", "down"], check=True)
        with pytest.raises(LinkGone, match="s0"):
            sock.burst(head + bytes(4), 64)
