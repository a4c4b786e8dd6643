"""The stateless TCP SYN sweep: which hosts are there, and which of their ports are open, without a connection.

Behind routers it finds hosts. On a link, where ARP has found them, it tells a user in a hurry (`--fast`) their open
ports before anybody connects: no connection is tried where a port refuses, and a port that says nothing is tried by
connecting all the same, for a filter may have dropped the probe. Scans at other speeds do without it there: they ask
the most telling ports first and stop when they know enough, with fewer packets than a probe to every port.

Ports are asked in rounds, each port of many hosts before the next one, so that no device hears two probes at once:
between two rounds lies the time a device needs to answer. A second pass goes to what stayed silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from scanner import ports as known_ports
from scanner.config import Speed
from scanner.discover import base
from scanner.discover.base import Expected, Ground, Scene, Unable
from scanner.discover.book import Sighting
from scanner.net import netlink
from scanner.net.interfaces import Link, Reach
from scanner.net.pace import Lull, Pace
from scanner.net.packet import LinkGone, permitted
from scanner.net.raw import FRAME_BYTES, ArpSocket
from scanner.net.syn import PACKET_BYTES, Answer, SynSocket, Way

if TYPE_CHECKING:
    from scanner.config import Plan
    from scanner.discover.book import Entry
    from scanner.net.interfaces import Topology
    from scanner.net.ledger import Ledger

METHOD = "syn"
PASSES = 2
GAP = 0.05
"""Seconds between two probes to one device, unless the one before has been answered sooner."""
QUIET, MOST = 0.5, 2.0
"""Seconds without an answer after which a pass is over, and those it waits at the most."""
NO_RAW = (
    "raw sockets are not permitted: TCP connections were used instead. Root would have told open ports and hosts "
    "together, without a connection"
)
SWITCHED_OFF = "switched off: no raw sockets"
ANSWERS = "answers to TCP probes"
NEAR_QUIET = 0.2
"""Seconds without an answer after which a sweep of hosts on a link is over: what answers later is tried anyway."""
_GATEWAY_SECONDS = 0.3  # for the router's answer, three times
_HOSTS = 16_384  # of one group: memory stays flat, and a round of an unthrottled sweep lasts about `GAP` by itself
_BATCH = 512
_THOUGHTS = 16  # hosts between two turns of everybody else


class Swept(NamedTuple):
    """How a sweep went."""

    probes: int
    drops: int
    """Answers the kernel had no room for."""


async def sweep(
    way: Way, hosts: Callable[[], Iterable[int]], ports: Sequence[int], pace: Pace, ledger: Ledger,
    found: Callable[[str, int, bool], object], *, gap: float | None = None, passes: int = PASSES, quiet: float = QUIET,
    tick: Callable[[int], None] = lambda _probes: None,
) -> Swept:  # fmt: skip
    """Ask every port of every host (as integer); `found` is called once for each answer: address, port, open or not.

    `hosts` is called for each pass; it must not name one twice. `gap`: seconds between two probes to one host, whatever
    it answers; None: until all have answered, at most `GAP`. Raises `PermissionError` without the right to raw sockets,
    `LinkGone` when the interface goes away.
    """
    with SynSocket(way, ports) as sock:
        work = _Sweep(sock, pace, ledger, found, gap, tick)
        loop = asyncio.get_running_loop()
        loop.add_reader(sock.fileno(), work.drain)
        try:
            for _ in range(passes):
                await work.once(iter(hosts()))
                await work.lull.wait(quiet, max(quiet, MOST), over=work.complete)
                work.check()
                if work.complete():
                    break
            work.drain()
        finally:
            loop.remove_reader(sock.fileno())
        return Swept(work.probes, sock.drops())


class _Sweep:
    """One sweep under way."""

    def __init__(
        self, sock: SynSocket, pace: Pace, ledger: Ledger, found: Callable[[str, int, bool], object], gap: float | None,
        tick: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.lull = Lull()
        self.probes = 0
        self._sock = sock
        self._pace = pace
        self._ledger = ledger
        self._found = found
        self._gap = gap
        self._tick = tick
        self._places = {port: 1 << place for place, port in enumerate(sock.sequences.ports)}
        self._heard: dict[int, int] = {}  # host → bits of the ports that answered
        self._waiting = 0  # probes that have no answer yet
        self._round = self._unheard = 0  # the bit of the port that is asked now, and probes to it without an answer
        self._asked = False
        self._broken: LinkGone | None = None

    def complete(self) -> bool:
        """Whether every probe has been answered: then there is nothing to wait for, and nobody silent."""
        return not self._waiting

    def _all_heard(self) -> bool:
        """Whether every probe of this round has been answered."""
        return self._unheard <= 0

    def check(self) -> None:
        """Raises `LinkGone` where the link went away while answers were read."""
        if self._broken is not None:
            raise self._broken

    def drain(self) -> None:
        """Take the answers that wait, and end the half-open connections."""
        try:
            answers = list(self._sock.answers())
            opened = [answer for answer in answers if answer.open]  # repetitions too: their reset was lost
            if opened:
                self._sock.reset(opened)
        except LinkGone as gone:
            self._broken = gone
            return
        for answer in answers:
            self.lull.heard()
            self._take(answer)

    def _take(self, answer: Answer) -> None:
        known, bit = self._heard.get(answer.address, 0), self._places[answer.port]
        if known & bit:
            return
        self._heard[answer.address] = known | bit
        self._waiting -= 1
        self._unheard -= bit == self._round
        address = socket.inet_ntoa(struct.pack("!I", answer.address))
        self._ledger.count(address, 2 if answer.open else 1, 0)
        if self._ledger.logs and answer.open:
            self._ledger.write("syn", address, PACKET_BYTES - 4, "reset: the port is open", port=answer.port)
        self._found(address, answer.port, answer.open)

    async def once(self, hosts: Iterator[int]) -> None:
        """One pass over all hosts, leaving out what has been heard."""
        loop = asyncio.get_running_loop()
        anew, self._asked = not self._asked, True
        while group := list(islice(hosts, _HOSTS)):
            numbers = [self._sock.sequences.of(host)[: len(self._places)] for host in group]
            for place, port in enumerate(self._sock.sequences.ports):
                began = loop.time()
                heard, bit = self._heard.get, 1 << place
                round_ = [
                    (host, port, row[place]) for host, row in zip(group, numbers, strict=True)
                    if not heard(host, 0) & bit
                ]  # fmt: skip
                self._waiting += len(round_) if anew else 0
                self._round, self._unheard = bit, len(round_)
                await self._send(round_)
                if round_ and (rest := (self._gap or GAP) - (loop.time() - began)) > 0:
                    await self.lull.wait(rest, rest, over=None if self._gap else self._all_heard)
                self.check()

    async def _send(self, probes: Sequence[tuple[int, int, int]]) -> None:
        at = 0
        while at < len(probes):
            granted = self._pace.grant(min(_BATCH, len(probes) - at))
            if not granted:
                await asyncio.sleep(max(0.004, 1 / self._pace.rate))
                continue
            count = self._sock.ask(probes[at : at + granted])
            if self._ledger.logs:
                for host, port, _ in probes[at : at + count]:
                    address = socket.inet_ntoa(struct.pack("!I", host))
                    self._ledger.write("syn", address, PACKET_BYTES, "SYN", port=port)
            else:
                self._ledger.total += count
            at += count
            self.probes += count
            self._tick(self.probes)
            await asyncio.sleep(0 if count == granted else 0.01)
            self.check()


class Syn(base.Way):
    """The sweep as a way of finding hosts behind routers, and, where the user is in a hurry, open ports of all."""

    name = METHOD
    order = 20

    def suits(self, ground: Ground, plan: Plan) -> bool:
        """Behind routers and tunnels; on links for those in a hurry."""
        return (ground.reach is Reach.ROUTED and ground.whole > 0) or (ground.reach is Reach.LINK and _hurried(plan))

    def expect(self, ground: Ground, plan: Plan) -> Expected:
        """Both passes; on a link one, to the hosts that were found."""
        _check(plan)
        if ground.link is not None:
            return Expected(
                f"{ground.link.name}: TCP SYN probes to each host found, ports {', '.join(map(str, plan.ports))}, "
                f"{plan.arp_rate:g} a second; an open port is told at once that no connection is wanted",
                min(ground.count, 1024) * len(plan.ports) / plan.arp_rate + len(plan.ports) * GAP + NEAR_QUIET,
            )  # fmt: skip
        asked = known_ports.life(plan.ports)
        return Expected(
            f"behind a router or tunnel: {ground.count} addresses, TCP SYN probes to ports "
            f"{', '.join(map(str, asked))}, {plan.probe_rate:g} a second, a second pass to the silent; an open port is "
            "told at once that no connection is wanted",
            PASSES * (ground.count * len(asked) / plan.probe_rate + MOST),
        )  # fmt: skip

    async def search(self, ground: Ground, scene: Scene) -> str | None:
        """Both passes, by every way that leads to a part of the ground; on a link nothing until hosts are found."""
        _check(scene.plan)
        if ground.link is not None:
            return None
        routes = _Routes(ground, scene.topology)
        pace = Pace(scene.plan.probe_rate)
        asked = known_ports.life(scene.plan.ports)
        seen: set[str] = set()

        def found(address: str, port: int, is_open: bool) -> None:
            entry = scene.book.at(address) if address in seen else None
            entry = entry or scene.book.sighted(Sighting(address, None, METHOD, packets=0))
            if entry is not None:
                seen.add(address)
                (entry.open.add if is_open else entry.refuse)(port)

        done = [0] * len(routes.all)
        total = ground.count * len(asked)

        async def one(place: int, route: _Route) -> Swept:
            def tick(probes: int) -> None:
                done[place] = probes
                scene.tick(min(sum(done), total), total)

            try:
                way = await _way(route, scene.ledger)
                return await sweep(
                    way, lambda: routes.numbers(route), asked, pace, scene.ledger, found, gap=_gap(scene.plan),
                    quiet=QUIET * 2, tick=tick,
                )  # fmt: skip
            except PermissionError as error:
                raise Unable(NO_RAW) from error

        swept = await asyncio.gather(*(one(place, route) for place, route in enumerate(routes.all)))
        scene.lost(ANSWERS, sum(part.drops for part in swept))
        return None

    async def survey(self, entries: Sequence[Entry], scene: Scene) -> None:
        """On links: which ports of these hosts are open and which are closed, one pass; whatever it leaves open, and
        whatever it cannot do, is found out by connecting.
        """
        if not _hurried(scene.plan) or not scene.plan.raw or not permitted():
            return
        for way, hosts in await _neighbours(entries, scene):
            with contextlib.suppress(OSError, LinkGone):  # whoever watches the links tells what became of them
                await _near(way, hosts, scene)


async def _near(way: Way, hosts: dict[str, Entry], scene: Scene) -> None:
    """One pass over all ports of hosts on a link."""

    def found(address: str, port: int, is_open: bool) -> None:
        entry = hosts[address]
        entry.methods.add(METHOD)
        (entry.open.add if is_open else entry.refuse)(port)

    numbers = list(way.macs or ())
    pace = Pace(scene.plan.arp_rate)
    await sweep(
        way, lambda: numbers, scene.plan.ports, pace, scene.ledger, found, passes=1, quiet=NEAR_QUIET
    )  # fmt: skip


async def _neighbours(entries: Sequence[Entry], scene: Scene) -> list[tuple[Way, dict[str, Entry]]]:
    """The hosts on links about which a sweep could tell something new, by our own address there.

    One that has several addresses is left out: it would hear several probes at once.
    """
    found: dict[tuple[str, str], dict[str, Entry]] = {}
    for turn, entry in enumerate(entries):
        if turn % _THOUGHTS == 0:
            await asyncio.sleep(0)
        link = scene.topology.link(entry.link) if entry.link is not None else None
        if link is None or entry.mac is None or ":" in entry.address or entry.done:
            continue
        if not scene.book.sole(entry) or len(scene.book.places(entry.mac)) > 1 or scene.halted(entry) is not None:
            continue
        address = IPv4Address(entry.address)
        own = next((str(own.ip) for own in link.addresses if address in own.network), None)
        if own is not None and not (entry.observations and scene.enough(entry)):
            found.setdefault((link.name, own), {})[entry.address] = entry
    ways = []
    for (name, own), hosts in found.items():
        link = scene.topology.link(name)
        assert link is not None
        macs = {int(IPv4Address(e.address)): bytes.fromhex((e.mac or "").replace(":", "")) for e in hosts.values()}
        ways.append((Way(link, own, macs=macs), hosts))
    return ways


def _hurried(plan: Plan) -> bool:
    """Whether the ports of hosts on links are swept: at other speeds a scan sends less without that."""
    return plan.speed is Speed.FAST and not plan.port_map


def _check(plan: Plan) -> None:
    if not plan.raw:
        raise Unable(SWITCHED_OFF)
    if not permitted():
        raise Unable(NO_RAW)


def _gap(plan: Plan) -> float | None:
    """Between two probes to one device: as between two connections."""
    return max(GAP, 1 / plan.manners.device_connects) if plan.manners.device_connects else None


class _Route(NamedTuple):
    """How a part of the ground is reached."""

    link: Link
    gateway: str | None
    first: int
    """An address there, to learn which of our own is used for it."""


class _Routes:
    """The ways that lead to a ground, and which address goes which way."""

    def __init__(self, ground: Ground, topology: Topology) -> None:
        self._ground = ground
        self._parts: list[tuple[int, tuple[str, str | None] | None]] = []
        found: dict[tuple[str, str | None], _Route] = {}
        for span in ground.spans:
            for part in topology.segments(span.first, span.last):
                key = (part.link.name, part.gateway) if part.link is not None else None
                self._parts.append((part.first, key))
                if part.link is not None and key is not None and part.reach in {Reach.ROUTED, Reach.LINK}:
                    found.setdefault(key, _Route(part.link, part.gateway, part.first))
        self.all = tuple(found.values())

    def numbers(self, route: _Route) -> Iterator[int]:
        """The addresses of the ground, in its order, that go one way."""
        if len(self._parts) == 1:
            return self._ground.numbers()
        key = (route.link.name, route.gateway)
        parts = self._parts
        return (
            number for number in self._ground.numbers()
            if parts[bisect_right(parts, number, key=lambda part: part[0]) - 1][1] == key
        )  # fmt: skip


async def _way(route: _Route, ledger: Ledger) -> Way:
    """Our address on a route, and the router's hardware address where the link has some; else the kernel sends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect((str(IPv4Address(route.first)), 9))  # sends nothing: the kernel chooses the address
        own = str(sock.getsockname()[0])
    if not route.link.ethernet or route.gateway is None:
        return Way(route.link, own)
    return Way(route.link, own, gateway=await _gateway(route.link, route.gateway, ledger))


async def _gateway(link: Link, address: str, ledger: Ledger) -> bytes | None:
    """The router's hardware address, from the kernel or by asking; None where it does not say."""
    for known in netlink.neighbours(link.index):
        if known.address == address and known.mac and not known.state & (netlink.FAILED | netlink.INCOMPLETE):
            return bytes.fromhex(known.mac.replace(":", ""))
    with ArpSocket(link) as sock:
        for _ in range(3):
            sock.ask([int(IPv4Address(address))])
            ledger.write("arp", address, FRAME_BYTES, "who-has")
            await asyncio.sleep(_GATEWAY_SECONDS)
            for reply in sock.replies():
                if reply.address == address:
                    return bytes.fromhex(reply.mac.replace(":", ""))
    return None


WAY = Syn
