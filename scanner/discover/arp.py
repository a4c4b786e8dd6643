"""The ARP sweep: who on this link has these addresses? Paced, with a second pass to the silent.

In a scan, those who answered the first pass are asked while the second one is in the air. The kernel asks for each of
them once more by itself, so the second pass leaves room for that, and where there is none it goes before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import IPv4Address
from itertools import chain, islice
from typing import TYPE_CHECKING

from scanner.config import Speed
from scanner.discover.base import Expected, Ground, Scene, Unable, Way
from scanner.discover.book import Sighting
from scanner.net.closing import Closing
from scanner.net.interfaces import Link, Reach
from scanner.net.pace import Lull, Pace
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
QUIET = 0.2
"""Seconds without an answer after which those in a hurry begin to ask whom they found: who answers later is heard, and
asked beside them.
"""
NO_RAW = (
    "raw sockets are not permitted: the kernel's neighbour table was used instead. Root would have added a paced ARP "
    "sweep with a second pass, and full speed where more than 512 hosts live on a link"
)
SWITCHED_OFF = "switched off: no raw sockets"
ANSWERS = "answers to ARP requests"
_BATCH = 512


class Sweep(Closing):
    """A sweep under way: it listens from the beginning to the end, and each pass asks those who are silent by then.

    `found` is called for every new (MAC, address). Made inside an event loop. Raises `PermissionError` without the
    right to raw sockets, `LinkGone` when the interface goes away.
    """

    def __init__(
        self, link: Link, ground: Ground, pace: Pace, ledger: Ledger, found: Callable[[Sighting], object]
    ) -> None:
        self._ground = ground
        self._pace = pace
        self._ledger = ledger
        self._found = found
        self._seen: set[tuple[str, str]] = set()
        self._alive: set[int] = set()
        self._broken: LinkGone | None = None
        self._passes = 0
        self._lull = Lull()
        self.rested = 0.0
        """When the last pass had asked everybody, by the loop's time."""
        self._loop = asyncio.get_running_loop()
        self._sock = ArpSocket(link)
        self._loop.add_reader(self._sock.fileno(), self._drain)
        self.asked = 0

    async def once(
        self, settle: float, tick: Callable[[int], None] = lambda _sent: None, pace: Pace | None = None,
        quiet: float | None = None,
    ) -> None:  # fmt: skip
        """One pass, and so many seconds for the answers, or until none has come for `quiet` seconds; `pace`: another
        one than the sweep's.
        """
        self._passes += 1
        silent = (n for n in self._ground.numbers() if n not in self._alive)
        async for count in _send(self._sock, silent, pace or self._pace, self._ledger):
            self.asked += count
            tick(self.asked)
            self._check()
        self.rested = self._loop.time()
        await self._lull.wait(settle if quiet is None else quiet, settle)
        self._check()

    def drops(self) -> int:
        """Answers the kernel had no room for, since the last call."""
        return self._sock.drops()

    def close(self) -> None:
        """Take the answers that wait and listen no longer."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._drain()
        self._sock.close()

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _drain(self) -> None:
        try:
            for reply in self._sock.replies():
                number = int(IPv4Address(reply.address))
                if (reply.mac, reply.address) in self._seen or number not in self._ground:
                    continue
                self._lull.heard()
                self._seen.add((reply.mac, reply.address))
                self._alive.add(number)
                self._found(
                    Sighting(reply.address, reply.mac, METHOD, self._sock.link.name, packets=self._passes)
                )
        except LinkGone as gone:
            self._broken = gone


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

    def __init__(self) -> None:
        self._under_way: dict[str, Sweep] = {}

    def suits(self, ground: Ground, plan: Plan) -> bool:
        """On links."""
        return ground.reach is Reach.LINK and ground.whole > 0

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

    async def begin(self, scene: Scene) -> None:
        """Nothing is sent yet; what a scan that ends early leaves is closed."""
        scene.stack.callback(self._close)

    async def search(self, ground: Ground, scene: Scene) -> str | None:
        """The first pass; it is listened on until the second is over, which comes here too where it must not go beside
        other questions.
        """
        if not scene.plan.raw:
            raise Unable(SWITCHED_OFF)
        assert ground.link is not None
        try:
            sweep = Sweep(ground.link, ground, Pace(scene.plan.arp_rate), scene.ledger, scene.book.sighted)
        except PermissionError as error:
            raise Unable(NO_RAW) from error
        try:
            quiet = QUIET if scene.plan.speed is Speed.FAST else None
            await sweep.once(SETTLE, tick=lambda sent: scene.tick(sent, ground.count), quiet=quiet)
            if not beside(scene.plan):
                scene.lost(ANSWERS, await _second(sweep, None))
                return None
        except BaseException:
            sweep.close()
            raise
        self._under_way[ground.link.name] = sweep
        return None

    async def again(self, ground: Ground, scene: Scene) -> str | None:
        """The second pass, to the silent, where it has not been yet."""
        assert ground.link is not None
        sweep = self._under_way.pop(ground.link.name, None)
        if sweep is not None:
            scene.lost(ANSWERS, await _second(sweep, Pace(beside(scene.plan))))
        return None

    def _close(self) -> None:
        while self._under_way:
            self._under_way.popitem()[1].close()


async def _second(sweep: Sweep, pace: Pace | None) -> int:
    """Returns how many answers of both passes were lost."""
    with sweep:
        await asyncio.sleep(max(0.0, sweep.rested + PAUSE - asyncio.get_running_loop().time()))
        await sweep.once(SETTLE, pace=pace)
        return sweep.drops()


def beside(plan: Plan) -> float:
    """Requests a second that may go out while hosts are asked; 0: none.

    A host is first asked by datagram, for which the kernel must learn its hardware address: both together keep to the
    rate of the plan.
    """
    left = plan.arp_rate - plan.manners.datagrams
    return left if left >= plan.arp_rate / 4 else 0.0


WAY = Arp
