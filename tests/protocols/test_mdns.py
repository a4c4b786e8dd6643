from __future__ import annotations

import struct
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rrset
import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Service
from scanner.protocols.mdns import GROUP, GROUP6, PORT, PROTOCOL

SERVICE = Service(Transport.UDP, PORT, groups=(GROUP, GROUP6))
INSTANCE = "AXIS\\032M1065-LW\\032-\\03200408C112233._axis-video._tcp.local."
QUERY = bytes.fromhex("000000000001000000000000095f7365727669636573075f646e732d7364045f756470056c6f63616c00000c0001")


def message(*, flush: bool = True) -> bytes:
    answer = dns.message.Message(id=0)
    answer.flags = dns.flags.QR | dns.flags.AA
    for owner, kind, data in (
        ("_services._dns-sd._udp.local.", "PTR", "_http._tcp.local."),
        ("_axis-video._tcp.local.", "PTR", INSTANCE),
        (INSTANCE, "TXT", '"macaddress=00408C112233" "x=\\255"'),
        (INSTANCE, "SRV", "0 0 80 axis-00408c112233.local."),
        ("axis-00408c112233.local.", "A", "192.0.2.7"),
        ("axis-00408c112233.local.", "HINFO", '"a" "b"'),
    ):
        answer.answer.append(dns.rrset.from_text(owner, 120, "IN", kind, data))
    wire = bytearray(answer.to_wire())
    if flush:  # the cache-flush bit of every record behind the first name
        place = 12
        while place < len(wire):
            while wire[place] & 0xC0 != 0xC0 and wire[place]:
                place += wire[place] + 1
            place += 2 if wire[place] else 1
            wire[place + 2] |= 0x80
            place += 10 + struct.unpack_from("!H", wire, place + 8)[0]
    return bytes(wire)


def pairs(value: str, channel: str = "mdns.response") -> list[tuple[str, str]]:
    return list(PROTOCOL.read(Observation(channel=channel, value=value)))


@pytest.mark.parametrize("flush", [False, True])
def test_reads_a_message(flush: bool) -> None:
    assert pairs("hex:" + message(flush=flush).hex()) == [
        ("mdns.service", "_http._tcp.local."),
        ("mdns.service", "_axis-video._tcp.local."),
        ("mdns.name", "AXIS M1065-LW - 00408C112233._axis-video._tcp.local."),
        ("mdns.txt", "macaddress=00408C112233"),
        ("mac", "00:40:8c:11:22:33"),
        ("mdns.txt", "x=\ufffd"),
        ("mdns.name", "axis-00408c112233.local."),
    ]


@pytest.mark.parametrize("cut", range(0, 200, 9))
def test_a_cut_off_message_gives_what_stands_before(cut: int) -> None:
    whole = pairs("hex:" + message().hex())
    some = pairs("hex:" + message()[:cut].hex())
    assert some == whole[: len(some)]


def test_questions_are_no_fields() -> None:
    assert pairs("hex:" + QUERY.hex()) == []
    assert PROTOCOL.recognise(QUERY) is None
    assert PROTOCOL.recognise(message()) == "mdns.response"


def test_endless_pointers_end() -> None:
    loop = struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0) + b"\xc0\x0c" + struct.pack("!HHIH", 12, 1, 0, 2) + b"\xc0\x0c"
    assert pairs("hex:" + loop.hex()) == []


def test_reads_pieces_of_text() -> None:
    assert pairs("_psia._tcp.local.\nHIKVISION DS-2CD - 1._http._tcp.local\nmacaddress=00408C112233") == [
        ("mdns.service", "_psia._tcp.local."),
        ("mdns.service", "_http._tcp.local"),
        ("mdns.name", "HIKVISION DS-2CD - 1._http._tcp.local"),
        ("mdns.txt", "macaddress=00408C112233"),
        ("mac", "00:40:8c:11:22:33"),
    ]


