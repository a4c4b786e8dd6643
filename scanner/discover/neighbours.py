"""Hosts on a link without raw sockets: an empty datagram makes the kernel ask by ARP, its neighbour table tells who
answered.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import cycle, islice

from scanner.config import Plan
from scanner.discover import arp
from scanner.discover.base import Expected, Ground, Scene, Way
from scanner.discover.book import Sighting
from scanner.errors import Code
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
_LOOK = 0.2  # seconds between two looks at the table
_ROOM = 50.0  # seconds: a full table keeps those who answered within up to 45 (base_reachable_time, neigh_forced_gc)
_STALE = 8  # errors of earlier datagrams that one sending may meet
_RECVERR = 11  # IP_RECVERR (linux/in.h)


@dataclass(frozen=True, slots=True)
class Poked:
    """How it went."""

    asked: int
    overflows: int
    """How often the kernel's table was full meanwhile."""
    unasked: tuple[int, ...] = ()
    """Addresses for which the kernel's table had no room in time: nobody looked for them."""


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
    asked, unasked = 0, []
    try:
        while batch := list(islice(addresses, BATCH)):
            lost = await _batch(link, batch, turns, pace, ledger, found)
            unasked += [int(IPv4Address(address)) for address in lost]
            asked += len(batch) - len(lost)
            tick(asked)
    finally:
        for sock in sockets:
            sock.close()
    return Poked(asked, neighbour_table.overflows() - before, tuple(unasked))


async def _batch(
    link: Link, batch: Sequence[str], sockets: Iterator[socket.socket], pace: Pace, ledger: Ledger,
    found: Callable[[Sighting], object],
) -> list[str]:  # fmt: skip
    """Ask for a batch and watch the table for who is there; returns the addresses that could not be asked for."""
    loop = asyncio.get_running_loop()
    known: set[str] = set()
    lost = []
    looked = loop.time()

    def look() -> None:  # often: a full table forgets those who answered a while ago
        nonlocal looked
        looked = loop.time()
        for host in neighbour_table.living(link):
            if host.address in everybody and host.address not in known:
                known.add(host.address)
                found(Sighting(host.address, host.mac, METHOD, link.name, packets=2))

    everybody = set(batch)
    for address in batch:
        await pace.take()
        if await _send(next(sockets), address):
            ledger.write("udp", address, 0, "empty datagram, so that the kernel asks by ARP", port=_DISCARD)
        else:
            lost.append(address)
        if loop.time() - looked > _LOOK:
            look()
    end = loop.time() + _PATIENCE
    while loop.time() < end:
        await asyncio.sleep(_LOOK)
        look()
        if not neighbour_table.unresolved(link) & everybody:
            break
    look()
    return lost


async def _send(sock: socket.socket, address: str) -> bool:
    """Whether the kernel took the datagram: waits for as long as its table may need to make room."""
    patience, pause = _ROOM, 0.01
    stale = 0
    while True:
        try:
            sock.sendto(b"", (address, _DISCARD))
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # told on this socket about an earlier address, or no way there
                _drain(sock)
                stale += 1
                if stale > _STALE:
                    return True
                continue
        else:
            return True
        if patience <= 0:
            return False
        await asyncio.sleep(pause)
        patience, pause = patience - pause, min(0.25, pause * 2)


def _drain(sock: socket.socket) -> None:
    """Read what the kernel tells about earlier datagrams: hosts that are not there, ports that are closed."""
    for _ in range(64):
        try:
            sock.recvmsg(1, 1, socket.MSG_ERRQUEUE)
        except OSError:
            return


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    sock.setblocking(False)
    # Without it the kernel says nothing when it drops a datagram because its neighbour table is full (udp_send_skb).
    sock.setsockopt(socket.IPPROTO_IP, _RECVERR, 1)
    return sock


class Neighbours(Way):
    """The kernel's help as a way of finding hosts."""

    name = METHOD
    order = 20
    instead_of = arp.METHOD

    def suits(self, ground: Ground, plan: Plan) -> bool:
        """On links."""
        return ground.reach is Reach.LINK and ground.whole > 0

    def expect(self, ground: Ground, plan: Plan) -> Expected:
        """One datagram each."""
        assert ground.link is not None
        return Expected(
            f"{ground.link.name}: without raw sockets, one empty UDP datagram to port 9 of {ground.count} addresses, "
            "so that the kernel asks by ARP",
            ground.count / max(1.0, plan.arp_rate / ARPS) + _PATIENCE * -(-ground.count // BATCH), most=BATCH,
        )  # fmt: skip

    async def search(self, ground: Ground, scene: Scene) -> str | None:
        """One datagram each."""
        assert ground.link is not None
        poked = await poke(
            ground.link, ground, Pace(max(1.0, scene.plan.arp_rate / ARPS)), scene.ledger, scene.book.sighted,
            tick=lambda sent: scene.tick(sent, ground.count),
        )  # fmt: skip
        if poked.unasked:
            scene.unreached.extend(poked.unasked)
            scene.fail(
                Code.TABLE,
                f"{len(poked.unasked)} addresses on {ground.link.name} were not looked for: the kernel's neighbour "
                "table was full; root would have asked them",
            )
        if not poked.overflows:
            return None
        return f"the kernel's neighbour table was full {poked.overflows} times: the search waited for room"


WAY = Neighbours
