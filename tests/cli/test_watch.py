"""`lanveto watch` as a process: real scans of loopback, signals, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from scanner.cli import main
from scanner.store import open_store, outbox, reading, schema
from tests import blocking
from tests.managers import listening

SCAN = ("127.66.8.1", "--ports", "80", "--no-raw", "--no-multicast", "--timeout", "0.2")


class Watch:
    """A `lanveto watch` of the test's own."""

    def __init__(self, folder: Path, *words: str, enter: Sequence[str] = (), **more: str) -> None:
        self.folder = folder
        env = os.environ | {"XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder)} | more
        env = blocking.watched(folder / "watched", env)
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*enter, sys.executable, "-m", "scanner.cli.main", *words], cwd=folder, env=env, stderr=log,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def until(self, event: str, count: int = 1) -> None:
        self.wait(lambda: self.count(event) >= count)

    def count(self, event: str) -> int:
        return sum(event in (line.get("event"), line.get("state")) for line in self.lines)

    def told(self, condition: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("condition") == condition]

    def wait(self, condition: Callable[[], bool]) -> None:
        for _ in range(1200):
            if condition():
                return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Watch]]:
    found: list[Watch] = []
    yield found
    for watch in found:
        watch.process.kill()
        watch.process.wait()
    for watch in found:
        commands, calls = blocking.told(watch.folder / "watched")
        assert [words for words in commands if "watch" in words]
        assert not calls, "\n".join(calls)


def test_it_scans_on_its_schedule_and_keeps_the_history(tmp_path: Path, started: list[Watch]) -> None:
    where = tmp_path / "h.sqlite"
    started.append(Watch(tmp_path, "watch", "--every", "1s", "--cycles", "2", "--log", "json", *SCAN, "--store", str(where)))
    assert started[0].process.wait(30) == 0
    assert [line["event"] for line in started[0].lines if "event" in line] == [
        "started", "scan-begun", "scan-completed", "scan-begun", "scan-completed", "stopped",
    ]  # fmt: skip
    with open_store(where, create=False) as store:
        assert [entry.state for entry in reading.entries(store)] == ["completed", "completed"]
        assert reading.head(store, 1).scan.targets == ("127.66.8.1",)


def test_systemd_signals_and_the_configuration_read_again(tmp_path: Path, started: list[Watch]) -> None:
    address = tmp_path / "notify"
    config = tmp_path / "lanveto.toml"
    text = (
        '[watch]\nevery = "1h"\nlog = "json"\n[scan]\ntargets = ["127.66.8.1"]\nports = "80"\nno-raw = true\n'
        'no-multicast = true\ntimeout = 0.2\nstore = "h.sqlite"\n'
    )
    config.write_text(text)
    with listening(address) as heard:
        started.append(Watch(tmp_path, "watch", NOTIFY_SOCKET=str(address), WATCHDOG_USEC="1000000"))
        watch = started[0]
        heard.until("READY=1")
        watch.until("scan-completed")
        config.write_text('colour = "blue"\n' + text.replace("true", "maybe"))
        watch.process.send_signal(signal.SIGHUP)
        heard.until("RELOADING=1")
        watch.until("broken")
        config.write_text(text.replace('"1h"', '"1s"'))
        watch.process.send_signal(signal.SIGHUP)
        watch.until("reloaded")
        watch.until("scan-completed", 2)
        watch.process.terminate()
        assert watch.process.wait(20) == 0
        heard.until("STOPPING=1")
    said = "\n".join(heard)
    assert "WATCHDOG=1" in said
    assert "STATUS=1 scans, last completed" in said
    conditions = [line["state"] for line in watch.lines if line.get("condition") == "configuration"]
    assert conditions == ["broken", "mended"]
    wrong = next(line["text"] for line in watch.lines if line.get("condition") == "configuration")
    assert "lanveto.toml" in wrong


