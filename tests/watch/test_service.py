"""The service with a scan of the test's own: one at a time, troubles said once, ends within a second."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scanner.errors import StoreProblem, UsageProblem
from scanner.model import Report
from scanner.publish import documents
from scanner.store import Store, open_store, opening, outbox, reading, writing
from scanner.watch.log import Log
from scanner.watch.notify import Notifier
from scanner.watch.schedule import Schedule
from scanner.watch.service import Ended, Service, Setup
from tests.managers import listening

NOW = Schedule(0.02, 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "h.sqlite") as found:
        yield found


class Heard:
    """The log's lines."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        self.log = Log(self.out, "json")

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def told(self, condition: str) -> list[str]:
        return [line["state"] for line in self.lines if line.get("condition") == condition]


def _keeping(store: Store, make_report: Callable[..., Report], script: list[str] | None = None) -> Callable[[], Awaitable[Ended]]:
    """A scan that does what the script says, one word a cycle, `ok` after its end."""
    count = 0

    async def scan() -> Ended:
        nonlocal count
        count += 1
        word = (script or []).pop(0) if script else "ok"
        if word == "raise":
            raise RuntimeError("the network went away")
        if word == "nothing":
            return Ended("exit code 2", ("lanveto knows no interface eth9",))
        if word == "slow":
            await asyncio.sleep(0.07)
        report = make_report()
        report = replace(report, scan=replace(report.scan, id=f"scan-{count}-{id(report)}", targets=("192.0.2.0/24",)))
        await asyncio.to_thread(writing.save, store, report, describe=documents.describe)
        return Ended()

    return scan


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - conditions of every kind
        await asyncio.sleep(0.01)


def _run(service: Service, seconds: float = 20) -> None:
    asyncio.run(asyncio.wait_for(service.run(), seconds))


def test_failures_of_a_scan_are_said_once_and_are_scans_that_failed(store: Store, make_report: Callable[..., Report]) -> None:
    heard = Heard()
    outbox.register(store, ["probe"])
    scan = _keeping(store, make_report, ["ok", "raise", "raise", "nothing", "ok", "ok"])
    service = Service(store, Setup(NOW, scan, site="hq"), heard.log, cycles=6)
    _run(service)
    states = [entry.state for entry in reversed(reading.entries(store))]
    assert states == ["completed", "failed", "failed", "failed", "completed", "completed"]
    assert heard.told("scan") == ["broken", "mended"]
    assert heard.told("scan: lanveto knows no interface eth9") == ["broken", "mended"]
    kinds = [w.draft.kind for w in outbox.take(store, "probe", 1000) if w.draft.slot is None]
    assert kinds.count("scan-failed") == 3
    assert kinds.count("scan-completed") == 3
    assert kinds.count("device-appeared") == 1
    (summary,) = [json.loads(w.draft.body) for w in outbox.take(store, "probe", 1000) if w.draft.kind == "summary"]
    assert summary["complete"] is True
    (opened,) = [json.loads(w.draft.body) for w in outbox.take(store, "probe", 1000) if w.draft.kind == "finding-opened"]
    assert opened["action"] == "remove"


def test_one_scan_at_a_time_and_an_overrun_is_said_once(store: Store, make_report: Callable[..., Report]) -> None:
    heard = Heard()
    running = most = 0
    inner = _keeping(store, make_report, ["slow", "slow", "slow"])

    async def scan() -> Ended:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await inner()
        finally:
            running -= 1

    service = Service(store, Setup(Schedule(0.05, 0), scan, site="hq"), heard.log, cycles=3)
    _run(service)
    assert most == 1
    assert heard.told("pace") == ["broken"]


def test_a_scan_that_hangs_is_ended(store: Store) -> None:
    heard = Heard()
    cancelled = []

    async def scan() -> Ended:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise
        return Ended()

    _run(Service(store, Setup(NOW, scan), heard.log, longest=0.1, cycles=2))
    assert len(cancelled) == 2
    assert [entry.state for entry in reading.entries(store)] == ["failed", "failed"]
    assert heard.told("scan") == ["broken"]


def test_stopped_in_the_middle_of_a_scan_it_ends_within_a_second(store: Store) -> None:
    async def stubborn() -> Ended:
        for _ in range(50):
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                continue
        return Ended()

    async def main() -> float:
        service = Service(store, Setup(NOW, stubborn), Heard().log)
        task = asyncio.create_task(service.run())
        await asyncio.sleep(0.3)
        began = time.monotonic()
        service.stop.set()
        await task
        return time.monotonic() - began

    assert asyncio.run(main()) < 4  # a second, unless the machine is busy; the scan would take five
    assert not reading.entries(store)


