from __future__ import annotations

import pytest

from scanner.model import Observation
from scanner.protocols.lldp import PROTOCOL


def tlv(kind: int, value: bytes) -> bytes:
    return ((kind << 9) | len(value)).to_bytes(2, "big") + value


TLVS = (
    tlv(1, b"\x04" + bytes.fromhex("001882112233"))
    + tlv(2, b"\x05GE1/0/1")
    + tlv(3, b"\0\x78")
    + tlv(4, b"GigabitEthernet1/0/1")
    + tlv(5, b"S5720")
    + tlv(6, b"S5720-56C\r\nHuawei Versatile Routing Platform Software")
    + tlv(127, b"\x00\x12\xbb\x09H3C")
    + tlv(127, b"\x00\x12\xbb\x0aWA4320")
    + tlv(127, b"\x00\x80\xc2\x01\0\1")
    + tlv(0, b"")
)
ETHERNET = bytes.fromhex("0180c200000e 001882112244")


def read(value: str) -> list[tuple[str, str]]:
    return list(PROTOCOL.read(Observation(channel="lldp.frame", value=value)))


FIELDS = [
    ("mac", "00:18:82:11:22:33"),
    ("lldp.portdescr", "GigabitEthernet1/0/1"),
    ("lldp.sysname", "S5720"),
    ("lldp.sysdescr", "S5720-56C\r\nHuawei Versatile Routing Platform Software"),
    ("lldp.med.manufacturer", "H3C"),
    ("lldp.med.model", "WA4320"),
]


@pytest.mark.parametrize("head", [b"", ETHERNET + b"\x88\xcc", ETHERNET + b"\x81\x00\x00\x01\x88\xcc"])
def test_reads_frames(head: bytes) -> None:
    sender = [("mac", "00:18:82:11:22:44")] if head else []
    assert read("hex:" + (head + TLVS).hex()) == sender + FIELDS


@pytest.mark.parametrize("cut", range(0, len(TLVS), 4))
def test_cut_off_frames_give_whole_parts(cut: int) -> None:
    some = read("hex:" + TLVS[:cut].hex())
    assert some == FIELDS[: len(some)]


def test_a_serial_as_chassis_id_is_no_mac() -> None:
    assert read("hex:" + tlv(1, b"\x072102312BRA10").hex()) == []


def test_reads_listings() -> None:
    text = (
        "Chassis ID: mac 00:18:82:11:22:33\nSystem Name: S5720\n"
        "System Description: Huawei AR1220\nManufacturer name : H3C"
    )
    assert read(text) == [
        ("mac", "00:18:82:11:22:33"),
        ("lldp.sysname", "S5720"),
        ("lldp.sysdescr", "Huawei AR1220"),
        ("lldp.med.manufacturer", "H3C"),
    ]
