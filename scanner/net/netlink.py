"""The few netlink messages a scan needs (RFC 3549; linux/rtnetlink.h): dumps of links, addresses, routes and
neighbours, and neighbour entries written in bulk.

Spoken directly because pyroute2 cannot be called inside a running event loop and costs as much at start as all of a
scan's own imports; 4,096 neighbour entries are written in a few hundredths of a second.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

GETLINK, GETADDR, GETROUTE, NEWNEIGH, DELNEIGH, GETNEIGH = 18, 22, 26, 28, 29, 30
_NEWLINK, _NEWADDR, _NEWROUTE = 16, 20, 24
_REPLY = {GETLINK: _NEWLINK, GETADDR: _NEWADDR, GETROUTE: _NEWROUTE, GETNEIGH: NEWNEIGH}
_BODY = {_NEWLINK: 16, _NEWADDR: 8, _NEWROUTE: 12, NEWNEIGH: 12}  # length of the fixed part before the attributes
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP, _CREATE, _EXCL, _REPLACE = 1, 4, 0x300, 0x400, 0x200, 0x100
_ROUTE = 0  # NETLINK_ROUTE
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_BATCH = 200  # messages in one send: their acknowledgements fit the socket's receive buffer

STALE = 0x04
FAILED, INCOMPLETE, NOARP, PERMANENT = 0x20, 0x01, 0x40, 0x80
EXTERN_LEARN = 0x10


class Message(NamedTuple):
    """One object of a dump: the fixed part, and the attributes by number."""

    body: bytes
    attributes: dict[int, bytes]


def dump(kind: int, family: int = socket.AF_UNSPEC) -> list[Message]:
    """All objects of a kind (`GETLINK`, …) in this network namespace. Raises `OSError`."""
    size = _BODY[_REPLY[kind]]
    body = struct.pack("=B", family).ljust(size, b"\0")
    with _socket() as sock:
        sock.send(_HEADER.pack(_HEADER.size + size, kind, _REQUEST | _DUMP, 1, 0) + body)
        return list(_read_dump(sock, _REPLY[kind]))


def _read_dump(sock: socket.socket, reply: int) -> Iterator[Message]:
    size = _BODY[reply]
    while True:
        for kind, payload in _messages(sock.recv(1 << 20)):
            if kind == _DONE:
                return
            if kind == _ERROR:
                _raise(payload)
            if kind == reply and len(payload) >= size:
                yield Message(payload[:size], dict(_attributes(payload[size:])))


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One entry of the kernel's neighbour table."""

    address: str
    mac: str | None
    index: int
    """Of the interface."""
    state: int
    flags: int


def neighbours(index: int | None = None, family: int = socket.AF_UNSPEC) -> list[Neighbour]:
    """The neighbour entries, of one interface or of all, of IPv4, IPv6 or both. Raises `OSError`."""
    found = []
    for message in dump(GETNEIGH, family):
        _family, link, state, flags, _type = struct.unpack("=BxxxiHBB", message.body)
        address = message.attributes.get(1, b"")
        mac = message.attributes.get(2, b"")
        if len(address) not in {4, 16} or (index is not None and link != index):
            continue
        text = socket.inet_ntoa(address) if len(address) == 4 else socket.inet_ntop(socket.AF_INET6, address)
        found.append(Neighbour(text, mac.hex(":") if len(mac) == 6 else None, link, state, flags))
    return found


def neighbours6(index: int) -> list[Neighbour]:
    """The IPv6 neighbours of one interface whose MAC the kernel has learnt. Raises `OSError`."""
    unknown = FAILED | INCOMPLETE | NOARP
    return [n for n in neighbours(index, socket.AF_INET6) if n.mac is not None and not n.state & unknown]


def write_neighbours(entries: Sequence[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """Add `(address, mac, interface index)` as externally learnt entries, never replacing one; those added come back.

    Raises `OSError` (EPERM without the right to).
    """
    flags = _REQUEST | _ACK | _CREATE | _EXCL
    codes = _bulk(_neighbour(NEWNEIGH, flags, *entry) for entry in entries)
    return [entry for entry, code in zip(entries, codes, strict=False) if code == 0]


def delete_neighbours(entries: Sequence[tuple[str, int]]) -> None:
    """Remove the entries `(address, interface index)`; those that are gone already are no error."""
    _bulk(_neighbour(DELNEIGH, _REQUEST | _ACK, address, None, index) for address, index in entries)


def _neighbour(kind: int, flags: int, address: str, mac: str | None, index: int) -> bytes:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    body = struct.pack("=BxxxiHBB", family, index, STALE, EXTERN_LEARN, 0)
    body += _ATTRIBUTE.pack(4 + len(packed), 1) + packed
    if mac is not None:
        body += _ATTRIBUTE.pack(10, 2) + bytes.fromhex(mac.replace(":", "")) + b"\0\0"
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def _bulk(messages: Iterable[bytes]) -> list[int]:
    """The error code of every message, in order; 0 where it was done. Raises `PermissionError`."""
    codes: list[int] = []
    batch: list[bytes] = []
    with _socket() as sock:
        for message in messages:
            batch.append(message)
            if len(batch) == _BATCH:
                codes += _answers(sock, batch)
                batch = []
        codes += _answers(sock, batch)
    return codes


def _answers(sock: socket.socket, batch: list[bytes]) -> list[int]:
    codes: list[int] = []
    if batch:
        sock.send(b"".join(batch))
    while len(codes) < len(batch):
        for kind, payload in _messages(sock.recv(1 << 20)):
            if kind == _ERROR:
                code = -int.from_bytes(payload[:4], "little" if _LITTLE else "big", signed=True)
                if code == errno.EPERM:
                    raise PermissionError(code, os.strerror(code))
                codes.append(code)
    return codes


_LITTLE = struct.pack("=H", 1) == b"\1\0"


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _ROUTE)
    try:
        sock.settimeout(5)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind((0, 0))
    except BaseException:
        sock.close()
        raise
    return sock


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield kind, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]  # the two top bits say how the value is built
        at += (length + 3) & ~3


def nested(data: bytes) -> dict[int, bytes]:
    """The attributes inside an attribute."""
    return dict(_attributes(data))


def _raise(payload: bytes) -> None:
    code = -struct.unpack_from("=i", payload)[0]
    if code:
        raise OSError(code, os.strerror(code))
