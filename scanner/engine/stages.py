"""The stages of one scan, and all it knows: however far they got, `telling` makes a report of it.

Big grounds are searched portion by portion; while one is searched, the hosts of the one before are asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from ipaddress import IPv4Address, IPv6Address
from itertools import zip_longest
from typing import Protocol
from weakref import WeakValueDictionary

import scanner
from scanner import discover, state
from scanner.config import Plan
from scanner.discover import ipv6, multicast
from scanner.discover.base import Ground, Scene, Unable, Way
from scanner.discover.book import SEVERAL, Book, Entry, Sighting
from scanner.discover.kin import CROWD, Kin
from scanner.engine import ways
from scanner.engine.asking import Asker, Minds
from scanner.engine.checkpoint import FORMAT, Beginning, Past, Portion, Record, Silent, plan_fields, terrain
from scanner.engine.harvest import Harvest, Tell
from scanner.errors import Code, Notice, notice
from scanner.knowledge import Knowledge
from scanner.model import Method
from scanner.net import interfaces, netlink
from scanner.net import neighbour_table as table
from scanner.net.datagrams import Heard
from scanner.net.interfaces import Reach
from scanner.net.ledger import Ledger, now
from scanner.net.pace import Pace
from scanner.net.raw import LinkGone
from scanner.net.streams import Streams
from scanner.protocols import protocols
from scanner.targets import Span, merge

WATCH = 0.3
"""Seconds between two looks at the interfaces in use."""
NEW_NEIGHBOURS = 150.0
"""New hosts a second on a link whose neighbour table is full and cannot be written."""

PREPARE_AFTER = 0.1
"""Seconds after which the rules are read: the first questions go out before."""
LEAVING = 1024
"""Devices that may wait together for answers to the last datagrams: nobody else's turn waits for that."""
AGAIN_SECONDS = 2.0
"""Between the last question to a host that answered none and the second look at it."""


PROXY_LEAST = 16
"""Addresses that one MAC must claim to be taken for a router that answers for everybody."""
INSPECTION_RATE = 15
"""ARP requests a second beyond which Dynamic ARP Inspection shuts a switch port, unless set otherwise (Cisco)."""
INSPECTED = (
    ". If the switch shut the port, its ARP inspection may be why: by default it allows 15 requests a second. Have the "
    "port enabled again, then scan with --gentle"
)


class Progress(Protocol):
    """Who wants to know how far a scan is."""

    def update(self, stage: str, done: int, total: int | None, found: int) -> None:
        """A stage: how much of it is done, of how much (None: not known), and how many devices were found so far."""