@pytest.mark.parametrize(
    ("channel", "value", "mac"),
    [
        ("mdns.txt", "macaddress=1CCAE3712233", "1c:ca:e3:71:22:33"),
        ("mdns.txt", "MAC=AV334455-FW10000.00", None),
        ("mdns.txt", "id=AA:BB:CC:DD:EE:FF", None),  # HomeKit's is random
        ("mdns.name", "nas [00:11:32:aa:bb:cc]._workstation._tcp.local.", "00:11:32:aa:bb:cc"),
        ("mdns.name", "printer [00:11:32:aa:bb:cc]._http._tcp.local.", None),
    ],
)
def test_single_fields_state_a_mac(channel: str, value: str, mac: str | None) -> None:
    assert pairs(value, channel) == ([("mac", mac)] if mac else [])


def test_recorded_answers_are_served_with_the_id_of_the_question() -> None:
    raw = Observation(channel="mdns.response", value="hex:" + message().hex())
    device = Recording(id="d", observations=(raw, raw))
    assert PROTOCOL.services(device) == (SERVICE,)
    reply = PROTOCOL.answer(b"\x12\x34" + QUERY[2:], device, SERVICE)
    assert reply is not None
    assert reply.data == b"\x12\x34" + message()[2:]
    assert reply.more == (message(),)
    assert PROTOCOL.answer(message(), device, SERVICE) is None


@pytest.mark.parametrize(
    "said",
    [
        (("mdns.service", "_axis-video._tcp.local."), ("mdns.txt", "macaddress=00408C112233"),
         ("mdns.name", "AXIS M1065-LW v1.2 - 00408C112233._axis-video._tcp.local."), ("mac", "00:40:8c:11:22:33")),
        (("mdns.service", "_axis-video._tcp.local."), ("mdns.txt", "macaddress=00408C112233"),
         ("mac", "00:40:8c:11:22:33")),
        (("mdns.name", "axis-00408c112233.local."),),
        (("mdns.txt", "a=b"),),
    ],
)  # fmt: skip
def test_an_answer_is_composed_of_fields(said: tuple[tuple[str, str], ...]) -> None:
    seen = (Observation(channel=channel, value=value) for channel, value in said if channel != "mac")
    device = Recording(id="d", ip="192.0.2.7", observations=tuple(seen))
    assert PROTOCOL.services(device) == (SERVICE,)
    reply = PROTOCOL.answer(b"\x12\x34" + QUERY[2:], device, SERVICE)
    assert reply is not None
    assert reply.data[:2] == b"\x12\x34"
    assert dns.message.from_wire(reply.data).answer
    host = {("mdns.name", "device.local.")}  # a text needs a name to stand at
    assert set(pairs("hex:" + reply.data.hex())) - host == set(said)


def test_an_answer_is_composed_of_text_and_of_nothing_that_has_no_form() -> None:
    device = Recording(id="d", observations=(Observation(channel="mdns.response", value="_psia._tcp.local.\na=b"),))
    reply = PROTOCOL.answer(QUERY, device, SERVICE)
    assert reply is not None
    assert pairs("hex:" + reply.data.hex()) == [("mdns.service", "_psia._tcp.local."), ("mdns.txt", "a=b")]
    for name in ("a" * 64 + ".local.", "a..local.", "elsewhere.example.", ""):
        odd = Recording(id="d", observations=(Observation(channel="mdns.name", value=name),))
        assert PROTOCOL.answer(QUERY, odd, SERVICE) is None


@pytest.mark.parametrize("address", ["10.77.0.9", "fe80::9", None])
def test_a_composed_answer_states_the_devices_address_of_either_kind(address: str | None) -> None:
    device = Recording(id="d", ip=address, observations=(Observation(channel="mdns.name", value="cam.local."),))
    reply = PROTOCOL.answer(QUERY, device, SERVICE)
    assert reply is not None
    packed = ip_address(address or "0.0.0.0").packed

    assert reply.data.endswith(len(packed).to_bytes(2, "big") + packed)
    read = list(PROTOCOL.read(Observation(channel="mdns.response", value="hex:" + reply.data.hex())))
    assert read == [("mdns.name", "cam.local.")]
