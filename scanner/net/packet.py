"""Whole frames on one link: an AF_PACKET socket (packet(7)) into which the kernel lets only what a filter takes.

ARP, IPv6 neighbour discovery and the TCP SYN sweep all send and listen through it. Many frames of one size go with one
system call (sendmmsg(2)), which Python's own sockets do not offer.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from scanner.errors import ScanIncomplete
from scanner.net.closing import Closing
from scanner.net.interfaces import Link
from scanner.net.pace import Patience

Program = Sequence[tuple[int, int, int, int]]
"""Classic BPF (linux/filter.h): code, jump if true, jump if false, operand."""

Option = tuple[int, int, int | bytes]
"""Of a socket: level, name, value."""

LOAD_BYTE, LOAD_HALF, LOAD_WORD = 0x30, 0x28, 0x20
"""Load from an absolute offset, as BPF code."""
EQUAL, TAKE = 0x15, 0x06
"""Compare and branch; end with so many bytes taken, 0: dropped."""

SOL_PACKET = 263
ADD_MEMBERSHIP = 1
_STATISTICS, _IGNORE_OUTGOING, _MR_MULTICAST = 6, 23, 0
_ATTACH_FILTER, _RCVBUFFORCE = 26, 33
_MEMINFO, _MEMINFO_DROPS = 55, 8
"""SO_MEMINFO (socket(7)): numbers about a socket's memory; the ninth is what SO_RXQ_OVFL counts."""
_RECEIVE_BUFFER = 16 << 20
_MOST = 512
"""Frames in one system call."""
_LONGEST = 128
"""Bytes of one frame of a burst."""
_FULL = frozenset({errno.EAGAIN, errno.EINTR, errno.ENOBUFS})
_GONE = frozenset({errno.ENETDOWN, errno.ENODEV, errno.ENXIO, errno.ENETUNREACH})


class LinkGone(ScanIncomplete):
    """An interface went down or away while it was in use."""

    def __init__(self, link: str, why: str) -> None:
        super().__init__(f"interface {link} went away or down: {why}")
        self.link = link


