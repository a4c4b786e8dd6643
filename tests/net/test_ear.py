"""What the kernel's filter lets through, on a pair of interfaces in namespaces of this test's own."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from scanner.imports.dissect import ARP, LLDP, ether_types, ports
from scanner.net import ear, interfaces
from tests.imports.frames import arp, datagram, ethernet, segment

SEND = """
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind(("d0", 0))
print("ready", flush=True)
for line in sys.stdin.buffer:
    sock.send(bytes.fromhex(line.decode()))
"""


def test_a_filter_for_many_ports_can_be_built() -> None:
    code = ear.program(range(1000, 1090), {ARP, LLDP, 0x8033})

    assert len(code) < 4096


@pytest.fixture
def heard(segment: Callable[[dict[str, str]], Any]) -> Callable[[list[bytes]], list[ear.Frame]]:
    """Sends frames from the other side and gives those that the ear hears."""
    made = segment({"10.77.0.1": "02:00:00:00:00:77"})
    link = interfaces.read().link("s0")
    assert link is not None

    def listen(frames: list[bytes]) -> list[ear.Frame]:
        code = SEND.replace("sys.stdin.buffer", repr([frame.hex().encode() for frame in frames]))
        with ear.Ear(link, ear.program(ports(), {ARP, LLDP, *ether_types()})) as one:
            made.start(code.replace('print("ready", flush=True)\n', "") + 'print("done", flush=True)\nimport time; time.sleep(9)')
            time.sleep(0.2)
            found = list(one.frames())
            assert one.drops() == 0
        return found

    return listen


def _padded(frame: bytes) -> bytes:
    return frame.ljust(60, b"\0")


def test_only_what_may_say_something_is_heard(heard: Callable[[list[bytes]], list[ear.Frame]]) -> None:
    group = "01:00:5e:7f:ff:fa"
    wanted = [
        arp(target="ff:ff:ff:ff:ff:ff"),
        datagram(b"x", 1900, 1900, target="239.255.255.250"),
        datagram(b"x", 50_000, 5353),
        datagram(b"x", 37020, 50_000),
        ethernet(b"x" * 50, LLDP, target="01:80:c2:00:00:0e"),
        ethernet(b"\xaa\xaa\x03\0\0\x0c\x20\0" + bytes(60), 60, target="01:00:0c:cc:cc:cc"),
        ethernet(b"x" * 50, 0x8033, target=group),
        ethernet(bytes(6) + b"\x3a\xff" + bytes(32) + b"\x88" + bytes(20), 0x86DD),
        ethernet(bytes(6) + b"\x11\xff" + bytes(32) + b"\x14\xe9\x14\xe9" + bytes(20), 0x86DD),
    ]
    others = [
        segment(b"HTTP/1.1 200 OK\r\n\r\n", 80, 40_000), datagram(b"x", 40_000, 443), datagram(b"x", 53, 53), ethernet(bytes(60), 60),
        ethernet(b"x" * 50, 0x888E), ethernet(bytes(6) + b"\x3a\xff" + bytes(32) + b"\x80" + bytes(20), 0x86DD),
        ethernet(bytes(6) + b"\x06\xff" + bytes(32) + bytes(20), 0x86DD),
    ]  # fmt: skip
    frames = [f for pair in zip(others, wanted, strict=False) for f in pair] + wanted[len(others) :]
    found = [frame.data for frame in heard([_padded(f) for f in frames])]

    assert [f[: len(w)] for f, w in zip(found, wanted, strict=True)] == wanted
    assert all(abs(frame.seconds - time.time()) < 60 for frame in heard([_padded(wanted[0])]))


def test_tags_that_the_kernel_takes_off_are_kept(heard: Callable[[list[bytes]], list[ear.Frame]]) -> None:
    one, two, none = heard([_padded(arp(tags=(20,))), _padded(arp(tags=(100, 20))), _padded(arp())])

    assert (one.vlan, two.vlan, none.vlan) == (20, 100, None)
    assert two.data[12:14] == b"\x81\x00"


def test_without_the_right_to_raw_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(PermissionError):
        ear.Ear(interfaces.Link("s0", 1, None, True, True, True), [])
