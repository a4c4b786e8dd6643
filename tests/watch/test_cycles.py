"""Hundreds of scans of a network that changes, the watch killed again and again: store, topics and truth agree."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest
import sqlalchemy as sa

from scanner.model import Action
from scanner.store import Store, open_store, outbox, reading, schema
from scanner.store.changes import Facts
from tests import blocking
from tests.brokers import Broker
from tests.databases import Server
from tests.watch import fleet

pytestmark = pytest.mark.xdist_group("mosquitto")


class _Known(msgspec.Struct):
    facts: Facts


def _stored(store: Store) -> tuple[dict[str, tuple[Facts, bool]], set[str]]:
    """The devices of the history, whether they are gone, and those with an open finding."""
    devices, findings = schema.devices.c, schema.findings.c
    with store.reading() as connection:
        rows = connection.execute(sa.select(devices.id, devices.key, devices.known, devices.gone)).all()
        open_ = set(connection.execute(sa.select(findings.device_id)).scalars())
    known = {key: (msgspec.json.decode(body, type=_Known).facts, bool(gone)) for _, key, body, gone in rows}
    return known, {key for number, key, _, _ in rows if number in open_}


async def _listened(client: aiomqtt.Client, seconds: float) -> list[tuple[str, Any]]:
    """What a subscriber gets until it is silent for so long."""
    found: list[tuple[str, Any]] = []
    stream = aiter(client.messages)
    while True:
        try:
            message = await asyncio.wait_for(anext(stream), seconds)
        except TimeoutError:
            return found
        assert isinstance(message.payload, bytes)
        found.append((str(message.topic), json.loads(message.payload)))


async def _retained(port: int) -> dict[str, Any]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("t/#", qos=1)
        return dict(await _listened(client, 0.5))


async def _counted(port: int) -> list[str]:
    """The event ids that a subscriber got which the broker remembers; asked first, it becomes one."""
    async with aiomqtt.Client("127.0.0.1", port, identifier="counter", clean_session=False) as client:
        await client.subscribe("t/+/event/#", qos=1)
        return [told["event"] for _, told in await _listened(client, 1.0)]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path, safe=True) as made:
        yield made


class Disk:
    """A history on a small disk of its own, which is full at times."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder, self._root = folder, root
        self._disk = folder / "disk"
        self._disk.mkdir()
        self.where = str(self._disk / "h.sqlite")
        mount = 'mount -t tmpfs -o size=16m none "$0" && echo ready && exec sleep 600'
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", mount, str(self._disk)], stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout
        assert self._holder.stdout.readline() == "ready\n"

    def inside(self, *command: str) -> list[str]:
        """The command where the disk is."""
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", f"--wd={self._root}", "--", *command]

    def away(self, seconds: float) -> None:
        filler = str(self._disk / "filler")
        subprocess.run(self.inside("dd", "if=/dev/zero", f"of={filler}", "bs=4k"), stderr=subprocess.DEVNULL, check=False)
        time.sleep(seconds)
        subprocess.run(self.inside("rm", filler), check=True)

    def readable(self) -> str:
        """Where a copy can be read without the disk."""
        subprocess.run(self.inside("cp", "-r", str(self._disk), str(self._folder / "copy")), check=True)
        return str(self._folder / "copy" / "h.sqlite")

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait(10)
        assert self._holder.stdout
        self._holder.stdout.close()


