"""The ICMP echo sweep: hosts behind a router that answer a ping, whatever their ports; a second pass to the silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from scanner.discover.book import Sighting
from scanner.net.echo import PACKET_BYTES, EchoSocket
from scanner.net.ledger import Ledger
from scanner.net.pace import Lull, Pace

METHOD = "icmp"
PASSES = 2
QUIET, MOST = 0.7, 2.0
"""Seconds without an answer after which a pass is over, and those it waits at the most."""
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Swept:
    """How a sweep went."""

    asked: int
    no_way: int
    """Hosts for which this machine knows no way."""


async def sweep(
    addresses: Callable[[], Iterable[str]], pace: Pace, ledger: Ledger, found: Callable[[Sighting], object], *,
    tick: Callable[[int], None] = lambda _sent: None, passes: int = PASSES,
) -> Swept:  # fmt: skip
    """Ping every IPv4 address; `found` is called once for each that answers. `addresses` is called for each pass.

    Raises `PermissionError` where this user may not ping.
    """
    alive: set[str] = set()
    lost: set[str] = set()
    lull = Lull()
    current = asked = 0
    with EchoSocket() as sock:

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
                            ledger.write("icmp", address, PACKET_BYTES, "echo request")
                    del waiting[:done]
                    tick(asked)
                    await asyncio.sleep(0 if not waiting else 0.01)
                await lull.wait(QUIET, MOST)
            drain()
        finally:
            loop.remove_reader(sock.fileno())
    return Swept(asked, len(lost))
