"""One TCP connection: bytes gathered up to a ceiling, a connect that a late event loop cannot lose, a polite end."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from typing import cast

FAREWELL = 0.25
"""Seconds a device gets to close its side, so that our next connection is its only one."""

_AT_ONCE = struct.pack("ii", 1, 0)  # struct linger: close with a reset
_SEGS_OUT = 136  # offset of tcpi_segs_out in struct tcp_info (linux/tcp.h)


class Peer(asyncio.Protocol):
    """One connection: gathers bytes up to a ceiling, and says when something changed."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.closed = False
        self.reset = False
        self.full = False
        self.served = False
        """A whole answer came through this connection, and nothing after it."""
        self.ceiling = 65_536
        self._waiter: asyncio.Future[None] | None = None
        self._gone = asyncio.Event()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        """Called by asyncio; stops reading at the ceiling."""
        self.data += data
        self.served = False
        if len(self.data) >= self.ceiling and not self.full:
            self.full = True
            assert self.transport is not None
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Called by asyncio; closes our side too."""
        self.closed = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self.closed = True
        self.reset = self.reset or isinstance(exc, ConnectionError)
        self._gone.set()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def begin(self, ceiling: int) -> None:
        """Forget the last answer and gather the next one."""
        self.data.clear()
        self.served = False
        self.ceiling = ceiling

    async def change(self, until: float) -> None:
        """Return when bytes came, the peer closed, or the loop's time is `until`; loses nothing when late."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_at(until, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    async def hang_up(self, patience: float = FAREWELL) -> None:
        """Close politely and wait a moment for the other side; where it does not follow, reset: it must not be left
        with a connection that it believes open.
        """
        transport = self.transport
        if transport is None:
            return
        try:
            if not self.closed and not self.full:
                if transport.can_write_eof():
                    transport.write_eof()
                else:
                    transport.close()
                loop = asyncio.get_running_loop()
                end = loop.time() + patience
                while not self.closed and not self.full and loop.time() < end:
                    await self.change(end)
                if not self.closed:
                    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        except OSError:
            pass  # the device was quicker
        finally:
            transport.abort()
        await self._gone.wait()


async def connect(address: str, port: int, seconds: float) -> socket.socket:
    """A connected, non-blocking socket. Raises `OSError`, ETIMEDOUT where nothing came in time.

    The outcome is read from the socket, not from who woke first: a late event loop loses no connection.
    """
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        code = sock.connect_ex(sockaddr(address, port))
        if code == errno.EINPROGRESS:
            ready: asyncio.Future[None] = loop.create_future()

            def wake() -> None:
                if not ready.done():
                    ready.set_result(None)

            timer = loop.call_later(seconds, wake)
            loop.add_writer(sock.fileno(), wake)
            try:
                await ready
            finally:
                timer.cancel()
                loop.remove_writer(sock.fileno())
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                try:
                    sock.getpeername()
                except OSError:
                    code = errno.ETIMEDOUT
        if code:
            raise OSError(code, errno.errorcode.get(code, str(code)))
    except BaseException:
        sock.close()
        raise
    return sock


def sockaddr(address: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """An address as sockets want it, a link-local one with its interface. Raises `OSError` for an unknown interface."""
    if ":" not in address:
        return address, port
    host, _, scope = address.partition("%")
    return host, port, 0, socket.if_nametoindex(scope) if scope else 0


def segments(sock: socket.socket) -> int:
    """Packets the kernel sent on a connection, its last one included."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SEGS_OUT + 4)
    except (OSError, AttributeError):
        return 5
    return int.from_bytes(info[_SEGS_OUT : _SEGS_OUT + 4], "little") + 1 if len(info) == _SEGS_OUT + 4 else 5
