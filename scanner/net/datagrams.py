"""Discovery datagrams: questions to groups, to everybody on a link and to single hosts; ears on the ports where makers
answer; every answer recognised by a protocol, the rest dropped.

Groups of IPv6 are asked on every link with a link-local address; who answers from one is named with the link.

With raw sockets, a second ear on each link (`frames`) sends the questions that are bare Ethernet frames, and hears
devices whose address is not of this network; without them `missing` says what that costs.
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
from ipaddress import IPv4Address
from types import TracebackType
from typing import Self

from scanner.model import Observation, Transport, Via
from scanner.net.frames import FrameSocket, Overheard
from scanner.net.interfaces import Link
from scanner.net.ledger import Ledger, now
from scanner.net.pace import Pace
from scanner.net.packet import LinkGone, overflowed
from scanner.net.peer import sockaddr
from scanner.protocols.base import Alone, Protocol, Question
from scanner.values import ipv4_number

MAX_DATAGRAM = 65_535
MAX_PER_SOURCE = 64
"""Datagrams of one source that are kept; what comes beyond is noise or an attack."""
MAX_PER_CHANNEL = 8
"""Different answers of one source on one channel: each repetition of a question may bring another."""
MAX_SOURCES = 100_000
REPEAT = (0.05, 0.25)
"""Seconds between two sendings of one question, drawn at random (SOAP-over-UDP: 50 to 250 ms)."""

NO_FRAMES = (
    "raw sockets are not permitted: questions in bare Ethernet frames (Hikvision's 0x8033) were not asked, and devices "
    "whose address is not of this network (factory settings) are heard only where the kernel lets their answers "
    "through (rp_filter=0). Root would have done both"
)

_PKTINFO = 8  # IP_PKTINFO
_INFO_BYTES = 64
_EVERYBODY = "255.255.255.255"
_RECEIVE_BUFFER = 4 << 20
_RCVBUFFORCE = 33
_PATIENCE = (0.01, 0.05, 0.2, 0.0)
"""Seconds to wait for room in a full queue, one after the other."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One datagram that a protocol recognised."""

    address: str
    """Who sent it."""
    observation: Observation
    protocol: str
    link: str | None = None
    """Where it came in, if that is known."""
    mac: str | None = None
    """Who sent the frame; known only from raw sockets."""


