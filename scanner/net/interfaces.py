"""The links and routes of this machine: which targets are on a link, which lie behind a router, which are itself."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_address
from itertools import pairwise
from typing import NamedTuple

from scanner.net import netlink

_UP, _BROADCAST, _LOOPBACK, _POINT_TO_POINT, _NOARP, _RUNNING = 0x1, 0x2, 0x8, 0x10, 0x80, 0x40
_ETHERNET = 1
_UNSURE = 0x40 | 0x08  # IFA_F_TENTATIVE, IFA_F_DADFAILED: not to be used (yet)
_GET_FLAGS = 0x8913  # SIOCGIFFLAGS
_CARRIERS = frozenset({"bond", "team", "bridge", "vlan", "macvlan", "ipvlan"})


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface."""

    name: str
    index: int
    mac: str | None
    up: bool
    ethernet: bool
    """Speaks ARP: Ethernet or Wi-Fi, neither loopback nor point-to-point."""
    physical: bool
    """Hardware, or a bridge, bond or VLAN over hardware."""
    addresses: tuple[IPv4Interface, ...] = ()
    v6: tuple[IPv6Interface, ...] = ()

    @property
    def local(self) -> IPv6Address | None:
        """Its link-local address of IPv6, from which everybody on the link can be asked; None without IPv6."""
        return next((own.ip for own in self.v6 if own.ip.is_link_local), None)

    def zoned(self, address: IPv6Address) -> str:
        """An address of this link as text: a link-local one with its zone (RFC 4007, 11)."""
        return f"{address}%{self.name}" if address.is_link_local and not address.scope_id else str(address)


class Reach(StrEnum):
    """How an address is reached."""

    LINK = "link"
    """Directly, by ARP."""
    ROUTED = "routed"
    """Through a gateway, or a tunnel."""
    LOCAL = "local"
    """It is this machine (loopback included)."""
    NOWHERE = "nowhere"


class Segment(NamedTuple):
    """Neighbouring addresses that are reached in one way, as integers, both ends included."""

    first: int
    last: int
    reach: Reach
    link: Link | None = None
    gateway: str | None = None
    """The router on the way, where there is one."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route, as far as a scan needs it."""

    network: IPv4Network | IPv6Network
    reach: Reach
    index: int | None
    gateway: str | None = None
    metric: int = 0


@dataclass(frozen=True)
class Topology:
    """Links and routes at one moment."""

    links: tuple[Link, ...]
    routes: tuple[Route, ...]
    """Of IPv4."""
    routes6: tuple[Route, ...] = ()

    @property
    def gateways(self) -> frozenset[str]:
        """Addresses of routers this machine uses."""
        return frozenset(route.gateway for route in self.routes if route.gateway)

    @property
    def own(self) -> frozenset[str]:
        """The addresses of this machine itself."""
        return frozenset(str(address.ip) for link in self.links for address in link.addresses)

    @property
    def own6(self) -> frozenset[str]:
        """The same of IPv6, as targets name them."""
        return frozenset(link.zoned(address.ip) for link in self.links for address in link.v6)

    @property
    def untouchable(self) -> frozenset[str]:
        """The addresses of routers and of this machine, of both kinds, without zones: its way to others."""
        routers = {route.gateway for route in (*self.routes, *self.routes6) if route.gateway}
        return self.own | routers | {str(own.ip) for link in self.links for own in link.v6}

    def networks(self, *, physical: bool = False) -> dict[str, tuple[IPv4Interface, ...]]:
        """Interface name → addresses, of links that are up; `physical` leaves out virtual ones and loopback."""
        return {
            link.name: link.addresses
            for link in self.links
            if link.up and link.addresses and (not physical or (link.physical and link.ethernet))
        }

    def link(self, name: str) -> Link | None:
        """The link of a name."""
        return next((link for link in self.links if link.name == name), None)

    def segments(self, first: int, last: int) -> Iterator[Segment]:
        """The addresses from `first` to `last`, cut where the way to them changes; the longest prefix wins."""
        yield from _cut(_by_prefix(self.routes), {link.index: link for link in self.links}, first, last)

    def reach(self, address: str) -> Segment:
        """How one address is reached; a link-local one on the link that its zone names."""
        plain, _, zone = address.partition("%")
        found = ip_address(plain)
        number = int(found)
        if isinstance(found, IPv4Address):
            return next(iter(self.segments(number, number)))
        if any(found == own.ip for link in self.links for own in link.v6 if not zone or link.name == zone):
            return Segment(number, number, Reach.LOCAL, self.link(zone))
        if found.is_link_local:
            link = self.link(zone)
            near = link is not None and link.up
            kind = Reach.NOWHERE if not near else Reach.LINK if link is not None and link.ethernet else Reach.ROUTED
            return Segment(number, number, kind, link)
        return next(_cut(_by_prefix(self.routes6), {link.index: link for link in self.links}, number, number))


def _by_prefix(routes: Iterable[Route]) -> list[Route]:
    return sorted(routes, key=lambda r: (-r.network.prefixlen, r.metric))


