"""The loop of `lanveto watch`: one scan at a time, on a schedule; what it changed is delivered before the next one.

Whatever a scan does (fails, crashes, hangs, cannot store its result) ends as a line in the log, once, and as a
`scan-failed` in the history where the history can be written. The only other end is `stop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from scanner.errors import Code, LanvetoError, StoreProblem, brief, notice
from scanner.model import Coverage, Report, RulesVersion, Scan
from scanner.publish import Configured, documents
from scanner.publish.deliver import Delivery, aside
from scanner.store import Store, outbox, reading, writing
from scanner.store.reading import Entry
from scanner.values import stamp
from scanner.watch.log import Log
from scanner.watch.notify import Notifier
from scanner.watch.schedule import Schedule

LONGEST = 86_400.0
"""Seconds after which a scan counts as hung and is ended."""
LEAVE = 0.4
"""Seconds a scan has to end in when the service is stopped, and after it the sinks."""
AGAIN = 30.0
"""Seconds until a sink that failed by a defect of ours is tried again."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call for a scan ended. Whether there is a result, the history tells."""

    reason: str | None = None
    """Why there is none, for the case that there is none."""
    remarks: tuple[str, ...] = ()
    """What it complained of; each is said once, until a scan comes without it."""


ScanCall = Callable[[], Awaitable[Ended]]
"""Scans once, and keeps the result in the history. Cancelled, it ends what it started."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a configuration says of the service."""

    schedule: Schedule
    scan: ScanCall
    site: str = "default"
    targets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    sinks: Sequence[Configured] = field(default_factory=tuple)