class _Lanes:
    """One question at a time to one device, also where it has several addresses.

    A MAC that stands for many addresses is a router or proxy ARP: behind it are several devices.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, entry: Entry) -> contextlib.AbstractAsyncContextManager[object]:
        """The lane of a device: nobody else asks it meanwhile. One that has a single address may turn out to have more
        while it is asked.
        """
        if entry.mac is None or len(self._book.places(entry.mac)) > SEVERAL:
            return contextlib.nullcontext()
        return self._locks.setdefault(entry.mac, asyncio.Lock())


class Stages:
    """One scan. Raises `UsageProblem`, before anything is sent, for a plan that cannot be carried out."""

    def __init__(
        self, plan: Plan, knowledge: Knowledge, progress: Progress | None, *, tell: Tell | None = None,
        keep: bool = True, record: Record | None = None, past: Past | None = None,
    ) -> None:  # fmt: skip
        self.plan = plan
        self.knowledge = knowledge
        self.id = past.first.id if past is not None else str(uuid.uuid4())
        self.started = past.first.started if past is not None else now()
        self.topology = ways.topology()
        self.targets = ways.resolve(plan, self.topology)
        self.segments = ways.segments(plan, self.targets, self.topology)
        self.seed = past.first.seed if past is not None else random.getrandbits(48)
        self.sixes = ways.sixth(plan, self.targets, self.topology)
        self.grounds = ways.grounds(self.segments, self.sixes, self.topology, self.seed)
        self.ledger = Ledger(plan.audit_log)
        self.book = Book(self.targets.excludes, excluding=bool(self.targets.exclude_words))
        own = self.topology.own6.union(link.mac for link in self.topology.links if link.mac is not None)
        self.kin = Kin(self.book, self.targets.__contains__, blind=self.targets.blinding, own=own)
        self.minds = Minds(knowledge)
        self.methods: dict[str, Method] = {}
        self.failures: list[Notice] = []
        self.warnings: list[Notice] = []
        self._progress = progress
        self._protocols = tuple(protocols().values())
        self._gone: set[str] = set()
        self._crowded = False
        self._masks: set[str] = set()
        """MACs of routers that answer ARP for everybody."""
        self._answers_until = 0.0
        self._ways: list[Way] = [made() for made in discover.ways()]
        self.scene = Scene(
            plan=plan, topology=self.topology, ledger=self.ledger, protocols=self._protocols, book=self.book,
            kin=self.kin, links=ways.links((*self.segments, *self.sixes.values())), heard=self._heard,
            tick=self._searching, warn=self.warn, fail=self.fail, halted=self._halted, expect=self._expect,
            unable=self._unable, hints=self._hints, enough=self._enough, stack=AsyncExitStack(),
        )  # fmt: skip
        self.harvest = Harvest(
            plan, knowledge, self.book, self.ledger, self.scene.asked, tell=tell, keep=keep, minds=self.minds
        )  # fmt: skip
        self.harvest.own, self.harvest.masks = self.topology.gateways, self._masks
        self._lanes = _Lanes(self.book)
        self._places = asyncio.Semaphore(plan.manners.devices)
        self._leaving = asyncio.Semaphore(LEAVING)
        self._streams = Streams(self.ledger, handshakes=plan.handshakes)
        self._rounds = self._fulls = 0
        """Lists of devices being asked, and how often the neighbour table had been full when the first began."""
        self._past = past
        self._record = record
        self._waiting_in_record: set[tuple[str | None, str]] = set()
        self._tight = sum(
            any(one.most is not None for one in ways.expected(self._ways, g, plan)) for g in self.grounds
        )  # fmt: skip
        """Grounds that share a neighbour table which nobody may write: searched and asked in turns."""
        sizes = [max(1, ways.portion(self._ways, g, plan) // max(1, self._tight)) for g in self.grounds]
        if past is not None:
            past.check([terrain(ground, 0) for ground in self.grounds])
            sizes = [old.size for old in past.first.grounds]
        self._sizes = sizes
        if record is not None:
            self._open_record(record, past)

    async def work(self) -> None:
        """All stages, portion by portion."""
        writer = table.Writer(state.folder())
        watch = asyncio.create_task(self._watch(), name="scan-watch")
        telling = asyncio.create_task(self.harvest.run(lambda: self._answers_until), name="scan-tell")
        self._ready = asyncio.create_task(self._prepare(), name="scan-prepare")
        try:
            self._recover()
            await self._go_on()
            async with self.scene.stack:
                await self._begin()
                await self._portions(writer)
                await self._late_answers()
                await self._ask(self._waiting(), writer)
                await self._second_look()
            self.harvest.over()
            await telling
        finally:
            for task in (watch, telling, self._ready):
                task.cancel()
            await asyncio.wait({watch, telling, self._ready})
            with contextlib.suppress(OSError):
                writer.undo()

    async def _prepare(self) -> None:
        await asyncio.sleep(PREPARE_AFTER)
        await asyncio.to_thread(self.harvest.prepare)

    def close(self, *, complete: bool) -> None:
        """Tell every device that is left, and close the scan's record."""
        left = self.book.entries()
        self.harvest.finish([e for e in left if complete or e.foreign or (e.done and e.answered)])
        self.harvest.finish(self.book.entries(), journal=False)
        if self._record is not None:
            self._record.end(complete=complete and not self._gone)
            if self._record.problem:
                self.warn(Code.CHECKPOINT, self._record.problem)

    # -- the scan's own record -------------------------------------------------------------------------------

    def _open_record(self, record: Record, past: Past | None) -> None:
        if past is None:
            record.begin(Beginning(
                format=FORMAT, id=self.id, started=self.started, version=scanner.__version__,
                rules=self.knowledge.version.rules_sha256, seed=self.seed, plan=plan_fields(self.plan),
                grounds=tuple(terrain(g, size) for g, size in zip(self.grounds, self._sizes, strict=True)),
            ))  # fmt: skip
        else:
            record.go_on(past.path)
        self.harvest.write = record.write

    async def _go_on(self) -> None:
        """Enter what an interrupted scan had found."""
        past = self._past
        if past is None:
            return
        self.warn(Code.RESUMED, f"this scan continues one that began at {past.first.started} and was interrupted; "
                  f"{past.finished} devices had been asked by then")  # fmt: skip
        version = await asyncio.to_thread(lambda: self.knowledge.version)
        if past.first.rules != version.rules_sha256:
            words = "the rules have changed since the scan began: all devices are judged by the present ones"
            self.warn(Code.RESUMED, words)
        await asyncio.shield(self._ready)
        await self.harvest.again(past.devices())
        for host in past.silent:
            entry = self.book.sighted(Sighting(host.address, host.mac, host.methods[0], host.link, host.packets))
            if entry is not None:
                entry.methods.update(host.methods)
                entry.begun = entry.done = True
        for portion in past.portions.values():
            for method in portion.methods:
                self.method(method.name, ran=method.ran, note=method.note)
            for said in portion.warnings:
                _once(self.warnings, said)

    def _portion_done(self, number: int) -> None:
        record = self._record
        if record is None or self._gone:
            return
        silent = [
            Silent(address=e.address, mac=e.mac, link=e.link, methods=tuple(sorted(e.methods)), packets=e.packets)
            for e in self.book.entries() if e.done and not e.foreign and e.methods
        ]  # fmt: skip
        new = [host for host in silent if (host.mac, host.address) not in self._waiting_in_record]
        self._waiting_in_record.update((host.mac, host.address) for host in new)
        portion = Portion(number=number, methods=tuple(self.methods.values()), warnings=tuple(self.warnings))
        self.harvest.mark(lambda: record.write([*new, portion]))

    def unreached(self) -> list[str]:
        """Addresses and ranges that could not be asked."""
        lost = [Span(s.first, s.last) for s in self.segments if s.reach is Reach.NOWHERE and s.link is None]
        lost += [Span(number, number) for number in self.scene.unreached]
        return [*(_range(span.first, span.last) for span in merge(lost)), *self._nowhere()]

    def _nowhere(self) -> list[str]:
        """Targets of IPv6 to which there is no way."""
        return [address for address, part in self.sixes.items() if part.reach is Reach.NOWHERE]

    async def _portions(self, writer: table.Writer) -> None:
        asking: asyncio.Task[None] | None = None
        done = self._past.portions if self._past is not None else {}
        portions = [ground.portions(size) for ground, size in zip(self.grounds, self._sizes, strict=True)]
        try:
            for number, row in enumerate(zip_longest(*portions)):
                if number in done:
                    continue
                grounds = [ground for ground in row if ground is not None]
                searched = await self._discover(grounds)
                self._unmask(grounds)
                await self._settle(enter=not any(g.reach is Reach.LINK and g.whole for g in grounds))
                if asking is not None:
                    await asking
                asking = asyncio.create_task(self._ask(self._waiting(), writer), name="scan-ask")
                if self._tight:
                    await asking
                await self._discover_again(searched)
                self._unmask(grounds)
                await self._settle()
                asking = asyncio.create_task(
                    self._ask_rest(asking, number, self._waiting(), writer), name="scan-ask-rest"
                )
            if asking is not None:
                await asking
        finally:
            if asking is not None and not asking.done():
                asking.cancel()
                await asyncio.wait({asking})

    # -- who is there ----------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        lost = sum(s.last - s.first + 1 for s in self.segments if s.reach is Reach.NOWHERE and s.link is None)
        lost += len(self._nowhere())
        if lost:
            self.fail(Code.ROUTE, f"this machine knows no way to {lost} of the addresses (no route)")
        able = []
        for way in self._ways:
            try:
                await way.begin(self.scene)
            except Unable as reason:
                self.method(way.name, ran=False, note=str(reason))
            else:
                able.append(way)
        self._ways = able

    async def _discover(self, grounds: Sequence[Ground]) -> list[tuple[Way, Ground]]:
        """Search; returns which ways could, and where."""
        searched: list[tuple[Way, Ground]] = []
        await asyncio.gather(*(
            self._guarded(self._search(way, ground, searched))
            for ground in grounds for way in ways.heads(self._ways, ground, self.plan)
        ))  # fmt: skip
        return searched

    async def _discover_again(self, searched: Sequence[tuple[Way, Ground]]) -> None:
        async def look(way: Way, ground: Ground) -> None:
            self.method(way.name, note=await way.again(ground, self.scene))

        await asyncio.gather(*(self._guarded(look(way, ground)) for way, ground in searched))

    def _unmask(self, grounds: Sequence[Ground]) -> None:
        """Where one MAC answers for most of a link's addresses, it is a router's (proxy ARP), and no sign of life."""
        for ground in grounds:
            if ground.reach is not Reach.LINK or ground.link is None:
                continue
            name = ground.link.name
            claims = Counter(e.mac for e in self.book.entries() if e.link == name and e.mac is not None and not e.begun)
            for mac, number in claims.items():
                if mac in self._masks:
                    self.book.disown(mac, self.topology.gateways)
                elif mac is not None and number >= PROXY_LEAST and number > ground.count / 2:
                    self._masks.add(mac)
                    masked = self.book.disown(mac, self.topology.gateways)
                    self.warn(
                        Code.PROXY,
                        f"{mac} answers ARP for {len(masked)} of the {ground.count} addresses asked on {name}: a "
                        "router stands in for everybody there (proxy ARP). Only addresses that answered a question of "
                        "their own are counted as devices",
                    )

    async def _guarded(self, job: Awaitable[None]) -> None:
        try:
            await job
        except LinkGone as gone:
            self._lost(gone.link)
        except OSError as error:
            self.fail(Code.NETWORK, f"the network of this machine failed: {error.strerror or error}")

    async def _search(self, way: Way, ground: Ground, searched: list[tuple[Way, Ground]]) -> None:
        try:
            note = await way.search(ground, self.scene)
        except Unable as reason:
            self.method(way.name, ran=False, note=str(reason))
            for other in ways.deputies(self._ways, way, ground, self.plan):
                await self._search(other, ground, searched)
        else:
            self.method(way.name, note=note)
            searched.append((way, ground))

    async def _late_answers(self) -> None:
        """Questions to everybody may be answered late; the devices known by then were asked meanwhile."""
        left = self._answers_until - asyncio.get_running_loop().time()
        if left > 0:
            await asyncio.sleep(left)
        await self._settle()

    async def _settle(self, *, enter: bool = True) -> None:
        """Whose addresses of IPv6 those are that were seen or heard by now; whether those of nobody are entered."""
        for name, addresses in self.kin.nameless(self._neighbours6).items():
            link = self.topology.link(name)
            if link is not None:
                await self._guarded(ipv6.poke(link, self.scene, addresses[: ipv6.BATCH]))
        self.kin.settle(self._neighbours6, enter=enter)
        for name, mac in sorted(self.kin.crowds, key=str):
            self.warn(
                Code.UNASKED,
                f"{mac} stands for more than {CROWD} IPv6 addresses on {name}: a router, a repeater or a forgery; "
                "those that no target names were not asked",
            )

    def _neighbours6(self, name: str) -> list[tuple[str, str]]:
        link = self.topology.link(name)
        if link is None:
            return []
        with contextlib.suppress(OSError):
            known = netlink.neighbours6(link.index)
            return [(link.zoned(IPv6Address(one.address)), one.mac) for one in known if one.mac is not None]
        return []

    def _expect(self, seconds: float) -> None:
        self._answers_until = max(self._answers_until, asyncio.get_running_loop().time() + seconds)

    def _searching(self, done: int, total: int) -> None:
        self._tick("looking for hosts", total, done)

    # -- what they say ---------------------------------------------------------------------------------------

    def _waiting(self) -> list[Entry]:
        """Every device that nobody has begun to ask."""
        entries = [e for e in self.book.entries() if not e.foreign and not e.done and not e.begun]
        for entry in entries:
            entry.begun = True
        return entries

    async def _ask_rest(
        self, first: asyncio.Task[None], number: int, entries: list[Entry], writer: table.Writer
    ) -> None:
        """Those of a portion who were found when the first of it were being asked, beside these; then the portion is
        done.
        """
        try:
            await self._ask(entries, writer)
            await first
        except BaseException:
            first.cancel()
            await asyncio.wait({first})
            raise
        self._portion_done(number)

    async def _ask(self, entries: list[Entry], writer: table.Writer) -> None:
        """Everything that these devices are asked; empties the list, so that nothing holds those that are told."""
        await asyncio.shield(self._ready)
        if entries:
            self._load_neighbours(writer)
            await self._survey(entries)
            await self._ask_all(entries)

    async def _survey(self, entries: Sequence[Entry]) -> None:
        """All ways look more closely, together: one waits for answers while another one sends."""
        async with asyncio.TaskGroup() as group:
            for way in self._ways:
                group.create_task(way.survey(entries, self.scene), name=f"scan-survey-{way.name}")

    def _hints(self, entry: Entry) -> frozenset[str]:
        try:
            return self.minds.of(entry).hints()
        except Exception:  # noqa: BLE001 - a defect of ours: told when the device is asked, and it must not end the scan
            return frozenset()

    def _enough(self, entry: Entry) -> bool:
        try:
            return self.minds.of(entry).enough()
        except Exception:  # noqa: BLE001 - as above
            return False

    async def _second_look(self) -> None:
        """Hosts that are there and answered no question are asked the most telling ones once more, later."""
        again = [e for e in self.book.entries() if e.done and not (e.foreign or e.answered or e.closed)]
        if again:
            await asyncio.sleep(AGAIN_SECONDS)
            await self._survey(again)
            await self._ask_all(again, again=True)

    async def _ask_all(self, entries: list[Entry], *, again: bool = False) -> None:
        asker = Asker(self.plan, self.knowledge, self._protocols, self._streams, self._halted, self.minds)
        total = len(entries)
        pace = Pace(NEW_NEIGHBOURS) if self._crowded else None
        done = 0
        entries.reverse()
        if not self._rounds:
            self._fulls = table.overflows()
        self._rounds += 1

        async def worker() -> None:
            while entries:
                entry = entries.pop()
                if pace is not None and entry.link is not None:
                    await pace.take()
                certain = True
                if self.book.sole(entry):  # an address that two claim is asked once
                    async with self._lanes.of(entry), self._places:
                        certain = await asker.ask(entry, again=again)
                if again or certain:
                    await leave(entry)
                else:
                    await self._leaving.acquire()
                    group.create_task(finish(entry))

        async def finish(entry: Entry) -> None:
            try:
                async with self._lanes.of(entry):
                    for way in self._ways:
                        await way.finish([entry], self.scene)
                await leave(entry)
            finally:
                self._leaving.release()

        async def leave(entry: Entry) -> None:
            nonlocal done
            entry.done = True
            done += 1
            self._tick("asking again who was silent" if again else "asking devices", total, done)
            if entry.answered and not 1 < len(self.book.places(entry.mac)) <= SEVERAL:
                await self.harvest.take(entry)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.plan.manners.devices, total)):
                    group.create_task(worker())
        finally:
            self._rounds -= 1
            for problem in asker.problems:
                self.warn(Code.INTERNAL, problem)
            full, self._fulls = table.overflows() - self._fulls, table.overflows()
            if full:
                words = f"the kernel's neighbour table was full {full} times: connections may have failed silently"
                self.warn(Code.NEIGHBOURS, words)

    def _heard(self, heard: Heard) -> None:
        address = heard.address
        six = self.sixes.get(address)
        if ":" in address and heard.link is not None and (six is None or six.reach is Reach.LINK):
            self.kin.heard(heard.link, address, heard.observation, multicast.METHOD)
            return
        if address in self.targets:
            where = None if six is not None else heard.link  # a target behind a router is on none
            self.book.heard(address, heard.observation, method=multicast.METHOD, link=where, mac=heard.mac)
            return
        link = self.topology.link(heard.link) if heard.link else None
        if link is None or address in self.topology.own or ":" in address:
            return
        if any(IPv4Address(address) in own.network for own in link.addresses):
            return  # a neighbour nobody asked about
        entry = self.book.heard(
            address, heard.observation, method=multicast.METHOD, link=heard.link, mac=heard.mac
        )
        if entry is not None:
            entry.foreign = True

    # -- the neighbour table ---------------------------------------------------------------------------------

    def _recover(self) -> None:
        undone = table.recover(state.folder()) if self.plan.neighbour_writes else 0
        if undone:
            self.warn(Code.NEIGHBOURS, f"{undone} neighbour entries that an earlier scan had left behind were removed")

    def _load_neighbours(self, writer: table.Writer) -> None:
        hosts = [e for e in self.book.entries() if e.link is not None and (e.mac or e.through) and not e.foreign]
        wide = sum(":" in e.address for e in hosts)  # a table each
        most = max(wide, len(hosts) - wide)
        self._crowded = most > table.CROWD and not self._tight
        if most <= table.crowd() or self._tight or not self.plan.neighbour_writes:
            return
        keep = self.topology.untouchable
        try:
            for link in self.scene.links:
                known = [
                    table.Known(e.address.partition("%")[0], e.mac or e.through or "")
                    for e in hosts if e.link == link.name
                ]  # fmt: skip
                count = writer.load(link, known, keep=keep)
                self.ledger.write("neighbour", link.name, 0, f"{count} entries in this machine's own table")
            self._crowded = False
        except OSError as error:
            if not self._crowded:
                return  # it would have been a help
            self.warn(
                Code.NEIGHBOURS,
                f"the kernel's neighbour table could not be prepared for {len(hosts)} hosts "
                f"({error.strerror or error}): they were asked more slowly; root would have asked them at full speed",
            )

    # -- keeping watch ---------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        used = (*self.segments, *self.sixes.values())
        names = {s.link.name for s in used if s.link is not None and s.reach in {Reach.LINK, Reach.ROUTED}}
        while names - self._gone:
            await asyncio.sleep(WATCH)
            for name in sorted(names - self._gone):
                if not interfaces.is_up(name):
                    self._lost(name)

    def _lost(self, name: str) -> None:
        if name not in self._gone:
            self._gone.add(name)
            self.fail(
                Code.LINK,
                f"interface {name} went away or down during the scan; what it had not told by then is missing"
                + (INSPECTED if self._swept(name) else ""),
            )

    def _swept(self, name: str) -> bool:
        """Whether ARP requests went out on a link at a pace that ARP inspection takes for an attack."""
        link = any(ground.link is not None and ground.link.name == name for ground in self.grounds)
        return link and self.plan.arp_rate > INSPECTION_RATE

    def _halted(self, entry: Entry) -> str | None:
        if entry.link is not None and entry.link in self._gone:
            return "its interface went away"
        excluded = any(self.targets.excludes(address, entry.mac) for address in (entry.address, *entry.also))
        return "excluded" if excluded else None

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

    def _unable(self, name: str, why: str) -> None:
        self.method(name, ran=False, note=why)

    def warn(self, code: Code, text: str) -> None:
        """Enter a warning, once."""
        _once(self.warnings, notice(code, text))

    def fail(self, code: Code, text: str) -> None:
        """Enter a reason why the scan is not complete, once."""
        _once(self.failures, notice(code, text))


def _once(notices: list[Notice], said: Notice) -> None:
    if said not in notices:
        notices.append(said)


def _range(first: int, last: int) -> str:
    return str(IPv4Address(first)) + (f"-{IPv4Address(last)}" if last > first else "")
