"""A network that changes from scan to scan, always the same way; as a process, a watch that scans it.

python -m tests.watch.fleet STORE PORT STEPS: scans as fast as it can until the history holds so many completed scans.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import uuid
from dataclasses import dataclass, field, replace

from scanner import publish
from scanner.errors import StoreProblem
from scanner.model import (
    Action,
    Coverage,
    Device,
    Effect,
    Identity,
    Level,
    Observation,
    Recording,
    Report,
    RulesVersion,
    Scan,
    Verdict,
)
from scanner.publish import documents
from scanner.store import Store, open_store, reading, writing
from scanner.watch.log import Log
from scanner.watch.schedule import Schedule
from scanner.watch.service import Ended, Service, Setup

SIZE = 24
SITE = "hq"
MISSES = 3
LEDGER = "ledger"
"""A sink that nobody serves: it keeps every event that was ever told."""


@dataclass(frozen=True)
class Thing:
    """A device as it really is."""

    mac: str
    ip: str
    firmware: str
    maker: str
    here: bool = True


@dataclass
class Truth:
    """The network after some steps, and what a careful watcher knows of it."""

    things: dict[str, Thing] = field(default_factory=dict)
    known: dict[str, Thing] = field(default_factory=dict)
    """As each device was when it was seen last."""
    missed: dict[str, int] = field(default_factory=dict)

    @property
    def gone(self) -> set[str]:
        return {key for key, count in self.missed.items() if count >= MISSES}


def truth(steps: int) -> Truth:
    """The network at its n-th scan."""
    chance = random.Random(4711)
    found = Truth()
    for step in range(1, steps + 1):
        if len(found.things) < SIZE and chance.random() < 0.5:
            number = len(found.things)
            mac = f"3c:ef:8c:00:00:{number:02x}"
            maker = chance.choice(["dahua", "axis"])
            found.things[mac.replace(":", "")] = Thing(mac, f"192.0.2.{number + 1}", "1.0", maker)
        for key, thing in list(found.things.items()):
            dice = chance.random()
            if dice < 0.04:
                thing = replace(thing, here=not thing.here)
            elif dice < 0.08:
                thing = replace(thing, ip=f"192.0.2.{chance.randint(100, 250)}")
            elif dice < 0.12:
                thing = replace(thing, firmware=f"1.{step}")
            elif dice < 0.14:
                thing = replace(thing, maker=chance.choice(["dahua", "axis"]))
            found.things[key] = thing
            if thing.here:
                found.known[key] = thing
                found.missed[key] = 0
            elif key in found.known and found.missed[key] < MISSES:
                found.missed[key] += 1
    return found


def device(key: str, thing: Thing) -> Device:
    """The device as a scan reports it."""
    verdict = Verdict(
        policy="us-889-a1b", title="Section 889(a)(1)(B)", effect=Effect.USE_BANNED, binds_you=True,
        action=Action.REMOVE, entity="Dahua", path=(), citation="", because="", in_force="2020-08-13",
    )  # fmt: skip
    seen = Observation(channel="http.body", value=thing.firmware, port=80)
    return Device(
        key=key, recording=Recording(id=key, ip=thing.ip, mac=thing.mac, observations=(seen,)),
        identity=Identity(manufacturer=thing.maker, firmware=thing.firmware, level=Level.CONFIRMED, confidence=0.97),
        verdicts=(verdict,) if thing.maker == "dahua" else (),
    )  # fmt: skip


def report(step: int) -> Report:
    """What the n-th scan finds."""
    now = truth(step)
    found = tuple(device(key, thing) for key, thing in now.things.items() if thing.here)
    version = RulesVersion(rules_as_of="", rules_sha256="", registry_as_of="", registry_sha256="")
    scan = Scan(
        id=str(uuid.uuid4()), started="2026-11-24T00:00:00Z", finished="2026-11-24T00:00:01Z", site=SITE,
        targets=("192.0.2.0/24",),
    )  # fmt: skip
    cover = Coverage(addresses=256, alive=len(found), identified=len(found))
    return Report(scan=scan, devices=found, coverage=cover, rules_version=version)


def completed(store: Store) -> int:
    """Completed scans of the history: the step the network has reached."""
    return sum(entry.state == "completed" for entry in reading.entries(store))


def setup(store: Store, port: int | None, steps: int) -> Setup:
    """A watch of this network, some scans of which fail; the one after the last step takes for ever."""
    chance = random.Random(os.getpid())
    reached = completed(store)

    async def scan() -> Ended:
        nonlocal reached
        if reached >= steps:
            await asyncio.Event().wait()
        if chance.random() < 0.05:
            raise OSError("Network is unreachable")
        found = report(reached + 1)
        await asyncio.to_thread(writing.save, store, found, describe=documents.describe, misses=MISSES)
        reached += 1
        return Ended()

    table = {"url": f"mqtt://127.0.0.1:{port}/t"}
    sinks = [publish.configured("mqtt", table)] if port else []
    return Setup(Schedule(0.001, 0), scan, site=SITE, targets=("192.0.2.0/24",), sinks=sinks)


async def _opened(where: str) -> Store:
    while True:
        with contextlib.suppress(StoreProblem):  # a server may not be there yet
            return await asyncio.to_thread(open_store, where)
        await asyncio.sleep(0.05)


async def main(where: str, port: int, steps: int) -> None:
    """Watch until so many scans are completed and everything is delivered."""
    from scanner.store import outbox

    with await _opened(where) as store:
        service = Service(store, await asyncio.to_thread(setup, store, port, steps), Log(sys.stderr, "json"))
        task = asyncio.create_task(service.run())

        def busy() -> bool:
            waiting = any(sink.waiting for sink in outbox.standing(store) if sink.name != LEDGER)
            return waiting or completed(store) < steps

        while True:
            with contextlib.suppress(StoreProblem):  # the disk may be full
                if not await asyncio.to_thread(busy):
                    break
            await asyncio.sleep(0.2)
        service.stop.set()
        await task


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