class Service:
    """Runs until it is stopped. `load` reads the configuration anew; it raises `LanvetoError` where that is wrong."""

    def __init__(
        self, store: Store, setup: Setup, log: Log, *, load: Callable[[], Setup] | None = None,
        notifier: Notifier | None = None, longest: float = LONGEST, cycles: int | None = None,
    ) -> None:  # fmt: skip
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()
        self.cycles = 0
        """Scans that were called for."""
        self._store = store
        self._setup = setup
        self._log = log
        self._load = load
        self._notifier = notifier or Notifier({})
        self._longest = longest
        self._limit = cycles
        self._chance = random.Random()  # noqa: S311 - no secret
        self._remarks: set[str] = set()
        self._known: int | None = None
        """Number of the newest scan of the site; None while nobody could read it."""
        self._deliveries: dict[str, tuple[Delivery, asyncio.Task[None], asyncio.Event]] = {}
        self._status: dict[str, Any] = {"scans": 0, "last_scan": None, "next_scan": None}

    async def run(self) -> None:
        """Scan and deliver until `stop` is set, or after so many cycles."""
        helpers = [asyncio.create_task(self._signs_of_life(), name="watch-life"),
                   asyncio.create_task(self._reloads(), name="watch-reload")]  # fmt: skip
        try:
            await self._serve_sinks()
            self._notifier.tell("READY=1", "STATUS=waiting for the first scan")
            self._log.say("watching", event="started", every=self._setup.schedule.every)
            await self._until_stopped()
        finally:
            self._notifier.tell("STOPPING=1")
            await self._end(helpers)
            self._log.say("stopped", event="stopped", scans=self.cycles)

    async def _until_stopped(self) -> None:
        """The loop; whoever holds it up (a locked store, for up to 20 s) does not hold up the end."""
        work = asyncio.create_task(self._loop(), name="watch-loop")
        waiter = asyncio.create_task(self.stop.wait(), name="watch-end")
        try:
            await asyncio.wait({work, waiter}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({work}, timeout=1.25 * LEAVE)
            if work.done():
                work.result()
        finally:
            waiter.cancel()
            work.cancel()

    async def _loop(self) -> None:
        age = await self._age()
        last, beat = None, time.monotonic() + self._setup.schedule.first(age)
        while not self.stop.is_set() and (self._limit is None or self.cycles < self._limit):
            due = beat if age is None and last is None else beat + self._setup.schedule.delay(self._chance)
            if not await self._wait_for(due):
                beat = beat if last is None else last + self._setup.schedule.every
                continue
            if self.stop.is_set():
                break
            await self._cycle(beat)
            last = beat
            beat, missed = self._setup.schedule.following(beat, time.monotonic())
            if not missed:
                self._log.mended("pace")

    # -- time ----------------------------------------------------------------------------------------------------

    async def _wait_for(self, due: float) -> bool:
        """Whether the moment has come (or the end); False where the schedule has changed meanwhile."""
        before = self._setup
        self._soon(due)
        while (left := due - time.monotonic()) > 0 and not self.stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), min(left, 1.0))
            if self._setup.schedule != before.schedule:
                return False
        return True

    def _soon(self, due: float) -> None:
        at = datetime.fromtimestamp(time.time() + max(0.0, due - time.monotonic()), tz=UTC)
        self._status["next_scan"] = stamp(at)
        self._notifier.tell(f"STATUS={self._sentence()}")

    def _sentence(self) -> str:
        troubles = f"; {len(self._log.standing)} trouble(s), see the log" if self._log.standing else ""
        last = self._status["last_scan"] or "none"
        return f"{self.cycles} scans, last {last}, next {self._status['next_scan']}{troubles}"

    async def _age(self) -> float | None:
        """Seconds since the last scan of the site began; None where there was none, or nobody knows."""
        entry = await self._last()
        if entry is None:
            return None
        try:
            began = datetime.fromisoformat(entry.started)
            return (datetime.now(tz=UTC) - began).total_seconds()
        except (ValueError, TypeError):
            return None

    async def _last(self) -> Entry | None:
        """The newest scan of the site; None where there is none, or it cannot be read: then it is said."""
        try:
            found = await aside(lambda: reading.entries(self._store, site=self._setup.site, limit=1))
        except StoreProblem as problem:
            self._log.broken("store", str(problem))
            return None
        self._known = found[0].number if found else 0
        return found[0] if found else None

    # -- one scan ------------------------------------------------------------------------------------------------

    async def _cycle(self, beat: float) -> None:
        began = datetime.now(tz=UTC)
        await self._last()
        before = self._known
        self._log.say("scan begins", event="scan-begun", cycle=self.cycles + 1)
        ended = await self._scan(beat)
        self.cycles += 1
        self._status["scans"] = self.cycles
        if ended is None:  # stopped
            return
        self._remark(ended.remarks)
        after = await self._last()
        # What could not be read before the scan is told apart from it by its time.
        fresh = after is not None and (after.number > before if before is not None else after.started >= stamp(began))
        if after is None or not fresh:
            reason = ended.reason or "it left no result in the history"
            self._log.broken("scan", f"the scan failed: {reason}")
            self._status["last_scan"] = "failed"
            await self._keep_failure(began, reason)
        else:
            self._log.mended("store")
            self._status["last_scan"] = after.state
            if after.state == "completed":
                self._log.mended("scan")
            else:
                self._log.broken("scan", f"the scan was not completed: {ended.reason or after.state}")
            self._log.say(
                f"scan {after.number} {after.state}: {after.devices} devices, {after.findings} findings",
                event=f"scan-{'completed' if after.state == 'completed' else 'failed'}", scan=after.uid,
                number=after.number, devices=after.devices, findings=after.findings,
            )  # fmt: skip
        for delivery, _, _ in self._deliveries.values():
            delivery.wake.set()

    async def _scan(self, beat: float) -> Ended | None:
        """Call for a scan; None where the service was stopped meanwhile."""
        work = asyncio.ensure_future(self._setup.scan())
        waiter = asyncio.create_task(self.stop.wait(), name="watch-stop")
        every = self._setup.schedule.every
        try:
            spare = max(0.0, beat + every - time.monotonic())
            await asyncio.wait({work, waiter}, timeout=min(spare, self._longest), return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not waiter.done():
                if spare < self._longest:
                    self._log.broken("pace", f"the scan takes longer than its period of {every:g} s; those in between "
                                             "are left out")  # fmt: skip
                left = max(0.0, self._longest - spare)
                await asyncio.wait({work, waiter}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait({work}, timeout=LEAVE)
                return None if self.stop.is_set() else Ended(f"it was ended after {self._longest:g} s")
            return work.result()
        except Exception as error:  # noqa: BLE001 - whatever a scan does, the service goes on
            return Ended(str(error) if isinstance(error, LanvetoError) else f"{type(error).__name__}: {error}")
        finally:
            waiter.cancel()
            work.cancel()

    def _remark(self, remarks: Sequence[str]) -> None:
        now = set(remarks)
        for gone in self._remarks - now:
            self._log.mended(f"scan: {gone}")
        for text in remarks:
            self._log.broken(f"scan: {text}", text)
        self._remarks = now

    async def _keep_failure(self, began: datetime, reason: str) -> None:
        """A scan without a result becomes one that failed, so that nobody takes the silence for peace."""
        report = failure(self._setup, began, reason)
        try:
            await aside(lambda: writing.save(self._store, report, describe=documents.describe))
            self._log.mended("store")
        except StoreProblem as problem:
            self._log.broken("store", f"{problem}; scan-failed is told here only")

    # -- sinks ---------------------------------------------------------------------------------------------------

    async def _serve_sinks(self) -> None:
        """Serve the sinks of the configuration: new ones begin, those that changed begin anew, others end."""
        for _, task, end in self._deliveries.values():
            end.set()
            await _ended([task], LEAVE)
        self._deliveries.clear()
        for sink in self._setup.sinks:
            end = asyncio.Event()
            delivery = Delivery(self._store, sink, self._log, status=lambda: dict(self._status))
            task = asyncio.create_task(self._deliver(delivery, sink, end), name=f"sink-{sink.name}")
            self._deliveries[sink.name] = (delivery, task, end)
        names = [sink.name for sink in self._setup.sinks]
        with contextlib.suppress(StoreProblem):  # a delivery says so, and tries again
            await aside(lambda: outbox.register(self._store, names))
            for known in await aside(outbox.standing, self._store):
                if known.name in names:
                    self._log.mended(f"{known.name}-left")
                else:
                    self._log.broken(
                        f"{known.name}-left", f"publish.{known.name} is not in the configuration any more; "
                        f"{known.waiting} messages wait for it, and all that come (`lanveto history --forget "
                        f"{known.name}` drops them)"
                    )  # fmt: skip

    async def _deliver(self, delivery: Delivery, sink: Configured, end: asyncio.Event) -> None:
        while not end.is_set():
            try:
                await delivery.run(end)
            except Exception as error:  # noqa: BLE001 - one sink's defect is not the others' business
                self._log.broken(f"{sink.name}-defect", f"publish.{sink.name}: {type(error).__name__}: {error}")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(end.wait(), AGAIN)

    # -- signals and life ----------------------------------------------------------------------------------------

    async def _reloads(self) -> None:
        while True:
            await self.reload.wait()
            self.reload.clear()
            if self._load is None:
                continue
            self._notifier.reloading()
            try:
                self._setup = await aside(self._load)
            except LanvetoError as problem:
                text = f"{problem}; what held before still holds"
                if "configuration" in self._log.standing:  # whoever asks again gets an answer
                    self._log.say(notice(Code.USAGE, text), event="not-reloaded")
                self._log.broken("configuration", text)
            else:
                self._log.mended("configuration")
                self._log.say("configuration read again; rules are read at each scan", event="reloaded")
                await self._serve_sinks()
            self._notifier.tell("READY=1", f"STATUS={self._sentence()}")

    async def _signs_of_life(self) -> None:
        while self._notifier.beat is not None:
            self._notifier.tell("WATCHDOG=1")
            await asyncio.sleep(self._notifier.beat)

    async def _end(self, helpers: Sequence[asyncio.Task[None]]) -> None:
        for task in helpers:
            task.cancel()
        for _, _, end in self._deliveries.values():
            end.set()
        await _ended([*helpers, *(task for _, task, _ in self._deliveries.values())], LEAVE)


async def _ended(tasks: Sequence[asyncio.Task[None]], seconds: float) -> None:
    """Wait for tasks that were told to end; what does not is cancelled."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=0.1)


def failure(setup: Setup, began: datetime, reason: str) -> Report:
    """The report of a scan that left none."""
    scan = Scan(
        id=str(uuid.uuid4()), started=stamp(began), finished=stamp(), site=setup.site,
        targets=setup.targets, profiles=setup.profiles, failures=(notice(Code.SCAN, brief(reason, 2000)),),
    )  # fmt: skip
    version = RulesVersion(rules_as_of="", rules_sha256="", registry_as_of="", registry_sha256="")
    return Report(scan=scan, devices=(), coverage=Coverage(), rules_version=version)
