"""Hundreds of scans of a network that changes, the watch killed again and again: store, topics and truth agree."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest
import sqlalchemy as sa

from scanner.model import Action
from scanner.store import Store, open_store, outbox, reading, schema
from scanner.store.changes import Facts
from tests import brokers
from tests.watch import fleet

pytestmark = pytest.mark.xdist_group("mosquitto")

STEPS = 220
KILLS = 8


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


async def _retained(port: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("t/#", qos=1)
        stream = aiter(client.messages)
        while True:
            try:
                message = await asyncio.wait_for(anext(stream), 0.5)
            except TimeoutError:
                return found
            assert isinstance(message.payload, bytes)
            found[str(message.topic)] = json.loads(message.payload)


def test_store_topics_and_truth_agree_after_hundreds_of_cycles(tmp_path: Path, root: Path) -> None:
    chance = random.Random(17)
    where, port = tmp_path / "h.sqlite", brokers.free_port()
    config = f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"
    command = [sys.executable, "-m", "tests.watch.fleet", str(where), str(port), str(STEPS)]
    kills = 0
    with brokers.running(config, tmp_path, port), (tmp_path / "log").open("w") as log:
        for _ in range(KILLS):
            process = subprocess.Popen(command, cwd=root, stderr=log)
            try:
                process.wait(chance.uniform(0.6, 1.4))
                break
            except subprocess.TimeoutExpired:
                kills += 1
            finally:
                process.kill()
                process.wait()
        subprocess.run(command, cwd=root, stderr=log, timeout=60, check=True)
        topics = asyncio.run(_retained(port))
    assert kills >= 3, "the watch was done before it was killed"

    truth = fleet.truth(STEPS)
    with open_store(where) as store:
        assert fleet.completed(store) == STEPS
        assert sum(entry.state == "failed" for entry in reading.entries(store)) > 0
        devices, findings = _stored(store)
        assert all(standing.waiting == standing.lost == standing.refused == 0 for standing in outbox.standing(store))
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
