"""However a scan of many hosts is ended, and wherever it is then: nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scanner.net import neighbour_table
from tests import blocking

pytestmark = [pytest.mark.root, pytest.mark.timeout(120), pytest.mark.crowd]
HOSTS = 520
LAST = "10.77.2.8"


def address(number: int) -> str:
    return f"10.77.{number >> 8}.{number & 255}"


@pytest.fixture
def many(segment: Callable[..., Any]) -> Any:
    """More hosts than the kernel's table may hold unaided; all of them refuse every connection."""
    assert HOSTS > neighbour_table.CROWD
    assert address(HOSTS) == LAST
    return segment({address(n): f"3c:ef:8c:00:{n >> 8:02x}:{n & 255:02x}" for n in range(1, HOSTS + 1)})


def here(*command: str) -> list[dict[str, Any]]:
    """What `ip` says of the scanner's namespace."""
    done = subprocess.run(["ip", "-j", *command], capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found


def written() -> int:
    """Neighbours that somebody else than the kernel has entered."""
    return sum("extern_learn" in entry or entry.get("state") == ["PERMANENT"] for entry in here("neigh"))


def surroundings() -> list[object]:
    """Links, addresses, routes and rules; who listens to whole frames, and where; namespaces."""
    listening = [line.split()[2:5] for line in Path("/proc/thread-self/net/packet").read_text().splitlines()]
    groups = [line for line in Path("/proc/thread-self/net/igmp").read_text().splitlines() if not line[0].isdigit()]
    return [
        here("addr"), here("route", "show", "table", "all"), here("rule"), here("netns", "list"), listening, len(groups),
        written(),
    ]  # fmt: skip


def running(session: int) -> list[str]:
    """Processes of a session that are still there."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(place.name)
    return found


class Run:
    """A scan of them all, as a session of its own."""

    def __init__(self, folder: Path, *words: str, last: str = LAST) -> None:
        self.log, self.state = folder / "audit.log", folder / "state"
        self.log.unlink(missing_ok=True)
        env = os.environ | {"XDG_STATE_HOME": str(self.state), "PYTHONWARNINGS": "default::ResourceWarning"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scanner.cli.main", "scan", f"10.77.0.1-{last}", "--audit-log", str(self.log),
             "--rate", "3000", *words],
            env=blocking.watched(folder / "watched", env), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def until(self, reached: Callable[[Run], bool]) -> None:
        for _ in range(3000):
            if reached(self):
                return
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.01)
        raise AssertionError("it never came so far")

    def end(self, number: int) -> str:
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)[1]


@pytest.fixture
def scan(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    made: list[Run] = []

    def start(*words: str, **more: str) -> Run:
        made.append(Run(tmp_path, *words, **more))
        return made[-1]

    yield start
    for run in made:
        run.process.kill()
        run.process.communicate()


def starting(run: Run) -> bool:
    return run.state.exists()


def sweeping(run: Run) -> bool:
    """It listens for the answers to its ARP requests."""
    return len(Path(f"/proc/{run.process.pid}/net/packet").read_text().splitlines()) > 1


def poking(run: Run) -> bool:
    """It makes the kernel ask by ARP, over many sockets."""
    return len(Path(f"/proc/{run.process.pid}/net/udp").read_text().splitlines()) > 20


def entering(run: Run) -> bool:
    """Its entries are in the kernel's table."""
    return written() > neighbour_table.CROWD


def asking(run: Run) -> bool:
    log = run.log.read_bytes() if run.log.exists() else b""
    return b"\tsyn\t" in log or b"\ttcp\t" in log


def test_nothing_stays_of_a_scan_that_is_ended(many: Any, scan: Callable[..., Run], tmp_path: Path) -> None:
    before = surroundings()
    for number, reached, words in (
        (signal.SIGTERM, starting, ()), (signal.SIGINT, sweeping, ()), (signal.SIGTERM, entering, ()),
        (signal.SIGINT, asking, ("--fast",)), (signal.SIGTERM, poking, ("--no-raw",)),
    ):  # fmt: skip
        # The kernel's own table is shared with other tests: few neighbours where it must learn them.
        run = scan(*words, last="10.77.0.20" if reached is poking else LAST)
        run.until(reached)
        said = run.end(number)

        which = f"{number.name} while {reached.__name__}: {said}"
        assert run.process.returncode == 130, which
        assert [word for word in ("Traceback", "ResourceWarning", "destroyed", "never") if word in said] == [], which
        assert running(run.process.pid) == [], which
        assert surroundings() == before, which
        assert list(run.state.rglob("neighbours-*")) == [], which
    commands, calls = blocking.told(tmp_path / "watched")
    assert len(commands) >= 3
    assert not calls, "\n".join(calls)


def test_what_a_killed_scan_leaves_the_next_one_removes(many: Any, scan: Callable[..., Run]) -> None:
    before = surroundings()
    killed = scan()
    killed.until(entering)
    killed.end(signal.SIGKILL)
    assert written() > neighbour_table.CROWD
    assert len(list(killed.state.rglob("neighbours-*.json"))) == 1

    run = scan("--fast")
    run.until(asking)
    run.end(signal.SIGTERM)
    assert surroundings() == before
    assert list(run.state.rglob("neighbours-*")) == []
