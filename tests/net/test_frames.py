from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.net import interfaces
from scanner.net.frames import MAX_PARTIAL, Fragments, FrameSocket, Overheard
from scanner.net.interfaces import Link
from scanner.net.packet import LinkGone

Build = Callable[[dict[str, str]], Any]
MAC = "58:50:ed:11:22:33"
SEND = """
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind(("d0", 0))
print("ready", flush=True)
for line in sys.stdin:
    sock.send(bytes.fromhex(line))
"""


def udp(data: bytes, *, source: int = 37020, target: int = 40000) -> bytes:
    return struct.pack("!HHHH", source, target, 8 + len(data), 0) + data


def packet(payload: bytes, *, place: int = 0, more: bool = False, ident: int = 7, protocol: int = 17,
           source: str = "192.168.1.64", total: int | None = None) -> bytes:  # fmt: skip
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload) if total is None else total, ident, (more << 13) | place // 8, 64,
        protocol, 0, IPv4Address(source).packed, IPv4Address("10.77.255.254").packed,
    )  # fmt: skip
    return head + payload


def pieces(data: bytes, size: int, **more: Any) -> list[bytes]:
    return [
        packet(data[at : at + size], place=at, more=at + size < len(data), **more) for at in range(0, len(data), size)
    ]


def test_a_whole_datagram_is_taken_without_its_padding() -> None:
    found = Fragments().datagram(MAC, packet(udp(b"hello")) + bytes(20))
    assert found == Overheard(MAC, b"hello", 0x0800, "192.168.1.64", 37020, 40000)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2, 1], [0, 0, 2, 1]])
def test_fragments_are_put_together_in_any_order(order: list[int]) -> None:
    data = bytes(range(256)) * 14
    parts, ear = pieces(udp(data), 1480), Fragments()
    assert len(parts) == 3
    found = [ear.datagram(MAC, parts[number]) for number in order]
    whole = [one for one in found if one is not None]
    assert [one.data for one in whole] == [data]


def test_two_devices_with_one_address_do_not_mix() -> None:
    ear = Fragments()
    first, second = pieces(udp(b"a" * 2000), 1480), pieces(udp(b"b" * 2000), 1480)
    assert ear.datagram(MAC, first[0]) is None
    assert ear.datagram("02:00:00:00:00:02", second[1]) is None
    one, two = ear.datagram(MAC, first[1]), ear.datagram("02:00:00:00:00:02", second[0])
    assert one is not None
    assert two is not None
    assert (set(one.data), set(two.data)) == (set(b"a"), set(b"b"))


@pytest.mark.parametrize(
    "data",
    [
        b"", packet(udp(b"x"))[:19], packet(udp(b"x"), protocol=6), packet(b"1234567"), packet(udp(b"x"), total=19),
        packet(udp(b"x"), total=999), packet(b"\x00\x01\x00\x02\x00\x07\x00\x00"), b"\x65" + packet(udp(b"x"))[1:],
        b"\x41" + packet(udp(b"x"))[1:], packet(b"1234567", more=True), packet(b"1" * 24, place=65_528),
    ],
)  # fmt: skip
def test_what_is_no_datagram_is_none(data: bytes) -> None:
    assert Fragments().datagram(MAC, data) is None


def test_what_never_becomes_whole_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    ear = Fragments()
    for ident in range(MAX_PARTIAL * 2):
        ear.datagram(MAC, packet(b"1" * 16, more=True, ident=ident))
    assert len(ear._partial) == MAX_PARTIAL
    later = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    ear.datagram(MAC, packet(b"1" * 16, more=True, ident=65_000))
    assert len(ear._partial) == 1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 60), st.booleans(), st.binary(max_size=40)), max_size=12))
def test_hostile_fragments_never_raise(parts: list[tuple[int, int, bool, bytes]]) -> None:
    ear = Fragments()
    for ident, place, more, data in parts:
        found = ear.datagram(MAC, packet(data, place=place * 8, more=more, ident=ident % 3))
        assert found is None or len(found.data) < 65_536


