from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from itertools import pairwise

import pytest

from scanner.net import interfaces
from scanner.net.interfaces import Link, Reach, Route, Topology

ETH = Link("eth0", 2, "aa:bb:cc:dd:ee:ff", True, True, True, (IPv4Interface("10.0.0.5/24"),))
TUN = Link("tun0", 3, None, True, False, False, (IPv4Interface("10.8.0.1/24"),))
LO = Link("lo", 1, None, True, False, False, (IPv4Interface("127.0.0.1/8"),))
OFF = Link("eth1", 4, "aa:bb:cc:dd:ee:00", False, True, True, (IPv4Interface("10.1.0.5/24"),))


def route(network: str, reach: Reach, index: int | None, gateway: str | None = None, metric: int = 0) -> Route:
    return Route(IPv4Network(network), reach, index, gateway, metric)


TOPOLOGY = Topology(
    (LO, ETH, TUN, OFF),
    (
        route("0.0.0.0/0", Reach.ROUTED, 2, "10.0.0.1"),
        route("10.0.0.0/24", Reach.LINK, 2),
        route("10.0.0.5/32", Reach.LOCAL, 2),
        route("10.0.0.255/32", Reach.NOWHERE, 2),
        route("10.0.0.128/26", Reach.ROUTED, 2, "10.0.0.2"),
        route("10.8.0.0/24", Reach.LINK, 3),
        route("10.1.0.0/24", Reach.LINK, 4),
        route("127.0.0.0/8", Reach.LOCAL, 1),
    ),
)


WIDE = Topology(
    (replace(LO, v6=(IPv6Interface("::1/128"),)),
     replace(ETH, v6=(IPv6Interface("fe80::5/64"), IPv6Interface("2001:db8::5/64"))), TUN, OFF),
    (),
    (
        Route(IPv6Network("::/0"), Reach.ROUTED, 2, "fe80::1", 1024),
        Route(IPv6Network("2001:db8::/64"), Reach.LINK, 2, None, 256),
        Route(IPv6Network("2001:db8:1::/64"), Reach.LINK, 4, None, 256),
        Route(IPv6Network("2001:db8:2::/64"), Reach.LINK, 3, None, 256),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("address", "reach", "link", "gateway"),
    [
        ("2001:db8::7", Reach.LINK, "eth0", None), ("2001:db9::7", Reach.ROUTED, "eth0", "fe80::1"),
        ("2001:db8::5", Reach.LOCAL, None, None), ("::1", Reach.LOCAL, None, None),
        ("2001:db8:1::7", Reach.NOWHERE, OFF.name, None), ("2001:db8:2::7", Reach.ROUTED, TUN.name, None),
        ("fe80::7%eth0", Reach.LINK, "eth0", None), (f"fe80::7%{TUN.name}", Reach.ROUTED, TUN.name, None),
        (f"fe80::7%{OFF.name}", Reach.NOWHERE, OFF.name, None), ("fe80::7%none", Reach.NOWHERE, None, None),
        ("fe80::5%eth0", Reach.LOCAL, "eth0", None),
    ],
)  # fmt: skip
def test_an_address_of_ipv6_is_reached_by_its_zone_or_its_route(
    address: str, reach: Reach, link: str | None, gateway: str | None
) -> None:
    found = WIDE.reach(address)

    assert (found.reach, found.link and found.link.name, found.gateway) == (reach, link, gateway)


def test_routers_and_this_machine_are_untouchable_by_all_their_addresses() -> None:
    assert WIDE.untouchable == {"::1", "127.0.0.1", "10.0.0.5", *WIDE.own, "fe80::5", "2001:db8::5", "fe80::1"}


def test_a_link_names_its_link_local_addresses_with_itself() -> None:
    link = WIDE.links[1]

    assert str(link.local) == "fe80::5"
    assert ETH.local is None
    assert link.zoned(IPv6Address("fe80::7")) == link.zoned(IPv6Address("fe80::7%eth0")) == "fe80::7%eth0"
    assert link.zoned(IPv6Address("2001:db8::7")) == "2001:db8::7"


def at(address: str) -> Reach:
    return TOPOLOGY.reach(address).reach


def test_the_longest_prefix_decides() -> None:
    assert at("10.0.0.9") is Reach.LINK
    assert at("10.0.0.5") is Reach.LOCAL
    assert at("10.0.0.255") is Reach.NOWHERE
    assert at("10.0.0.130") is Reach.ROUTED
    assert at("192.168.7.7") is Reach.ROUTED
    assert at("127.4.4.4") is Reach.LOCAL


def test_a_tunnel_has_no_arp_and_a_dead_link_leads_nowhere() -> None:
    assert at("10.8.0.9") is Reach.ROUTED
    assert at("10.1.0.9") is Reach.NOWHERE


def test_segments_cover_everything_once_and_agree_with_single_addresses() -> None:
    first, last = int(IPv4Address("9.255.255.250")), int(IPv4Address("10.0.1.5"))
    segments = list(TOPOLOGY.segments(first, last))

    assert segments[0].first == first
    assert segments[-1].last == last
    assert all(a.last + 1 == b.first for a, b in pairwise(segments))
    for segment in segments:
        for number in range(segment.first, segment.last + 1):
            assert at(str(IPv4Address(number))) is segment.reach


def test_the_lower_metric_wins() -> None:
    topology = Topology((ETH, TUN), (
        route("10.0.0.0/24", Reach.LINK, 3, metric=600), route("10.0.0.0/24", Reach.LINK, 2, metric=100),
    ))  # fmt: skip

    link = topology.reach("10.0.0.9").link
    assert link is not None
    assert link.name == "eth0"


def test_no_route_is_nowhere() -> None:
    assert Topology((ETH,), ()).reach("10.0.0.9").reach is Reach.NOWHERE


def test_networks_to_propose_are_physical_and_up() -> None:
    assert set(TOPOLOGY.networks()) == {"lo", "eth0", "tun0"}
    assert set(TOPOLOGY.networks(physical=True)) == {"eth0"}
    assert TOPOLOGY.gateways == {"10.0.0.1", "10.0.0.2"}
    assert "10.0.0.5" in TOPOLOGY.own


def test_this_machine_can_be_read() -> None:
    topology = interfaces.read()
    lo = topology.link("lo")

    assert lo is not None
    assert not lo.ethernet
    assert topology.reach("127.0.0.1").reach is Reach.LOCAL


@pytest.mark.parametrize("name", ["no-such-if", "x" * 200, ""])
def test_what_is_not_there_is_not_up(name: str) -> None:
    assert not interfaces.is_up(name)


def test_loopback_is_up() -> None:
    assert interfaces.is_up("lo")
