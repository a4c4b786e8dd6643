from __future__ import annotations

import pytest

from scanner.model import Observation
from scanner.protocols.cdp import PROTOCOL


def tlv(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "big") + (len(value) + 4).to_bytes(2, "big") + value


BODY = b"\x02\xb4\x00\x00" + tlv(1, b"SEP00") + tlv(3, b"eth0") + tlv(5, b"Cisco IOS") + tlv(6, b"cisco WS-C2950-12")
ETHERNET = bytes.fromhex("01000ccccccc 00186e112233 0040 aaaa0300000c2000")
FIELDS = [("cdp.deviceid", "SEP00"), ("cdp.software", "Cisco IOS"), ("cdp.platform", "cisco WS-C2950-12")]


def read(value: str) -> list[tuple[str, str]]:
    return list(PROTOCOL.read(Observation(channel="cdp.frame", value=value)))


def test_reads_frames_with_and_without_their_header() -> None:
    assert read("hex:" + BODY.hex()) == FIELDS
    assert read("hex:" + (ETHERNET + BODY).hex()) == [("mac", "00:18:6e:11:22:33"), *FIELDS]


@pytest.mark.parametrize("cut", range(0, len(BODY), 3))
def test_cut_off_frames_give_whole_parts(cut: int) -> None:
    some = read("hex:" + BODY[:cut].hex())
    assert some == FIELDS[: len(some)]


def test_a_part_without_length_ends_the_frame() -> None:
    assert read("hex:" + (b"\x02\xb4\x00\x00" + bytes(40)).hex()) == []


def test_reads_listings() -> None:
    found = read("Device ID: SEP00\nPlatform: cisco X\nother: y")
    assert found == [
        ("cdp.deviceid", "SEP00"),
        ("cdp.platform", "cisco X"),
    ]
