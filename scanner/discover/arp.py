"""The ARP sweep: who on this link has these addresses? Paced, with a second pass to the silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import chain, islice

from scanner.discover.book import Sighting
from scanner.net.interfaces import Link, Segment
from scanner.net.ledger import Ledger
from scanner.net.pace import Pace
from scanner.net.raw import FRAME_BYTES, ArpSocket, LinkGone

METHOD = "arp"
PASSES = 2
PAUSE = 1.0
"""Seconds between two passes: a sleeping Wi-Fi device that missed the first question wakes up within them."""
SETTLE = 0.5
"""Seconds that late answers get at the end."""
_BATCH = 512


@dataclass(frozen=True, slots=True)
class Swept:
    """How a sweep went."""

    asked: int
    drops: int
    """Answers the kernel had no room for."""


async def sweep(
    link: Link, segments: Sequence[Segment], pace: Pace, ledger: Ledger, found: Callable[[Sighting], object], *,
    skip: frozenset[str] = frozenset(), tick: Callable[[int], None] = lambda _sent: None, settle: float = SETTLE,
    pause: float = PAUSE, passes: int = PASSES,
) -> Swept:  # fmt: skip
    """Ask for every address of the segments, except those to skip; `found` is called for every new (MAC, address).

    Each further pass asks the silent only, `pause` seconds later.

    Raises `PermissionError` without the right to raw sockets, `LinkGone` when the interface goes away.
    """
    seen: set[tuple[str, str]] = set()
    alive: set[int] = set()
    broken: list[LinkGone] = []
    current = 1
    without = frozenset(int(IPv4Address(address)) for address in skip)

    with ArpSocket(link) as sock:

        def drain() -> None:
            try:
                for reply in sock.replies():
                    number = int(IPv4Address(reply.address))
                    if (reply.mac, reply.address) in seen or not _inside(segments, number):
                        continue
                    seen.add((reply.mac, reply.address))
                    alive.add(number)
                    found(Sighting(reply.address, reply.mac, METHOD, link.name, packets=current))
            except LinkGone as gone:
                broken.append(gone)

        loop = asyncio.get_running_loop()
        loop.add_reader(sock.fileno(), drain)
        sent = 0
        try:
            for current in range(1, passes + 1):
                quiet = (n for n in _numbers(segments) if n not in alive and n not in without)
                async for count in _send(sock, quiet, pace, ledger):
                    sent += count
                    tick(sent)
                    if broken:
                        raise broken[0]
                await asyncio.sleep(pause if current < passes else settle)
                if broken:
                    raise broken[0]
            drain()
        finally:
            loop.remove_reader(sock.fileno())
        return Swept(sent, sock.drops())


async def _send(sock: ArpSocket, numbers: Iterator[int], pace: Pace, ledger: Ledger) -> AsyncIterator[int]:
    """The addresses asked, batch by batch."""
    waiting: list[int] = []
    while True:
        granted = pace.grant(_BATCH)
        if not granted:
            await asyncio.sleep(max(0.004, 1 / pace.rate))
            continue
        batch = list(islice(chain(waiting, numbers), granted))
        if not batch:
            return
        count = sock.ask(batch)
        if ledger.logs:
            for number in batch[:count]:
                ledger.write("arp", str(IPv4Address(number)), FRAME_BYTES, "who-has")
        else:
            ledger.total += count
        waiting = batch[count:] + waiting[granted:]
        if waiting:
            await asyncio.sleep(0.01)
        yield count
        await asyncio.sleep(0)


def _numbers(segments: Iterable[Segment]) -> Iterator[int]:
    for segment in segments:
        yield from range(segment.first, segment.last + 1)


def _inside(segments: Sequence[Segment], number: int) -> bool:
    return any(segment.first <= number <= segment.last for segment in segments)
