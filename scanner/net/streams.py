"""TCP and TLS conversations: drives what a protocol asks (`Protocol.converse`) over real connections.

All bounds of a conversation live here: one connection at a time to one device, requests a second, bytes and seconds
of one answer and of the whole device, ports that are never spoken to. A protocol cannot reach another host.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scanner import ports
from scanner.model import Observation
from scanner.net.ledger import Ledger, now
from scanner.net.pace import Window
from scanner.net.peer import FAREWELL, Peer, connect, segments
from scanner.protocols.base import Answer, Ask, Protocol, Stream
from scanner.values import from_bytes

MAX_ASKS = 40
"""Questions of one conversation; a protocol that asks more is broken."""
MUTE = 3
"""Questions in a row that stayed unanswered where it used to answer, after which a device is left alone."""
NEVER = 5
"""Open ports that left a question unanswered, after which a device that never answered is left alone."""
LOST = 2
"""Connection attempts in vain for want of a neighbour, after which a device is left alone."""
LOST_SECONDS = 0.9
_LACK = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_LAST = re.compile(rb"(?im)^connection[ \t]{0,8}:[ \t]{0,8}close")  # HTTP and RTSP say so alike (RFC 9110, 7826)
_CHECKS = 64  # an answer is tested for completeness at most so often, then once a kilobyte


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one device may cost, and how hard it may be asked."""

    connect_seconds: float = 3.0
    silence_seconds: float = 3.0
    """How long an answer may keep still, before its first byte and after."""
    device_seconds: float = 45.0
    device_bytes: int = 4 * 1024 * 1024
    requests: int | None = 5
    """In any one second."""
    connects: int | None = 10


@dataclass
class Host:
    """One device as conversations see it: its budget, its pace, and what is known of its ports."""

    address: str
    bounds: Bounds
    real_port: Callable[[int], int | None] = lambda port: port
    near: bool = False
    """On a link of ours: an answer takes milliseconds."""
    open: dict[int, bool] = field(default_factory=dict)
    """Ports that accepted a connection; True where TLS was spoken."""
    closed: dict[int, str] = field(default_factory=dict)
    """Ports that did not, and why."""
    mute: set[int] = field(default_factory=set)
    """Open ports that left a question unanswered, and never answered one."""
    answered: set[int] = field(default_factory=set)
    stopped: str | None = None
    """Why the device is left alone."""
    received: int = 0
    silences: int = 0
    deadline: float | None = None
    certified: set[int] = field(default_factory=set)
    timeouts: int = 0
    """Connection attempts that got no answer at all."""
    lost: int = 0
    """Connection attempts for which the kernel found nobody with that address."""
    trip: float | None = None
    """Seconds of its quickest answer to a connection attempt."""

    def __post_init__(self) -> None:
        self.requests = Window(self.bounds.requests)
        self.connects = Window(self.bounds.connects)

    def patience(self) -> float:
        """Seconds to wait for an answer to a connection attempt.

        At first the kernel gets time to repeat it (after one second, RFC 6298); a host that has dropped several is
        behind a filter, and every further port would cost that time again.
        """
        trip = self.trip if self.trip is not None else (0.05 if self.near else 0.5)
        seconds = 1.1 + 2 * trip if self.timeouts < MUTE else max(0.5, 4 * trip)
        return min(self.bounds.connect_seconds, seconds)


