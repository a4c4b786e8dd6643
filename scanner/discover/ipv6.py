"""IPv6 on a link: a ping and a listener query to everybody, what the kernel knows by itself, and a neighbour
solicitation for each address that is a target; without raw sockets the kernel pings, where it may, and solicits.

No network is swept: a /64 has more addresses than a scan has years. `kin` tells whose the addresses are that answer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from ipaddress import IPv6Address

from scanner.config import Plan, Speed
from scanner.discover.base import Expected, Ground, Scene, Unable, Way
from scanner.net import netlink
from scanner.net.icmp6 import Icmp6Socket, PingSocket, may_ping
from scanner.net.interfaces import Link, Reach
from scanner.net.pace import Lull, Pace
from scanner.net.packet import permitted
from scanner.net.peer import sockaddr

METHOD = "ipv6"
REPEAT = 2
QUIET, MOST = 1.2, 2.5
"""Seconds without an answer after which it is over (listeners wait up to one), and those it takes at the most."""
BATCH = 600
"""Addresses for which the kernel is made to ask at a time: they fit its table of 1,024."""
NO_RAW = (
    "IPv6 neighbours were not looked for: that needs raw sockets (root), or a group within net.ipv4.ping_group_range"
)
NO_ADDRESS = "{} has no IPv6 address: nobody was asked by IPv6"
ALONE = "devices that speak IPv6 alone were not asked: they may be none of the targets"
_PAUSE = 0.3  # seconds between two turns
_DISCARD = 9  # the discard service (RFC 863)
_PATIENCE = 3.3  # seconds: the kernel solicits three times, one a second (RFC 4861, 10)
_LOOK = 0.2
_ROOM = (0.01, 0.05, 0.2, 0.2)  # seconds to wait for room in a full queue, one after the other


class Ipv6(Way):
    """The questions as a way of finding hosts."""

    name = METHOD
    order = 15

    def suits(self, ground: Ground, plan: Plan) -> bool:
        """On links."""
        return ground.reach is Reach.LINK and (plan.multicast or bool(ground.v6))

    def expect(self, ground: Ground, plan: Plan) -> Expected | None:
        """The same for a link of any size, and the solicitations."""
        raw = plan.raw and permitted()
        pings = plan.multicast and (raw or may_ping())
        if not pings and not ground.v6:
            raise Unable(NO_RAW)
        if ground.portion or ground.link is None or not ground.link.v6:
            return None
        said = []
        if pings:
            query = " and a multicast listener query" if raw and _queries(plan) else ""
            said.append(f"an IPv6 ping{query} to everybody, twice")
        if ground.v6:
            how = "twice" if raw else "by the kernel, for an empty UDP datagram to port 9"
            said.append(f"neighbour solicitations for {len(ground.v6)} addresses, {how}")
        seconds = len(ground.v6) * REPEAT / plan.arp_rate + (_PATIENCE if ground.v6 and not raw else MOST + _PAUSE)
        return Expected(f"{ground.link.name}: {'; '.join(said)}", seconds)

    async def search(self, ground: Ground, scene: Scene) -> str | None:
        """Ask once per link, with the first portion."""
        link, plan = ground.link, scene.plan
        assert link is not None
        if ground.portion:
            return None
        whole = plan.multicast and ground.last is None and _whole(ground, link) and scene.kin.whole(link.name)
        if not link.v6:
            raise Unable(NO_ADDRESS.format(link.name))
        note = None if whole or not plan.multicast else ALONE
        if plan.raw:
            with suppress(PermissionError):
                await ask(link, scene, ground.v6)
                return note
        if ground.v6:
            await poke(link, scene, ground.v6)
        if plan.multicast:
            try:
                await hail(link, scene)
            except PermissionError as error:
                if not ground.v6:
                    raise Unable(NO_RAW) from error
                return NO_RAW.replace("neighbours", "neighbours that are no targets")
        return note


async def ask(link: Link, scene: Scene, wanted: Sequence[str] = ()) -> None:
    """Enter everybody on a link that answers, with the wanted addresses. Raises as `Icmp6Socket` does."""
    macs: set[str] = set()
    missing = {IPv6Address(address).packed for address in wanted}
    lull = Lull()
    with Icmp6Socket(link) as sock:

        def drain() -> None:
            for one in sock.answers():
                lull.heard()
                if one.mac != link.mac:
                    macs.add(one.mac)
                    missing.discard(one.address.packed)
                    scene.kin.met(link.name, link.zoned(one.address), one.mac, METHOD, sure=not one.advertised)

        loop = asyncio.get_running_loop()
        loop.add_reader(sock.fileno(), drain)
        try:
            for turn in range(REPEAT):
                if scene.plan.multicast:
                    _everybody(link, scene, sock, query=turn == 0 and _queries(scene.plan))
                await _solicit(link, scene, sock, [a for a in wanted if IPv6Address(a).packed in missing])
                await asyncio.sleep(_PAUSE)
            await lull.wait(QUIET, MOST)
            drain()
        finally:
            loop.remove_reader(sock.fileno())
        scene.lost("answers by IPv6", sock.drops())
    for known in netlink.neighbours6(link.index):  # further addresses of those who answered
        if known.mac in macs and not IPv6Address(known.address).is_multicast:
            assert known.mac is not None
            scene.kin.met(link.name, link.zoned(IPv6Address(known.address)), known.mac, METHOD, sure=False)


def _everybody(link: Link, scene: Scene, sock: Icmp6Socket, *, query: bool) -> None:
    for own in {a.network: a.ip for a in link.v6}.values():
        sock.echo(own)
        scene.ledger.write("icmp6", f"ff02::1%{link.name}", 16, "echo request to everybody")
    if query and link.local is not None:
        sock.query(link.local)
        scene.ledger.write("icmp6", f"ff02::1%{link.name}", 28, "multicast listener query")


async def _solicit(link: Link, scene: Scene, sock: Icmp6Socket, wanted: Iterable[str]) -> None:
    pace = Pace(scene.plan.arp_rate)
    for address in wanted:
        found = IPv6Address(address.partition("%")[0])
        own = next((a.ip for a in link.v6 if found in a.network), link.local or link.v6[0].ip)
        await pace.take()
        for patience in _ROOM:
            if sock.solicit(own, [found]):
                break
            await asyncio.sleep(patience)
        scene.ledger.write("icmp6", address, 32, "neighbour solicitation")


async def hail(link: Link, scene: Scene) -> None:
    """Enter everybody on a link that answers a ping, without raw sockets. Raises as `PingSocket` does.

    The kernel's table tells their MACs: whoever answers has asked for ours.
    """
    lull = Lull()
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:

        def drain(sock: PingSocket) -> None:
            for address in sock.replies():
                lull.heard()
                scene.kin.met(link.name, link.zoned(address), None, METHOD)

        sockets = []
        for own in {a.network: a.ip for a in link.v6}.values():
            sockets.append(stack.enter_context(PingSocket(link, own)))
            loop.add_reader(sockets[-1].fileno(), drain, sockets[-1])
            stack.callback(loop.remove_reader, sockets[-1].fileno())
        for _ in range(REPEAT):
            for sock in sockets:
                sock.echo()
                scene.ledger.write("icmp6", f"ff02::1%{link.name}", 16, "echo request to everybody")
            await asyncio.sleep(_PAUSE)
        await lull.wait(QUIET, MOST)
        for sock in sockets:
            drain(sock)


async def poke(link: Link, scene: Scene, wanted: Sequence[str]) -> None:
    """Make the kernel look for addresses on a link, and enter those that have a MAC. Raises `OSError`."""
    pace = Pace(max(1.0, scene.plan.arp_rate / 3))
    loop = asyncio.get_running_loop()
    for first in range(0, len(wanted), BATCH):
        batch = wanted[first : first + BATCH]
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)
            for address in batch:
                await pace.take()
                with suppress(OSError):
                    sock.sendto(b"", sockaddr(address, _DISCARD))
                scene.ledger.write("udp", address, 0, "empty datagram, so that the kernel solicits", port=_DISCARD)
            missing, end = set(batch), loop.time() + _PATIENCE
            while missing and loop.time() < end:
                await asyncio.sleep(_LOOK)
                for known in netlink.neighbours6(link.index):
                    address = link.zoned(IPv6Address(known.address))
                    if address in missing and known.mac is not None:
                        missing.discard(address)
                        scene.kin.met(link.name, address, known.mac, METHOD, sure=False)


def _queries(plan: Plan) -> bool:
    """A query takes the router's turn to ask for some minutes: nothing is lost by it, and the gentle do without."""
    return plan.speed is not Speed.GENTLE


def _whole(ground: Ground, link: Link) -> bool:
    return bool(link.addresses) and all(ground.whole >= a.network.num_addresses - 3 for a in link.addresses)


WAY = Ipv6
