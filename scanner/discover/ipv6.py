"""IPv6 on a link: a ping and a listener query to everybody, and what the kernel knows by itself.

No network is swept: a /64 has more addresses than a scan has years. A device that the ARP sweep has found too gets its
IPv6 addresses as further ones; who speaks IPv6 alone is asked only where the targets are the whole link and nothing is
excluded, for nobody can tell whose address it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import IPv6Address

from scanner.config import Plan, Speed
from scanner.discover.base import Expected, Ground, Scene, Unable, Way
from scanner.discover.book import Entry, Sighting
from scanner.net import netlink
from scanner.net.icmp6 import Icmp6Socket, Neighbour
from scanner.net.interfaces import Link, Reach
from scanner.net.pace import Lull
from scanner.net.packet import permitted

METHOD = "ipv6"
REPEAT = 2
QUIET, MOST = 1.2, 2.5
"""Seconds without an answer after which it is over (listeners wait up to one), and those it takes at the most."""
NO_RAW = "IPv6 neighbours were not looked for: that needs raw sockets (root)"
NO_ADDRESS = "{} has no IPv6 address: nobody was asked by IPv6"


class Ipv6(Way):
    """The questions as a way of finding hosts."""

    name = METHOD
    order = 15

    def __init__(self) -> None:
        self._found: dict[str, dict[str, list[str]]] = {}  # link → MAC → addresses
        self._alone: set[str] = set()

    def suits(self, ground: Ground, plan: Plan) -> bool:
        """On links."""
        return ground.reach is Reach.LINK and plan.multicast

    def expect(self, ground: Ground, plan: Plan) -> Expected | None:
        """The same for a link of any size."""
        if not plan.raw or not permitted():
            raise Unable(NO_RAW)
        if ground.portion or ground.link is None or not ground.link.v6:
            return None
        query = " and a multicast listener query" if _queries(plan) else ""
        return Expected(f"{ground.link.name}: an IPv6 ping{query} to everybody, twice", MOST + 0.3)

    async def search(self, ground: Ground, scene: Scene) -> str | None:
        """Ask once per link, with the first portion."""
        if not scene.plan.raw:
            raise Unable(NO_RAW)
        link = ground.link
        assert link is not None
        if ground.portion:
            return None
        if not link.v6:
            raise Unable(NO_ADDRESS.format(link.name))
        try:
            found = await ask(link, scene, query=_queries(scene.plan))
        except PermissionError as error:
            raise Unable(NO_RAW) from error
        by_mac: dict[str, list[str]] = {}
        for one in found:
            by_mac.setdefault(one.mac, []).append(_name(one.address, link))
        self._found[link.name] = by_mac
        if ground.last is None and _whole(ground, link) and not scene.book.excluding:
            self._alone.add(link.name)
            return None
        return "devices that speak IPv6 alone were not asked: they may be none of the targets"

    async def survey(self, entries: Sequence[Entry], scene: Scene) -> None:
        """Give the devices that ARP has found their further addresses; enter, or count, those that speak IPv6 alone."""
        for name, by_mac in self._found.items():
            for entry in entries:
                if entry.link == name and entry.mac in by_mac and ":" not in entry.address:
                    entry.also += by_mac.pop(entry.mac)
                    entry.methods.add(METHOD)
            if name in self._alone:
                for mac, addresses in by_mac.items():
                    first = scene.book.sighted(Sighting(addresses[0], mac, METHOD, name, packets=0))
                    if first is not None:
                        first.also += addresses[1:]
                by_mac.clear()


async def ask(link: Link, scene: Scene, *, query: bool) -> list[Neighbour]:
    """Everybody on a link that answers, each address once. Raises as `Icmp6Socket` does."""
    found: dict[IPv6Address, Neighbour] = {}
    lull = Lull()
    local = next((a.ip for a in link.v6 if a.ip.is_link_local), None)
    with Icmp6Socket(link) as sock:

        def drain() -> None:
            for one in sock.answers():
                lull.heard()
                if one.mac != link.mac:
                    found.setdefault(one.address, one)

        loop = asyncio.get_running_loop()
        loop.add_reader(sock.fileno(), drain)
        try:
            for turn in range(REPEAT):
                for own in {a.network: a.ip for a in link.v6}.values():
                    sock.echo(own)
                    scene.ledger.write("icmp6", f"ff02::1%{link.name}", 16, "echo request to everybody")
                if query and local is not None and turn == 0:
                    sock.query(local)
                    scene.ledger.write("icmp6", f"ff02::1%{link.name}", 28, "multicast listener query")
                await asyncio.sleep(0.3)
            await lull.wait(QUIET, MOST)
            drain()
        finally:
            loop.remove_reader(sock.fileno())
    for known in netlink.neighbours6(link.index):
        if known.mac is not None and not IPv6Address(known.address).is_multicast:
            found.setdefault(IPv6Address(known.address), Neighbour(IPv6Address(known.address), known.mac))
    return list(found.values())


def _queries(plan: Plan) -> bool:
    """A query takes the router's turn to ask for some minutes: nothing is lost by it, and the gentle do without."""
    return plan.speed is not Speed.GENTLE


def _whole(ground: Ground, link: Link) -> bool:
    return all(ground.whole >= a.network.num_addresses - 3 for a in link.addresses)


def _name(address: IPv6Address, link: Link) -> str:
    return f"{address}%{link.name}" if address.is_link_local else str(address)


WAY = Ipv6