class PacketSocket(Closing):
    """Sends frames on one link and receives those of one EtherType that a filter takes; non-blocking.

    What is sent passes the queue of the link like everything else, so that a capture on this machine shows it.
    `groups` are multicast MACs to listen to. With `headless`, what is received begins with the network header, so that
    one filter serves every kind of link, and nothing can be sent. Raises `PermissionError` without CAP_NET_RAW,
    `LinkGone` when the link goes away.
    """

    def __init__(
        self, link: Link, kind: int, program: Program, *, groups: Sequence[bytes] = (), headless: bool = False
    ) -> None:
        self.link = link
        shape = socket.SOCK_DGRAM if headless else socket.SOCK_RAW
        options: list[Option] = [
            (SOL_PACKET, ADD_MEMBERSHIP, struct.pack("=iHH8s", link.index, _MR_MULTICAST, len(group), group))
            for group in groups
        ]
        self._sock = tap(link, kind, program, shape=shape, room=_RECEIVE_BUFFER, options=options)
        self._bursts: dict[int, _Burst] = {}
        self._patience = Patience(f"interface {link.name}")

    def fileno(self) -> int:
        """For event loops."""
        return self._sock.fileno()

    def send(self, frames: Sequence[bytes]) -> int:
        """Send frames in order; returns how many went before the queue was full.

        Raises `LinkGone`, and `OSError` where the queue stays full.
        """
        out = self._sock.send
        sent = 0
        try:
            for frame in frames:
                out(frame)
                sent += 1
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise translated(error, self.link) from error
        return self._patience.went(sent, len(frames))

    def burst(self, frames: bytes, size: int) -> int:
        """Send frames that lie end to end, each of so many bytes, in order; returns how many went before the queue was
        full. Raises as `send` does.
        """
        assert 0 < size <= _LONGEST
        assert len(frames) % size == 0
        number = self._sock.fileno()
        burst = self._bursts.get(size) or self._bursts.setdefault(size, _Burst(size))
        sent, whole = 0, len(frames) // size
        while sent < whole:
            part = frames[sent * size : (sent + _MOST) * size]
            ctypes.memmove(burst.at, part, len(part))
            count = burst.send(number, burst.messages, len(part) // size, 0)
            if count < 0:
                error = ctypes.get_errno()
                if error in _FULL:
                    break
                raise translated(OSError(error, os.strerror(error)), self.link)
            sent += count
        return self._patience.went(sent, whole)

    def received(self, most: int = 4096, size: int = 128) -> Iterator[bytes]:
        """The frames that wait, at most so many, each cut to `size` bytes. Raises `LinkGone`."""
        for _ in range(most):
            try:
                frame = self._sock.recv(size)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                raise translated(error, self.link) from error
            yield frame

    def drops(self) -> int:
        """Frames that the kernel had no room for, since the last call."""
        return dropped(self._sock)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


class _Part(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Head(ctypes.Structure):
    """`struct msghdr`."""

    _fields_ = (
        ("name", ctypes.c_void_p), ("name_length", ctypes.c_uint), ("parts", ctypes.c_void_p),
        ("part_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )  # fmt: skip


class _Message(ctypes.Structure):
    """`struct mmsghdr`: a head, and the bytes that were sent of it."""

    _fields_ = (("head", _Head), ("sent", ctypes.c_uint))


class _Burst:
    """Room for frames of one size, and the messages that say where each lies."""

    def __init__(self, size: int) -> None:
        self.send: Any = ctypes.CDLL(None, use_errno=True).sendmmsg
        self.room = ctypes.create_string_buffer(_MOST * size)
        self.at = ctypes.addressof(self.room)
        self._parts = (_Part * _MOST)(*[_Part(self.at + place * size, size) for place in range(_MOST)])
        first, step = ctypes.addressof(self._parts), ctypes.sizeof(_Part)
        heads = (_Head(parts=first + place * step, part_count=1) for place in range(_MOST))
        self.messages = (_Message * _MOST)(*[_Message(head) for head in heads])


def permitted() -> bool:
    """Whether raw sockets may be opened here."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0).close()
    except (OSError, AttributeError):
        return False
    return True


def tap(
    link: Link, kind: int, program: Program, *, shape: int = socket.SOCK_RAW, room: int, options: Sequence[Option] = ()
) -> socket.socket:
    """A non-blocking socket for the frames of one EtherType on a link that a filter takes, with so many bytes of room.

    `options` are helps, not needs: what the kernel refuses is left out. Raises as `PacketSocket` does.
    """
    sock = socket.socket(socket.AF_PACKET, shape | socket.SOCK_CLOEXEC, 0)
    try:
        sock.setblocking(False)
        attach(sock, program)  # before the bind that opens the tap: nothing unfiltered gets in
        helps: list[Option] = [
            *options, (socket.SOL_SOCKET, socket.SO_RCVBUF, room),  # as much as anybody may have; root may have it all
            (socket.SOL_SOCKET, _RCVBUFFORCE, room), (SOL_PACKET, _IGNORE_OUTGOING, 1),
        ]  # fmt: skip
        for level, option, value in helps:
            try:
                sock.setsockopt(level, option, value)
            except OSError:
                continue
        sock.bind((link.name, kind))
    except OSError as error:
        sock.close()
        raise translated(error, link) from error
    return sock


def dropped(sock: socket.socket) -> int:
    """Frames that the kernel had no room for, since the last call; 0 where it does not say."""
    try:
        _packets, drops = struct.unpack("=II", sock.getsockopt(SOL_PACKET, _STATISTICS, 8))
    except OSError:
        return 0
    return int(drops)


def overflowed(sock: socket.socket) -> int:
    """Datagrams for which a socket of another family has had no room since it was opened; 0 where nobody says."""
    try:
        numbers = sock.getsockopt(socket.SOL_SOCKET, _MEMINFO, 4 * (_MEMINFO_DROPS + 1))
        return int(struct.unpack_from("=I", numbers, 4 * _MEMINFO_DROPS)[0])
    except (OSError, struct.error):
        return 0


def attach(sock: socket.socket, program: Program) -> None:
    """Let only what the program takes into a socket. Raises `OSError`."""
    code = b"".join(struct.pack("=HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(buffer)))


def translated(error: OSError, link: Link) -> Exception:
    """`LinkGone` where the error says that the link is; else the error itself."""
    if error.errno in _GONE:
        return LinkGone(link.name, error.strerror or str(error))
    return error
