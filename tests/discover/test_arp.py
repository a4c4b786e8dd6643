from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest

from scanner.config import Plan, Speed
from scanner.discover import arp
from scanner.discover.base import Ground
from scanner.discover.book import Sighting
from scanner.net import interfaces
from scanner.net.interfaces import Reach
from scanner.net.ledger import Ledger
from scanner.net.pace import Pace
from scanner.net.raw import LinkGone
from scanner.targets import Span

pytestmark = pytest.mark.root
Build = Callable[[dict[str, str]], Any]

DEVICES = {f"10.77.0.{n}": f"3c:ef:8c:00:00:{n:02x}" for n in range(10, 60)}


def targets(first: str, last: str, skip: str | None = None) -> Ground:
    link = interfaces.read().link("s0")
    spans = (Span(int(IPv4Address(first)), int(IPv4Address(last))),)
    return Ground(Reach.LINK, link, spans, skip=frozenset({int(IPv4Address(skip))} if skip else ()))


async def passes(ground: Ground, pace: Pace, found: list[Sighting], pause: float = 0.2) -> arp.Sweep:
    assert ground.link is not None
    with arp.Sweep(ground.link, ground, pace, Ledger(), found.append) as swept:
        for wait in (pause, 0.2):
            await swept.once(wait)
        assert swept.drops() == 0
    return swept


def sweep(ground: Ground, rate: float = 5000, pause: float = 0.2) -> tuple[list[Sighting], arp.Sweep]:
    found: list[Sighting] = []
    return found, asyncio.run(passes(ground, Pace(rate), found, pause))


def test_everybody_is_found_with_the_right_mac(segment: Build) -> None:
    segment(DEVICES)
    found, swept = sweep(targets("10.77.0.0", "10.77.0.255"))

    assert {s.address: s.mac for s in found} == DEVICES
    assert {s.link for s in found} == {"s0"}
    assert swept.asked == 256 + 256 - 50  # the second pass goes to the silent only


def test_the_silent_are_asked_again_later_and_nobody_else(segment: Build) -> None:
    made = segment(DEVICES)
    made.inside("nft", "add chain netdev lab late { type filter hook ingress device d0 priority -1; }")
    made.inside("nft", "add rule netdev lab late arp daddr ip 10.77.0.20 drop")
    waking = threading.Timer(0.6, made.inside, ("nft", "flush", "chain", "netdev", "lab", "late"))
    waking.start()
    found, swept = sweep(targets("10.77.0.10", "10.77.0.59"), pause=1.0)
    waking.join()

    assert swept.asked == 50 + 1
    assert {s.address: s.packets for s in found} == dict.fromkeys(DEVICES, 1) | {"10.77.0.20": 2}


def test_addresses_to_skip_are_not_asked(segment: Build) -> None:
    segment(DEVICES)
    found, swept = sweep(targets("10.77.0.10", "10.77.0.12", skip="10.77.0.11"))

    assert sorted(s.address for s in found) == ["10.77.0.10", "10.77.0.12"]
    assert swept.asked == 2


def test_the_sweep_keeps_to_its_rate(segment: Build) -> None:
    segment(DEVICES)
    start = time.monotonic()
    _, swept = sweep(targets("10.77.0.0", "10.77.0.99"), rate=200)
    took = time.monotonic() - start - 2 * 0.2

    assert swept.asked == 150
    assert 150 / 200 * 0.85 <= took < 20


def test_a_link_that_goes_away_is_told(segment: Build) -> None:
    made = segment(DEVICES)

    async def main() -> None:
        ground = targets("10.77.1.0", "10.77.9.255")
        task = asyncio.create_task(passes(ground, Pace(300), []))
        await asyncio.sleep(0.3)
        made.inside("ip", "link", "del", "d0")
        with pytest.raises(LinkGone, match="s0"):
            await asyncio.wait_for(task, 3)

    asyncio.run(main())


def test_answers_nobody_asked_for_are_ignored(segment: Build) -> None:
    segment(DEVICES)
    found, _ = sweep(targets("10.77.0.10", "10.77.0.12"))

    assert len(found) == 3


@pytest.mark.parametrize(
    ("speed", "rate", "left"),
    [(Speed.NORMAL, None, 200), (Speed.FAST, None, 15_000), (Speed.GENTLE, None, 0), (Speed.NORMAL, 300, 0), (Speed.NORMAL, 350, 0)],
)
def test_the_second_pass_leaves_room_for_what_the_kernel_asks(speed: Speed, rate: float | None, left: float) -> None:
    assert arp.beside(Plan(speed=speed, rate=rate)) == left
