from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

import pytest

from scanner import discover
from scanner.config import Plan
from scanner.discover.base import Expected, Ground, Unable, Way
from scanner.engine import ways
from scanner.errors import UsageProblem
from scanner.net.interfaces import Link, Reach, Route, Topology

ETH = Link(
    "eth0", 2, "aa:bb:cc:dd:ee:ff", True, True, True, (IPv4Interface("10.0.0.5/24"),),
    (IPv6Interface("fe80::5/64"), IPv6Interface("2001:db8::5/64")),
)  # fmt: skip
WAN = Link("eth1", 3, "aa:bb:cc:dd:ee:00", True, True, True, (IPv4Interface("8.8.8.5/24"),))
LO = Link("lo", 1, None, True, False, False, (IPv4Interface("127.0.0.1/8"),))
HERE = Topology((LO, ETH, WAN), (
    Route(IPv4Network("0.0.0.0/0"), Reach.ROUTED, 2, "10.0.0.1"),
    Route(IPv4Network("10.0.0.0/24"), Reach.LINK, 2),
    Route(IPv4Network("10.0.0.5/32"), Reach.LOCAL, 2),
    Route(IPv4Network("10.0.0.255/32"), Reach.NOWHERE, 2),
    Route(IPv4Network("8.8.8.0/24"), Reach.LINK, 3),
    Route(IPv4Network("127.0.0.0/8"), Reach.LOCAL, 1),
), (
    Route(IPv6Network("2001:db8::/64"), Reach.LINK, 2),
    Route(IPv6Network("2001:db8:1::/48"), Reach.ROUTED, 2, "fe80::1"),
    Route(IPv6Network("::1/128"), Reach.LOCAL, 1),
))  # fmt: skip


def counts(plan: Plan) -> dict[Reach, int]:
    parts = ways.segments(plan, ways.resolve(plan, HERE), HERE)
    return {reach: n for reach in Reach if (n := ways.count(parts, reach))}


def test_targets_by_the_way_to_them() -> None:
    plan = Plan(targets=("10.0.0.0/24", "192.168.0.0/30", "127.0.0.0/30"))

    assert counts(plan) == {Reach.LINK: 253, Reach.ROUTED: 2, Reach.LOCAL: 2}
    parts = ways.segments(plan, ways.resolve(plan, HERE), HERE)
    assert [link.name for link in ways.links(parts)] == ["eth0"]


def test_this_machine_is_asked_only_by_name() -> None:
    assert counts(Plan(targets=("10.0.0.4-6",))) == {Reach.LINK: 2}
    assert counts(Plan(targets=("10.0.0.5",))) == {Reach.LOCAL: 1}


def test_an_interface_alone_is_its_networks() -> None:
    assert counts(Plan(interfaces=("eth0",))) == {Reach.LINK: 253}


def test_link_layer_questions_only_on_named_interfaces() -> None:
    assert counts(Plan(targets=("10.0.0.8/30",), interfaces=("lo",))) == {Reach.ROUTED: 2}


def test_public_addresses_on_a_named_link_are_allowed() -> None:
    assert counts(Plan(targets=("8.8.8.8/30",), interfaces=("eth1",))) == {Reach.LINK: 2}
    with pytest.raises(UsageProblem, match="public"):
        counts(Plan(targets=("8.8.8.8/30",)))


def test_an_unknown_interface_names_the_known_ones() -> None:
    with pytest.raises(UsageProblem, match="there are lo, eth0, eth1"):
        ways.resolve(Plan(targets=("10.0.0.1",), interfaces=("wlan9",)), HERE)


def test_without_a_target_the_physical_links_are_scanned() -> None:
    with pytest.raises(UsageProblem, match="public"):
        ways.resolve(Plan(), HERE)
    private = Topology((LO, ETH), HERE.routes[:4])
    assert ways.resolve(Plan(), private).words == ("10.0.0.0/24",)


def grounds(*words: str) -> list[Ground]:
    plan = Plan(targets=words)
    wanted = ways.resolve(plan, HERE)
    return list(ways.grounds(ways.segments(plan, wanted, HERE), ways.sixth(plan, wanted, HERE), HERE, seed=1))


def test_each_link_is_a_ground_and_so_is_what_lies_behind_a_router() -> None:
    found = grounds("10.0.0.0/24", "192.168.0.0/30", "127.0.0.0/30", "fe80::1")
    found += grounds("2001:db8::7", "2001:db8:1::7", "::1", "fe80::5")

    assert [(g.reach, g.link and g.link.name, g.whole, g.v6) for g in found] == [
        (Reach.LINK, "eth0", 253, ("fe80::1%eth0",)), (Reach.ROUTED, None, 2, ()), (Reach.LOCAL, None, 2, ()),
        (Reach.LINK, "eth0", 0, ("2001:db8::7",)), (Reach.ROUTED, None, 0, ("2001:db8:1::7",)),
        (Reach.LOCAL, None, 0, ("::1", "fe80::5%eth0")),
    ]  # fmt: skip
    assert int(IPv4Address("10.0.0.5")) in found[0].skip


@pytest.mark.parametrize(
    ("word", "links", "said"),
    [("fe80::9%eth7", (LO, ETH), "no such interface; with IPv6 there are eth0"),
     ("fe80::9", (LO, WAN), "fe80::9%IF, where IF is one of none"),
     ("fe80::9", (LO, ETH, replace(ETH, name="eth2", index=9)), "one of eth0, eth2")],
)  # fmt: skip
def test_a_link_local_target_names_its_interface_unless_there_is_one_only(
    word: str, links: tuple[Link, ...], said: str
) -> None:
    with pytest.raises(UsageProblem, match=said):
        ways.resolve(Plan(targets=(word,)), Topology(links, ()))


def test_a_public_address_on_the_link_that_is_named_may_be_asked() -> None:
    here = Topology((LO, replace(ETH, v6=(IPv6Interface("2606:4700::5/64"),))), ())
    with pytest.raises(UsageProblem, match="public"):
        ways.resolve(Plan(targets=("2606:4700::7",)), here)

    assert ways.resolve(Plan(targets=("2606:4700::7",), interfaces=("eth0",)), here).v6 == ("2606:4700::7",)


class Sure(Way):
    name = "sure"

    def suits(self, ground: Ground, plan: Plan) -> bool:
        return True

    def expect(self, ground: Ground, plan: Plan) -> Expected:
        raise Unable("not today")


class Deputy(Sure):
    name = "deputy"
    instead_of = "sure"

    def expect(self, ground: Ground, plan: Plan) -> Expected:
        return Expected("slowly", ground.count / 10)


def test_a_way_stands_in_for_one_that_is_unable() -> None:
    (ground,), plan = grounds("192.168.0.0/22"), Plan()
    both = [Sure(), Deputy()]

    assert [way.name for way in ways.heads(both, ground, plan)] == ["sure"]
    assert [way.name for way in ways.deputies(both, both[0], ground, plan)] == ["deputy"]
    assert ways.expected(both, ground, plan) == [Expected("slowly", 102.2)]


def test_a_portion_is_what_the_pace_allows_in_a_minute() -> None:
    both, plan = [Sure(), Deputy()], Plan()

    assert ways.portion(both, grounds("192.168.0.0/24")[0], plan) == ways.PORTION_MOST
    assert ways.portion(both, grounds("192.168.0.0/18")[0], plan) == ways.PORTION_LEAST
    every = [made() for made in discover.ways()]
    assert 2000 < ways.portion(every, grounds("172.16.0.0/12")[0], plan) < 6000