def test_a_scan_dies_with_its_service(tmp_path: Path, started: list[Watch]) -> None:
    slow = ("127.66.8.0/24", "--ports", "1-4000", "--rate", "10", "--no-raw", "--no-multicast", "--timeout", "30", "--assume-up")
    started.append(Watch(tmp_path, "watch", "--log", "json", *slow))
    watch = started[0]
    watch.until("scan-begun")
    children: list[str] = []
    for _ in range(100):
        children = Path(f"/proc/{watch.process.pid}/task/{watch.process.pid}/children").read_text().split()
        if children and b"scanner.cli.main" in Path(f"/proc/{children[0]}/cmdline").read_bytes():
            break
        time.sleep(0.05)
    assert children
    time.sleep(0.5)
    watch.process.kill()
    for _ in range(60):
        status = Path(f"/proc/{children[0]}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("the scan goes on without its service")


def test_a_second_one_on_the_same_history_is_refused(tmp_path: Path, started: list[Watch]) -> None:
    words = ("watch", "--log", "json", *SCAN, "--store", str(tmp_path / "h.sqlite"))
    started.append(Watch(tmp_path, *words))
    started[0].until("started")
    (tmp_path / "other").mkdir()
    second = Watch(tmp_path / "other", *words)
    assert second.process.wait(20) == 2
    assert "another one keeps" in second.log.read_text()


def test_what_is_wrong_when_it_is_read_again_changes_nothing(tmp_path: Path, started: list[Watch]) -> None:
    config, rules = tmp_path / "lanveto.toml", tmp_path / "own"
    text = (
        '[watch]\nevery = "1s"\nlog = "json"\n[scan]\ntargets = ["127.66.8.1"]\nports = "80"\nno-raw = true\n'
        f'no-multicast = true\ntimeout = 0.2\nstore = "h.sqlite"\nrules = ["{rules}"]\n'
    )
    config.write_text(text)
    (rules / "vendors").mkdir(parents=True)
    started.append(Watch(tmp_path, "watch"))
    watch = started[0]
    watch.until("scan-completed")
    (rules / "vendors" / "own.yaml").write_text("ids: [")
    config.write_text("[scan\n")
    watch.until("scan-completed", watch.count("scan-completed") + 2)  # nobody has asked to read it again
    assert not watch.told("scan")
    watch.process.send_signal(signal.SIGHUP)
    watch.wait(lambda: bool(watch.told("configuration")))
    assert "lanveto.toml: Expected ']'" in watch.told("configuration")[0]["text"]
    config.write_text(text)
    watch.process.send_signal(signal.SIGHUP)
    watch.until("not-reloaded")
    assert str(rules / "vendors" / "own.yaml") in next(x["text"] for x in watch.lines if x.get("event") == "not-reloaded")
    watch.until("scan-completed", watch.count("scan-completed") + 2)
    (rules / "vendors" / "own.yaml").unlink()
    watch.process.send_signal(signal.SIGHUP)
    watch.until("reloaded")
    watch.until("scan-completed", watch.count("scan-completed") + 2)
    assert [line["state"] for line in watch.told("configuration")] == ["broken", "mended"]
    assert not watch.told("scan")


def test_a_result_that_finds_the_disk_full_is_stored_when_there_is_room(tmp_path: Path, started: list[Watch]) -> None:
    small = tmp_path / "small"
    small.mkdir()
    apart = ("unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=4m none {small} && exec "$@"', "sh")
    words = ("watch", "--every", "1h", "--log", "json", *SCAN, "--store", str(small / "h.sqlite"))
    started.append(Watch(tmp_path, *words, enter=apart))
    watch = started[0]
    watch.until("scan-begun")
    filler = Path(f"/proc/{watch.process.pid}/root{small}/filler")
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    watch.wait(lambda: bool(watch.told("store")))
    assert "is full" in watch.told("store")[0]["text"]
    assert "not in the history yet" in watch.told("store")[0]["text"]
    filler.unlink()
    watch.until("scan-completed")
    assert [line["state"] for line in watch.told("store")] == ["broken", "mended"]
    assert watch.count("scan-begun") == 1
    assert not watch.told("scan")


@pytest.mark.parametrize(("words", "said"), [
    (["--every", "soon", "127.0.0.1"], "is no duration"),
    ([], "name your targets"),
    (["127.0.0.1", "--format", "csv"], "--format is not for a service"),
    (["127.0.0.1", "--mqtt", "mqtt://x"], "--mqtt is not for a service"),
    (["127.0.0.1", "--colour", "blue"], "No such option"),
    (["127.0.0.1", "--timeout", "long"], "not a valid float"),
])  # fmt: skip
def test_what_cannot_be_is_said_at_once(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main.run(["watch", *words]) == 2
    assert said in capsys.readouterr().err


HEARS = """
import socket
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind(("d0", 3))
print("listening", flush=True)
while True:
    try:
        frame, where = sock.recvfrom(2048)
    except OSError:
        continue  # the link is down
    if where[2] != 4: print(frame.hex(), flush=True)
"""


@pytest.mark.root
def test_a_link_that_goes_down_in_a_scan_is_said_and_nobody_is_gone_for_it(
    segment: Callable[..., Any], tmp_path: Path, started: list[Watch]
) -> None:
    there = {f"10.77.0.{n}": f"3c:ef:8c:00:00:0{n}" for n in range(1, 5)}
    excluded = "10.77.0.4"
    made = segment(there)
    sniffer = made.start(HEARS)
    where = tmp_path / "h.sqlite"
    with open_store(str(where)) as store:
        outbox.register(store, ["ledger"])  # nobody serves it: it keeps every event
    words = ("--every", "1s", "--log", "json", "10.77.0.1-10.77.0.6", "--exclude", excluded, "--ports", "80", "--timeout", "0.5",
             "--rate", "10", "--no-multicast", "--misses", "1", "--profile", "us-federal-contractor", "--store", str(where))  # fmt: skip
    started.append(Watch(tmp_path, "watch", *words))
    watch = started[0]
    watch.until("scan-completed")
    watch.until("scan-begun", watch.count("scan-begun") + 1)
    watch.wait(lambda: len(Path("/proc/thread-self/net/packet").read_text().splitlines()) > 1)  # it sweeps
    subprocess.run(["ip", "link", "set", "s0", "down"], check=True)
    watch.wait(lambda: bool(watch.told("scan")))
    subprocess.run(["ip", "link", "set", "s0", "up"], check=True)
    watch.wait(lambda: len(watch.told("scan")) == 2)
    watch.process.terminate()
    assert watch.process.wait(20) == 0

    broken, mended = watch.told("scan")
    assert (broken["state"], mended["state"]) == ("broken", "mended")
    assert "the scan was not completed: " in broken["text"]
    assert "s0 went away or down" in broken["text"]
    with open_store(str(where), create=False) as store:
        states = [entry.state for entry in reading.entries(store)]
        with store.reading() as connection:
            told = Counter(connection.execute(sa.select(schema.messages.c.kind).where(schema.messages.c.slot.is_(None))).scalars())
    assert {"completed", "failed"} <= set(states)
    assert told["device-appeared"] == len(there) - 1
    assert told["finding-opened"]
    assert not {"device-gone", "device-changed", "finding-closed"} & set(told)
    sniffer.kill()
    frames = [bytes.fromhex(line) for line in sniffer.stdout.read().decode().split()]
    asked = [f[38:42] if f[12:14] == b"\x08\x06" else f[30:34] if f[12:14] == b"\x08\x00" else b"" for f in frames]
    assert socket.inet_aton("10.77.0.3") in asked
    assert socket.inet_aton(excluded) not in asked
    assert bytes.fromhex(there[excluded].replace(":", "")) not in [f[:6] for f in frames]
