from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scanner import engine, knowledge, state
from scanner.config import Plan, Speed
from scanner.discover.base import Ground
from scanner.engine import checkpoint, ways
from scanner.engine.checkpoint import Beginning, Past, Portion, Record, Silent, plan_fields, terrain
from scanner.engine.harvest import Finished
from scanner.engine.live import scan
from scanner.errors import UsageProblem
from scanner.knowledge import Knowledge
from scanner.model import Device, Recording
from scanner.net.interfaces import Reach
from scanner.targets import Span

GROUND = Ground(Reach.LOCAL, None, (Span(1, 100),), seed=7)
PLAN = Plan(targets=("127.0.0.0/28",), port_map={"127.0.0.1": {80: 20080}}, exclude=("127.0.0.9",))


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "lanveto"


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return knowledge.load(())


def beginning(**more: object) -> Beginning:
    fields = {
        "format": checkpoint.FORMAT, "id": "some", "started": "2026-11-28T00:00:00Z", "version": "1", "rules": "x",
        "seed": 7, "grounds": (terrain(GROUND, 16),), "plan": plan_fields(PLAN),
    }  # fmt: skip
    return Beginning(**fields | more)  # type: ignore[arg-type]


def finished(number: int) -> Finished:
    return Finished(recording=Recording(id=f"d{number}", ip=f"127.0.0.{number}"), packets=number)


def written(path: Path | None = None, *, whole: bool = False) -> Path:
    record = Record(path)
    record.begin(beginning())
    record.write([finished(1), Silent(address="127.0.0.2", mac=None, link=None, methods=("arp",), packets=1)])
    record.write([Portion(number=0), finished(3)])
    record.end(complete=whole)
    assert record.path is not None
    return record.path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    past = Past(written(tmp_path / "a.scan"))

    assert past.plan == replace(PLAN)
    assert past.first.seed == 7
    assert [one.recording.id for one in past.devices()] == ["d1", "d3"]
    assert [host.address for host in past.silent] == ["127.0.0.2"]
    assert set(past.portions) == {0}
    assert past.path.stat().st_mode & 0o777 == 0o600


def test_a_line_that_a_crash_cut_is_left_out_and_the_record_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path / "a.scan")
    path.write_bytes(path.read_bytes()[:-9])
    assert [one.recording.id for one in Past(path).devices()] == ["d1"]

    record = Record(None)
    record.go_on(path)
    record.write([finished(4)])
    record.end(complete=False)
    assert [one.recording.id for one in Past(path).devices()] == ["d1", "d4"]


def test_a_complete_scan_leaves_no_record_unless_it_was_named(own_state: Path, tmp_path: Path) -> None:
    assert not written(whole=True).exists()
    named = written(tmp_path / "a.scan", whole=True)
    with pytest.raises(UsageProblem, match="is complete"):
        Past(named)


def test_the_newest_record_that_no_scan_is_writing_is_the_last(own_state: Path) -> None:
    with pytest.raises(UsageProblem, match="no interrupted scan is remembered"):
        checkpoint.find("last")
    left = written()
    busy = Record(None)
    busy.begin(beginning(id="other"))
    assert checkpoint.find("last").path == left
    assert busy.path is not None
    with pytest.raises(UsageProblem, match="another scan is writing it"):
        Record(None).go_on(busy.path)
    busy.end(complete=False)
    assert checkpoint.find("last").path == busy.path


def test_old_records_go(own_state: Path) -> None:
    for number in range(checkpoint.KEPT + 3):
        record = Record(None)
        record.begin(beginning(id=f"r{number}"))
        record.end(complete=False)

    assert len(list(own_state.glob("*.scan"))) == checkpoint.KEPT


def test_a_full_disk_ends_the_record_and_not_the_scan() -> None:
    record = Record(Path("/dev/full"))
    record.begin(beginning())
    record.write([finished(1)])

    assert record.problem is not None
    assert "No space left" in record.problem


@pytest.mark.parametrize("text", ["", "nonsense\n", '{"type":"end"}\n'])
def test_what_is_no_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(text)
    with pytest.raises(UsageProblem, match="is no record of a scan"):
        checkpoint.find(str(tmp_path / "a"))
    with pytest.raises(UsageProblem, match="No such file"):
        checkpoint.find(str(tmp_path / "b"))


