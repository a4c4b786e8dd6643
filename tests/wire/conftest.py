"""The fleet of tests/fleet on the wire, the installed command that scans it, and what it should find."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanner import assess, knowledge
from scanner.knowledge import Knowledge
from scanner.model import Recording
from scanner.recordings import load
from tests import blocking

ROOT = Path(__file__).resolve().parents[2]
FLEET = sorted((ROOT / "tests" / "fleet").glob("*.yaml"))
DAY = datetime.date(2026, 11, 24)
PROFILE = "us-federal-contractor"
NOBODY = 65534
SCAN = ("scan", "--profile", PROFILE, "--as-of", DAY.isoformat(), "--format", "json", "--timeout", "1")

Report = dict[str, Any]


@dataclass
class Person:
    """Who runs the command: its prefix, its Python, its environment."""

    prefix: list[str] = field(default_factory=list)
    python: str = sys.executable
    env: dict[str, str] = field(default_factory=dict)

    @property
    def lanveto(self) -> list[str]:
        """The installed command where it is installed, else the same from the checkout."""
        installed = Path(sys.executable).with_name("lanveto")
        if self.python == sys.executable and installed.exists():
            return [str(installed)]
        return [self.python, "-m", "scanner.cli.main"]

    def run(self, *words: str, enter: Sequence[str] = (), seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the command to its end, in the network that `enter` leads to."""
        return subprocess.run(
            [*self.prefix, *enter, *self.lanveto, *words], cwd=ROOT, env=self.env, text=True, capture_output=True,
            check=False, timeout=seconds,
        )  # fmt: skip

    def start(self, *words: str, enter: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start the command."""
        return subprocess.Popen(
            [*self.prefix, *enter, *self.lanveto, *words], cwd=ROOT, env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def scan(self, *words: str, enter: Sequence[str] = ()) -> tuple[Report, subprocess.CompletedProcess[str]]:
        """Scan; the report as data."""
        done = self.run(*SCAN, *words, enter=enter)
        assert done.returncode in {0, 1}, f"exit code {done.returncode}: {done.stderr}"
        assert "Traceback" not in done.stderr
        return json.loads(done.stdout), done

    @contextmanager
    def simulate(self, *words: str) -> Iterator[dict[str, Any]]:
        """`lanveto simulate`, from its ready line on; at the end it must have no violation to tell."""
        process = replace(self, env=blocking.unwatched(self.env)).start("simulate", *words)
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            yield json.loads(line)
            process.terminate()
            out, err = process.communicate(timeout=20)
            assert (process.returncode, out) == (0, ""), err
        finally:
            process.kill()
            process.communicate()


def _place() -> Path:
    """A folder that anybody may use: pytest's own are for its user alone."""
    folder = Path(tempfile.mkdtemp(prefix="lanveto-wire-"))
    folder.chmod(0o777)
    return folder


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that anybody may use."""
    folder = _place()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home(place: Path) -> Iterator[dict[str, str]]:
    """An environment in which nothing of the user's own is read or written, and no command may hold up its loop."""
    names = ("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    yield blocking.watched(place / "watched", os.environ | dict.fromkeys(names, str(place)))
    _, calls = blocking.told(place / "watched")
    assert not calls, "\n".join(calls)


@pytest.fixture
def me(home: dict[str, str]) -> Person:
    """Who runs the tests."""
    return Person(env=home)


@pytest.fixture
def somebody(home: dict[str, str]) -> Person:
    """An ordinary user: nobody where the tests run as root, else who runs them."""
    env = home
    if os.geteuid() != 0:
        return Person(env=env)
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    env = env | {"PYTHONPATH": os.pathsep.join([env["PYTHONPATH"], packages])}
    prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all", "--"]
    for python in (sys.executable, "/usr/bin/python3"):
        # Twice, for the first one still has root's capabilities when it looks for the interpreter.
        probe = f"import subprocess, scanner.protocols; subprocess.check_call([{python!r}, '-c', 'import msgspec'])"
        tried = subprocess.run([*prefix, python, "-c", probe], cwd=ROOT, env=env, capture_output=True, check=False)
        if tried.returncode == 0:
            return Person(prefix, python, env)
    pytest.skip("no Python here can be run by an ordinary user")


@pytest.fixture(scope="session")
def fleet() -> tuple[Recording, ...]:
    """Every device of the test fleet, each with its truth."""
    found: list[Recording] = []
    for file in FLEET:
        loaded = load(file)
        assert not loaded.problems, loaded.problems
        found.extend(loaded.recordings)
    return tuple(found)


@pytest.fixture(scope="session")
def rules() -> Knowledge:
    """What the scan knows too."""
    return knowledge.load()


@dataclass(frozen=True)
class Comparison:
    """What a report should say about a fleet, device by device."""

    rules: Knowledge
    fleet: tuple[Recording, ...]

    def wrong(
        self, report: Report, places: Mapping[str, tuple[str, str | None]], *,
        unheard: Callable[[Recording], bool] = lambda _recording: False,
    ) -> list[str]:
        """Everything that differs from the truth, or from `identify` on the same recordings.

        `places`: id → address and MAC. `unheard`: devices that are there and of which nothing can be heard.
        """
        told = {device["ip"]: device for device in report["devices"]}
        found = [f"{ip}: nobody is there" for ip in told if ip not in {ip for ip, _ in places.values()}]
        as_placed = []
        for recording in self.fleet:
            if recording.id in places:
                mute = recording.behaviour is not None or unheard(recording)
                as_placed.append(
                    msgspec.structs.replace(recording, ip=places[recording.id][0], mac=places[recording.id][1],
                            observations=() if mute else recording.observations)
                )  # fmt: skip
        for device in assess.assess(as_placed, self.rules, profiles=(PROFILE,), as_of=DAY):
            recording = device.recording
            live = told.get(recording.ip or "")
            if live is None:
                found.append(f"{recording.id}: not found")
                continue
            expected = {name: getattr(device.identity, name) for name in _FIELDS} | {"action": device.action}
            found += [
                f"{recording.id}: {name} is {live[name]}, identify says {value}"
                for name, value in expected.items() if live[name] != value
            ]  # fmt: skip
            if recording.observations or recording.truth is None or recording.truth.manufacturer == "unknown":
                found += self._against_truth(recording, live)
        return found

    @staticmethod
    def _against_truth(recording: Recording, live: Mapping[str, Any]) -> Iterator[str]:
        truth = recording.truth
        assert truth is not None
        sure = live["level"] in {"likely", "confirmed"}
        if truth.manufacturer in {"unknown", "software"}:
            if sure:
                yield f"{recording.id}: is nobody's, and was taken for {live['manufacturer']}"
            return
        if not sure or live["manufacturer"] != truth.manufacturer:
            yield f"{recording.id}: is {truth.manufacturer}'s, was taken for {live['manufacturer']} ({live['level']})"
        for name in ("brand", "kind", "model"):
            wanted = getattr(truth, name)
            if wanted is not None and live[name] != wanted:
                yield f"{recording.id}: {name} is {wanted}, and was taken for {live[name]}"


_FIELDS = ("manufacturer", "brand", "kind", "model", "firmware", "serial", "level")


@pytest.fixture(scope="session")
def compare(fleet: tuple[Recording, ...], rules: Knowledge) -> Comparison:
    """Compares reports with the fleet."""
    return Comparison(rules, fleet)


SNIFF = """
import socket, struct, sys, time
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
sock.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS: when the kernel saw it, however late we are
sock.bind(("s0", 3))
own = sock.getsockname()[4]
print("listening", flush=True)
while True:
    frame, ancillary, _, _ = sock.recvmsg(2048, 64)
    seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2])
    moment = seconds + nanoseconds / 1e9 + time.monotonic() - time.time()
    kind, ours = frame[12:14].hex(), frame[6:12] == own
    target = socket.inet_ntoa(frame[38:42] if kind == "0806" else frame[30:34]) if kind in ("0806", "0800") else "-"
    if ours:
        print("sent", kind, frame[:6].hex(":"), target, moment, flush=True)
    if kind == "0800" and frame[23] == 6:
        start = 14 + 4 * (frame[14] & 15)
        ports = struct.unpack("!HH", frame[start : start + 4])
        peer, port, mine = (target, ports[1], ports[0]) if ours else (socket.inet_ntoa(frame[26:30]), *ports)
        print("tcp", int(ours), peer, port, mine, frame[start + 13], moment, flush=True)
"""
SYN, ACK, OVER = 2, 16, 5
"""Flags of TCP; a FIN or an RST ends a connection."""


@dataclass
class Capture:
    """Frames that the scanner sent: (ether type, destination MAC, target address)."""

    frames: list[tuple[str, str, str]] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    """When each was sent, by the monotonic clock."""
    tcp: list[tuple[bool, str, int, int, int, float]] = field(default_factory=list)
    """Segments both ways: ours or not, the device's address and port, our port, flags, moment."""

    @property
    def last(self) -> float:
        """When the last frame was sent."""
        return self.moments[-1]

    def syns(self) -> list[tuple[str, int, float]]:
        """Connections that the scanner tried: address, port, moment."""
        return [(peer, port, at) for ours, peer, port, _, flags, at in self.tcp if ours and flags & (SYN | ACK) == SYN]

    def together(self) -> dict[str, int]:
        """The most connections that were open to each device at a time."""
        held: dict[str, set[tuple[int, int]]] = defaultdict(set)
        most: dict[str, int] = {}
        for ours, peer, port, mine, flags, _ in self.tcp:
            if not ours and flags & (SYN | ACK) == SYN | ACK:
                held[peer].add((port, mine))
            elif flags & OVER:
                held[peer].discard((port, mine))
            most[peer] = max(most.get(peer, 0), len(held[peer]))
        return most


@pytest.fixture
def capture() -> Callable[[Sequence[str]], Any]:
    """Listens on the scanner's side of a laboratory, in the network that the given command leads to."""

    @contextmanager
    def listen(enter: Sequence[str]) -> Iterator[Capture]:
        process = subprocess.Popen([*enter, sys.executable, "-c", SNIFF], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        lines: list[str] = []
        reader = threading.Thread(target=lines.extend, args=(process.stdout,))  # a full pipe would stop the sniffer
        reader.start()
        caught = Capture()
        try:
            yield caught
        finally:
            time.sleep(0.3)
            process.terminate()
            process.wait(5)
            reader.join(5)
            process.stdout.close()
            for line in lines:
                if not line.endswith("\n"):
                    continue  # it was stopped while it wrote
                what, *rest = line.split()
                if what == "sent":
                    caught.frames.append((rest[0], rest[1], rest[2]))
                    caught.moments.append(float(rest[3]))
                else:
                    ours, peer, port, mine, flags, moment = rest
                    caught.tcp.append((ours == "1", peer, int(port), int(mine), int(flags), float(moment)))

    return listen
