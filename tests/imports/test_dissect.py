from __future__ import annotations

import struct

import pytest

from scanner.imports.base import Heard
from scanner.imports.dissect import Dissector, dhcp_options, registered_name, time_text
from tests.imports.frames import CAMERA, arp, datagram, ethernet, ipv4, packed, udp
from tests.protocols.test_snmp import SAID as SNMP

GROUP = "01:00:5e:7f:ff:fa"
SSDP = b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nLOCATION: http://192.0.2.1/d.xml\r\nSERVER: x\r\nUSN: uuid:1\r\nNTS: ssdp:alive\r\n\r\n"
SADP = b"<?xml version=\"1.0\"?><ProbeMatch><Uuid>1</Uuid><DeviceDescription>DS-2CD</DeviceDescription><MAC>c4-2f-90-a7-b5-d1</MAC></ProbeMatch>"
DHIP = struct.pack("<I4s6I", 32, b"DHIP", 0, 0, 0, 0, 0, 0) + b'{"mac":"3c:ef:8c:11:22:33","method":"client.notifyDevInfo","params":{"deviceInfo":{"Vendor":"Dahua"}}}'
WSD = (
    b'<Envelope xmlns="http://www.w3.org/2003/05/soap-envelope"><Body><Hello xmlns="http://schemas.xmlsoap.org/ws/2005/04/discovery">'
    b"<Scopes>onvif://www.onvif.org/name/x</Scopes></Hello></Body></Envelope>"
)
MDNS = bytes.fromhex("000084000000000100000000") + b"\x05_http\x04_tcp\x05local\0\0\x0c\0\x01\0\0\0x\0\x06\x03cam\xc0\x0c"


def hear(*frames: bytes, **more: object) -> list[Heard]:
    dissector = Dissector()
    found = [heard for frame in frames if dissector.wanted(frame + bytes(64), 0, len(frame)) for heard in dissector.frame(frame, 1e9, **more)]  # type: ignore[arg-type]
    return found + list(dissector.finish())


def test_arp_tells_a_pair_once() -> None:
    (only,) = hear(arp(), arp())

    assert (only.mac, only.address, only.at) == (CAMERA, "192.0.2.1", "2001-09-09T01:46:40Z")


@pytest.mark.parametrize(("data", "port", "channel"), [
    (SSDP, 1900, "upnp.ssdp"), (SADP, 37020, "sadp.response"), (DHIP, 37810, "dhip.response"), (WSD, 3702, "wsdiscovery.response"), (MDNS, 5353, "mdns.response"),
])  # fmt: skip
def test_discovery_that_goes_to_a_group(data: bytes, port: int, channel: str) -> None:
    frame = datagram(data, port, port, target="239.255.255.250", ttl=1) if port != 5353 else datagram(data, port, port, target="224.0.0.251", ttl=255)
    frame = packed(GROUP) + frame[6:]
    (only,) = hear(frame, frame)

    (seen,) = only.observations
    assert (only.mac, only.address, seen.channel, seen.port, seen.via) == (CAMERA, "192.0.2.1", channel, port, "multicast")


@pytest.mark.parametrize("tags", [(20,), (100, 20)])
def test_vlan_tags_are_kept(tags: tuple[int, ...]) -> None:
    (pair,) = hear(arp(tags=tags))

    assert pair.place is not None
    assert pair.place.vlan == 20


def test_questions_say_only_who_asks() -> None:
    probe = datagram(b"M-SEARCH * HTTP/1.1\r\nST: ssdp:all\r\n\r\n", 50_000, 1900, target="239.255.255.250", ttl=2)
    (only,) = hear(probe)

    assert (only.mac, only.address, only.observations) == (CAMERA, "192.0.2.1", ())


def test_what_a_router_forwards_has_no_mac_of_its_own() -> None:
    far = datagram(SADP, 37020, 50_000, source="10.9.9.9", ttl=63)
    near = datagram(SADP, 37020, 50_000, source="10.9.9.8", ttl=64)

    assert [(h.mac, h.address) for h in hear(far, near)] == [(None, "10.9.9.9"), (CAMERA, "10.9.9.8")]


def test_public_addresses_behind_a_router_are_left_out() -> None:
    dissector = Dissector()
    frame = datagram(SADP, 37020, 50_000, source="93.184.216.34", ttl=50)

    assert list(dissector.frame(frame, 1e9)) == []
    assert len(dissector.far) == 1


def _dhcp(op: int, options: bytes, yiaddr: bytes = bytes(4)) -> bytes:
    head: bytes = struct.pack("!BBBBIHH", op, 1, 6, 0, 1, 0, 0) + bytes(4) + yiaddr + bytes(8) + packed(CAMERA) + bytes(10) + bytes(192)
    return head + b"\x63\x82\x53\x63" + options + b"\xff"