def test_targets_that_mean_something_else_now_are_refused(tmp_path: Path) -> None:
    past = Past(written(tmp_path / "a.scan"))
    past.check([terrain(GROUND, 0)])
    with pytest.raises(UsageProblem, match="100 addresses local then, 50 addresses local now"):
        past.check([terrain(replace(GROUND, spans=(Span(1, 50),)), 0)])
    with pytest.raises(UsageProblem, match="other ways"):
        past.check([])


class Doors:
    """Devices with one open port each, on loopback addresses; counts who comes."""

    def __init__(self, count: int) -> None:
        self.visits: Counter[str] = Counter()
        self._sockets = []
        self.port_map: dict[str, dict[int, int]] = {}
        for number in range(1, count + 1):
            door = socket.create_server((f"127.40.0.{number}", 0))
            door.settimeout(0.05)
            self._sockets.append(door)
            self.port_map[f"127.40.0.{number}"] = {80: door.getsockname()[1]}
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._serve, args=(door,)) for door in self._sockets]
        for thread in self._threads:
            thread.start()

    def _serve(self, door: socket.socket) -> None:
        while not self._end.is_set():
            try:
                line, _ = door.accept()
            except TimeoutError:
                continue
            with line:
                line.settimeout(0.5)
                try:
                    if line.recv(4096):
                        self.visits[door.getsockname()[0]] += 1
                        self._end.wait(0.15)
                        line.sendall(b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                except OSError:
                    pass

    def close(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
        for door in self._sockets:
            door.close()


@pytest.fixture
def doors() -> Iterator[Doors]:
    made = Doors(40)
    yield made
    made.close()


def test_an_interrupted_scan_continues_and_asks_nobody_twice(
    doors: Doors, known: Knowledge, monkeypatch: pytest.MonkeyPatch, own_state: Path
) -> None:
    monkeypatch.setattr(ways, "PORTION_MOST", 10)
    plan = Plan(targets=("127.40.0.1-40",), ports=(80,), port_map=doors.port_map, timeout=1.0, speed=Speed.GENTLE)

    async def first() -> list[str]:
        stop, loop, told = asyncio.Event(), asyncio.get_running_loop(), []

        def tell(device: Device) -> None:
            told.append(device.recording.ip or "")
            if len(told) == 12:
                loop.call_soon_threadsafe(stop.set)

        report = await scan(plan, known, stop=stop, tell=tell, keep=False)
        assert report.scan.interrupted
        assert report.coverage.alive == len(told)
        return told

    told = asyncio.run(first())
    assert 12 <= len(told) < 40
    before = dict(doors.visits)
    past = checkpoint.find("last")
    # Those whose asking was cut short are told as they are, and asked again.
    whole = {one.recording.ip for one in past.devices()}
    assert whole <= set(told)
    assert 0 < len(past.portions) < 4

    again: list[Device] = []
    report = engine.run(past.plan, known, past=past, tell=again.append)
    assert sorted(d.recording.ip or "" for d in again) == sorted(doors.port_map)
    assert len(report.devices) == report.coverage.alive == 40
    assert report.scan.id == past.first.id
    assert all(doors.visits[ip] == before[ip] for ip in whole if ip)
    assert all(doors.visits[ip] > 0 for ip in doors.port_map)
    assert any("continues one that began at" in text for text in report.coverage.warnings)
    assert not list(own_state.glob("*.scan"))


def test_rules_that_changed_are_said(doors: Doors, known: Knowledge, tmp_path: Path) -> None:
    plan = Plan(targets=("127.40.0.1-2",), ports=(80,), port_map=doors.port_map)
    path = tmp_path / "a.scan"
    engine.run(plan, known, record=Record(path))
    lines = path.read_text().splitlines()[:-1]
    lines[0] = json.dumps(json.loads(lines[0]) | {"rules": "other"})
    path.write_text("\n".join(lines) + "\n")
    report = engine.run(plan, known, past=Past(path))

    assert any("the rules have changed" in text for text in report.coverage.warnings)
    assert len(report.devices) == 2


def test_the_state_folder_need_not_be_there(monkeypatch: pytest.MonkeyPatch, known: Knowledge) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    report = engine.run(Plan(targets=("127.40.9.9",), ports=(80,)), known)

    assert any("could not be continued" in text for text in report.coverage.warnings)
    assert state.folder() == Path("/proc/nowhere/lanveto")
