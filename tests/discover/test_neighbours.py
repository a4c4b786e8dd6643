from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest

from scanner.discover import neighbours
from scanner.discover.base import Ground
from scanner.discover.book import Sighting
from scanner.net import interfaces
from scanner.net.interfaces import Reach
from scanner.net.ledger import Ledger
from scanner.net.pace import Pace
from scanner.targets import Span

pytestmark = pytest.mark.root
Build = Callable[[dict[str, str]], Any]

DEVICES = {f"10.77.0.{n}": f"00:40:84:00:00:{n:02x}" for n in range(1, 31)}


def test_the_kernel_finds_everybody_without_raw_sockets(segment: Build) -> None:
    segment(DEVICES)
    topology = interfaces.read()
    link = topology.link("s0")
    assert link is not None
    spans = (Span(int(IPv4Address("10.77.0.1")), int(IPv4Address("10.77.0.60"))),)
    ground = Ground(Reach.LINK, link, spans, skip=frozenset({int(IPv4Address("10.77.0.5"))}))
    found: list[Sighting] = []
    poked = asyncio.run(neighbours.poke(link, ground, Pace(1000), Ledger(), found.append))

    assert {s.address: s.mac for s in found} == {a: m for a, m in DEVICES.items() if a != "10.77.0.5"}
    assert poked.asked == 59
    assert poked.overflows == 0
