"""The ARP sweep: who on this link has these addresses? Paced, with a second pass to the silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import IPv4Address
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

from scanner.discover.base import Expected, Ground, Scene, Unable, Way
from scanner.discover.book import Sighting
from scanner.net.interfaces import Link, Reach
from scanner.net.pace import Pace
from scanner.net.raw import FRAME_BYTES, ArpSocket, LinkGone, permitted

if TYPE_CHECKING:
    from scanner.config import Plan
    from scanner.net.ledger import Ledger

METHOD = "arp"
PASSES = 2
PAUSE = 1.0
"""Seconds between two passes: a sleeping Wi-Fi device that missed the first question wakes up within them."""
SETTLE = 0.5
"""Seconds that late answers get at the end."""
NO_RAW = (
    "raw sockets are not permitted: the kernel's neighbour table was used instead. Root would have added a paced ARP "
    "sweep with a second pass, and full speed where more than 512 hosts live on a link"
)
SWITCHED_OFF = "switched off: no raw sockets"
_BATCH = 512


class Swept(NamedTuple):
    """How a sweep went."""

    asked: int
    drops: int
    """Answers the kernel had no room for."""


async def sweep(
    link: Link, ground: Ground, pace: Pace, ledger: Ledger, found: Callable[[Sighting], object], *,
    tick: Callable[[int], None] = lambda _sent: None, settle: float = SETTLE, pause: float = PAUSE,
    passes: int = PASSES,
) -> Swept:  # fmt: skip
    """Ask for every address of the ground; `found` is called for every new (MAC, address).

    Each further pass asks the silent only, `pause` seconds later.

    Raises `PermissionError` without the right to raw sockets, `LinkGone` when the interface goes away.
    """
    seen: set[tuple[str, str]] = set()
    alive: set[int] = set()
    broken: list[LinkGone] = []
    current = 1

    with ArpSocket(link) as sock:

        def drain() -> None:
            try:
                for reply in sock.replies():
                    number = int(IPv4Address(reply.address))
                    if (reply.mac, reply.address) in seen or number not in ground:
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
                quiet = (n for n in ground.numbers() if n not in alive)
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


class Arp(Way):
    """The sweep as a way of finding hosts."""

    name = METHOD
    order = 10

    def suits(self, ground: Ground, plan: Plan) -> bool:
        """On links."""
        return ground.reach is Reach.LINK

    def expect(self, ground: Ground, plan: Plan) -> Expected:
        """Both passes."""
        if not plan.raw:
            raise Unable(SWITCHED_OFF)
        if not permitted():
            raise Unable(NO_RAW)
        assert ground.link is not None
        return Expected(
            f"{ground.link.name}: ARP requests to {ground.count} addresses, {plan.arp_rate:g} a second, a second pass "
            "to the silent", PASSES * ground.count / plan.arp_rate + PAUSE + SETTLE,
        )  # fmt: skip

    async def search(self, ground: Ground, scene: Scene) -> str | None:
        """Both passes."""
        if not scene.plan.raw:
            raise Unable(SWITCHED_OFF)
        assert ground.link is not None
        try:
            swept = await sweep(
                ground.link, ground, Pace(scene.plan.arp_rate), scene.ledger, scene.book.sighted,
                tick=lambda sent: scene.tick(sent, ground.count),
            )  # fmt: skip
        except PermissionError as error:
            raise Unable(NO_RAW) from error
        return f"{swept.drops} answers were lost for lack of room: scan more slowly" if swept.drops else None


WAY = Arp