def _cut(routes: Sequence[Route], links: Mapping[int, Link], first: int, last: int) -> Iterator[Segment]:
    """Recursive halving would touch every prefix; the edges of the routes inside are enough."""
    inside = [
        (int(r.network.network_address), int(r.network.broadcast_address), r) for r in routes
        if int(r.network.network_address) <= last and int(r.network.broadcast_address) >= first
    ]  # fmt: skip
    edges = {first, last + 1}
    for low, high, _ in inside:
        edges |= {max(first, low), min(last, high) + 1}
    cuts = sorted(edges)
    hosts = {low: r for low, high, r in reversed(inside) if low == high}
    wide = [entry for entry in inside if entry[0] != entry[1]]
    for low, following in pairwise(cuts):
        route = hosts.get(low) or next((r for a, b, r in wide if a <= low <= b), None)
        link = links.get(route.index) if route is not None and route.index is not None else None
        reach = Reach.NOWHERE if route is None else route.reach
        if reach is Reach.LINK and (link is None or not link.ethernet):
            reach = Reach.ROUTED  # a tunnel or a point-to-point link: nobody answers ARP there
        if reach is not Reach.LOCAL and link is not None and not link.up:
            reach = Reach.NOWHERE
        gateway = route.gateway if route is not None and reach is Reach.ROUTED else None
        yield Segment(low, following - 1, reach, link, gateway)


def read() -> Topology:
    """Links and routes of this machine, now. Raises `OSError` where the system has no netlink."""
    return Topology(_links(), tuple(_routes(socket.AF_INET)), tuple(_routes(socket.AF_INET6)))


def _links() -> tuple[Link, ...]:
    addresses: dict[int, list[IPv4Interface]] = {}
    for message in netlink.dump(netlink.GETADDR, socket.AF_INET):
        _family, prefix, _flags, _scope, index = struct.unpack("=BBBBI", message.body)
        raw = message.attributes.get(2) or message.attributes.get(1, b"")  # IFA_LOCAL, IFA_ADDRESS
        if len(raw) == 4:
            addresses.setdefault(index, []).append(IPv4Interface((raw, prefix)))
    wide: dict[int, list[IPv6Interface]] = {}
    for message in netlink.dump(netlink.GETADDR, socket.AF_INET6):
        _family, prefix, flags, _scope, index = struct.unpack("=BBBBI", message.body)
        raw = message.attributes.get(2) or message.attributes.get(1, b"")
        if len(raw) == 16 and not flags & _UNSURE:
            wide.setdefault(index, []).append(IPv6Interface((raw, prefix)))
    found: dict[int, Link] = {}
    below: dict[int, set[int]] = {}  # carrier → what it is built upon
    for message in netlink.dump(netlink.GETLINK):
        _family, kind, index, flags, _change = struct.unpack("=BxHiII", message.body)
        attributes = message.attributes
        name = attributes.get(3, b"").rstrip(b"\0").decode("utf-8", "replace")
        made = netlink.nested(attributes.get(18, b"")).get(1, b"").rstrip(b"\0").decode()
        mac = attributes.get(1, b"")
        ethernet = kind == _ETHERNET and not flags & (_LOOPBACK | _POINT_TO_POINT | _NOARP) and len(mac) == 6
        found[index] = Link(
            name=name, index=index, mac=mac.hex(":") if ethernet else None,
            up=bool(flags & _UP) and bool(flags & _RUNNING), ethernet=ethernet, physical=ethernet and not made,
            addresses=tuple(addresses.get(index, ())), v6=tuple(wide.get(index, ())),
        )  # fmt: skip
        if made in _CARRIERS and 5 in attributes:  # IFLA_LINK: a VLAN's parent
            below.setdefault(index, set()).add(int.from_bytes(attributes[5], sys.byteorder))
        if 10 in attributes:  # IFLA_MASTER: the bridge or bond this link belongs to
            below.setdefault(int.from_bytes(attributes[10], sys.byteorder), set()).add(index)
    for _ in range(3):  # a VLAN over a bond over hardware
        for index, parts in below.items():
            if index in found and any(part in found and found[part].physical for part in parts):
                found[index] = replace(found[index], physical=found[index].ethernet)
    return tuple(found.values())


_REACH = {1: None, 2: Reach.LOCAL, 3: Reach.NOWHERE, 6: Reach.NOWHERE, 7: Reach.NOWHERE, 8: Reach.NOWHERE}
"""Route types: unicast, local, broadcast, blackhole, unreachable, prohibit."""


def _routes(family: int) -> Iterator[Route]:
    network, size = (IPv6Network, 16) if family == socket.AF_INET6 else (IPv4Network, 4)
    for message in netlink.dump(netlink.GETROUTE, family):
        _family, length, source, _tos, table, _protocol, _scope, kind, _flags = struct.unpack("=8BI", message.body)
        attributes = message.attributes
        number = struct.unpack("=I", attributes[15])[0] if 15 in attributes else table
        if kind not in _REACH or source or number not in {254, 255}:
            continue
        destination = attributes.get(1, bytes(size))
        gateway = attributes.get(5)
        reach = _REACH[kind] or (Reach.ROUTED if gateway or 9 in attributes or 18 in attributes else Reach.LINK)
        yield Route(
            network=network((destination, length)), reach=reach,
            index=struct.unpack("=I", attributes[4])[0] if 4 in attributes else None,
            gateway=socket.inet_ntop(family, gateway) if gateway and len(gateway) == size else None,
            metric=struct.unpack("=I", attributes[6])[0] if 6 in attributes else 0,
        )  # fmt: skip


def is_up(name: str) -> bool:
    """Whether an interface is there and up at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            answer = fcntl.ioctl(sock, _GET_FLAGS, struct.pack("16sH14x", name.encode()[:15], 0))
        except OSError:
            return False
    flags = int(struct.unpack_from("=H", answer, 16)[0])
    return flags & (_UP | _RUNNING) == _UP | _RUNNING
