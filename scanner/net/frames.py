"""A raw ear on a link, for what a UDP socket never sees: answers in bare Ethernet frames, and datagrams of devices
whose address is not of this network.

A camera in its factory state (192.168.1.64, 192.168.1.108) answers from a foreign subnet; with `rp_filter=1` the kernel
drops that answer before any socket sees it. One AF_PACKET socket a link hears it: the kernel's filter lets only frames
of the asked types, and UDP from or to the discovery ports, through. Large answers come in fragments and are put
together here (RFC 791, 3.2), within bounds.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from scanner.net.interfaces import Link
from scanner.net.packet import EQUAL, LOAD_BYTE, LOAD_HALF, TAKE, PacketSocket, Program

MAX_PORTS = 100
"""Ports of one filter: its jumps are one byte long."""
MAX_PARTIAL = 256
"""Datagrams of which some fragments are kept while the rest is on its way."""
PATIENCE = 5.0
"""Seconds that a datagram's fragments may take."""
_BROADCAST = b"\xff" * 6
_MIN_FRAME = 60  # without the checksum, which the hardware adds (IEEE 802.3)
_ALL = 0x0003  # ETH_P_ALL
_IPV4, _UDP = 0x0800, 17
_MAX_UDP = 65_535


@dataclass(frozen=True, slots=True)
class Overheard:
    """One frame of an asked type, or one whole UDP datagram."""

    mac: str
    """Who sent the frame."""
    data: bytes
    ethertype: int
    source: str | None = None
    """IPv4 address of a datagram's sender; None for a bare frame."""
    source_port: int = 0
    target_port: int = 0


class FrameSocket(PacketSocket):
    """Sends and hears frames on one link; non-blocking.

    Raises `PermissionError` without CAP_NET_RAW, `LinkGone` when the link goes away.
    """

    def __init__(self, link: Link, *, ethertypes: Collection[int], ports: Collection[int]) -> None:
        assert link.mac is not None
        super().__init__(link, _ALL, program(sorted(ethertypes), sorted(ports)[:MAX_PORTS]))
        self.mac = bytes.fromhex(link.mac.replace(":", ""))
        self._types = frozenset(ethertypes)
        self._parts = Fragments()

    def ask(self, ethertype: int, data: bytes) -> bool:
        """Put one frame to everybody on the link; False where the queue is full. Raises `LinkGone`."""
        frame = _BROADCAST + self.mac + ethertype.to_bytes(2, "big") + data
        return self.send([frame.ljust(_MIN_FRAME, b"\0")]) == 1

    def heard(self, most: int = 256) -> Iterator[Overheard]:
        """What waits, at most so much. Raises `LinkGone`."""
        for frame in self.received(most, _MAX_UDP):
            found = self._parse(frame)
            if found is not None:
                yield found

    def _parse(self, frame: bytes) -> Overheard | None:
        if len(frame) < 14 or frame[6] & 1 or frame[6:12] == self.mac:
            return None
        mac, ethertype = frame[6:12].hex(":"), int.from_bytes(frame[12:14], "big")
        if ethertype in self._types:
            return Overheard(mac, frame[14:], ethertype)
        return self._parts.datagram(mac, frame[14:]) if ethertype == _IPV4 else None


@dataclass
class _Partial:
    began: float
    pieces: dict[int, bytes] = field(default_factory=dict)
    end: int | None = None
    size: int = 0

    def whole(self) -> bytes | None:
        """The payload, once every byte of it is there."""
        if self.end is None or self.size < self.end:
            return None
        data = bytearray()
        for place in sorted(self.pieces):
            if place > len(data):
                return None
            data[place:] = self.pieces[place]  # an overlap: the later piece counts, and nothing grows
        return bytes(data[: self.end]) if len(data) >= self.end else None


class Fragments:
    """Puts IPv4 fragments of UDP datagrams together."""

    def __init__(self) -> None:
        self._partial: dict[tuple[str, bytes], _Partial] = {}

    def datagram(self, mac: str, packet: bytes) -> Overheard | None:
        """The whole datagram that a packet is, or completes; None for everything else."""
        if len(packet) < 20 or packet[0] >> 4 != 4 or packet[9] != _UDP:
            return None
        head, total = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
        if head < 20 or total < head or total > len(packet):
            return None
        source, payload = ".".join(map(str, packet[12:16])), packet[head:total]
        word = int.from_bytes(packet[6:8], "big")
        more, place = bool(word & 0x2000), (word & 0x1FFF) * 8
        if more or place:
            whole = self._joined((mac, packet[4:6] + packet[12:20]), payload, place, more=more)
            if whole is None:
                return None
            payload = whole
        if len(payload) < 8:
            return None
        source_port, target_port, length = struct.unpack_from("!HHH", payload)
        if not 8 <= length <= len(payload):
            return None
        return Overheard(mac, payload[8:length], _IPV4, source, source_port, target_port)

    def _joined(self, key: tuple[str, bytes], piece: bytes, place: int, *, more: bool) -> bytes | None:
        if place + len(piece) > _MAX_UDP or (more and len(piece) % 8) or not piece:
            return None
        now = time.monotonic()
        partial = self._partial.get(key)
        if partial is None or now - partial.began > PATIENCE:
            self._make_room(now)
            partial = self._partial[key] = _Partial(now)
        if place not in partial.pieces:
            partial.pieces[place] = piece
            partial.size += len(piece)
        if not more:
            partial.end = place + len(piece)
        whole = partial.whole()
        if whole is not None:
            del self._partial[key]
        return whole

    def _make_room(self, now: float) -> None:
        for key in [k for k, p in self._partial.items() if now - p.began > PATIENCE]:
            del self._partial[key]
        while len(self._partial) >= MAX_PARTIAL:
            del self._partial[next(iter(self._partial))]


def program(ethertypes: Collection[int], ports: Collection[int]) -> Program:
    """The kernel's filter (classic BPF, linux/filter.h): frames of these types, UDP over IPv4 from or to these ports,
    and further fragments of UDP datagrams, which name no port.
    """
    tests = [("type", number) for number in ethertypes]
    code: list[tuple[int, int, int, int]] = [(LOAD_HALF, 0, 0, 12)]
    take = len(tests) + 2 + 2 + 2 + 2 + len(ports) + 1 + len(ports) + 1  # the place of "take it", one behind "drop it"
    for _, number in tests:
        code.append((EQUAL, take - len(code) - 1, 0, number))
    drop = take - 1

    def leave(condition: int, value: int, *, to: int) -> tuple[int, int, int, int]:
        return (condition, 0, to - len(code) - 1, value)

    code.append(leave(EQUAL, _IPV4, to=drop))
    code.append((LOAD_BYTE, 0, 0, 23))  # load the byte at 23: the protocol
    code.append(leave(EQUAL, _UDP, to=drop))
    code.append((LOAD_HALF, 0, 0, 20))  # load the half-word at 20: the place of a fragment
    code.append((0x45, take - len(code) - 1, 0, 0x1FFF))  # any but the first? take it
    code.append((0xB1, 0, 0, 14))  # the length of the IP header
    code.append((0x48, 0, 0, 14))  # load the source port
    for port in ports:
        code.append((EQUAL, take - len(code) - 1, 0, port))
    code.append((0x48, 0, 0, 16))  # load the destination port
    for port in ports:
        code.append((EQUAL, take - len(code) - 1, 0, port))
    code.append((TAKE, 0, 0, 0))  # drop it
    assert len(code) == take, (len(code), take)
    code.append((TAKE, 0, 0, 0xFFFF))  # take it
    return tuple(code)
