"""The stages of one scan, and all it knows: however far they got, `telling` makes a report of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Iterator, Sequence
from functools import partial
from ipaddress import IPv4Address
from typing import Protocol

from scanner import ports, state
from scanner.config import Plan
from scanner.discover import arp, connect, multicast, neighbours
from scanner.discover.book import Book, Entry
from scanner.engine import ways
from scanner.engine.asking import Asker
from scanner.knowledge import Knowledge
from scanner.model import Method
from scanner.net import interfaces
from scanner.net import neighbour_table as table
from scanner.net.datagrams import Datagrams, Heard
from scanner.net.interfaces import Link, Reach
from scanner.net.ledger import Ledger, now
from scanner.net.pace import Pace
from scanner.net.raw import LinkGone
from scanner.net.streams import Streams
from scanner.protocols import protocols
from scanner.protocols.base import Question

WATCH = 0.3
"""Seconds between two looks at the interfaces in use."""
FIRST_ANSWERS = 1.0
"""Seconds after a question to everybody, before those who answered are asked more; late answers count too."""
ANSWERS = 1.0
"""Seconds that answers to questions to single hosts may take."""
NEW_NEIGHBOURS = 150.0
"""New hosts a second on a link whose neighbour table is full and cannot be written."""
LIFE_SECONDS = 1.5
"""Within which a routed host must answer a connection attempt: one repetition of the kernel's included."""

SEVERAL = 8
"""Addresses that one device may have."""

NO_RAW = (
    "raw sockets are not permitted: the kernel's neighbour table was used instead. Root would have added a paced ARP "
    "sweep with a second pass, and full speed where more than 512 hosts live on a link"
)


class Progress(Protocol):
    """Who wants to know how far a scan is."""

    def update(self, stage: str, done: int, total: int | None, found: int) -> None:
        """A stage: how much of it is done, of how much (None: not known), and how many devices were found so far."""


