"""Scans of devices on loopback: no root, no network."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest

from scanner import discover, engine, knowledge
from scanner.config import Plan
from scanner.discover.base import Ground, Scene, Way
from scanner.discover.book import Sighting
from scanner.engine.live import scan
from scanner.errors import UsageProblem
from scanner.knowledge import Knowledge
from scanner.model import Report
from scanner.recordings import load

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return knowledge.load(())


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_blocks: None) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def says(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    return serve


UNAUTHORISED = says(
    b"HTTP/1.1 401 Unauthorized\r\nServer: App-webs/\r\nWWW-Authenticate: Digest realm=\"IP Camera(C2183)\", "
    b'nonce="4e6a", qop="auth"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    while await reader.read(100):
        pass


async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 20")
    await reader.read()


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nServer: endless\r\n\r\n")
    for _ in range(1600):
        writer.write(b"A" * 65_536)
        await writer.drain()


async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nServer: slow\r\n\r\n" * 1000:
        writer.write(bytes([byte]))
        with suppress(TimeoutError):
            if not await asyncio.wait_for(reader.read(1000), 0.05):
                return


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(bytes(range(256)) * 20)


BOMB = gzip.compress(b"\0" * 20_000_000)
HOSTILE: dict[str, Serve] = {
    "127.31.0.1": UNAUTHORISED,
    "127.31.0.2": silent,
    "127.31.0.3": half,
    "127.31.0.4": endless,
    "127.31.0.5": dribble,
    "127.31.0.6": garbage,
    "127.31.0.7": says(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"),
    "127.31.0.8": says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB),
    "127.31.0.9": says(b"HTTP/1.1 200 OK\r\nServer: \x1b]0;owned\x07\x1b[2J\r\nContent-Length: 0\r\n\r\n"),
    "127.31.0.10": says(b"HTTP/1.1 302 Found\r\nLocation: http://127.31.0.99/\r\nContent-Length: 0\r\n\r\n"),
    "127.31.0.11": says(b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><l>&b;</l>'),
    "127.31.0.12": says(b"\xff\xfe\xfd\r\n\r\n"),
}


class Fleet:
    """Servers in a loop of their own, each on one address, its port mapped as 80."""

    def __init__(self, devices: dict[str, Serve]) -> None:
        self.devices = devices
        self.port_map: dict[str, dict[int, int]] = {}
        self.now: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.asked: dict[str, int] = {}
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        assert self._up.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._start())
            self._loop.run_forever()
            self._loop.run_until_complete(self._stop())
        finally:
            self._loop.close()

    async def _stop(self) -> None:
        for server in self.servers:
            server.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(0.05)

    async def _start(self) -> None:
        self.servers = []
        for address, serve in self.devices.items():
            server = await asyncio.start_server(self._counted(address, serve), address, 0)
            self.servers.append(server)
            self.port_map[address] = {80: server.sockets[0].getsockname()[1]}
        self._up.set()

    def _counted(self, address: str, serve: Serve) -> Serve:
        async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.asked[address] = self.asked.get(address, 0) + 1
            self.now[address] = self.now.get(address, 0) + 1
            self.most[address] = max(self.most.get(address, 0), self.now[address])
            try:
                await serve(reader, writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                pass
            finally:
                self.now[address] -= 1
                writer.close()

        return counted


def plan(fleet: Fleet, *words: str, **more: Any) -> Plan:
    bounds = {"timeout": 0.5, "device_seconds": 4.0, "raw": False}
    return Plan(targets=words or ("127.31.0.0/27",), port_map=fleet.port_map, **{**bounds, **more})


def by_address(report: Report) -> dict[str | None, Any]:
    return {device.recording.ip: device for device in report.devices}


def test_hostile_devices_are_bounded_and_recorded(known: Knowledge, tmp_path: Path) -> None:
    start = time.monotonic()
    with Fleet(HOSTILE) as fleet:
        report = engine.run(plan(fleet, record=tmp_path / "out", audit_log=tmp_path / "audit"), known)

    assert time.monotonic() - start < 60
    assert set(by_address(report)) == set(HOSTILE)
    assert report.scan.failures == ()
    assert report.coverage.addresses == 30
    assert report.coverage.alive == len(HOSTILE)
    assert all(count == 1 for count in fleet.most.values()), fleet.most
    assert all(count <= 8 for count in fleet.asked.values()), fleet.asked
    camera = by_address(report)["127.31.0.1"]
    assert any("App-webs" in seen.value for seen in camera.recording.observations)
    assert all(seen.at is None or seen.at.endswith("Z") for seen in camera.recording.observations)
    assert camera.packets > 4
    assert camera.bytes_sent > 10
    quiet = by_address(report)["127.31.0.2"]
    assert any(seen.silent and seen.channel == "http.response" for seen in quiet.recording.observations)
    assert all(len(seen.value) < 2_000_000 for device in report.devices for seen in device.recording.observations)
    lines = (tmp_path / "audit").read_text().splitlines()
    assert sum("127.31.0.1:80\t" in line for line in lines) >= 2
    assert not any("127.31.0.99" in line for line in lines)
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == len(HOSTILE)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    assert [r.ip for file in files for r in load(file).recordings if not load(file).problems]


def test_excluded_addresses_are_not_connected(known: Knowledge) -> None:
    with Fleet({"127.32.0.1": UNAUTHORISED, "127.32.0.2": UNAUTHORISED}) as fleet:
        report = engine.run(plan(fleet, "127.32.0.0/29", exclude=("127.32.0.2",)), known)

    assert set(fleet.asked) == {"127.32.0.1"}
    assert [d.recording.ip for d in report.devices] == ["127.32.0.1"]
    assert report.coverage.excluded == 1


def test_who_was_found_first_is_asked_during_the_second_look_and_who_came_then_afterwards(
    known: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = "127.36.0.1", "127.36.0.2"

    class Twice(Way):
        name = "twice"

        def suits(self, ground: Ground, plan: Plan) -> bool:
            return True

        async def search(self, ground: Ground, scene: Scene) -> str | None:
            scene.book.sighted(Sighting(first, None, self.name))
            return None

        async def again(self, ground: Ground, scene: Scene) -> str | None:
            async with asyncio.timeout(30):
                while first not in fleet.asked:  # noqa: ASYNC110 - it is set by another thread
                    await asyncio.sleep(0.01)
            scene.book.sighted(Sighting(second, None, self.name))
            return "looked twice"

    monkeypatch.setattr(discover, "ways", lambda: (Twice,))
    with Fleet({first: UNAUTHORISED, second: UNAUTHORISED}) as fleet:
        report = engine.run(plan(fleet, "127.36.0.0/29"), known)

    assert set(by_address(report)) == {first, second} == set(fleet.asked)
    assert report.scan.failures == ()
    assert [(m.name, m.ran, m.note) for m in report.coverage.methods] == [("twice", True, "looked twice")]


def test_an_empty_network_answers_nothing(known: Knowledge) -> None:
    with Fleet({"127.33.0.9": UNAUTHORISED}) as fleet:
        report = engine.run(plan(fleet, "127.33.0.0/29"), known)

    assert report.devices == ()
    assert report.coverage.addresses == 6
    assert report.coverage.alive == 0


def test_stopping_returns_what_is_known_within_a_second(known: Knowledge) -> None:
    async def main(fleet: Fleet) -> tuple[Report, float]:
        stop = asyncio.Event()
        task = asyncio.create_task(engine.scan(plan(fleet, "127.34.0.0/29", device_seconds=60.0), known, stop=stop))
        await asyncio.sleep(1.0)
        start = time.monotonic()
        stop.set()
        return await task, time.monotonic() - start

    with Fleet({"127.34.0.1": UNAUTHORISED, "127.34.0.2": dribble}) as fleet:
        report, took = asyncio.run(main(fleet))

    assert took < 20
    assert report.scan.interrupted
    assert {d.recording.ip for d in report.devices} == {"127.34.0.1", "127.34.0.2"}


def test_cancelling_returns_what_is_known_and_leaves_nothing_running(known: Knowledge) -> None:
    async def main(fleet: Fleet) -> Report:
        task = asyncio.create_task(engine.scan(plan(fleet, "127.35.0.0/29"), known))
        await asyncio.sleep(0.5)
        task.cancel()
        report = await task
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return report

    with Fleet({"127.35.0.1": dribble}) as fleet:
        report = asyncio.run(main(fleet))

    assert report.scan.interrupted
    assert len(report.devices) == 1


def test_the_first_interrupt_ends_a_scan_with_its_report(known: Knowledge) -> None:
    with Fleet({"127.36.0.1": dribble}) as fleet:
        timer = threading.Timer(0.8, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        try:
            report = engine.run(plan(fleet, "127.36.0.0/29"), known)
        finally:
            timer.cancel()  # a scan that ended early must not interrupt the tests

    assert report.scan.interrupted


def test_progress_is_told(known: Knowledge) -> None:
    class Watcher:
        def __init__(self) -> None:
            self.stages: dict[str, tuple[int, int | None, int]] = {}

        def update(self, stage: str, done: int, total: int | None, found: int) -> None:
            self.stages[stage] = (done, total, found)

    watcher = Watcher()
    with Fleet({"127.37.0.1": UNAUTHORISED}) as fleet:
        engine.run(plan(fleet, "127.37.0.0/29"), known, progress=watcher)

    assert watcher.stages["looking for hosts"][2] == 1
    assert watcher.stages["asking devices"] == (1, 1, 1)


@pytest.mark.parametrize(
    "wrong", [{"targets": ("nonsense",)}, {"targets": ("8.8.8.8",)}, {"interfaces": ("no-such-if",)},
              {"targets": ("10.0.0.1",), "exclude": ("10.0.0.0/8",)}]
)  # fmt: skip
def test_what_cannot_be_planned_is_said_before_anything_is_sent(wrong: dict[str, Any], known: Knowledge) -> None:
    with pytest.raises(UsageProblem):
        engine.run(Plan(**wrong), known)


def test_a_defect_of_ours_loses_nothing(known: Knowledge, monkeypatch: pytest.MonkeyPatch) -> None:
    from scanner.engine.stages import Stages

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.delenv("LANVETO_DEBUG", raising=False)
    monkeypatch.setattr(Stages, "_ask_all", broken)
    with Fleet({"127.38.0.1": UNAUTHORISED}) as fleet:
        report = engine.run(plan(fleet, "127.38.0.0/29"), known)

    assert len(report.devices) == 1
    assert "internal error: ZeroDivisionError: oops" in report.scan.failures[0]


def test_a_call_that_blocks_the_loop_fails(known: Knowledge, monkeypatch: pytest.MonkeyPatch) -> None:
    from scanner.engine import asking

    monkeypatch.setattr(asking, "enough", lambda _identity: time.sleep(0.01))
    with Fleet({"127.31.1.1": UNAUTHORISED}) as fleet:
        mine = Plan(targets=("127.31.1.1",), ports=(80,), port_map=fleet.port_map)
        report = engine.run(mine, known)

    # time.sleep is called by a function of this test, but within our code; the scan tells of it and goes on.
    assert [w for w in report.coverage.warnings if "BlockingError: Blocking call to time.sleep" in w]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_an_end_before_its_time_leaves_no_task_socket_or_thread(known: Knowledge) -> None:
    assert known.registry  # a map of a file, which stays open with it

    async def main() -> tuple[set[str], int]:
        before = open_files()
        stop = asyncio.Event()
        work = asyncio.create_task(scan(mine, known, stop=stop))
        await asyncio.sleep(0.5)
        stop.set()
        await work
        await asyncio.sleep(0)
        left = {task.get_name() for task in asyncio.all_tasks()} - {asyncio.current_task().get_name()}  # type: ignore[union-attr]
        return left, open_files() - before

    with Fleet({f"127.31.2.{n}": silent for n in range(1, 20)}) as fleet:
        mine = Plan(targets=("127.31.2.0/27",), ports=(80,), port_map=fleet.port_map)
        left, sockets = asyncio.run(main())

    assert left == set()
    assert sockets <= 0
    assert not [t.name for t in threading.enumerate() if t.name.startswith("lanveto")]


def test_a_scan_starts_without_what_only_simulations_and_files_need() -> None:
    code = (
        "import sys; from scanner import engine; from scanner.discover import ways; from scanner.protocols import protocols\n"
        "ways(), protocols(); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "scanner.engine.stages" in loaded
    assert not {"cryptography", "yaml", "sqlalchemy", "jinja2", "rich", "numpy", "scapy"} & set(loaded)
