from __future__ import annotations

import pytest

from scanner.model import Observation
from scanner.protocols.dhcp import PROTOCOL

ETHERNET = b"\xff" * 6 + bytes.fromhex("00408c112233") + b"\x08\x00" + bytes(28)


def packet(op: int = 1, hlen: int = 6) -> bytes:
    head = bytes((op, 1, hlen, 0)) + bytes(24) + bytes.fromhex("00408c112233") + bytes(202)
    options = b"\x35\x01\x01\x00\x37\x03\x01\x03\x06\x0c\x04axis\x3c\x09AXIS,P334\xff"
    return head + b"\x63\x82\x53\x63" + options


def read(value: str) -> dict[str, str]:
    return dict(PROTOCOL.read(Observation(channel="dhcp.packet", value=value)))


@pytest.mark.parametrize("below", [b"", ETHERNET])
def test_reads_what_a_client_says(below: bytes) -> None:
    assert read("hex:" + (below + packet()).hex()) == {
        "mac": "00:40:8c:11:22:33",
        "dhcp.parameters": "1,3,6",
        "dhcp.hostname": "axis",
        "dhcp.vendor_class": "AXIS,P334",
    }


def test_a_servers_answer_says_nothing_about_the_client() -> None:
    assert read("hex:" + packet(op=2).hex()) == {}


def test_other_hardware_has_no_mac() -> None:
    assert "mac" not in read("hex:" + packet(hlen=8).hex())


@pytest.mark.parametrize("cut", range(230, 280, 3))
def test_cut_off_packets(cut: int) -> None:
    assert read("hex:" + packet()[:cut].hex()).keys() <= read("hex:" + packet().hex()).keys()


def test_reads_listings() -> None:
    assert read("option 60 = AXIS,P334\n55: 1,3,6") == {"dhcp.vendor_class": "AXIS,P334", "dhcp.parameters": "1,3,6"}
    text = "Vendor Class: HUAWEI:android:ABC\nHost name = cam\nMAC: 00-40-8C-11-22-33\nfoo: bar"
    assert read(text) == {
        "dhcp.vendor_class": "HUAWEI:android:ABC",
        "dhcp.hostname": "cam",
        "mac": "00:40:8c:11:22:33",
    }
