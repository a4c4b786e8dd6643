from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.net import raw
from scanner.net.interfaces import Link
from scanner.net.raw import ArpReply, LinkGone, parse_reply

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


def test_permission_is_told_without_an_exception() -> None:
    assert raw.permitted() is (os.geteuid() == 0 or raw.permitted())


@pytest.mark.root
def test_a_link_that_is_not_there_is_gone() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with pytest.raises(LinkGone, match="no-such-if"):
        raw.ArpSocket(Link("no-such-if", 99, "aa:bb:cc:dd:ee:ff", True, True, True))