class Database:
    """A history on a server, which is stopped at times."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.where = server.database()

    @staticmethod
    def inside(*command: str) -> list[str]:
        return list(command)

    def away(self, seconds: float) -> None:
        self._server.stop()
        time.sleep(seconds)
        self._server.start()

    def readable(self) -> str:
        return self.where

    def close(self) -> None:
        """The server goes with the session."""


@pytest.fixture(params=["disk", "server"])
def history(request: pytest.FixtureRequest, tmp_path: Path, root: Path) -> Iterator[Disk | Database]:
    made = Disk(tmp_path, root) if request.param == "disk" else Database(request.getfixturevalue("postgres"))
    yield made
    made.close()


def test_store_topics_and_truth_agree_after_hundreds_of_cycles(
    history: Disk | Database, broker: Broker, tmp_path: Path, root: Path
) -> None:
    steps, rounds = (220, 8) if isinstance(history, Disk) else (120, 4)
    chance = random.Random(17)
    port = broker.port
    def without_broker(seconds: float) -> None:
        broker.stop()
        time.sleep(seconds)
        broker.start()

    made = f"from scanner.store import open_store, outbox\nwith open_store({history.where!r}) as s: outbox.register(s, ['{fleet.LEDGER}'])"
    subprocess.run(history.inside(sys.executable, "-c", made), check=True)
    assert not asyncio.run(_counted(port))

    command = history.inside(sys.executable, "-m", "tests.watch.fleet", history.where, str(port), str(steps))
    watched = blocking.watched(tmp_path / "watched")
    kills = done = 0
    troubles = ('"condition":"store","state":"broken"', '"condition":"mqtt","state":"broken"')

    def had() -> bool:
        """Whether the watch has been through all of it; how quickly, the machine decides."""
        told = (tmp_path / "log").read_text()
        return done >= rounds and kills >= 2 and all(trouble in told for trouble in troubles)

    with (tmp_path / "log").open("w") as log:
        while not had():
            done += 1
            assert done < 10 * rounds, f"{kills} kills"
            process = subprocess.Popen(command, cwd=root, env=watched, stderr=log)
            life = chance.uniform(0.6, 1.4) * (1 + done / rounds / 2)  # longer, should the machine be slow
            killer = threading.Timer(life, process.kill)  # also in the middle of a trouble
            killer.start()
            try:
                for trouble in chance.sample((history.away, without_broker), 2):
                    time.sleep(chance.uniform(0.1, 0.3))
                    trouble(chance.uniform(0.1, 0.3))
                kills += process.wait(60) < 0
            finally:
                killer.cancel()
                process.kill()
                process.wait()
        subprocess.run(command, cwd=root, env=watched, stderr=log, timeout=90, check=True)
        topics = asyncio.run(_retained(port))
        counted = asyncio.run(_counted(port))
    commands, calls = blocking.told(tmp_path / "watched")
    assert len(commands) > kills
    assert not calls, "\n".join(calls)
    truth = fleet.truth(steps)
    with open_store(history.readable()) as store:
        assert fleet.completed(store) == steps
        assert sum(entry.state == "failed" for entry in reading.entries(store)) > 0
        devices, findings = _stored(store)
        (served,) = (standing for standing in outbox.standing(store) if standing.name != fleet.LEDGER)
        assert served.waiting == served.lost == served.refused == 0
        with store.reading() as connection:
            messages = schema.messages.c
            events = set(connection.execute(sa.select(messages.uid).where(messages.slot.is_(None))).scalars())
    assert set(counted) == events
    assert len(events) > steps
    want = {k: (t.ip, t.firmware, t.maker, k in truth.gone) for k, t in truth.known.items()}
    assert {k: (f.ip, f.firmware, f.manufacturer, gone) for k, (f, gone) in devices.items()} == want
    accused = {key for key, thing in truth.known.items() if thing.maker == "dahua"}
    assert findings == accused
    assert accused
    assert truth.gone

    states = {name.split("/")[2]: told for name, told in topics.items() if name.endswith("/state")}
    assert {
        k: (s["ip"], s["firmware"], s["manufacturer"], not s["present"]) for k, s in states.items()
    } == want  # fmt: skip
    assert {k for k, s in states.items() if s["action"] == Action.REMOVE} == accused
    assert {name.split("/")[2] for name in topics if "/finding/" in name} == accused
    assert topics["t/hq/summary"]["open"]["remove"] == len(accused)
    assert topics["t/status"]["state"] == "offline"
