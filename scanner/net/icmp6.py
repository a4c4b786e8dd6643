"""ICMPv6 on a link, by whole frames: echo to everybody, multicast listener queries, neighbour solicitation.

Frames carry the hardware address of whoever answers, so that nothing of the kernel's neighbour table is needed. Without
raw sockets the kernel's own kind for pings asks everybody, where an administrator allows it, and says who answers.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

from scanner.net.closing import Closing
from scanner.net.interfaces import Link
from scanner.net.packet import EQUAL, LOAD_BYTE, LOAD_HALF, TAKE, PacketSocket
from scanner.values import icmpv6_packet

IPV6 = 0x86DD
ALL_NODES = IPv6Address("ff02::1")
ECHO_REQUEST, ECHO_REPLY, QUERY, REPORT, SOLICIT, ADVERT = 128, 129, 130, 143, 135, 136
RESPONSE_MS = 1000
"""Within which listeners shall answer a query."""

_ICMPV6, _HOP_BY_HOP = 58, 0
_ALERT = bytes((_ICMPV6, 0, 5, 2, 0, 0, 1, 0))  # hop-by-hop header: router alert, MLD (RFC 2711)
_REPORTS = bytes.fromhex("333300000016")  # the Ethernet group of ff02::16, to which reports go (RFC 3810)
_TYPES = (ECHO_REPLY, ADVERT, 131, REPORT)

_WANTED = (
    (LOAD_HALF, 0, 0, 12), (EQUAL, 0, 4, IPV6),
    (LOAD_BYTE, 0, 0, 20), (EQUAL, 1, 0, _ICMPV6), (EQUAL, 0, 1, _HOP_BY_HOP),
    (TAKE, 0, 0, 0xFFFF), (TAKE, 0, 0, 0),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Who answered."""

    address: IPv6Address
    mac: str
    advertised: bool = False
    """It said so when somebody looked for the address: a router may speak for a host behind it (RFC 4389)."""


class Icmp6Socket(PacketSocket):
    """Asks on one link and receives the answers; non-blocking.

    Raises `PermissionError` without CAP_NET_RAW, `LinkGone` when the link goes away.
    """

    def __init__(self, link: Link) -> None:
        assert link.mac is not None
        super().__init__(link, IPV6, _WANTED, groups=(_REPORTS,))
        self._mac = bytes.fromhex(link.mac.replace(":", ""))
        self._number = os.urandom(2)
        self._body = os.urandom(8)

    def echo(self, own: IPv6Address) -> int:
        """Ask everybody on the link for an echo (RFC 4443, 4.1); answers come to `own`."""
        return self.send([self._frame(own, ALL_NODES, bytes((ECHO_REQUEST, 0)), self._number + b"\0\1" + self._body)])

    def query(self, own: IPv6Address) -> int:
        """Ask everybody which groups they listen to (MLDv2, RFC 3810, 5.1); `own` must be link-local.

        Version 2, for a query of version 1 would make listeners speak the old one for minutes.
        """
        body = struct.pack("!HH16sBBH", RESPONSE_MS, 0, bytes(16), 2, 125, 0)
        return self.send([self._frame(own, ALL_NODES, bytes((QUERY, 0)), body, hops=1, before=_ALERT)])

    def solicit(self, own: IPv6Address, wanted: Sequence[IPv6Address]) -> int:
        """Ask who has each address (RFC 4861, 4.3); returns how many were asked before the queue was full."""
        frames = []
        for address in wanted:
            group = IPv6Address(b"\xff\x02" + bytes(9) + b"\1\xff" + address.packed[13:])
            body = bytes(4) + address.packed + bytes((1, 1)) + self._mac
            frames.append(self._frame(own, group, bytes((SOLICIT, 0)), body, hops=255))
        return self.send(frames)

    def _frame(
        self, own: IPv6Address, to: IPv6Address, kind: bytes, body: bytes, *, hops: int = 255, before: bytes = b""
    ) -> bytes:
        packet = icmpv6_packet(own, to, kind + bytes(2) + body, hops=hops, before=before)
        return b"\x33\x33" + to.packed[12:] + self._mac + b"\x86\xdd" + packet

    def answers(self, most: int = 4096) -> Iterator[Neighbour]:
        """Who answered, at most so many; one may come several times."""
        for frame in self.received(most, 256):
            found = parse(frame, self._number + b"\0\1" + self._body)
            if found is not None:
                yield found


class PingSocket(Closing):
    """Asks everybody on a link for an echo, from one of our addresses there, and receives the replies; non-blocking.

    Raises `PermissionError` where this user may not ping, `OSError` where the address is not this machine's any more.
    """

    def __init__(self, link: Link, own: IPv6Address) -> None:
        self._sock = socket.socket(
            socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, socket.IPPROTO_ICMPV6
        )  # fmt: skip
        self._body = os.urandom(8)
        self._index = link.index
        try:
            self._sock.setblocking(False)
            self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
            self._sock.bind((str(own), 0, 0, link.index if own.is_link_local else 0))
        except BaseException:
            self._sock.close()
            raise

    def fileno(self) -> int:
        """For event loops."""
        return self._sock.fileno()

    def echo(self) -> None:
        """Ask everybody. Raises `OSError`."""
        message = bytes((ECHO_REQUEST, 0, 0, 0, 0, 0, 0, 1)) + self._body  # the kernel fills in sum and identifier
        self._sock.sendto(message, (str(ALL_NODES), 0, 0, self._index))

    def replies(self, most: int = 4096) -> Iterator[IPv6Address]:
        """Who replied, at most so many; one may come several times."""
        for _ in range(most):
            try:
                data, (address, *_) = self._sock.recvfrom(256)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error of an earlier request
            if len(data) >= 16 and data[0] == ECHO_REPLY and data[8:16] == self._body:
                yield IPv6Address(address)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


def may_ping() -> bool:
    """Whether this user may ask everybody without raw sockets."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, socket.IPPROTO_ICMPV6).close()
    except OSError:
        return False
    return True


def parse(frame: bytes, echoed: bytes) -> Neighbour | None:
    """Whoever sent a reply to our echo, an advertisement or a listener report; None for anything else, or broken."""
    if len(frame) < 62 or frame[12:14] != b"\x86\xdd" or frame[14] >> 4 != 6 or frame[6] & 1:
        return None
    kind, at, source = frame[20], 54, IPv6Address(frame[22:38])
    if kind == _HOP_BY_HOP:
        kind, at = frame[54], at + 8 + frame[55] * 8
    if kind != _ICMPV6 or len(frame) < at + 8 or frame[at] not in _TYPES:
        return None
    if frame[at] == ECHO_REPLY and frame[at + 4 : at + 16] != echoed:
        return None
    if frame[at] == ADVERT:
        if frame[21] != 255 or len(frame) < at + 24:
            return None  # it came through a router (RFC 4861, 7.1.2)
        source = IPv6Address(frame[at + 8 : at + 24])
    if source.is_multicast or source.is_unspecified or source.is_loopback:
        return None
    return Neighbour(source, frame[6:12].hex(":"), frame[at] == ADVERT)
