"""ICMP echo (RFC 792): a raw socket as root, else the kernel's own kind for pings where an administrator allows it."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from scanner.net.closing import Closing
from scanner.net.packet import attach
from scanner.values import internet_checksum

REQUEST, REPLY = 8, 0
PACKET_BYTES = 36
"""An IPv4 packet of one request."""

_HEADER = struct.Struct("!BBHHH")
_TOKEN = 8
_RCVBUFFORCE = 33
_BUSY = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.EINTR})


class EchoSocket(Closing):
    """Sends echo requests to IPv4 hosts and receives the replies; non-blocking.

    Each request carries a token made of the address with a secret key: a reply counts only for the host that was
    asked. Raises `PermissionError` where neither kind of socket may be opened.
    """

    def __init__(self) -> None:
        self._key = os.urandom(16)
        self._number = int.from_bytes(os.urandom(2), "big")
        self._raw = True
        try:
            self._sock = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_ICMP)
        except PermissionError:
            self._raw = False
            kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
            self._sock = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
        self._sock.setblocking(False)
        if self._raw:
            attach(self._sock, _only(self._number))
        for option in (_RCVBUFFORCE, socket.SO_RCVBUF):
            try:
                self._sock.setsockopt(socket.SOL_SOCKET, option, 8 << 20)
            except OSError:
                continue
            break

    def fileno(self) -> int:
        """For event loops."""
        return self._sock.fileno()

    def ask(self, addresses: Sequence[str]) -> tuple[int, list[str]]:
        """Ask hosts; returns how many of them are done with, and those to whom this machine knows no way."""
        lost: list[str] = []
        for done, address in enumerate(addresses):
            try:
                self._sock.sendto(self._request(address), (address, 0))
            except OSError as error:
                if error.errno in _BUSY:
                    return done, lost
                lost.append(address)
        return len(addresses), lost

    def _request(self, address: str) -> bytes:
        body = self._token(address)
        sum_ = internet_checksum(_HEADER.pack(REQUEST, 0, 0, self._number, 1) + body)
        return _HEADER.pack(REQUEST, 0, sum_, self._number, 1) + body

    def _token(self, address: str) -> bytes:
        return blake2b(socket.inet_aton(address), key=self._key, digest_size=_TOKEN).digest()

    def replies(self, most: int = 4096) -> Iterator[str]:
        """The hosts that replied, at most so many; one may come twice."""
        for _ in range(most):
            try:
                data, (address, _port) = self._sock.recvfrom(256)
            except OSError as error:
                if error.errno in _BUSY:
                    return
                continue  # an ICMP error of an earlier request
            message = data[(data[0] & 15) * 4 :] if self._raw and data else data
            if len(message) >= _HEADER.size + _TOKEN and message[0] == REPLY and (
                message[_HEADER.size : _HEADER.size + _TOKEN] == self._token(address)
            ):
                yield str(address)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


def _only(number: int) -> tuple[tuple[int, int, int, int], ...]:
    """Echo replies with our identifier; the packet begins with its IP header."""
    return (
        (0xB1, 0, 0, 0),  # the index becomes the length of the IP header
        (0x50, 0, 0, 0), (0x15, 0, 3, REPLY),  # the ICMP type
        (0x48, 0, 0, 4), (0x15, 0, 1, number),  # the identifier
        (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0),
    )  # fmt: skip


def permitted() -> bool:
    """Whether echo requests may be sent here."""
    try:
        EchoSocket().close()
    except OSError:
        return False
    return True