class Streams:
    """Opens connections within bounds, and records what comes back."""

    def __init__(self, ledger: Ledger, *, handshakes: int = 50) -> None:
        self._ledger = ledger
        self._handshakes = asyncio.Semaphore(handshakes)
        self._context: ssl.SSLContext | None = None

    async def look(self, host: Host, port: int) -> bool:
        """Whether a port accepts connections; says nothing there."""
        if port in host.open or port in host.closed:
            return port in host.open
        line = await self._dial(host, port, tls=False)
        if line.peer is not None:
            self._ledger.sent("tcp", host.address, 0, "connect", port=port, packets=0)
            await self._close(host, line)
        return port in host.open

    async def converse(self, host: Host, protocol: Protocol, stream: Stream, seen: list[Observation]) -> None:
        """Append to `seen` everything a protocol hears on one port, in the order asked, silence included.

        Nothing for a closed port (`host.closed` says why). Ends early when the device's budget is spent or it stopped
        answering (`host.stopped`); what was heard before a cancellation is in `seen`.
        """
        if host.stopped is not None or stream.port in host.closed:
            return
        line: _Line | None = None
        conversation = None
        try:
            line = await self._open(host, stream.port, stream.tls, seen)
            if line.peer is None and not line.tls_failed:
                return
            conversation = protocol.converse(stream)
            ask = next(conversation)
            for _ in range(MAX_ASKS):
                line = await self._line_for(host, stream, ask, line, seen)
                answer = await self._ask(host, protocol, ask, line, seen)
                if ask.keep:
                    _record(seen, host, line, ask, answer)
                if host.stopped is not None:
                    break
                ask = conversation.send(answer)
        except StopIteration:
            pass
        finally:
            if conversation is not None:
                conversation.close()
            if line is not None:
                await self._close(host, line)

    async def _line_for(
        self, host: Host, stream: Stream, ask: Ask, line: _Line, seen: list[Observation]
    ) -> _Line:
        """The connection for a question: the present one where it can be used again, else a new one."""
        port = stream.port if ask.port is None else ask.port
        tls = stream.tls if ask.tls is None else ask.tls
        if (line.port, line.tls) == (port, tls):
            if line.fresh or line.peer is None:
                return line
            if line.peer.served and not line.peer.closed:
                return line
        await self._close(host, line)
        return await self._open(host, port, tls, seen)

    async def _ask(
        self, host: Host, protocol: Protocol, ask: Ask, line: _Line, seen: list[Observation]
    ) -> Answer:
        again = not line.fresh
        if line.peer is None:
            return Answer(error=line.error)
        answer = await self._exchange(host, protocol, ask, line)
        if again and answer.closed and not answer.data and host.stopped is None:
            # A connection that served before was closed while our question was on its way: ask once more.
            await self._close(host, line)
            fresh = await self._open(host, line.port, line.tls, seen)
            line.peer, line.error, line.fresh = fresh.peer, fresh.error, fresh.fresh
            if line.peer is None:
                return Answer(error=line.error)
            answer = await self._exchange(host, protocol, ask, line)
        return answer

    async def _exchange(self, host: Host, protocol: Protocol, ask: Ask, line: _Line) -> Answer:
        peer = line.peer
        assert peer is not None
        assert peer.transport is not None
        loop = asyncio.get_running_loop()
        if not line.fresh:
            peer.begin(ask.limit)
        line.fresh = False
        peer.ceiling = ask.limit
        if ask.payload:
            await host.requests.take()
            peer.transport.write(ask.payload)
        self._ledger.sent("tls" if line.tls else "tcp", host.address, len(ask.payload), ask.request, port=line.port,
                          packets=0)  # fmt: skip
        start = loop.time()
        end = min(start + ask.seconds, host.deadline or start + ask.seconds)
        whole, size, checks, checked, last = False, 0, 0, 0, start
        while True:
            if len(peer.data) > size:
                size, last = len(peer.data), loop.time()
            if size > checked and (checks < _CHECKS or size - checked >= 1024 or peer.closed):
                checks, checked = checks + 1, size
                if protocol.complete(bytes(peer.data[: ask.limit]), ask):
                    whole = True
                    break
            if size >= ask.limit or peer.closed:
                break
            until = min(end, last + host.bounds.silence_seconds)
            if loop.time() >= until:
                break
            await peer.change(until)
        return self._judge(host, peer, ask, line, whole=whole)

    def _judge(self, host: Host, peer: Peer, ask: Ask, line: _Line, *, whole: bool) -> Answer:
        data = bytes(peer.data[: ask.limit])
        cut = not whole and not peer.closed
        host.received += len(peer.data)
        last = _LAST.search(ask.payload[:4096]) or _LAST.search(data[:4096])
        peer.served = whole and not peer.full and last is None
        if data and not (cut and len(data) < ask.limit):
            host.silences = 0
            host.answered.add(line.port)
        elif data or line.port in host.answered | host.mute:
            host.silences += 1
        else:  # many ports wait for something else than was asked: that is no sign of trouble
            host.mute.add(line.port)
        loop = asyncio.get_running_loop()
        if host.received > host.bounds.device_bytes:
            host.stopped = f"sent more than {host.bounds.device_bytes} bytes"
        elif host.deadline is not None and loop.time() >= host.deadline:
            host.stopped = f"took more than {host.bounds.device_seconds:g} seconds"
        elif host.silences >= MUTE or (not host.answered and len(host.mute) >= NEVER):
            host.stopped = "stopped answering"
        error = None
        if not data:
            error = "reset" if peer.reset or peer.closed else "timeout"
        return Answer(data=data, closed=peer.closed, truncated=bool(data) and cut, error=error)

    async def _open(self, host: Host, port: int, tls: bool, seen: list[Observation]) -> _Line:
        if tls:
            await self._handshakes.acquire()
        try:
            line = await self._dial(host, port, tls)
        except BaseException:
            if tls:
                self._handshakes.release()
            raise
        line.holds = tls
        if line.peer is not None and tls and port not in host.certified:
            seen.extend(_certificate(line.peer, port))
            host.certified.add(port)
        return line

    async def _dial(self, host: Host, port: int, tls: bool) -> _Line:
        line = _Line(port=port, tls=tls)
        sock = await self._connect(host, port)
        if isinstance(sock, str):
            line.error = sock
            return line
        loop = asyncio.get_running_loop()
        line.sock = sock
        try:
            if not tls:
                _, line.peer = await loop.create_connection(Peer, sock=sock)
            else:
                _, line.peer = await loop.create_connection(
                    Peer, sock=sock, ssl=self._tls_context(), server_hostname=host.address.partition("%")[0],
                    ssl_handshake_timeout=max(host.bounds.silence_seconds, 0.1), ssl_shutdown_timeout=FAREWELL,
                )  # fmt: skip
                host.open[port] = True
        except (OSError, ValueError):  # SSLError and TimeoutError are OSErrors; the transport closes the socket
            line.error, line.tls_failed = "tls" if tls else "reset", tls
            self._ledger.sent("tls" if tls else "tcp", host.address, 0, "connect", port=port, packets=4)
        return line

    def _tls_context(self) -> ssl.SSLContext:
        if self._context is None:
            from scanner.protocols import tls  # imports the certificate parser: only where TLS is spoken

            self._context = tls.client_context()
        return self._context

    async def _connect(self, host: Host, port: int) -> socket.socket | str:
        """A connected socket, or why there is none; `host.open` and `host.closed` know it afterwards."""
        real = host.real_port(port)
        if port in ports.FORBIDDEN or real is None:
            host.closed[port] = "refused"
            return "refused"
        loop = asyncio.get_running_loop()
        if host.deadline is None:
            host.deadline = loop.time() + host.bounds.device_seconds
        await host.connects.take()
        for patience in (0.2, 0.5, 1.0, 2.0):
            began = loop.time()
            try:
                sock = await connect(host.address, real, host.patience())
            except OSError as error:
                if error.errno in _LACK:  # ours, not the device's: wait until others have finished
                    await asyncio.sleep(patience)
                    continue
                why = _WHY.get(error.errno or 0, "unreachable")
                if why == "timeout":
                    host.timeouts += 1
                elif why == "refused":
                    host.trip = min(host.trip or 60.0, loop.time() - began)
                elif why == "unreachable" and loop.time() - began > LOST_SECONDS:
                    host.lost += 1  # nobody has its address any more; a filter that says so is quicker
            else:
                host.trip = min(host.trip or 60.0, loop.time() - began)
                host.open.setdefault(port, False)
                return sock
            break
        else:
            why = "no free sockets"
        self._ledger.sent("tcp", host.address, 0, f"connect: {why}", port=port)
        if host.lost >= LOST:
            host.stopped = "cannot be reached any more"
        if port in host.open:  # it spoke here before
            host.silences += 1
            if why == "timeout" or host.silences >= MUTE:
                host.stopped = "stopped answering"
        else:
            host.closed[port] = why
        return why

    async def _close(self, host: Host, line: _Line) -> None:
        peer, line.peer = line.peer, None
        try:
            if peer is not None:
                assert line.sock is not None
                self._ledger.count(host.address, segments(line.sock), 0)
                await peer.hang_up()
        finally:
            if line.holds:
                line.holds = False
                self._handshakes.release()


