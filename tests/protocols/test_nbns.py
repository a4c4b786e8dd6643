from __future__ import annotations

import struct

import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Service
from scanner.protocols.nbns import PORT, PROTOCOL

SERVICE = Service(Transport.UDP, PORT)
QUERY = bytes.fromhex("80f00010000100000000000020434b") + b"A" * 30 + bytes.fromhex("0000210001")


def status(mac: bytes, *names: str, pointer: bool = False) -> bytes:
    name = b"\xc0\x0c" if pointer else b"\x20CK" + b"A" * 30 + b"\0"
    entries = b"".join(n.encode().ljust(15) + b"\x00\x04\x00" for n in names)
    data = bytes((len(names),)) + entries + mac
    return struct.pack("!6H", 0x80F0, 0x8400, 0, 1, 0, 0) + name + struct.pack("!HHIH", 0x21, 1, 0, len(data)) + data


def pairs(value: str) -> list[tuple[str, str]]:
    return list(PROTOCOL.read(Observation(channel="nbns.response", value=value)))


@pytest.mark.parametrize("pointer", [False, True])
def test_reads_names_and_mac(pointer: bool) -> None:
    data = status(bytes.fromhex("5850ed112233"), "DS-7616NI", "WORKGROUP", pointer=pointer)
    assert PROTOCOL.recognise(data) == "nbns.response"
    assert pairs("hex:" + data.hex()) == [
        ("netbios.name", "DS-7616NI"),
        ("netbios.name", "WORKGROUP"),
        ("mac", "58:50:ed:11:22:33"),
    ]


def test_samba_states_no_mac() -> None:
    assert pairs("hex:" + status(bytes(6), "NVR").hex()) == [("netbios.name", "NVR")]


@pytest.mark.parametrize("cut", range(0, 100, 5))
def test_cut_off_answers(cut: int) -> None:
    whole = pairs("hex:" + status(bytes.fromhex("5850ed112233"), "A", "B").hex())
    some = pairs("hex:" + status(bytes.fromhex("5850ed112233"), "A", "B")[:cut].hex())
    assert some == whole[: len(some)]


def test_reads_listings() -> None:
    listing = "Names:\n  NVR-01           <00>  UNIQUE\n  WORKGROUP <1e> GROUP\n  MAC Address = 58-50-ED-11-22-33\n"
    assert pairs(listing) == [
        ("netbios.name", "NVR-01"),
        ("netbios.name", "WORKGROUP"),
        ("mac", "58:50:ed:11:22:33"),
    ]
    assert pairs("RECORDER") == [("netbios.name", "RECORDER")]


def test_questions_are_no_answers() -> None:
    assert PROTOCOL.recognise(QUERY) is None
    assert pairs("hex:" + QUERY.hex()) == []


def test_recorded_answers_are_served_with_the_id_of_the_question() -> None:
    data = status(bytes(6), "NVR")
    device = Recording(id="d", observations=(Observation(channel="nbns.response", value="hex:" + data.hex()),))
    assert PROTOCOL.services(device) == (SERVICE,)
    reply = PROTOCOL.answer(b"\x12\x34\x00\x10" + QUERY[4:] + bytes(10), device, SERVICE)
    assert reply is not None
    assert reply.data == b"\x12\x34" + data[2:]
    assert PROTOCOL.answer(data, device, SERVICE) is None


def test_an_answer_is_composed_of_names() -> None:
    said = (("netbios.name", "NVR-01"), ("netbios.name", "WORKGROUP"))
    seen = tuple(Observation(channel=channel, value=value) for channel, value in said)
    for mac in ("58:50:ed:11:22:33", None):
        device = Recording(id="d", mac=mac, observations=seen)
        assert PROTOCOL.services(device) == (SERVICE,)
        reply = PROTOCOL.answer(b"\x12\x34" + QUERY[2:], device, SERVICE)
        assert reply is not None
        assert reply.data[:2] == b"\x12\x34"
        assert pairs("hex:" + reply.data.hex()) == [*said, *([("mac", mac)] if mac else [])]
    listing = "NVR-01 <00> UNIQUE\nMAC Address = 58-50-ED-11-22-33\n"
    device = Recording(id="d", observations=(Observation(channel="nbns.response", value=listing),))
    reply = PROTOCOL.answer(QUERY, device, SERVICE)
    assert reply is not None
    assert pairs("hex:" + reply.data.hex()) == [("netbios.name", "NVR-01"), ("mac", "58:50:ed:11:22:33")]
    assert PROTOCOL.services(Recording(id="d")) == ()