def test_dhcp_clients_and_what_they_are_given() -> None:
    client = _dhcp(1, b"\x35\x01\x03\x0c\x05cam-1\x3c\x04dhcp\x37\x02\x01\x03")
    server = _dhcp(2, b"\x35\x01\x05", bytes((192, 0, 2, 1)))
    asked, given = hear(
        ethernet(ipv4(udp(client, 68, 67), 17, "0.0.0.0", "255.255.255.255"), 0x0800, target="ff:ff:ff:ff:ff:ff"),
        datagram(server, 67, 68, source="192.0.2.254", target="192.0.2.1"),
    )

    assert (asked.mac, asked.observations[0].channel) == (CAMERA, "dhcp.packet")
    assert (given.mac, given.address) == (CAMERA, "192.0.2.1")
    assert dhcp_options(client)[12] == b"cam-1"


def test_link_announcements() -> None:
    lldp = ethernet(bytes.fromhex("0207043cef8c112233040703") + b"port-1" + b"\x06\x02\0\x78\0\0", 0x88CC, target="01:80:c2:00:00:0e")
    llc = b"\xaa\xaa\x03\x00\x00\x0c\x20\x00" + b"\x02\xb4\0\0" + struct.pack("!HH", 6, 8) + b"SG30"
    cdp = ethernet(llc, len(llc), target="01:00:0c:cc:cc:cc")

    assert [h.observations[0].channel for h in hear(lldp, cdp, lldp)] == ["lldp.frame", "cdp.frame"]
    assert all(h.mac == CAMERA for h in hear(lldp, cdp))


def test_neighbours_of_ipv6() -> None:
    own, target = bytes.fromhex("fe80000000000000 3eef8cfffe112233"), bytes.fromhex("20010db8000000000000000000000007")
    advert = b"\x88\0\0\0\x60\0\0\0" + target + b"\x02\x01" + packed(CAMERA)
    frame = ethernet(struct.pack("!IHBB", 0x60000000, len(advert), 58, 255) + own + own + advert, 0x86DD)
    (only,) = hear(frame)

    assert (only.mac, only.address) == (CAMERA, "2001:db8::7")


def test_names_that_windows_registers() -> None:
    name = "".join(chr(65 + (ord(c) >> 4)) + chr(65 + (ord(c) & 15)) for c in "CAMERA-SERVER  ") + "AA"
    data = b"\0\1\x29\x10\0\1\0\0\0\0\0\1\x20" + name.encode() + b"\0\0\x20\0\x01\xc0\x0c\0\x20\0\x01\0\x04\x93\xe0\0\x06\0\0\xc0\0\2\1"

    assert registered_name(data) == "CAMERA-SERVER"
    (only,) = hear(datagram(data, 137, 137, target="192.0.2.255"))
    assert only.observations[0].value == "CAMERA-SERVER"


def test_a_long_answer_in_fragments() -> None:
    whole = udp(WSD.replace(b"name/x", b"name/" + b"x" * 3000), 3702, 50_000)
    pieces = [whole[n : n + 1480] for n in range(0, len(whole), 1480)]
    frames = [
        ethernet(ipv4(piece, 17, "192.0.2.1", "192.0.2.9", fragment=n * 185 | (0x2000 if n < len(pieces) - 1 else 0)), 0x0800)
        for n, piece in enumerate(pieces)
    ]  # fmt: skip
    (only,) = hear(*reversed(frames))

    assert len(only.observations[0].value) > 3000


@pytest.mark.parametrize("length", range(0, 60, 3))
def test_frames_that_end_early_say_nothing_and_break_nothing(length: int) -> None:
    for frame in (arp(), datagram(SADP, 37020, 37020), ethernet(b"\x60" + bytes(60), 0x86DD), ethernet(b"", 0x88CC)):
        hear(frame[:length])


def test_times_that_cannot_be() -> None:
    assert time_text(0.0) is None
    assert time_text(1e12) is None
    assert time_text(None) is None


def test_a_defect_in_one_frame_costs_only_that_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    dissector = Dissector()
    monkeypatch.setattr(dissector, "_arp", lambda *_args: 1 / 0)

    assert list(dissector.frame(arp(), 1.0)) == []
    assert "1 frames could not be read for a defect of lanveto (ZeroDivisionError" in dissector.notes()[0]


def test_snmp_answers_of_others_are_read_and_questions_are_not() -> None:
    """A mirror port brings what a monitoring system asks: its password is nobody's business."""
    dissector = Dissector()
    (heard,) = dissector.frame(datagram(SNMP, 161, 50_000, ttl=63), 1.0)
    assert (heard.mac, heard.address) == (None, "192.0.2.1")
    (seen,) = heard.observations
    assert (seen.channel, seen.port) == ("snmp.walk", 161)
    assert "73 33 63" not in seen.value  # the community
    assert list(dissector.frame(datagram(SNMP, 50_000, 161), 1.0)) == []


def test_fragments_that_overlap_for_ever_are_bounded() -> None:
    dissector = Dissector()
    for number in range(4000):
        body = bytes(60_000)
        frame = ethernet(ipv4(body, 17, "192.0.2.1", "192.0.2.9", fragment=0x2000 | number % 64, ident=number // 64), 0x0800)
        assert list(dissector.frame(frame, 1.0)) == []
    kept = sum(len(piece) for parts in dissector._fragments.values() for piece, _ in parts.values())
    assert kept < 16 << 20
