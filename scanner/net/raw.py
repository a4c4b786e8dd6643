"""ARP over a raw socket: one a link, on which the kernel lets only ARP replies through."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scanner.net.interfaces import Link
from scanner.net.packet import EQUAL, LOAD_HALF, TAKE, LinkGone, PacketSocket, permitted

__all__ = ["ARP", "FRAME", "FRAME_BYTES", "ArpReply", "ArpSocket", "LinkGone", "parse_reply", "permitted"]

ARP = 0x0806
FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")
"""Ethernet and ARP headers (RFC 826): destination, source, type; formats, lengths, operation, two address pairs."""
FRAME_BYTES = FRAME.size

_EVERYBODY = b"\xff" * 6
_BEGINNING = struct.Struct("!HHHBBH")  # what every reply has from its EtherType on
_REPLY = _BEGINNING.pack(ARP, 1, 0x0800, 6, 4, 2)

_REPLIES = (
    (LOAD_HALF, 0, 0, 12), (EQUAL, 0, 3, ARP),
    (LOAD_HALF, 0, 0, 20), (EQUAL, 0, 1, 2),  # the operation: a reply
    (TAKE, 0, 0, 0xFFFF), (TAKE, 0, 0, 0),
)  # fmt: skip


class ArpReply(NamedTuple):
    """Who says to have an address."""

    address: str
    mac: str


class ArpSocket(PacketSocket):
    """Sends ARP requests on one link and receives the replies; non-blocking.

    Raises `PermissionError` without CAP_NET_RAW, `LinkGone` when the link goes away.
    """

    def __init__(self, link: Link) -> None:
        assert link.mac is not None
        super().__init__(link, ARP, _REPLIES)
        self._heads: list[tuple[int, int, bytes]] = [
            (int(a.network.network_address), int(a.network.broadcast_address), _head(link.mac, a.ip.packed))
            for a in link.addresses
        ]
        """First and last address of each network of ours, and how a request to it begins."""
        # Elsewhere our first address, else the probe's empty one (RFC 5227).
        self._else = self._heads[0][2] if self._heads else _head(link.mac, bytes(4))

    def ask(self, addresses: Sequence[int]) -> int:
        """Ask who has each address (as integer); returns how many were sent before the queue was full."""
        if not addresses:
            return 0
        low, high = min(addresses), max(addresses)
        head = next((h for first, last, h in self._heads if first <= low and high <= last), None)
        if head is not None:  # the usual case: all on one network
            frames = b"".join([head + number.to_bytes(4, "big") for number in addresses])
        else:
            frames = b"".join([self._begin(number) + number.to_bytes(4, "big") for number in addresses])
        return self.burst(frames, FRAME_BYTES)

    def _begin(self, number: int) -> bytes:
        return next((head for first, last, head in self._heads if first <= number <= last), self._else)

    def replies(self, most: int = 4096) -> Iterator[ArpReply]:
        """The replies that wait, at most so many. Raises `LinkGone`."""
        for frame in self.received(most):
            reply = parse_reply(frame)
            if reply is not None:
                yield reply


def _head(mac: str, own: bytes) -> bytes:
    ours = bytes.fromhex(mac.replace(":", ""))
    return FRAME.pack(_EVERYBODY, ours, ARP, 1, 0x0800, 6, 4, 1, ours, own, bytes(6), bytes(4))[:-4]


def parse_reply(frame: bytes) -> ArpReply | None:
    """The sender of an ARP reply for Ethernet and IPv4; None for anything else, broken or not a host's."""
    if len(frame) < FRAME_BYTES or frame[12:22] != _REPLY:
        return None
    mac, address = frame[22:28], frame[28:32]
    if mac[0] & 1 or mac == bytes(6) or address == bytes(4) or address[0] >= 224:
        return None
    return ArpReply(socket.inet_ntoa(address), mac.hex(":"))