def test_a_locked_store_is_said_once_and_survived(
    store: Store, make_report: Callable[..., Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "WAIT", 0.05)
    with open_store(tmp_path / "h.sqlite") as impatient:
        heard = Heard()
        other = sqlite3.connect(tmp_path / "h.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        service = Service(impatient, Setup(NOW, _keeping(impatient, make_report), site="hq"), heard.log)

        async def main() -> None:
            task = asyncio.create_task(service.run())
            await _until(lambda: service.cycles >= 3)
            other.execute("ROLLBACK")
            await _until(lambda: "mended" in heard.told("scan"))
            service.stop.set()
            await task

        asyncio.run(asyncio.wait_for(main(), 20))
        other.close()
        assert heard.told("store") == ["broken", "mended"]
        assert heard.told("scan") == ["broken", "mended"]
        assert reading.entries(impatient)[0].state == "completed"


def test_a_locked_store_does_not_hold_up_the_end(store: Store, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "h.sqlite", isolation_level=None)

    async def scan() -> Ended:
        other.execute("BEGIN IMMEDIATE")
        return Ended("no network")

    async def main() -> float:
        service = Service(store, Setup(Schedule(60, 0), scan), Heard().log)
        task = asyncio.create_task(service.run())
        await _until(lambda: service.cycles == 1)
        await asyncio.sleep(0.2)
        began = time.monotonic()
        service.stop.set()
        await task
        spent = time.monotonic() - began
        other.execute("ROLLBACK")
        return spent

    assert asyncio.run(main()) < 10  # the lock is waited for twice as long
    other.close()


def test_a_disk_that_is_full_is_said_once_and_survived(store: Store, make_report: Callable[..., Report], tmp_path: Path) -> None:
    heard = Heard()
    service = Service(store, Setup(NOW, _keeping(store, make_report), site="hq"), heard.log)
    engine = store._engine
    limit = {"pages": 1}
    import sqlalchemy as sa

    @sa.event.listens_for(engine, "connect")
    def bounded(raw: Any, _record: object) -> None:
        raw.execute(f"PRAGMA max_page_count = {limit['pages']}")  # SQLite: database or disk is full

    async def main() -> None:
        task = asyncio.create_task(service.run())
        await _until(lambda: "store" in heard.log.standing and service.cycles > 5)
        assert "disk is full" in heard.log.standing["store"]
        limit["pages"] = 1_000_000
        await _until(lambda: not heard.log.standing)
        service.stop.set()
        await task

    asyncio.run(asyncio.wait_for(main(), 20))
    assert heard.told("store")[-1] == "mended"
    assert heard.told("scan") == ["broken", "mended"]
    assert reading.entries(store)[0].state == "completed"


def test_systemd_hears_ready_life_reload_and_the_end(store: Store, make_report: Callable[..., Report], tmp_path: Path) -> None:
    heard = Heard()
    address = tmp_path / "notify"
    notifier = Notifier({"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "100000"})
    setup = Setup(Schedule(3600, 0), _keeping(store, make_report), site="hq")
    wrong = [True]

    def load() -> Setup:
        if wrong[0]:
            raise UsageProblem("lanveto.toml: every: is no duration")
        return setup

    service = Service(store, setup, heard.log, load=load, notifier=notifier)

    async def main() -> None:
        task = asyncio.create_task(service.run())
        await asyncio.sleep(0.5)
        service.reload.set()
        await _until(lambda: heard.told("configuration") == ["broken"])
        wrong[0] = False
        service.reload.set()
        await _until(lambda: heard.told("configuration") == ["broken", "mended"])
        await asyncio.sleep(0.1)
        service.stop.set()
        await task

    with listening(address) as said:
        asyncio.run(asyncio.wait_for(main(), 20))
    kinds = [line.partition("\n")[0] for line in said]
    assert kinds[0] in {"READY=1", "WATCHDOG=1"}
    assert kinds.count("WATCHDOG=1") >= 5
    assert kinds.count("RELOADING=1") == 2
    assert kinds.count("READY=1") == 3
    assert "STOPPING=1" in kinds
    assert any("1 scans, last completed, next 20" in line for line in said)


def test_a_new_start_goes_on_with_the_beat_of_before(store: Store, make_report: Callable[..., Report]) -> None:
    from datetime import UTC, datetime

    heard = Heard()
    report = make_report()
    now = datetime.now(tz=UTC).isoformat(timespec="seconds")
    writing.save(store, replace(report, scan=replace(report.scan, started=now)))
    service = Service(store, Setup(Schedule(3600, 0), _keeping(store, make_report), site="hq"), heard.log)

    async def main() -> None:
        task = asyncio.create_task(service.run())
        await asyncio.sleep(0.3)
        service.stop.set()
        await task

    asyncio.run(main())
    assert service.cycles == 0


def test_a_store_that_could_not_be_read_before_the_scan_does_not_make_an_old_scan_a_new_one(
    store: Store, make_report: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    writing.save(store, make_report())
    real, fails = reading.entries, [True]

    def entries(*arguments: Any, **named: Any) -> Any:
        if fails[0]:
            raise StoreProblem("store: the database cannot be reached")
        return real(*arguments, **named)

    async def scan() -> Ended:
        fails[0] = False
        return Ended("no network")

    monkeypatch.setattr(reading, "entries", entries)
    _run(Service(store, Setup(NOW, scan, site="hq"), heard.log, cycles=1))
    assert heard.told("scan") == ["broken"]
    assert [entry.state for entry in real(store)] == ["failed", "completed"]


def test_messages_for_a_sink_that_is_no_longer_configured_are_told_of(store: Store, make_report: Callable[..., Report]) -> None:
    heard = Heard()
    outbox.register(store, ["old"])
    service = Service(store, Setup(NOW, _keeping(store, make_report), site="hq"), heard.log, cycles=2)
    _run(service)
    assert heard.told("old-left") == ["broken"]
    assert "lanveto history --forget old" in heard.log.standing["old-left"]
    outbox.forget(store, "old")
    assert outbox.standing(store) == []


def test_a_clock_that_jumps_changes_no_beat(
    store: Store, make_report: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beats are of the monotonic clock; the clock on the wall is for what is written."""
    real, jumps = time.time, iter([0.0, 86400.0 * 400, -86400.0 * 400] * 1000)
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    heard = Heard()
    began = time.monotonic()
    _run(Service(store, Setup(Schedule(0.2, 0), _keeping(store, make_report), site="hq"), heard.log, cycles=4))
    assert time.monotonic() - began > 0.6
    assert len(reading.entries(store)) == 4
    assert not heard.told("pace")
