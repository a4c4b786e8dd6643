"""Hosts on a link without raw sockets: an empty datagram makes the kernel ask by ARP, its neighbour table tells who
answered.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from scanner.config import Plan
from scanner.discover import arp
from scanner.discover.base import Expected, Ground, Scene, Way
from scanner.discover.book import Sighting
from scanner.net import neighbour_table
from scanner.net.interfaces import Link, Reach
from scanner.net.ledger import Ledger
from scanner.net.pace import Pace

METHOD = "neighbours"
BATCH = 600
"""Addresses at a time: they and what the machine needs itself fit the default table of 1,024."""
ARPS = 3
"""Requests the kernel sends for an address that stays silent, one a second."""
_SOCKETS = 24  # a socket's queue fills with datagrams that wait for a neighbour, so they are spread
_DISCARD = 9  # the discard service (RFC 863)
_PATIENCE = 3.3  # seconds: three requests and a margin


@dataclass(frozen=True, slots=True)
class Poked:
    """How it went."""

    asked: int
    overflows: int
    """How often the kernel's table was full meanwhile."""


async def poke(
    link: Link, ground: Ground, pace: Pace, ledger: Ledger, found: Callable[[Sighting], object], *,
    tick: Callable[[int], None] = lambda _sent: None,
) -> Poked:  # fmt: skip
    """Make the kernel look for every address of the ground; `found` is called for those that have a MAC.

    Raises `OSError` where the neighbour table cannot be read.
    """
    before = neighbour_table.overflows()
    addresses = ground.addresses()
    sockets = [_socket() for _ in range(_SOCKETS)]
    turns = cycle(sockets)
    asked = 0
    try:
        while batch := list(islice(addresses, BATCH)):
            await _batch(link, batch, turns, pace, ledger)
            asked += len(batch)
            tick(asked)
            _collect(link, set(batch), found)
    finally:
        for sock in sockets:
            sock.close()
    return Poked(asked, neighbour_table.overflows() - before)


async def _batch(
    link: Link, batch: Sequence[str], sockets: Iterator[socket.socket], pace: Pace, ledger: Ledger
) -> None:
    loop = asyncio.get_running_loop()
    for address in batch:
        await pace.take()
        await _send(next(sockets), address)
        ledger.write("udp", address, 0, "empty datagram, so that the kernel asks by ARP", port=_DISCARD)
    end = loop.time() + _PATIENCE
    waiting = set(batch)
    while loop.time() < end:
        await asyncio.sleep(0.2)
        if not neighbour_table.unresolved(link) & waiting:
            break


async def _send(sock: socket.socket, address: str) -> None:
    for patience in (0.01, 0.05, 0.2):
        try:
            sock.sendto(b"", (address, _DISCARD))
        except (BlockingIOError, InterruptedError):
            await asyncio.sleep(patience)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                return  # an answer to an earlier one (unreachable), or no way there
            await asyncio.sleep(patience)
        else:
            return


def _collect(link: Link, batch: set[str], found: Callable[[Sighting], object]) -> None:
    for host in neighbour_table.living(link):
        if host.address in batch:
            found(Sighting(host.address, host.mac, METHOD, link.name, packets=2))


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    sock.setblocking(False)
    return sock


class Neighbours(Way):
    """The kernel's help as a way of finding hosts."""

    name = METHOD
    order = 20
    instead_of = arp.METHOD

    def suits(self, ground: Ground, plan: Plan) -> bool:
        """On links."""
        return ground.reach is Reach.LINK

    def expect(self, ground: Ground, plan: Plan) -> Expected:
        """One datagram each."""
        assert ground.link is not None
        return Expected(
            f"{ground.link.name}: without raw sockets, one empty UDP datagram to port 9 of {ground.count} addresses, "
            "so that the kernel asks by ARP",
            ground.count / max(1.0, plan.arp_rate / ARPS) + _PATIENCE * -(-ground.count // BATCH),
        )

    async def search(self, ground: Ground, scene: Scene) -> str | None:
        """One datagram each."""
        assert ground.link is not None
        poked = await poke(
            ground.link, ground, Pace(max(1.0, scene.plan.arp_rate / ARPS)), scene.ledger, scene.book.sighted,
            tick=lambda sent: scene.tick(sent, ground.count),
        )  # fmt: skip
        if not poked.overflows:
            return None
        note = f"the kernel's neighbour table was full {poked.overflows} times: hosts may have been missed"
        scene.warn(note)
        return note


WAY = Neighbours
