"""Devices that have been asked to the end leave the scan here, one by one: assessed, counted, recorded, told.

Nothing of a device is kept afterwards but its name, unless the whole report is wanted at the end; so a scan of any size
needs no more memory than the devices that are being asked.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from itertools import islice

import msgspec

from scanner import assess
from scanner.config import Plan
from scanner.discover import assumed
from scanner.discover.book import SEVERAL, Book, Entry, united
from scanner.discover.book import name as name_of
from scanner.engine.asking import Minds, Opinion
from scanner.errors import Code
from scanner.knowledge import Knowledge
from scanner.model import Device, Identity, Observation, Recording, Via
from scanner.net.ledger import Ledger
from scanner.protocols import protocols
from scanner.protocols.base import Question
from scanner.recorded import prepare, redacted, write_recordings

ROOM = 2048
"""Devices that may wait here before those who ask wait too."""
_BATCH = 32
_GATHERING = 0.03  # seconds in which a batch fills: each costs a turn of another thread


class Finished(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="device"):
    """One device at its end: what it said, and how it went."""

    recording: Recording
    packets: int = 0
    bytes_sent: int = 0
    methods: tuple[str, ...] = ()
    apart: bool = False
    """Its MAC stands for several devices."""
    silent: bool = False
    """It answered no question."""
    foreign: bool = False
    stopped: str | None = None
    """Why it was left alone."""


Tell = Callable[[Device], None]


class Harvest:
    """Takes devices in and tells them; `keep` also gathers them for a report."""

    def __init__(
        self, plan: Plan, knowledge: Knowledge, book: Book, ledger: Ledger, asked: Sequence[Question], *,
        tell: Tell | None = None, keep: bool = True, minds: Minds | None = None,
    ) -> None:  # fmt: skip
        if plan.record is not None:
            prepare(plan.record)
        self._plan = plan
        self._knowledge = knowledge
        self._law = assess.Law(plan.profiles, plan.as_of)
        self._judged: assess.Judged = {}
        self._minds = minds or Minds(knowledge)
        self._book = book
        self._ledger = ledger
        self._asked = asked
        self._tell = tell
        self._keep = keep
        self._waiting: deque[Entry | Callable[[], None]] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._over = self._ended = False
        self._lock = threading.Lock()
        self._recorded = 0
        self.write: Callable[[Sequence[Finished]], None] = lambda _finished: None
        """Called with every device before it is told: the scan's own record."""
        self.devices: list[Device] = []
        self.tally = assess.Tally()
        self.methods: Counter[str] = Counter()
        self.quiet: list[str] = []
        self.left: list[str] = []
        self.foreign: list[str] = []
        self.strangers: dict[str, None] = {}
        """MACs that stand for several addresses, for a reason that is not known."""
        self.own: Collection[str] = ()
        """Addresses that are known to be a router's own: its MAC is told with them."""
        self.masks: Collection[str] = ()
        """MACs of routers that answer ARP for a whole link: no sign of life, and told as a warning."""
        self._with_mac: set[str] = set()
        """MACs of devices that were told."""
        self.everywhere: list[str] = []
        """Addresses where something accepts every connection and says nothing: no devices."""
        self.failures: list[tuple[Code, str]] = []

    def prepare(self) -> None:
        """Read the rules and build what they are looked up in, while hosts are looked for: it takes some 200 ms."""
        from scanner.knowledge.loader import settled  # reads YAML: not before the first packet

        assess.device(Recording(id="", mac="00:00:00:00:00:01"), self._knowledge, self._law)
        self._knowledge.registry.settle()
        for protocol in protocols().values():
            protocol.prepare()
        settled()

    # -- while the scan runs ---------------------------------------------------------------------------------

    async def take(self, entry: Entry) -> None:
        """A device is ready; returns when there is room for the next."""
        self._waiting.append(entry)
        self._news.set()
        while len(self._waiting) >= ROOM and not self._ended:
            self._room.clear()
            await self._room.wait()

    def mark(self, reached: Callable[[], None]) -> None:
        """Call `reached` once every device that is ready by now has been told; in another thread while `run` runs."""
        self._waiting.append(reached)
        self._news.set()

    def over(self) -> None:
        """No more will come: `run` ends when everything has been told."""
        self._over = True
        self._news.set()

    async def run(self, open_until: Callable[[], float]) -> None:
        """Tell what comes in; before `open_until` (the loop's time) late answers may still belong to it."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._news.wait()
                if self._waiting and (left := open_until() - loop.time()) > 0 and not self._over:
                    await asyncio.sleep(min(left, 0.5))
                    continue
                if 0 < len(self._waiting) < _BATCH and not self._over:
                    await asyncio.sleep(_GATHERING)
                batch, mark = self._next(_BATCH)
                self._room.set()
                if batch:
                    await asyncio.to_thread(self._out, self._enter(self._finished(batch)), journal=True)
                if mark is not None:
                    await asyncio.to_thread(mark)
                if batch or mark:
                    continue
                if self._over:
                    return
                self._news.clear()
        finally:
            self._ended = True
            self._room.set()

    # -- at any time -----------------------------------------------------------------------------------------

    def _next(self, most: int) -> tuple[list[Entry], Callable[[], None] | None]:
        """The devices that are next, and the mark that stands behind them."""
        batch: list[Entry] = []
        while self._waiting and len(batch) < most:
            one = self._waiting.popleft()
            if not isinstance(one, Entry):
                return batch, one
            batch.append(one)
        return batch, None

    def finish(self, entries: Iterable[Entry], *, journal: bool = True) -> None:
        """These devices are over, and those that wait."""
        while self._waiting:
            batch, mark = self._next(len(self._waiting))
            self._out(self._enter(self._finished(batch)), journal=True)
            if mark is not None:
                mark()
        left = [entry for entry in entries if self._book.holds(entry)]
        self._out(self._enter(self._finished(left)), journal=journal)
        crowds = [mac for mac in self._book.crowded(SEVERAL) if self._many(mac) and mac not in self.masks]
        once = [(self._stranger(mac), None) for mac in crowds if mac not in self._with_mac]
        self._out(self._enter(once), journal=journal)

    async def again(self, finished: Iterable[Finished]) -> None:
        """Devices that an interrupted scan had finished."""
        rest = iter(finished)
        while batch := list(islice(rest, _BATCH)):
            for one in batch:
                for address in (one.recording.ip, *one.recording.addresses):
                    if address is not None:
                        self._book.finish(address, one.recording.mac)
            await asyncio.to_thread(self._out, self._enter([(one, None) for one in batch]), journal=False)

    def _finished(self, entries: Sequence[Entry]) -> list[tuple[Finished, Opinion | None]]:
        """The devices that these entries are, each with what was thought of it so far."""
        by_address: dict[tuple[str | None, str], Entry] = {}
        for entry in entries:
            if _nobody(entry):
                if entry.everywhere:
                    self.everywhere.append(entry.address)
                self._book.forget(entry)
                self._minds.part(entry)
                continue
            entry.add(unanswered(entry, entry.asked, self._asked))
            by_address[entry.mac, entry.address] = entry
        recordings, strangers = united([entry.recording() for entry in by_address.values()])
        self.strangers.update(dict.fromkeys(strangers))
        found = []
        for recording in recordings:
            mac = recording.mac
            crowded = self._crowded(recording)
            places = [place for place in (recording.ip, *recording.addresses) if place is not None]
            parts = [by_address[key] for place in places if (key := (mac, place)) in by_address]
            mine = sum(self._ledger.packets.pop(place, 0) for place in places)
            opinions = [opinion for part in parts if (opinion := self._minds.part(part)) is not None]
            found.append((Finished(
                recording=_bare(recording) if crowded else recording,
                packets=mine + sum(part.packets for part in parts),
                bytes_sent=sum(self._ledger.bytes.pop(place, 0) for place in places),
                methods=tuple(sorted({name for part in parts for name in part.methods})),
                apart=not crowded and len(self._book.places(mac)) > len(places),
                silent=not any(part.answered for part in parts), foreign=any(part.foreign for part in parts),
                stopped=next((part.stopped for part in parts if part.stopped), None),
            ), opinions[0] if opinions and not crowded else None))  # fmt: skip
        for entry in by_address.values():
            self._book.finish(entry.address, entry.mac)
            entry.release()
        return found

    def _crowded(self, recording: Recording) -> bool:
        """Whether its MAC is a router's, or proxy ARP's: it stands for more addresses than one device has, and is not
        known to be that of this address. Then it is told once, by itself, and says nothing of who is behind it.
        """
        return self._many(recording.mac) and not recording.addresses and recording.ip not in self.own

    def _many(self, mac: str | None) -> bool:
        """Whether a MAC stands for more addresses of IPv4 than one device has; of IPv6 a host has any number."""
        return self._book.fours(mac) > SEVERAL

    @staticmethod
    def _stranger(mac: str) -> Finished:
        """A MAC that stands for many addresses, by itself: that it is there is all that is known of it."""
        seen = Observation(channel="mac", value=mac, via=Via.HEARD)
        return Finished(recording=Recording(id=mac.replace(":", ""), mac=mac, observations=(seen,)), silent=True)

    def _enter(self, finished: Sequence[tuple[Finished, Opinion | None]]) -> list[tuple[Finished, Device]]:
        told = []
        for one, opinion in finished:
            device = self._assessed(one, opinion)
            self.tally.add(device, silent=one.silent)
            self.methods.update(one.methods)
            name = assess.shown(device)
            if one.recording.mac is not None:
                self._with_mac.add(one.recording.mac)
            if one.foreign:
                self.foreign.append(name)
            if one.stopped:
                (self.left if one.silent else self.quiet).append(name)
            if self._keep:
                self.devices.append(device)
            told.append((one, device))
        return told

    def _assessed(self, one: Finished, opinion: Opinion | None) -> Device:
        """The device; one that our own defect keeps from being assessed is shown as unknown, and the defect told."""
        recording = one.recording
        try:
            identity = opinion.final(recording) if opinion is not None else None
            device = assess.device(recording, self._knowledge, self._law, self._judged, identity)
        except Exception as error:  # noqa: BLE001 - one device must not take the others' report away
            words = f"internal error while assessing {recording.ip}: {type(error).__name__}: {error}. Please report it"
            self._fail(Code.INTERNAL, words)
            device = Device(key=assess.key(recording), recording=recording, identity=Identity())
        device = msgspec.structs.replace(device, packets=one.packets, bytes_sent=one.bytes_sent)
        return assess.apart(device) if one.apart else device

    def _out(self, told: Sequence[tuple[Finished, Device]], *, journal: bool) -> None:
        """Everything that may block: files and pipes. In a thread while the scan runs, one batch at a time."""
        with self._lock:
            if journal:
                self.write([one for one, _ in told])
            if self._plan.record is not None:
                numbered = enumerate((one.recording for one, _ in told), self._recorded + 1)
                kept = [redacted(r, n) if self._plan.redact else r for n, r in numbered]
                self._recorded += len(kept)
                for problem in write_recordings(self._plan.record, kept):
                    self._fail(Code.WRITE, problem)
            if self._tell is not None:
                for _, device in told:
                    self._tell(device)

    def _fail(self, code: Code, text: str) -> None:
        if (code, text) not in self.failures:
            self.failures.append((code, text))


def _bare(recording: Recording) -> Recording:
    """The recording without the MAC that is not its own."""
    place = recording.ip or recording.id
    return msgspec.structs.replace(recording, id=name_of(place, None), mac=None)


def _nobody(entry: Entry) -> bool:
    """Whether a host was asked without having been found, and is not there: every loopback address refuses."""
    if entry.everywhere and entry.mac is None:
        return not any(not seen.silent for seen in entry.observations)
    if entry.answered:
        return False
    if entry.through is not None:
        return not entry.closed
    if entry.methods != {assumed.METHOD}:
        return False
    return not entry.closed or entry.address.startswith("127.")


def unanswered(entry: Entry, alone: Sequence[Question], together: Sequence[Question]) -> list[Observation]:
    """One silent observation for every discovery protocol that a device was asked and did not answer."""
    heard = {seen.channel for seen in entry.observations}
    found: dict[tuple[str, int], Observation] = {}
    if ":" in entry.address:
        together = [question for question in together if any(":" in group for group in question.groups)]
    for questions, via in ((alone, Via.UNICAST), (() if entry.link is None else together, Via.MULTICAST)):
        for question in questions:
            if question.channel not in heard:
                found.setdefault(
                    (question.channel, question.port),
                    _silence(question.channel, question.port, question.request, via),
                )
    return list(found.values())


@lru_cache(maxsize=256)
def _silence(channel: str, port: int, request: str, via: Via) -> Observation:
    """The same for all devices that say nothing there."""
    return Observation(channel=channel, value="", port=port, request=request, via=via, silent=True)