@dataclass
class _Line:
    """One connection of a conversation, or why there is none."""

    port: int
    tls: bool
    peer: Peer | None = None
    sock: socket.socket | None = None
    error: str | None = None
    tls_failed: bool = False
    fresh: bool = True
    holds: bool = False
    """It holds one of the places for TLS connections."""


_WHY = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.ECONNABORTED: "reset",
    errno.ETIMEDOUT: "timeout",
}


def _certificate(peer: Peer, port: int) -> Sequence[Observation]:
    from scanner.protocols import tls

    assert peer.transport is not None
    handshake = peer.transport.get_extra_info("ssl_object")
    der = handshake.getpeercert(binary_form=True) if handshake is not None else None
    if not der:
        return []
    at = now()
    return [Observation(channel=c, value=v, port=port, tls=True, at=at) for c, v in tls.certificate_fields(der)]


def _record(seen: list[Observation], host: Host, line: _Line, ask: Ask, answer: Answer) -> None:
    silent = not answer.data
    if silent and (line.port not in host.open or _known_silent(seen, ask.channel, line.port)):
        return
    seen.append(Observation(
        channel=ask.channel, value=from_bytes(answer.data), port=line.port, tls=line.tls, request=ask.request,
        at=now(), truncated=answer.truncated, silent=silent,
    ))  # fmt: skip


def _known_silent(seen: Sequence[Observation], channel: str, port: int) -> bool:
    return any(o.silent and o.channel == channel and o.port == port for o in seen)
