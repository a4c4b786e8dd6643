from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanner.discover import icmp
from scanner.discover.book import Sighting
from scanner.net.ledger import Ledger
from scanner.net.pace import Pace

pytestmark = pytest.mark.root
Build = Callable[[dict[str, str]], Any]

DEVICES = {f"10.77.0.{n}": f"3c:ef:8c:00:00:{n:02x}" for n in range(10, 60)}
RANGE = [f"10.77.0.{n}" for n in range(1, 101)]


def sweep(addresses: list[str], rate: float = 5000, ledger: Ledger | None = None, **more: Any) -> tuple[
    list[Sighting], icmp.Swept
]:  # fmt: skip
    found: list[Sighting] = []
    work = icmp.sweep(lambda: addresses, Pace(rate), ledger or Ledger(), found.append, **more)
    return found, asyncio.run(work)


def test_everybody_who_answers_a_ping_is_found_once(segment: Build) -> None:
    segment(DEVICES)
    found, swept = sweep(RANGE)

    assert sorted(s.address for s in found) == sorted(DEVICES)
    assert {(s.mac, s.method) for s in found} == {(None, "icmp")}
    assert swept.asked == 100 + 50  # the second pass goes to the silent only


def test_the_sweep_keeps_to_its_rate_and_ends_when_answers_cease(segment: Build) -> None:
    segment(DEVICES)
    start = time.monotonic()
    _, swept = sweep(RANGE, rate=100, passes=1)
    took = time.monotonic() - start

    assert swept.asked == 100
    assert 0.9 <= took < 20


def test_where_no_way_leads_is_counted_and_asked_once(segment: Build, tmp_path: Path) -> None:
    segment(DEVICES)
    log = tmp_path / "audit"
    with Ledger(log) as ledger:
        found, swept = sweep(["10.99.0.1", "10.77.0.10"], ledger=ledger)

    assert (len(found), swept) == (1, icmp.Swept(1, 1, 0))
    assert [line.split("\t")[1:] for line in log.read_text().splitlines()] == [
        ["icmp", "10.77.0.10", "36", "echo request"]
    ]