@pytest.fixture
def link(segment: Build) -> tuple[Any, Link]:
    made = segment({"10.77.0.5": "3c:ef:8c:00:00:05"})
    found = interfaces.read().link("s0")
    assert found is not None
    return made, found


def heard(ear: FrameSocket, count: int) -> list[Overheard]:
    found: list[Overheard] = []
    until = time.monotonic() + 3
    while len(found) < count and time.monotonic() < until:
        found += ear.heard()
        time.sleep(0.01)
    return found


def frame(payload: bytes, *, kind: int = 0x0800, mac: str = MAC) -> str:
    return (b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) + kind.to_bytes(2, "big") + payload).hex() + "\n"


@pytest.mark.root
def test_only_what_was_asked_for_comes_through_the_kernels_filter(link: tuple[Any, Link]) -> None:
    import subprocess
    import sys

    made, s0 = link
    there = ["nsenter", "-t", str(made.holder), "-n", sys.executable, "-c", SEND]
    lines = [
        frame(b"\x21\x01" + bytes(60), kind=0x8033),
        frame(bytes(60), kind=0x88CC),
        frame(packet(udp(b"sadp"))),
        frame(packet(udp(b"to us", source=999, target=40000))),
        frame(packet(udp(b"other", source=999, target=998))),
        frame(packet(b"tcp" * 20, protocol=6)),
        *(frame(piece) for piece in pieces(udp(b"long" * 700), 1480, ident=9)),
        frame(packet(udp(b"end"))),
    ]
    with FrameSocket(s0, ethertypes=[0x8033], ports=[37020, 40000]) as ear:
        subprocess.run(there, input="".join(lines), text=True, check=True, capture_output=True)
        found = heard(ear, 5)
        assert ear.drops() == 0
    assert [(one.ethertype, one.data[:5]) for one in found] == [
        (0x8033, b"\x21\x01\0\0\0"), (0x0800, b"sadp"), (0x0800, b"to us"), (0x0800, b"longl"), (0x0800, b"end"),
    ]  # fmt: skip
    assert {one.mac for one in found} == {MAC}
    assert len(found[3].data) == 2800


@pytest.mark.root
def test_a_question_goes_to_everybody_and_is_not_heard_back(link: tuple[Any, Link]) -> None:
    made, s0 = link
    listen = made.start(
        "import socket\ns = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\ns.bind(('d0', 0x8033))\n"
        "print('ready', flush=True)\nprint(s.recv(200).hex(), flush=True)"
    )
    with FrameSocket(s0, ethertypes=[0x8033], ports=[]) as ear:
        assert ear.ask(0x8033, b"who")
        line = listen.stdout.readline().decode().strip()
        assert heard(ear, 1) == []
    assert bytes.fromhex(line) == b"\xff" * 6 + bytes.fromhex(made.mac.replace(":", "")) + b"\x80\x33who" + bytes(43)


@pytest.mark.root
def test_a_link_that_goes_away_is_told(link: tuple[Any, Link]) -> None:
    made, s0 = link
    def until_it_is_noticed(ear: FrameSocket) -> None:
        for _ in range(100):
            ear.ask(0x8033, b"who")
            list(ear.heard())
            time.sleep(0.01)

    with FrameSocket(s0, ethertypes=[0x8033], ports=[]) as ear:
        made.inside("ip", "link", "del", "d0")
        with pytest.raises(LinkGone):
            until_it_is_noticed(ear)


def test_without_the_right_to_raw_sockets_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(socket, "socket", refuse)
    here = Link("s0", 2, "02:00:00:00:00:01", up=True, ethernet=True, physical=True)
    with pytest.raises(PermissionError):
        FrameSocket(here, ethertypes=[0x8033], ports=[])