class Datagrams:
    """Sockets for discovery datagrams; `heard` is called for every new answer.

    Use as an asynchronous context: all sockets are closed at its end. `problems` names what could not be opened.
    """

    def __init__(
        self, links: Sequence[Link], protocols: Iterable[Protocol], ledger: Ledger, pace: Pace,
        heard: Callable[[Heard], None], *, real_port: Callable[[str, int], int | None] = lambda _address, port: port,
        loop_back: bool = False, raw: bool = True,
    ) -> None:  # fmt: skip
        self._links = tuple(links)
        self._protocols = tuple(protocols)
        self._ledger = ledger
        self._pace = pace
        self._heard = heard
        self._real_port = real_port
        self._loop_back = loop_back
        self._raw = raw
        self._frames: dict[str, FrameSocket] = {}
        self._near = {
            link.name: tuple(
                (int(own.network.network_address), int(own.network.broadcast_address)) for own in link.addresses
            )
            for link in links
        }
        self._senders: dict[str, socket.socket] = {}
        self._senders6: dict[str, socket.socket] = {}
        self._alone: socket.socket | None = None
        self._alone6: socket.socket | None = None
        self._listeners: dict[tuple[str, int, int], socket.socket] = {}
        self._joined: set[tuple[int, str, int]] = set()
        self._sources: dict[str, int] = {}
        self._channels: dict[tuple[str, str], int] = {}
        self._known: set[int] = set()
        self._names = {link.index: link.name for link in links}
        self.problems: list[str] = []
        self.dropped = 0
        """Datagrams that were not kept: beyond the bounds, or of no protocol."""
        self.lost = 0
        """Datagrams and frames that the kernel had no room for; complete at the end of the context."""
        self.missing: str | None = None
        """What could not be done for want of raw sockets, or None."""

    async def __aenter__(self) -> Self:
        self._alone = self._socket(None)
        self._read(self._alone, Via.UNICAST)
        with contextlib.suppress(OSError):  # a kernel without IPv6
            self._alone6 = self._socket6(None)
            self._read(self._alone6, Via.UNICAST)
        for link in self._links:
            self._open(link, self._senders, self._socket)
            if link.local is not None:
                self._open(link, self._senders6, self._socket6)
        return self

    def _open(
        self, link: Link, senders: dict[str, socket.socket], make: Callable[[Link | None], socket.socket]
    ) -> None:
        try:
            sender = make(link)
        except OSError as error:
            self.problems.append(f"{link.name}: no multicast questions: {error.strerror or error}")
            return
        senders[link.name] = sender
        self._read(sender, Via.MULTICAST)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        senders = (*self._senders.values(), *self._senders6.values())
        for sock in (self._alone, self._alone6, *senders, *self._listeners.values()):
            if sock is not None:
                self.lost += overflowed(sock)
                loop.remove_reader(sock.fileno())
                sock.close()
        for name in list(self._frames):
            self._hush(name)
        self._alone = self._alone6 = None
        self._senders.clear()
        self._senders6.clear()
        self._listeners.clear()

    def listen(self, questions: Sequence[Question]) -> None:
        """Open the ports, and join the groups, where answers to these questions may arrive; with raw sockets, the ear
        on each link too.
        """
        for question in questions:
            for port in question.listen:
                for group in (*question.groups, *question.join):
                    self._join("", port, group)
                if not question.groups and not question.join:
                    self._listener("", port)
            for group in () if question.listen else question.join:
                self._join(group, question.port, group)
        self._listen_raw(questions)

    def _listen_raw(self, questions: Sequence[Question]) -> None:
        types = {question.ethertype for question in questions if question.ethertype is not None}
        asked = {port for q in questions if q.together and q.ethertype is None for port in (q.port, *q.listen)}
        if not asked and not types:
            return
        for link in self._links:
            if link.mac is None or link.name in self._frames:
                continue
            if not self._raw:
                self.missing = NO_FRAMES.replace("not permitted", "switched off")
                return
            sender = self._senders.get(link.name)
            own = {sender.getsockname()[1]} if sender is not None else set()
            try:
                ear = FrameSocket(link, ethertypes=types, ports=own | asked)
            except PermissionError:
                self.missing = NO_FRAMES
                return
            except (LinkGone, OSError) as error:
                self.problems.append(f"{link.name}: no ear for bare frames: {error}")
                continue
            self._frames[link.name] = ear
            asyncio.get_running_loop().add_reader(ear.fileno(), self._drain_frames, link.name)

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
        alone = self._alone6 if ":" in address else self._alone
        asked: list[Question] = []
        if alone is None:
            return asked
        for question in questions:
            port = self._real_port(address, question.port)
            if question.alone is Alone.NEVER or port is None or question.ethertype is not None:
                continue
            if await self._send(alone, question, question.payload, address, port):
                asked.append(question)
        return asked

    async def _ask_link(self, link: Link, question: Question) -> None:
        if question.ethertype is not None:
            await self._send_frame(link, question)
            return
        sender, sender6 = self._senders.get(link.name), self._senders6.get(link.name)
        payload = _signed(question, link)
        if sender6 is not None:
            sender6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, question.ttl)
        if sender is not None:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, question.ttl)
        for group in question.groups:
            if ":" in group and sender6 is not None:
                await self._send(sender6, question, payload, f"{group}%{link.name}", question.port)
            elif ":" not in group and sender is not None:
                await self._send(sender, question, payload, group, question.port)
        if question.broadcast and sender is not None:
            for target in self._everybody(link, sender):
                await self._send(sender, question, payload, target, question.port)

    async def _send_frame(self, link: Link, question: Question) -> None:
        payload = _signed(question, link)
        assert question.ethertype is not None
        await self._pace.take()
        for patience in _PATIENCE:
            ear = self._frames.get(link.name)
            if ear is None:
                return
            try:
                sent = ear.ask(question.ethertype, payload)
            except (LinkGone, OSError):
                self._hush(link.name)
                return
            if sent:
                what = f"{question.request}, EtherType {question.ethertype:#06x}"
                self._ledger.write("frame", "ff:ff:ff:ff:ff:ff", 14 + len(payload), what)
                return
            await asyncio.sleep(patience)

    def _hush(self, link: str) -> None:
        ear = self._frames.pop(link)
        asyncio.get_running_loop().remove_reader(ear.fileno())
        self.lost += ear.drops()
        ear.close()

    @staticmethod
    def _everybody(link: Link, sender: socket.socket) -> Iterable[str]:
        """The limited broadcast reaches foreign subnets too, but leaves by the right link only where bound to it."""
        if sender.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).strip(b"\0"):
            return [_EVERYBODY]
        return dict.fromkeys(str(a.network.broadcast_address) for a in link.addresses if a.network.prefixlen < 31)

    async def _send(
        self, sock: socket.socket, question: Question, payload: bytes, address: str, port: int
    ) -> bool:
        await self._pace.take()
        for patience in _PATIENCE:
            try:
                sock.sendto(payload, sockaddr(address, port))
            except (BlockingIOError, InterruptedError):
                await asyncio.sleep(patience)  # the queue is full: unresolved neighbours hold it
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    return False  # no way there, or an earlier datagram was refused
                await asyncio.sleep(patience)
            else:
                self._ledger.sent("udp", address, len(payload), question.request, port=question.port)
                return True
        return False

    def _socket(self, link: Link | None) -> socket.socket:
        sock = _udp()
        try:
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

    def _socket6(self, link: Link | None) -> socket.socket:
        sock = _udp6()
        try:
            if link is not None:
                with contextlib.suppress(PermissionError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.name.encode() + b"\0")
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, link.index)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, int(self._loop_back))
                sock.bind((str(link.local), 0, 0, link.index))
            else:
                sock.bind(("::", 0))
        except BaseException:
            sock.close()
            raise
        return sock

    def _listener(self, group: str, port: int, link: Link | None = None) -> socket.socket | None:
        """The socket that hears what is said to a port, whatever the address (""), or to one group only; with a link,
        by IPv6, and to a group on that link only.
        """
        key = (group or ("::" if link is not None else ""), port, link.index if link is not None and group else 0)
        if key in self._listeners:
            return self._listeners[key]
        sock = None
        try:
            sock = _udp() if link is None else _udp6()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(key[:2] if link is None else (*key[:2], 0, key[2]))
        except OSError as error:
            if sock is not None:
                sock.close()
            self.problems.append(f"UDP port {port}: cannot listen there: {error.strerror or error}")
            return None
        self._listeners[key] = sock
        self._read(sock, Via.MULTICAST)
        return sock

    def _join(self, place: str, port: int, group: str) -> None:
        """Join a group on every link, and listen to it on a port: whatever the address (""), or to the group only."""
        wide = ":" in group
        for link in self._links:
            if (port, group, link.index) in self._joined or (wide and link.local is None):
                continue
            sock = self._listener(place, port, link if wide else None)
            if sock is None:
                return
            self._joined.add((port, group, link.index))
            try:
                if wide:
                    member = socket.inet_pton(socket.AF_INET6, group) + struct.pack("=i", link.index)
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
                else:
                    member = struct.pack("=4s4si", socket.inet_aton(group), bytes(4), link.index)
                    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            except OSError as error:
                self.problems.append(f"{link.name}: cannot join {group}: {error.strerror or error}")

    def _read(self, sock: socket.socket, via: Via) -> None:
        asyncio.get_running_loop().add_reader(sock.fileno(), self._drain, sock, via)

    def _drain(self, sock: socket.socket, via: Via) -> None:
        for _ in range(256):  # then others get their turn
            try:
                data, ancillary, _flags, (address, port, *zone) = sock.recvmsg(MAX_DATAGRAM, _INFO_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error of an earlier datagram
            link = self._names.get(_interface(ancillary))
            if zone:
                address = _zoned(address, zone[-1])
            elif sock is not self._alone and link in self._frames and not self._of(link, address):
                continue  # the ear on the link hears it too, and knows who sent it
            self._take(Overheard("", data, 0, address, port), link, via)

    def _drain_frames(self, name: str) -> None:
        ear = self._frames.get(name)
        if ear is None:
            return
        alone = self._alone.getsockname()[1] if self._alone is not None else 0
        try:
            for found in ear.heard():
                if found.source is None:
                    self._take(found, name, Via.BROADCAST)
                elif not self._of(name, found.source) and found.target_port != alone:
                    # Of this network: a socket hears it. To the port for single hosts: a router handed it on.
                    self._take(found, name, Via.MULTICAST)
        except (LinkGone, OSError):
            self._hush(name)

    def _of(self, link: str, address: str) -> bool:
        number = ipv4_number(address)
        return number is not None and any(first <= number <= last for first, last in self._near.get(link, ()))

    def _take(self, heard: Overheard, link: str | None, via: Via) -> None:
        data, mac = heard.data, heard.mac or None
        sender = mac if heard.source is None else heard.source if mac is None else f"{heard.source} {mac}"
        assert sender is not None
        count = self._sources.get(sender, 0)
        mark = hash((sender, data))  # seeded anew for each process: nobody finds two datagrams that share one
        if mark in self._known:
            return
        if count >= MAX_PER_SOURCE or (count == 0 and len(self._sources) >= MAX_SOURCES):
            self.dropped += 1
            return
        found = self._recognise(data)
        if found is None or self._channels.get((sender, found[1]), 0) >= MAX_PER_CHANNEL:
            self.dropped += 1
            return
        protocol, channel, value = found
        address = heard.source or _address(protocol.stated(data))
        if address is None:
            self.dropped += 1
            return
        self._channels[sender, channel] = self._channels.get((sender, channel), 0) + 1
        self._sources[sender] = count + 1
        self._known.add(mark)
        frame = heard.source is None
        port = heard.source_port if heard.source_port in protocol.ports else next(iter(protocol.ports), None)
        observation = Observation(
            channel=channel, value=value, port=None if frame else port,
            transport=Transport.L2 if frame else None, via=via, at=now(),
        )  # fmt: skip
        self._heard(Heard(address, observation, protocol.name, link, mac))

    def _recognise(self, data: bytes) -> tuple[Protocol, str, str] | None:
        """Whose answer it is, its channel, and what of it is kept."""
        for protocol in self._protocols:
            try:
                channel = protocol.recognise(data)
                value = protocol.kept(data) if channel is not None else ""
            except Exception as error:  # noqa: BLE001 - a broken plug-in must not end the scan
                problem = f"protocol {protocol.name} failed on a datagram: {type(error).__name__}"
                if problem not in self.problems:
                    self.problems.append(problem)
                continue
            if channel is not None:
                return protocol, channel, value
        return None


def _signed(question: Question, link: Link) -> bytes:
    if question.signed is None:
        return question.payload
    own = str(link.addresses[0].ip) if link.addresses else "0.0.0.0"  # noqa: S104 - no address, not a bind
    return question.signed(own, link.mac or "00:00:00:00:00:00")


def _address(text: str | None) -> str | None:
    """The address as others write it, or None for what is no host's."""
    try:
        address = IPv4Address(text or "")
    except ValueError:
        return None
    return None if address.is_multicast or int(address) == 0xFFFFFFFF else str(address)


def _udp() -> socket.socket:
    """A datagram socket of IPv4 that says on which interface something came in. Raises `OSError`."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    sock.setblocking(False)
    _widen(sock)
    sock.setsockopt(socket.IPPROTO_IP, _PKTINFO, 1)
    return sock


def _udp6() -> socket.socket:
    """The same of IPv6. Raises `OSError`."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    sock.setblocking(False)
    _widen(sock)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    return sock


def _interface(ancillary: Iterable[tuple[int, int, bytes]]) -> int:
    """The number of the interface on which a datagram came in; 0 where the kernel does not say."""
    for level, kind, value in ancillary:
        if level == socket.IPPROTO_IP and kind == _PKTINFO:
            return int(struct.unpack_from("=i", value)[0])
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return int(struct.unpack_from("=i", value, 16)[0])
    return 0


def _zoned(address: str, zone: int) -> str:
    """A sender's address of IPv6, a link-local one with the name of its interface."""
    if not zone:
        return address
    try:
        return f"{address}%{socket.if_indextoname(zone)}"
    except OSError:
        return address


def _widen(sock: socket.socket) -> None:
    """As large a buffer as this user may have."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _RECEIVE_BUFFER)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
