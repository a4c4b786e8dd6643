"""ICMP echo (RFC 792, and RFC 4443 for IPv6): a raw socket as root, else the kernel's own kind for pings where an
administrator allows it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from scanner.net.closing import Closing
from scanner.net.pace import Patience
from scanner.net.packet import attach, overflowed
from scanner.net.peer import sockaddr
from scanner.values import internet_checksum

REQUEST, REPLY = 8, 0
REQUEST6, REPLY6 = 128, 129
PACKET_BYTES = 36
"""An IPv4 packet of one request; of IPv6 20 more."""

_HEADER = struct.Struct("!BBHHH")
_TOKEN = 8
_RCVBUFFORCE = 33
_ICMP6_FILTER = 1
_BUSY = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.EINTR})


class EchoSocket(Closing):
    """Sends echo requests to hosts of IPv4, or with `wide` of IPv6, and receives the replies; non-blocking.

    Each request carries a token made of the address with a secret key: a reply counts only for the host that was
    asked. Raises `PermissionError` where neither kind of socket may be opened.
    """

    def __init__(self, *, wide: bool = False) -> None:
        self._key = os.urandom(16)
        self._wide = wide
        family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if wide else (socket.AF_INET, socket.IPPROTO_ICMP)
        self._kinds = (REQUEST6, REPLY6) if wide else (REQUEST, REPLY)
        self._number = int.from_bytes(os.urandom(2), "big")
        self._raw = True
        self._patience = Patience("this machine's network")
        try:
            self._sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        except PermissionError:
            self._raw = False
            self._sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, protocol)
        self._sock.setblocking(False)
        if self._raw and wide:
            self._sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, _only6(REPLY6))
        elif self._raw:
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
                self._sock.sendto(self._request(address), sockaddr(address, 0))
            except OSError as error:
                if error.errno in _BUSY:
                    return self._patience.went(done, len(addresses)), lost
                lost.append(address)
        return self._patience.went(len(addresses), len(addresses)), lost

    def _request(self, address: str) -> bytes:
        body, kind = self._token(address), self._kinds[0]
        # Of IPv6 the kernel fills it in, for it knows the address from which it sends (RFC 3542, 3.1).
        sum_ = 0 if self._wide else internet_checksum(_HEADER.pack(kind, 0, 0, self._number, 1) + body)
        return _HEADER.pack(kind, 0, sum_, self._number, 1) + body

    def _token(self, address: str) -> bytes:
        packed = socket.inet_pton(socket.AF_INET6, address) if self._wide else socket.inet_aton(address)
        return blake2b(packed, key=self._key, digest_size=_TOKEN).digest()

    def replies(self, most: int = 4096) -> Iterator[str]:
        """The hosts that replied, at most so many; one may come twice."""
        for _ in range(most):
            try:
                data, (address, *_) = self._sock.recvfrom(256)
            except OSError as error:
                if error.errno in _BUSY:
                    return
                continue  # an ICMP error of an earlier request
            message = data[(data[0] & 15) * 4 :] if self._raw and data and not self._wide else data
            if len(message) >= _HEADER.size + _TOKEN and message[0] == self._kinds[1] and (
                message[_HEADER.size : _HEADER.size + _TOKEN] == self._token(address)
            ):
                yield str(address)

    def drops(self) -> int:
        """Replies that the kernel had no room for, since the socket was opened."""
        return overflowed(self._sock)

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


def _only6(kind: int) -> bytes:
    """`struct icmp6_filter` (RFC 3542, 3.2): a bit for each type that is kept out, all but one."""
    words = [0xFFFFFFFF] * 8
    words[kind >> 5] ^= 1 << (kind & 31)
    return struct.pack("=8I", *words)


def permitted() -> bool:
    """Whether echo requests may be sent here."""
    try:
        EchoSocket().close()
    except OSError:
        return False
    return True
