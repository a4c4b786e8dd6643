from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.net import interfaces, raw
from scanner.net.raw import ArpReply, parse_reply

LISTEN = """
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
sock.bind(("d0", 0x0806))
print("up", flush=True)
for _ in range(int(sys.argv[1])):
    frame = sock.recv(100)
    print(socket.inet_ntoa(frame[28:32]), socket.inet_ntoa(frame[38:42]), flush=True)
"""

MAC = bytes.fromhex("3cef8c000001")


def frame(operation: int = 2, mac: bytes = MAC, address: bytes = b"\x0a\0\0\x07", hardware: int = 1) -> bytes:
    ours = (b"\1" * 6, b"\1" * 4)
    return raw.FRAME.pack(b"\xff" * 6, mac, raw.ARP, hardware, 0x0800, 6, 4, operation, mac, address, *ours)


def test_a_reply_names_its_sender() -> None:
    assert parse_reply(frame() + bytes(18)) == ArpReply("10.0.0.7", "3c:ef:8c:00:00:01")


@pytest.mark.parametrize(
    "data",
    [b"", frame()[:41], frame(operation=1), frame(hardware=6), frame(mac=b"\x01\0\0\0\0\1"), frame(mac=bytes(6)),
     frame(address=bytes(4)), frame(address=b"\xe0\0\0\1"), frame(address=b"\xff\xff\xff\xff")],
)  # fmt: skip
def test_what_is_no_hosts_reply_is_dropped(data: bytes) -> None:
    assert parse_reply(data) is None


@given(st.binary(max_size=80))
def test_no_frame_breaks_the_parser(data: bytes) -> None:
    parse_reply(data)


@pytest.mark.root
def test_requests_carry_our_address_on_the_asked_network(segment: Any) -> None:
    made = segment({"10.77.0.7": "3c:ef:8c:00:00:07"})
    link = next(found for found in interfaces.read().links if found.name == "s0")
    both = dataclasses.replace(link, addresses=(IPv4Interface("10.5.0.9/24"), *link.addresses))
    log = made.start(LISTEN, "3")
    with raw.ArpSocket(both) as sock:
        asked = [int(IPv4Address(a)) for a in ("10.77.0.1", "10.5.0.1", "10.99.0.1")]
        assert sock.ask(asked) == 3
        assert sock.ask(asked[:1]) == 1
        assert sock.ask([]) == 0
    lines = [log.stdout.readline().split() for _ in range(3)]

    assert [(line[0].decode(), line[1].decode()) for line in lines] == [
        ("10.77.255.254", "10.77.0.1"), ("10.5.0.9", "10.5.0.1"), ("10.5.0.9", "10.99.0.1"),
    ]  # fmt: skip
