"""ARP over a raw socket: one AF_PACKET socket a link, on which the kernel lets only ARP replies through."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from types import TracebackType
from typing import Self

from scanner.errors import ScanIncomplete
from scanner.net.interfaces import Link

ARP = 0x0806
FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")
"""Ethernet and ARP headers (RFC 826): destination, source, type; formats, lengths, operation, two address pairs."""
FRAME_BYTES = FRAME.size

_EVERYBODY = b"\xff" * 6
_SOL_PACKET, _STATISTICS, _IGNORE_OUTGOING, _QDISC_BYPASS = 263, 6, 23, 20
_ATTACH_FILTER, _RCVBUFFORCE = 26, 33
_GONE = frozenset({errno.ENETDOWN, errno.ENODEV, errno.ENXIO, errno.ENETUNREACH})

_REPLIES = (
    (0x28, 0, 0, 12),  # load the half-word at 12
    (0x15, 0, 3, ARP),  # ARP? else skip three
    (0x28, 0, 0, 20),  # load the half-word at 20
    (0x15, 0, 1, 2),  # a reply? else skip one
    (0x06, 0, 0, 0xFFFF),  # take it
    (0x06, 0, 0, 0),  # drop it
)  # classic BPF (linux/filter.h)


class LinkGone(ScanIncomplete):
    """An interface went down or away while it was in use."""

    def __init__(self, link: str, why: str) -> None:
        super().__init__(f"interface {link} went away or down: {why}")
        self.link = link


@dataclass(frozen=True, slots=True)
class ArpReply:
    """Who says to have an address."""

    address: str
    mac: str


class ArpSocket:
    """Sends ARP requests on one link and receives the replies; non-blocking.

    Raises `PermissionError` without CAP_NET_RAW, `LinkGone` when the link goes away.
    """

    def __init__(self, link: Link) -> None:
        assert link.mac is not None
        self.link = link
        self._mac = bytes.fromhex(link.mac.replace(":", ""))
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        try:
            self._sock.setblocking(False)
            _attach(self._sock, _REPLIES)  # before the bind that opens the tap: nothing unfiltered gets in
            for level, option, value in (
                (socket.SOL_SOCKET, _RCVBUFFORCE, 16 << 20), (_SOL_PACKET, _IGNORE_OUTGOING, 1),
                (_SOL_PACKET, _QDISC_BYPASS, 1),
            ):  # fmt: skip
                try:
                    self._sock.setsockopt(level, option, value)
                except OSError:
                    continue  # a help, not a need
            self._sock.bind((link.name, ARP))
        except OSError as error:
            self._sock.close()
            raise _translated(error, link) from error

    def fileno(self) -> int:
        """For event loops."""
        return self._sock.fileno()

    def ask(self, addresses: Sequence[int]) -> int:
        """Ask who has each address (as integer); returns how many were sent before the queue was full."""
        for sent, number in enumerate(addresses):
            try:
                self._sock.send(self._request(number))
            except (BlockingIOError, InterruptedError):
                return sent
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    return sent
                raise _translated(error, self.link) from error
        return len(addresses)

    def _request(self, number: int) -> bytes:
        return FRAME.pack(
            _EVERYBODY, self._mac, ARP, 1, 0x0800, 6, 4, 1, self._mac, self._own(number), bytes(6),
            number.to_bytes(4, "big"),
        )  # fmt: skip

    def _own(self, number: int) -> bytes:
        """Our address on the asked one's network, else the probe's empty address (RFC 5227)."""
        for address in self.link.addresses:
            network = address.network
            if int(network.network_address) <= number <= int(network.broadcast_address):
                return address.ip.packed
        return self.link.addresses[0].ip.packed if self.link.addresses else bytes(4)

    def replies(self, most: int = 4096) -> Iterator[ArpReply]:
        """The replies that wait, at most so many. Raises `LinkGone`."""
        for _ in range(most):
            try:
                frame = self._sock.recv(128)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                raise _translated(error, self.link) from error
            reply = parse_reply(frame)
            if reply is not None:
                yield reply

    def drops(self) -> int:
        """Replies that the kernel had no room for, since the last call."""
        try:
            _packets, drops = struct.unpack("=II", self._sock.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        except OSError:
            return 0
        return int(drops)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def parse_reply(frame: bytes) -> ArpReply | None:
    """The sender of an ARP reply for Ethernet and IPv4; None for anything else, broken or not a host's."""
    if len(frame) < FRAME_BYTES:
        return None
    _, _, kind, hardware, protocol, hlen, plen, operation, mac, address, _, _ = FRAME.unpack_from(frame)
    if (kind, hardware, protocol, hlen, plen, operation) != (ARP, 1, 0x0800, 6, 4, 2):
        return None
    if mac[0] & 1 or mac == bytes(6) or address == bytes(4) or address[0] >= 224:
        return None
    return ArpReply(str(IPv4Address(address)), mac.hex(":"))


def permitted() -> bool:
    """Whether raw sockets may be opened here."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0).close()
    except (OSError, AttributeError):
        return False
    return True


def _attach(sock: socket.socket, code: Sequence[tuple[int, int, int, int]]) -> None:
    program = b"".join(struct.pack("=HBBI", *step) for step in code)
    buffer = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", len(code), ctypes.addressof(buffer)))


def _translated(error: OSError, link: Link) -> Exception:
    if error.errno in _GONE:
        return LinkGone(link.name, error.strerror or str(error))
    return error
