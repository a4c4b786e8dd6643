"""What the scanner asks is what the devices answer: frames of `net.icmp6` in, frames that it reads out."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.model import Recording, Transport
from scanner.net import icmp6
from scanner.protocols.base import Protocol, Service
from scanner.simulate.device import settle
from scanner.simulate.neighbours import Neighbours
from scanner.simulate.segment import NETWORK6
from scanner.values import icmpv6_packet, internet_checksum

MACS = ("3c:ef:8c:00:00:01", "3c:ef:8c:00:00:02", "3c:ef:8c:00:00:03")
OURS = bytes.fromhex("0200000000fe")
NEAR, FAR, NOBODY = IPv6Address("fe80::ff:fe00:fe"), IPv6Address("fd10:77::fffe"), IPv6Address("::")
EVERYBODY = IPv6Address("ff02::1")
ECHO = b"\x12\x34\0\1" + bytes(8)
ALERT = bytes((58, 0, 5, 2, 0, 0, 1, 0))


class Group(Protocol):
    name = "group"

    def services(self, device: Recording) -> list[Service]:
        return [Service(Transport.UDP, 3702, groups=("239.255.255.250", "ff02::c"))]


DEVICES = settle(
    [
        Recording(id="a", ip="10.77.0.1", addresses=("fe80::1", "fd10:77::1"), mac=MACS[0]),
        Recording(id="b", ip="fe80::2%s0", mac=MACS[1]),
        Recording(id="dark", addresses=("fe80::3",), mac=MACS[2], behaviour="silent"),
        Recording(id="four", ip="10.77.0.4"),
    ],
    [Group()], IPv4Network("10.77.0.0/24"), network6=NETWORK6,
)  # fmt: skip
DARK = settle([DEVICES[2].recording], [], IPv4Network("10.77.0.0/24"), network6=NETWORK6)
NEIGHBOURS = Neighbours([*DEVICES[:2], *DARK, DEVICES[3]])


def asked(message: bytes, source: IPv6Address, to: IPv6Address, *, hops: int = 255, before: bytes = b"") -> list[bytes]:
    frame = b"\x33\x33" + to.packed[12:] + OURS + b"\x86\xdd"
    return list(NEIGHBOURS.answers(frame + icmpv6_packet(source, to, message, hops=hops, before=before)))


def read(frames: list[bytes]) -> list[tuple[str, str]]:
    found = [icmp6.parse(frame, ECHO) for frame in frames]
    return [(str(one.address), one.mac) for one in found if one is not None]


def sound(frame: bytes) -> bool:
    """Whether the checksum of an answer is right."""
    length, at = int.from_bytes(frame[18:20], "big"), 62 if frame[20] == 0 else 54
    message = frame[at : 54 + length]
    return internet_checksum(frame[22:54] + len(message).to_bytes(4, "big") + bytes((0, 0, 0, 58)) + message) == 0


@pytest.mark.parametrize(
    ("source", "told"),
    [(NEAR, [("fe80::1", MACS[0]), ("fe80::2", MACS[1])]), (FAR, [("fd10:77::1", MACS[0])])],
)
def test_a_ping_to_everybody_is_answered_from_an_address_of_the_askers_scope(
    source: IPv6Address, told: list[tuple[str, str]]
) -> None:
    found = asked(bytes((128, 0, 0, 0)) + ECHO, source, EVERYBODY)

    assert read(found) == told
    assert all(sound(frame) and frame[:6] == OURS for frame in found)


def test_each_says_who_has_its_address_also_one_that_drops_all_else() -> None:
    for address, mac in (("fe80::2", MACS[1]), ("fd10:77::1", MACS[0]), ("fe80::3", MACS[2])):
        body = bytes(4) + IPv6Address(address).packed + bytes((1, 1)) + OURS
        (found,) = asked(bytes((135, 0, 0, 0)) + body, NEAR, IPv6Address("ff02::1:ff00:1"))
        assert read([found]) == [(address, mac)]
        assert sound(found)
        (found,) = asked(bytes((135, 0, 0, 0)) + body, NOBODY, IPv6Address("ff02::1:ff00:1"))
        assert found[:6] == bytes.fromhex("333300000001")
    body = bytes(4) + IPv6Address("fe80::9").packed
    assert asked(bytes((135, 0, 0, 0)) + body, NEAR, IPv6Address("ff02::1:ff00:9")) == []
    body = bytes(4) + IPv6Address("fe80::2").packed
    assert asked(bytes((135, 0, 0, 0)) + body, NEAR, IPv6Address("ff02::1:ff00:2"), hops=64) == []


def test_a_listener_query_is_answered_with_the_groups_of_addresses_and_services() -> None:
    body = bytes((3, 232, 0, 0)) + bytes(16) + bytes((2, 125, 0, 0))
    found = asked(bytes((130, 0, 0, 0)) + body, NEAR, EVERYBODY, hops=1, before=ALERT)

    assert read(found) == [("fe80::1", MACS[0]), ("fe80::2", MACS[1])]
    assert all(sound(frame) for frame in found)
    for group in ("ff02::1:ff00:1", "ff02::c"):
        assert IPv6Address(group).packed in found[0]


@given(st.binary(max_size=200))
def test_no_frame_breaks_it(data: bytes) -> None:
    list(NEIGHBOURS.answers(data))
    list(NEIGHBOURS.answers(bytes(12) + b"\x86\xdd" + data))
    list(NEIGHBOURS.answers(bytes(12) + b"\x86\xdd" + bytes(6) + b"\x3a\xff" + data))
