"""The ICMP echo sweep: hosts behind a router that answer a ping, whatever their ports; a second pass to the silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from scanner.config import Plan
from scanner.discover.base import Expected, Ground, Scene, Unable, Way
from scanner.discover.book import Sighting
from scanner.net.echo import PACKET_BYTES, EchoSocket, permitted
from scanner.net.interfaces import Reach
from scanner.net.ledger import Ledger
from scanner.net.pace import Lull, Pace

METHOD = "icmp"
PASSES = 2
QUIET, MOST = 0.7, 2.0
"""Seconds without an answer after which a pass is over, and those it waits at the most."""
NOT_PERMITTED = "pings are not permitted: they need root, or a group within net.ipv4.ping_group_range"
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Swept:
    """How a sweep went."""

    asked: int
    no_way: int
    """Hosts for which this machine knows no way."""
    drops: int
    """Replies the kernel had no room for."""


async def sweep(
    addresses: Callable[[], Iterable[str]], pace: Pace, ledger: Ledger, found: Callable[[Sighting], object], *,
    tick: Callable[[int], None] = lambda _sent: None, passes: int = PASSES, wide: bool = False,
) -> Swept:  # fmt: skip
    """Ping every address, all of IPv4 or, with `wide`, of IPv6; `found` is called once for each that answers.

    `addresses` is called for each pass.

    Raises `PermissionError` where this user may not ping.
    """
    alive: set[str] = set()
    lost: set[str] = set()
    lull = Lull()
    current = asked = 0
    kind, size = ("icmp6", PACKET_BYTES + 20) if wide else ("icmp", PACKET_BYTES)
    with EchoSocket(wide=wide) as sock:

        def drain() -> None:
            for address in sock.replies():
                lull.heard()
                if address not in alive:
                    alive.add(address)
                    found(Sighting(address, None, METHOD, packets=current))

        loop = asyncio.get_running_loop()
        loop.add_reader(sock.fileno(), drain)
        try:
            for current in range(1, passes + 1):  # noqa: B007 - read by drain()
                quiet = (a for a in addresses() if a not in alive and a not in lost)
                waiting: list[str] = []
                while True:
                    granted = pace.grant(_BATCH)
                    if not granted:
                        await asyncio.sleep(max(0.005, 1 / pace.rate))
                        continue
                    waiting += islice(quiet, max(0, granted - len(waiting)))
                    if not waiting:
                        break
                    done, no_way = sock.ask(waiting[:granted])
                    lost.update(no_way)
                    asked += done - len(no_way)
                    for address in waiting[:done]:
                        if address not in lost:
                            ledger.write(kind, address, size, "echo request")
                    del waiting[:done]
                    tick(asked)
                    await asyncio.sleep(0 if not waiting else 0.01)
                await lull.wait(QUIET, MOST)
            drain()
        finally:
            loop.remove_reader(sock.fileno())
        return Swept(asked, len(lost), sock.drops())


class Icmp(Way):
    """The sweep as a way of finding hosts."""

    name = METHOD
    order = 30

    def suits(self, ground: Ground, plan: Plan) -> bool:
        """Behind routers and tunnels."""
        return ground.reach is Reach.ROUTED

    def expect(self, ground: Ground, plan: Plan) -> Expected:
        """Both passes."""
        if not permitted():
            raise Unable(NOT_PERMITTED)
        return Expected(
            f"behind a router or tunnel: an ICMP echo request to each of {ground.count} addresses, {plan.probe_rate:g} "
            "a second, a second pass to the silent", PASSES * (ground.count / plan.probe_rate + MOST),
        )  # fmt: skip

    async def search(self, ground: Ground, scene: Scene) -> str | None:
        """Both passes."""
        lost = 0
        try:
            for wide, addresses in ((False, ground.addresses), (True, lambda: iter(ground.v6))):
                if ground.v6 if wide else ground.whole:
                    swept = await sweep(
                        addresses, Pace(scene.plan.probe_rate), scene.ledger, scene.book.sighted,
                        tick=lambda sent: scene.tick(min(sent, ground.count), ground.count), wide=wide,
                    )  # fmt: skip
                    lost += swept.no_way
                    scene.lost("answers to pings", swept.drops)
        except PermissionError as error:
            raise Unable(NOT_PERMITTED) from error
        return f"{lost} hosts could not be reached from here (no route)" if lost else None


WAY = Icmp
