"""TCP SYN probes without any state: whatever an answer must prove stands in the sequence number it acknowledges.

A probe's sequence number is a keyed hash of host and port, so that an answer counts only where the asked host gives
it. Frames go out on the link itself, to the gateway's hardware address or to each host's own: neither the kernel's
neighbour table nor its connections are used. Our source port is held by a listening socket that drops everything, so
that the kernel does not answer in our place; each SYN-ACK gets one reset from us (RFC 9293, 3.10.7.3: what a client
sends that does not want the connection), the end of a half-open connection as every stack knows it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import NamedTuple

from scanner.net.closing import Closing
from scanner.net.interfaces import Link
from scanner.net.pace import Patience
from scanner.net.packet import EQUAL, LOAD_BYTE, LOAD_HALF, TAKE, PacketSocket, attach

IPV4 = 0x0800
PACKET_BYTES = 44
"""An IPv4 packet of one probe: two headers and the segment size."""

_IP = struct.Struct("!BBHHHBB")
"""Version to protocol; the checksum and two addresses follow."""
_IP_BYTES = 20
_TCP = 6
_WINDOW, _MSS = 64_240, 1460
_FLAG_SYN, _FLAG_RST, _FLAG_ACK = 0x02, 0x04, 0x10
_ONES = 0xFFFF
"""Ones' complement sums (RFC 1071) are those modulo this number; a number of 32 bits counts as its two halves do."""
_NOTHING = ((TAKE, 0, 0, 0),)
_BUSY = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.EINTR})
_BLOCK = 16  # sequence numbers in one digest


@dataclass(frozen=True, slots=True)
class Way:
    """How probes leave: the link, our address, and to which hardware address."""

    link: Link
    own: str
    gateway: bytes | None = None
    """Hardware address of the router; None: `macs` has the hosts' own, or the link has none (a tunnel)."""
    macs: Mapping[int, bytes] | None = None

    @property
    def framed(self) -> bool:
        """Whether frames are built here; else the kernel routes packets (a tunnel has no hardware addresses)."""
        return self.gateway is not None or self.macs is not None

    def mac(self, address: int) -> bytes:
        """Where a frame for a host goes. Raises `KeyError` for a host that is not known."""
        if self.macs is not None and address in self.macs:
            return self.macs[address]
        if self.gateway is None:
            raise KeyError(address)
        return self.gateway


class Answer(NamedTuple):
    """What one port of one host said."""

    address: int
    port: int
    open: bool
    acknowledged: int
    """The sequence number with which a reset must come."""


