"""TCP and TLS of simulated devices: one listener for a port of all devices, or one for each of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from itertools import chain

from scanner.model import Transport
from scanner.protocols.base import Protocol, Reply, Service
from scanner.simulate import behaviour
from scanner.simulate.device import Port, Simulated
from scanner.simulate.seal import HANDSHAKE, Seal
from scanner.simulate.watch import Watch

IDLE = 90.0
"""Seconds after which a device closes a connection on which nothing is said."""
GRACE = 0.1
"""Seconds for a client's farewell to arrive before its next connection counts as a second one."""
MAX_REQUEST = 262_144
BACKLOG = 4096

Finder = Callable[[str], Simulated | None]
Certifier = Callable[[Simulated, int], ssl.SSLContext]
"""Device and port → its side of TLS."""

_AT_ONCE = struct.pack("ii", 1, 0)  # struct linger: close with a reset


class Streams:
    """The listeners of all devices."""

    def __init__(self, watch: Watch, certify: Certifier) -> None:
        self.watch = watch
        self.certify = certify
        self.lines: dict[str, set[Line]] = {}
        self._servers: list[asyncio.Server] = []

    async def listen(self, address: str, number: int, find: Finder, *, known_as: int | None = None) -> int:
        """Listen on an address (empty: on all of IPv4); `find` tells the device of a local one. Returns the real port.

        `known_as` is the port that the device believes to listen on. Raises `OSError` where the port is taken.
        """
        loop = asyncio.get_running_loop()
        believed = number if known_as is None else known_as
        server = await loop.create_server(
            lambda: Line(self, believed, find), address or "0.0.0.0", number, backlog=BACKLOG, reuse_address=True  # noqa: S104
        )
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Close every listener and connection."""
        for server in self._servers:
            server.close()
        for lines in self.lines.values():
            for line in list(lines):
                line.drop()
        await asyncio.sleep(0)


class Line(asyncio.Protocol):
    """One connection to a device."""

    def __init__(self, streams: Streams, number: int, find: Finder) -> None:
        self._streams = streams
        self._number = number
        self._find = find
        self._device: Simulated | None = None
        self._port: Port | None = None
        self._data = bytearray()
        self._seal: Seal | None = None
        self._fresh = True
        self._closing = False
        self._transport: asyncio.Transport | None = None
        self._play: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._room.set()

    # -- called by asyncio -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out who was called; who is not there, or not on this port, refuses."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        name = transport.get_extra_info("sockname")
        device = self._find(name[0]) if name else None
        port = device.ports.get((Transport.TCP, self._number)) if device is not None else None
        if device is None or port is None or device.behaviour == "reset":
            if device is not None and port is not None:
                self._streams.watch.connected(device, self._number)
            self.drop()
            return
        self._device, self._port = device, port
        self._streams.watch.connected(device, self._number)
        self._enter(device)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(IDLE, self.drop)
        if not port.tls:
            greeting = b"".join(s.protocol.greet(device.recording, s.service) for s in port.speakers)
            if greeting:
                self._say(greeting)

    def data_received(self, data: bytes) -> None:
        """Take requests apart and answer them in order."""
        if self._device is None or self._closing:
            return
        try:
            self._take(data)
        except Exception as error:  # noqa: BLE001 - a defect of one protocol ends one connection, and fails the test
            self._streams.watch.failed(self._device, self._number, Transport.TCP, error, data)
            self.drop()

    def _take(self, data: bytes) -> None:
        port = self._port
        assert port is not None
        if self._fresh:
            self._fresh = False
            if port.tls and data[0] == HANDSHAKE and not self._misbehaves():
                assert self._device is not None
                self._seal = Seal(self._streams.certify(self._device, self._number))
        if self._seal is not None:
            greeted = self._seal.ready
            self._data += self._seal.open(data)
            self._write(self._seal.pending())
            if self._seal.ready and not greeted:
                self._greet_sealed()
            if self._seal.broken:
                self._end()
                return
        else:
            self._data += data
        if len(self._data) > MAX_REQUEST:
            self.drop()
            return
        self._answer_all()

    def eof_received(self) -> bool:
        """Called by asyncio; a device closes when its client does."""
        return False

    def pause_writing(self) -> None:
        """Called by asyncio."""
        self._room.clear()

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._play is not None:
            self._play.cancel()
        if self._device is not None:
            lines = self._streams.lines[self._device.id]
            lines.discard(self)

    # -- our side --------------------------------------------------------------------------------------------

    def drop(self) -> None:
        """Close with a reset."""
        transport = self._transport
        self._closing = True
        if transport is not None and not transport.is_closing():
            sock = transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            transport.abort()

    def _enter(self, device: Simulated) -> None:
        lines = self._streams.lines.setdefault(device.id, set())
        others = set(lines)
        lines.add(self)
        if others:  # the other's farewell may still be under way
            asyncio.get_running_loop().call_later(GRACE, self._count, device, others)

    def _count(self, device: Simulated, others: set[Line]) -> None:
        here = self._streams.lines[device.id]
        if self in here and (left := others & here):
            self._streams.watch.crowd(device, self._number, len(left) + 1)

    def _misbehaves(self) -> bool:
        return self._device is not None and self._device.behaviour is not None

    def _greet_sealed(self) -> None:
        assert self._device is not None
        assert self._port is not None
        inside = [s for s in self._port.speakers if s.service.tls]
        greeting = b"".join(s.protocol.greet(self._device.recording, s.service) for s in inside)
        if greeting:
            self._say(greeting)

    def _answer_all(self) -> None:
        assert self._device is not None
        assert self._port is not None
        while self._data and not self._closing:
            length = self._request_length()
            if not length:
                return
            request = bytes(self._data[:length])
            del self._data[:length]
            now = asyncio.get_running_loop().time()
            self._streams.watch.asked(self._device, self._port, request, now, tls=self._seal is not None)
            reply = self._reply(request)
            if self._misbehaves():
                self._say(reply.data if reply is not None else b"")
            elif reply is not None:
                self._say(reply.data)
                if reply.close:
                    self._end()
            elif self._port.speakers:
                self._end()

    def _speakers(self) -> Iterator[tuple[Protocol, Service]]:
        """Those who speak here, inside TLS or in the open."""
        assert self._port is not None
        for speaker in self._port.speakers:
            if speaker.service.tls == (self._seal is not None):
                yield speaker.protocol, speaker.service

    def _request_length(self) -> int:
        """By the first protocol that knows how its requests end; everything is one request where none does."""
        data = bytes(self._data)
        framing = [p for p, _ in self._speakers() if type(p).request_length is not Protocol.request_length]
        if not framing:
            return len(data)
        return next((length for p in framing if (length := p.request_length(data))), 0)

    def _reply(self, request: bytes) -> Reply | None:
        assert self._device is not None
        device = self._device.recording
        answers = chain(
            (protocol.answer(request, device, service) for protocol, service in self._speakers()),
            (protocol.refuse(request, device, service) for protocol, service in self._speakers()),
        )
        return next((reply for reply in answers if reply is not None), None)

    def _say(self, data: bytes) -> None:
        assert self._device is not None
        if self._device.behaviour is None:
            self._write(self._seal.close(data) if self._seal is not None else data)
        elif self._play is None or self._play.done():
            self._play = asyncio.get_running_loop().create_task(self._perform(data), name="simulate-perform")

    async def _perform(self, data: bytes) -> None:
        assert self._device is not None
        for wait, piece in behaviour.steps(self._device.behaviour, data, self._device.id):
            await asyncio.sleep(wait)
            await self._room.wait()
            if self._closing:
                return
            self._write(piece)
        if self._device.behaviour not in behaviour.HANGING:
            self._end()

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _end(self) -> None:
        self._closing = True
        if self._seal is not None:
            self._write(self._seal.farewell())
        if self._transport is not None:
            self._transport.close()