class _Lanes:
    """One question at a time to one device, also where it has several addresses.

    A MAC that stands for many addresses is a router or proxy ARP: behind it are several devices.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        count = Counter(entry.mac for entry in entries if entry.mac is not None)
        self._locks = {mac: asyncio.Lock() for mac, number in count.items() if 1 < number <= SEVERAL}

    def of(self, entry: Entry) -> contextlib.AbstractAsyncContextManager[object]:
        return self._locks.get(entry.mac or "") or contextlib.nullcontext()


class Stages:
    """One scan. Raises `UsageProblem`, before anything is sent, for a plan that cannot be carried out."""

    def __init__(self, plan: Plan, knowledge: Knowledge, progress: Progress | None) -> None:
        self.plan = plan
        self.knowledge = knowledge
        self.started = now()
        self.topology = ways.topology()
        self.targets = ways.resolve(plan, self.topology)
        self.segments = ways.segments(plan, self.targets, self.topology)
        self.links = ways.links(self.segments)
        self.ledger = Ledger(plan.audit_log)
        self.book = Book(self.targets.excludes)
        self.methods: dict[str, Method] = {}
        self.failures: list[str] = []
        self.warnings: list[str] = []
        self.asked_links: tuple[Question, ...] = ()
        self.asked_alone: dict[str, list[Question]] = {}
        self._progress = progress
        self._protocols = tuple(protocols().values())
        self._speakers = multicast.speakers(self._protocols)
        self._gone: set[str] = set()
        self._crowded = False
        self._answers_until = 0.0

    async def work(self) -> None:
        """All stages, one after the other."""
        writer = table.Writer(state.folder())
        watch = asyncio.create_task(self._watch(), name="scan-watch")
        try:
            self._recover()
            datagrams = Datagrams(
                self.links if self.plan.multicast else (), self._speakers, self.ledger,
                Pace(self.plan.manners.datagrams), self._heard, real_port=self.plan.real_port,
            )  # fmt: skip
            async with datagrams:
                await self._discover(datagrams)
                await self._ask(datagrams, writer)
                await self._late_answers()
                await self._ask(datagrams, writer)
            for problem in datagrams.problems:
                self.warn(problem)
        finally:
            watch.cancel()
            with contextlib.suppress(OSError):
                writer.undo()

    # -- who is there ----------------------------------------------------------------------------------------

    async def _discover(self, datagrams: Datagrams) -> None:
        jobs: list[Awaitable[None]] = [self._ask_links(datagrams)]
        jobs += [self._sweep_link(link) for link in self.links]
        jobs += [self._sweep_connect(reach) for reach in (Reach.LOCAL, Reach.ROUTED)]
        await asyncio.gather(*(self._guarded(job) for job in jobs))
        lost = sum(s.last - s.first + 1 for s in self.segments if s.reach is Reach.NOWHERE and s.link is None)
        if lost:
            self.fail(f"this machine knows no way to {lost} of the addresses (no route)")

    async def _guarded(self, job: Awaitable[None]) -> None:
        try:
            await job
        except LinkGone as gone:
            self._lost(gone.link)
        except OSError as error:
            self.fail(f"the network of this machine failed: {error.strerror or error}")

    async def _sweep_link(self, link: Link) -> None:
        parts = [s for s in self.segments if s.reach is Reach.LINK and s.link is not None and s.link.name == link.name]
        total = ways.count(self.segments, Reach.LINK, link)
        tick = partial(self._tick, "looking for hosts", total)
        skip = self.topology.own
        if self.plan.raw:
            try:
                swept = await arp.sweep(
                    link, parts, Pace(self.plan.arp_rate), self.ledger, self.book.sighted, skip=skip, tick=tick
                )
            except PermissionError:
                self.method(arp.METHOD, ran=False, note=NO_RAW)
            else:
                note = f"{swept.drops} answers were lost for lack of room: scan more slowly" if swept.drops else None
                self.method(arp.METHOD, note=note)
                return
        else:
            self.method(arp.METHOD, ran=False, note="switched off: no raw sockets")
        pace = Pace(max(1.0, self.plan.arp_rate / neighbours.ARPS))
        poked = await neighbours.poke(link, parts, pace, self.ledger, self.book.sighted, skip=skip, tick=tick)
        note = None
        if poked.overflows:
            note = f"the kernel's neighbour table was full {poked.overflows} times: hosts may have been missed"
            self.warn(note)
        self.method(neighbours.METHOD, note=note)

    async def _sweep_connect(self, reach: Reach) -> None:
        total = ways.count(self.segments, reach) + (len(self.targets.v6) if reach is Reach.ROUTED else 0)
        if not total:
            return
        manners = self.plan.manners
        swept = await connect.sweep(
            self._jobs(reach), self.book.sighted, rate=50_000 if reach is Reach.LOCAL else manners.connects,
            seconds=min(self.plan.timeout, LIFE_SECONDS), in_flight=manners.in_flight, ledger=self.ledger,
            tick=partial(self._tick, "looking for hosts", total),
        )  # fmt: skip
        note = f"{swept.no_way} hosts could not be reached from here (no route)" if swept.no_way else None
        self.method(connect.METHOD, note=note)

    def _jobs(self, reach: Reach) -> Iterator[connect.Job]:
        local = reach is Reach.LOCAL
        life = tuple(p for p in ports.LIFE if p in self.plan.ports) or self.plan.ports[: len(ports.LIFE)]
        numbers = (n for s in self.segments if s.reach is reach for n in range(s.first, s.last + 1))
        for address in (str(IPv4Address(number)) for number in numbers):
            wanted = self.plan.ports if local or address in self.plan.port_map else life
            yield connect.Job(address, connect.pairs(wanted, partial(self.plan.real_port, address)), local)
        for address in () if local else self.targets.v6:
            yield connect.Job(address, connect.pairs(life, partial(self.plan.real_port, address)), local)

    async def _ask_links(self, datagrams: Datagrams) -> None:
        if not self.links:
            return
        if not self.plan.multicast:
            self.method(multicast.METHOD, ran=False, note="switched off: hosts were asked one by one")
            return
        self.asked_links = multicast.questions(self._speakers)
        seconds = await multicast.ask(datagrams, self.asked_links, patience=FIRST_ANSWERS)
        self._answers_until = asyncio.get_running_loop().time() + seconds
        note = None
        if self.targets.exclude_words:
            note = "questions to everybody on a link reach excluded hosts too; their answers were dropped"
        self.method(multicast.METHOD, note=note)

    async def _late_answers(self) -> None:
        """Questions to everybody may be answered late; the devices known by then were asked meanwhile."""
        left = self._answers_until - asyncio.get_running_loop().time()
        if left > 0:
            await asyncio.sleep(left)

    # -- what they say ---------------------------------------------------------------------------------------

    async def _ask(self, datagrams: Datagrams, writer: table.Writer) -> None:
        """Ask every device that has not been asked yet."""
        entries = [entry for entry in self.book.entries() if not entry.foreign and not entry.done]
        if entries:
            self._load_neighbours(writer)
            await self._ask_alone(datagrams, entries)
            await self._ask_all(entries)

    async def _ask_alone(self, datagrams: Datagrams, entries: Sequence[Entry]) -> None:
        """The discovery questions, to every host that has not answered them yet."""
        sent = False
        for done, entry in enumerate(entries, 1):
            self._tick("asking hosts", len(entries), done)
            if self._halted(entry) is None:
                known = {seen.channel for seen in entry.observations}
                wanted = multicast.questions(self._speakers)
                alone = [question for question in wanted if question.channel not in known]
                self.asked_alone[entry.address] = await datagrams.ask_host(entry.address, alone)
                sent = sent or bool(self.asked_alone[entry.address])
        if sent:
            await asyncio.sleep(ANSWERS)

    async def _ask_all(self, entries: Sequence[Entry]) -> None:
        streams = Streams(self.ledger, handshakes=self.plan.handshakes)
        asker = Asker(self.plan, self.knowledge, self._protocols, streams, self._halted)
        lanes = _Lanes(entries)
        waiting = iter(entries)
        total = len(entries)
        pace = Pace(NEW_NEIGHBOURS) if self._crowded else None
        done = 0

        async def worker() -> None:
            nonlocal done
            for entry in waiting:
                if pace is not None and entry.link is not None:
                    await pace.take()
                if self.book.at(entry.address) is entry:  # an address that two claim is asked once
                    async with lanes.of(entry):
                        await asker.ask(entry)
                entry.done = True
                done += 1
                self._tick("asking devices", total, done)

        before = table.overflows()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.plan.manners.devices, total)):
                    group.create_task(worker())
        finally:
            for problem in asker.problems:
                self.warn(problem)
            full = table.overflows() - before
            if full:
                self.warn(f"the kernel's neighbour table was full {full} times: connections may have failed silently")

    def _heard(self, heard: Heard) -> None:
        address = heard.address
        if address in self.targets:
            self.book.heard(address, heard.observation, method=multicast.METHOD, link=heard.link)
            return
        link = self.topology.link(heard.link) if heard.link else None
        if link is None or address in self.topology.own:
            return
        if any(IPv4Address(address) in own.network for own in link.addresses):
            return  # a neighbour nobody asked about
        entry = self.book.heard(address, heard.observation, method=multicast.METHOD, link=heard.link)
        if entry is not None:
            entry.foreign = True

    # -- the neighbour table ---------------------------------------------------------------------------------

    def _recover(self) -> None:
        undone = table.recover(state.folder()) if self.plan.neighbour_writes else 0
        if undone:
            self.warn(f"{undone} neighbour entries that an earlier scan had left behind were removed")

    def _load_neighbours(self, writer: table.Writer) -> None:
        hosts = [e for e in self.book.entries() if e.link is not None and e.mac is not None and not e.foreign]
        self._crowded = len(hosts) > table.CROWD
        if not self._crowded or not self.plan.neighbour_writes:
            return
        keep = self.topology.gateways | self.topology.own
        try:
            for link in self.links:
                known = [table.Known(e.address, e.mac) for e in hosts if e.link == link.name and e.mac is not None]
                count = writer.load(link, known, keep=keep)
                self.ledger.write("neighbour", link.name, 0, f"{count} entries in this machine's own table")
            self._crowded = False
        except OSError as error:
            self.warn(
                f"the kernel's neighbour table could not be prepared for {len(hosts)} hosts "
                f"({error.strerror or error}): they were asked more slowly; root would have asked them at full speed"
            )

    # -- keeping watch ---------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        names = {s.link.name for s in self.segments if s.link is not None and s.reach in {Reach.LINK, Reach.ROUTED}}
        while names - self._gone:
            await asyncio.sleep(WATCH)
            for name in sorted(names - self._gone):
                if not interfaces.is_up(name):
                    self._lost(name)

    def _lost(self, name: str) -> None:
        if name not in self._gone:
            self._gone.add(name)
            self.fail(f"interface {name} went away or down during the scan; what it had not told by then is missing")

    def _halted(self, entry: Entry) -> str | None:
        if entry.link is not None and entry.link in self._gone:
            return "its interface went away"
        return "excluded" if self.targets.excludes(entry.address, entry.mac) else None

    # -- how it went -----------------------------------------------------------------------------------------

    def _tick(self, stage: str, total: int | None, done: int) -> None:
        if self._progress is not None:
            self._progress.update(stage, done, total, len(self.book))

    def method(self, name: str, *, ran: bool = True, note: str | None = None) -> None:
        """Enter how a way of finding hosts went; several links share an entry."""
        known = self.methods.get(name)
        if known is not None:
            ran, note = ran or known.ran, note or known.note
        self.methods[name] = Method(name=name, ran=ran, note=note)

    def warn(self, text: str) -> None:
        """Enter a warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def fail(self, text: str) -> None:
        """Enter a reason why the scan is not complete, once."""
        if text not in self.failures:
            self.failures.append(text)