class Sequences:
    """Sequence numbers that only this sweep can know: 32 bits of keyed BLAKE2b over host and port."""

    def __init__(self, ports: Sequence[int], key: bytes | None = None) -> None:
        self._key = os.urandom(16) if key is None else key
        self.ports = tuple(ports)
        self._place = {port: place for place, port in enumerate(ports)}
        self._blocks = -(-len(ports) // _BLOCK)
        self._keyed = blake2b(key=self._key, digest_size=4 * _BLOCK)
        self._unpack = struct.Struct(f"!{_BLOCK * self._blocks}I").unpack

    def of(self, address: int) -> tuple[int, ...]:
        """The sequence numbers of a host, in the order of the ports (and some more)."""
        return self._unpack(self.digest(address))

    def digest(self, address: int) -> bytes:
        """The same as bytes, four for each port."""
        if self._blocks == 1:
            return self._block(address, 0)
        return b"".join([self._block(address, block) for block in range(self._blocks)])

    def _block(self, address: int, block: int) -> bytes:
        hash_ = self._keyed.copy()
        hash_.update((address << 16 | block).to_bytes(6, "big"))
        return hash_.digest()

    def expects(self, address: int, port: int) -> int | None:
        """The sequence number a probe to a host and port has; None for a port that is not asked."""
        place = self._place.get(port)
        return None if place is None else self.of(address)[place]


class _Form:
    """An IPv4 packet with a TCP segment in which host, port and sequence number are left open."""

    def __init__(self, own: bytes, port: int, size: int, rest: bytes) -> None:
        """`rest`: the segment from its length on, the checksum zero."""
        self.size = size
        self._begin = _IP.pack(0x45, 0, size, 0, 0x4000, 64, _TCP)
        self._own, self._port = own, port
        self._middle, self._end = bytes(4) + rest[:4], rest[6:]
        self._ip_sum = sum(struct.unpack("!5H2H", self._begin + own))
        self._tcp_sum = sum(struct.unpack(f"!2H{len(rest) // 2}H", own + rest)) + _TCP + size - _IP_BYTES + port

    def filled(self, segments: Sequence[tuple[int, int, int]], head: bytes = b"") -> bytes:
        """The packets for (address, port, sequence number), end to end, each with `head` before it."""
        begin, middle, end = head + self._begin, self._middle, self._end
        pack = _packing(len(begin), len(middle), len(end))
        own, port, ip_sum, tcp_sum = self._own, self._port, self._ip_sum, self._tcp_sum
        return b"".join([
            pack(
                begin, _ONES - (ip_sum + host) % _ONES, own, host, port, there, number, middle,
                _ONES - (tcp_sum + host + there + number) % _ONES, end,
            ) for host, there, number in segments
        ])  # fmt: skip


@cache
def _packing(begin: int, middle: int, end: int) -> Callable[..., bytes]:
    """Packs what stands before the IP checksum, between the numbers and the TCP checksum, and after it, in bytes."""
    return struct.Struct(f"!{begin}sH4sIHHI{middle}sH{end}s").pack


class SynSocket(Closing):
    """Sends probes one way and receives their answers; non-blocking.

    Raises `PermissionError` without CAP_NET_RAW, `LinkGone` when the link goes away, `OSError` where no port is free.
    """

    def __init__(self, way: Way, ports: Sequence[int]) -> None:
        self.way = way
        self.sequences = Sequences(ports)
        self._own = socket.inet_aton(way.own)
        self._ear: PacketSocket | None = None
        self._mouth: PacketSocket | socket.socket | None = None
        self._patience = Patience("this machine's network")
        self._holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            attach(self._holder, _NOTHING)
            self._holder.bind((way.own, 0))
            self.port: int = self._holder.getsockname()[1]
            self._holder.listen(1)
            self._ear = PacketSocket(way.link, IPV4, _answers_to(self.port), headless=True)
            if way.framed:
                self._mouth = PacketSocket(way.link, 0, _NOTHING)
            else:
                kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
                self._mouth = socket.socket(socket.AF_INET, kind, socket.IPPROTO_RAW)
        except BaseException:
            self.close()
            raise
        self._source = bytes.fromhex(way.link.mac.replace(":", "")) + b"\x08\x00" if way.link.mac else b""
        self._ask = _Form(self._own, self.port, PACKET_BYTES, struct.pack("!BBHHHHH", 0x60, _FLAG_SYN, _WINDOW, 0, 0,
                          0x0204, _MSS))  # fmt: skip
        self._reset = _Form(self._own, self.port, PACKET_BYTES - 4, struct.pack("!BBHHH", 0x50, _FLAG_RST, 0, 0, 0))

    def fileno(self) -> int:
        """For event loops: readable when answers wait."""
        assert self._ear is not None
        return self._ear.fileno()

    def ask(self, probes: Sequence[tuple[int, int, int]]) -> int:
        """Send probes (address, port, sequence number); returns how many went before the queue was full."""
        return self._send(self._ask, probes)

    def reset(self, answers: Sequence[Answer]) -> int:
        """End the half-open connections of answers; returns for how many there was room."""
        return self._send(self._reset, [(a.address, a.port, a.acknowledged) for a in answers])

    def _send(self, form: _Form, segments: Sequence[tuple[int, int, int]]) -> int:
        mouth = self._mouth
        if isinstance(mouth, PacketSocket):
            if self.way.macs is None:
                frames = form.filled(segments, self.way.mac(0) + self._source)
            else:
                mac = self.way.mac
                frames = b"".join([form.filled([one], mac(one[0]) + self._source) for one in segments])
            return mouth.burst(frames, 14 + form.size)
        assert mouth is not None
        for sent, segment in enumerate(segments):
            try:
                mouth.sendto(form.filled([segment]), (socket.inet_ntoa(struct.pack("!I", segment[0])), 0))
            except OSError as error:
                if error.errno in _BUSY:
                    return self._patience.went(sent, len(segments))
        return self._patience.went(len(segments), len(segments))

    def answers(self, most: int = 4096) -> Iterator[Answer]:
        """The answers that wait, at most so many, and only those that a probe of ours has earned."""
        assert self._ear is not None
        for packet in self._ear.received(most):
            answer = parse(packet)
            if answer is None:
                continue
            expected = self.sequences.expects(answer.address, answer.port)
            # A reset may acknowledge the probe with or without its SYN, which counts as one byte.
            off = (answer.acknowledged - expected) & 0xFFFFFFFF if expected is not None else 2
            if off == 1 or (off == 0 and not answer.open):
                yield answer

    def drops(self) -> int:
        """Answers that the kernel had no room for, since the last call."""
        return self._ear.drops() if self._ear is not None else 0

    def close(self) -> None:
        """Close all sockets."""
        for sock in (self._mouth, self._ear, self._holder):
            if sock is not None:
                sock.close()


def parse(packet: bytes) -> Answer | None:
    """The answer in an IPv4 packet: a SYN-ACK or a reset; None for anything else, or broken."""
    if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != _TCP:
        return None
    at = (packet[0] & 15) * 4
    if at < _IP_BYTES or len(packet) < at + 20:
        return None
    port, _ours, _number, acknowledged, _offset, flags = struct.unpack_from("!HHIIBB", packet, at)
    if flags & _FLAG_RST:
        said = False
    elif flags & (_FLAG_SYN | _FLAG_ACK) == _FLAG_SYN | _FLAG_ACK:
        said = True
    else:
        return None
    return Answer(int.from_bytes(packet[12:16], "big"), port, said, acknowledged)


def _answers_to(port: int) -> tuple[tuple[int, int, int, int], ...]:
    """TCP, no later fragment, to our port; the packet begins with its IP header."""
    return (
        (LOAD_BYTE, 0, 0, 9), (EQUAL, 0, 6, _TCP),
        (LOAD_HALF, 0, 0, 6), (0x45, 4, 0, 0x1FFF),  # a fragment offset: its ports are elsewhere
        (0xB1, 0, 0, 0),  # the index becomes the length of the IP header
        (0x48, 0, 0, 2), (EQUAL, 0, 1, port),
        (TAKE, 0, 0, 0xFFFF), (TAKE, 0, 0, 0),
    )  # fmt: skip
