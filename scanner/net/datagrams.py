"""Discovery datagrams: questions to groups, to everybody on a link and to single hosts; ears on the ports where makers
answer; every answer recognised by a protocol, the rest dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from scanner.model import Observation, Via
from scanner.net.interfaces import Link
from scanner.net.ledger import Ledger, now
from scanner.net.pace import Pace
from scanner.protocols.base import Protocol, Question
from scanner.values import from_bytes

MAX_DATAGRAM = 65_535
MAX_PER_SOURCE = 64
"""Datagrams of one source that are kept; what comes beyond is noise or an attack."""
MAX_PER_CHANNEL = 8
"""Different answers of one source on one channel: each repetition of a question may bring another."""
MAX_SOURCES = 100_000
REPEAT = (0.05, 0.25)
"""Seconds between two sendings of one question, drawn at random (SOAP-over-UDP: 50 to 250 ms)."""

_PKTINFO = 8  # IP_PKTINFO
_EVERYBODY = "255.255.255.255"
_RECEIVE_BUFFER = 4 << 20


@dataclass(frozen=True, slots=True)
class Heard:
    """One datagram that a protocol recognised."""

    address: str
    """Who sent it."""
    observation: Observation
    protocol: str
    link: str | None = None
    """Where it came in, if that is known."""


class Datagrams:
    """Sockets for discovery datagrams; `heard` is called for every new answer.

    Use as an asynchronous context: all sockets are closed at its end. `problems` names what could not be opened.
    """

    def __init__(
        self, links: Sequence[Link], protocols: Iterable[Protocol], ledger: Ledger, pace: Pace,
        heard: Callable[[Heard], None], *, real_port: Callable[[str, int], int | None] = lambda _address, port: port,
        loop_back: bool = False,
    ) -> None:  # fmt: skip
        self._links = tuple(links)
        self._protocols = tuple(protocols)
        self._ledger = ledger
        self._pace = pace
        self._heard = heard
        self._real_port = real_port
        self._loop_back = loop_back
        self._senders: dict[str, socket.socket] = {}
        self._alone: socket.socket | None = None
        self._listeners: dict[int, socket.socket] = {}
        self._joined: set[tuple[int, str, int]] = set()
        self._sources: dict[str, int] = {}
        self._channels: dict[tuple[str, str], int] = {}
        self._known: set[tuple[str, str, int]] = set()
        self._names = {link.index: link.name for link in links}
        self.problems: list[str] = []
        self.dropped = 0
        """Datagrams that were not kept: beyond the bounds, or of no protocol."""

    async def __aenter__(self) -> Self:
        self._alone = self._socket(None)
        self._read(self._alone, Via.UNICAST)
        for link in self._links:
            try:
                sender = self._socket(link)
            except OSError as error:
                self.problems.append(f"{link.name}: no multicast questions: {error.strerror or error}")
                continue
            self._senders[link.name] = sender
            self._read(sender, Via.MULTICAST)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for sock in (self._alone, *self._senders.values(), *self._listeners.values()):
            if sock is not None:
                loop.remove_reader(sock.fileno())
                sock.close()
        self._alone = None
        self._senders.clear()
        self._listeners.clear()

    def listen(self, questions: Iterable[Question]) -> None:
        """Open the ports, and join the groups, where answers to these questions may arrive."""
        for question in questions:
            for port in question.listen:
                sock = self._listener(port)
                if sock is None:
                    continue
                for group in (*question.groups, *question.join):
                    self._join(sock, port, group)

    async def ask_links(self, questions: Sequence[Question], links: Sequence[Link] | None = None) -> None:
        """Ask the groups (and everybody, where a question is for everybody) on these links (None: on every one), with
        its repetitions.
        """
        most = max((q.repeat for q in questions), default=0)
        for turn in range(most):
            if turn:
                low, high = REPEAT
                await asyncio.sleep(random.uniform(low, high))  # noqa: S311 - spreads sendings, hides nothing
            for link in self._links if links is None else links:
                for question in questions:
                    if turn < question.repeat:
                        await self._ask_link(link, question)

    async def ask_host(self, address: str, questions: Sequence[Question]) -> list[Question]:
        """Ask one host alone, once each; returns what was asked: questions that make no sense alone are left out."""
        assert self._alone is not None
        asked = []
        for question in questions:
            port = self._real_port(address, question.port)
            if question.unicast and port is not None and await self._send(self._alone, question, address, port):
                asked.append(question)
        return asked

    async def _ask_link(self, link: Link, question: Question) -> None:
        sender = self._senders.get(link.name)
        if sender is None:
            return
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, question.ttl)
        for group in question.groups:
            await self._send(sender, question, group, question.port)
        if question.broadcast:
            for target in self._everybody(link, sender):
                await self._send(sender, question, target, question.port)

    @staticmethod
    def _everybody(link: Link, sender: socket.socket) -> Iterable[str]:
        """The limited broadcast reaches foreign subnets too, but leaves by the right link only where bound to it."""
        if sender.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).strip(b"\0"):
            return [_EVERYBODY]
        return dict.fromkeys(str(a.network.broadcast_address) for a in link.addresses if a.network.prefixlen < 31)

    async def _send(self, sock: socket.socket, question: Question, address: str, port: int) -> bool:
        await self._pace.take()
        for patience in (0.01, 0.05, 0.2, 0):
            try:
                sock.sendto(question.payload, (address, port))
            except (BlockingIOError, InterruptedError):
                await asyncio.sleep(patience)  # the queue is full: unresolved neighbours hold it
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    return False  # no way there, or an earlier datagram was refused
                await asyncio.sleep(patience)
            else:
                self._ledger.sent("udp", address, len(question.payload), question.request, port=question.port)
                return True
        return False

    def _socket(self, link: Link | None) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            sock.setsockopt(socket.IPPROTO_IP, _PKTINFO, 1)
            if link is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                own = str(link.addresses[0].ip) if link.addresses else ""
                source = socket.inet_aton(own) if own else bytes(4)
                group = struct.pack("=4s4si", bytes(4), source, link.index)
                with contextlib.suppress(PermissionError):  # older kernels reserve this for root
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.name.encode() + b"\0")
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, group)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, int(self._loop_back))
                sock.bind((own, 0))
            else:
                sock.bind(("", 0))
        except BaseException:
            sock.close()
            raise
        return sock

    def _listener(self, port: int) -> socket.socket | None:
        if port in self._listeners:
            return self._listeners[port]
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            sock.setsockopt(socket.IPPROTO_IP, _PKTINFO, 1)
            sock.bind(("", port))
        except OSError as error:
            sock.close()
            self.problems.append(f"UDP port {port}: cannot listen there: {error.strerror or error}")
            return None
        self._listeners[port] = sock
        self._read(sock, Via.MULTICAST)
        return sock

    def _join(self, sock: socket.socket, port: int, group: str) -> None:
        for link in self._links:
            if (port, group, link.index) in self._joined:
                continue
            self._joined.add((port, group, link.index))
            member = struct.pack("=4s4si", socket.inet_aton(group), bytes(4), link.index)
            try:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            except OSError as error:
                self.problems.append(f"{link.name}: cannot join {group}: {error.strerror or error}")

    def _read(self, sock: socket.socket, via: Via) -> None:
        asyncio.get_running_loop().add_reader(sock.fileno(), self._drain, sock, via)

    def _drain(self, sock: socket.socket, via: Via) -> None:
        for _ in range(256):  # then others get their turn
            try:
                data, ancillary, _flags, source = sock.recvmsg(MAX_DATAGRAM, 64)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error of an earlier datagram
            self._take(data, ancillary, source[0], via)

    def _take(self, data: bytes, ancillary: Sequence[tuple[int, int, bytes]], address: str, via: Via) -> None:
        count = self._sources.get(address, 0)
        mark = (address, from_bytes(data[:64]), hash(data))
        if mark in self._known:
            return
        if count >= MAX_PER_SOURCE or (count == 0 and len(self._sources) >= MAX_SOURCES):
            self.dropped += 1
            return
        found = self._recognise(data)
        if found is None or self._channels.get((address, found[1]), 0) >= MAX_PER_CHANNEL:
            self.dropped += 1
            return
        protocol, channel = found
        self._channels[address, channel] = self._channels.get((address, channel), 0) + 1
        self._sources[address] = count + 1
        self._known.add(mark)
        index = next((struct.unpack_from("=i", value)[0] for _, kind, value in ancillary if kind == _PKTINFO), None)
        port = protocol.ports[0] if protocol.ports else None
        observation = Observation(channel=channel, value=from_bytes(data), port=port, via=via, at=now())
        self._heard(Heard(address, observation, protocol.name, self._names.get(index) if index is not None else None))

    def _recognise(self, data: bytes) -> tuple[Protocol, str] | None:
        for protocol in self._protocols:
            try:
                channel = protocol.recognise(data)
            except Exception as error:  # noqa: BLE001 - a broken plug-in must not end the scan
                problem = f"protocol {protocol.name} failed on a datagram: {type(error).__name__}"
                if problem not in self.problems:
                    self.problems.append(problem)
                continue
            if channel is not None:
                return protocol, channel
        return None
