"""From a plan and this machine's routes to the addresses of a scan and the ways to them; nothing is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from scanner import targets
from scanner.config import Plan
from scanner.discover.base import Expected, Ground, Unable, Way
from scanner.errors import UsageProblem
from scanner.net import interfaces
from scanner.net.interfaces import Link, Reach, Segment, Topology
from scanner.targets import Proposal, Span, TargetSet

PORTION_SECONDS = 60.0
"""Time to search one portion of a big ground: its hosts are asked while the next portion is searched."""
ASSUMED_MOST = 65_536
"""Addresses that may be asked without having been found (`--assume-up`)."""
PORTION_LEAST = 1024
PORTION_MOST = 65_536
"""Addresses of one portion: what a scan holds in memory at once, and what an interrupted one may have to repeat."""


def topology() -> Topology:
    """The links and routes of this machine. Raises `UsageProblem` where the system does not tell."""
    try:
        return interfaces.read()
    except (OSError, AttributeError) as error:
        raise UsageProblem(f"the interfaces of this machine cannot be read: {error}; a scan needs Linux") from error


def proposal() -> Proposal:
    """What a scan without a target would ask. Raises `UsageProblem` where there is no link to propose."""
    return targets.propose(topology().networks(physical=True))


def resolve(plan: Plan, here: Topology) -> TargetSet:
    """The addresses of a plan, checked. Raises `UsageProblem`."""
    for name in plan.interfaces:
        if here.link(name) is None:
            known = ", ".join(link.name for link in here.links)
            raise UsageProblem(f"--interface {name}: there is no such interface; there are {known}")
    words = plan.targets or plan.interfaces or targets.propose(here.networks(physical=True)).words
    wanted = targets.parse(words, here.networks(), plan.exclude)
    if plan.assume_up and wanted.count > ASSUMED_MOST:
        raise UsageProblem(
            f"--assume-up: asks each of the {wanted.count} addresses on every port; at most {ASSUMED_MOST}: name fewer"
        )
    wanted = replace(wanted, v6=tuple(dict.fromkeys(_zoned(address, plan, here) for address in wanted.v6)))
    named = [link for name in plan.interfaces if (link := here.link(name))]
    own: list[IPv4Network | IPv6Network] = []
    for link in named:
        own += [a.network for a in link.addresses]
        own += [a.network for a in link.v6]
    targets.guard(wanted, allow_public=plan.allow_public, on_link=own)
    return wanted


def _zoned(address: str, plan: Plan, here: Topology) -> str:
    """An address of IPv6 as this machine names it. Raises `UsageProblem` where its link is not known."""
    plain, _, zone = address.partition("%")
    if not IPv6Address(plain).is_link_local:
        return plain
    able = [link.name for link in here.links if link.up and link.local is not None and link.ethernet]
    if zone:
        if here.link(zone) is None:
            raise UsageProblem(f"target {address}: there is no such interface; with IPv6 there are {_names(able)}")
        return address
    likely = [name for name in able if not plan.interfaces or name in plan.interfaces]
    if len(likely) != 1:
        raise UsageProblem(
            f"target {address}: is a link-local address; name its interface: {plain}%IF, where IF is one of "
            f"{_names(able)}"
        )
    return f"{plain}%{likely[0]}"


def _names(links: Sequence[str]) -> str:
    return ", ".join(links) or "none"


def segments(plan: Plan, wanted: TargetSet, here: Topology) -> tuple[Segment, ...]:
    """The targets by the way they are reached; by link only where the plan allows link-layer questions.

    This machine's own address inside a swept network is left out: named alone, it is asked.
    """
    found: list[Segment] = []
    for span in wanted.spans:
        for part in here.segments(span.first, span.last):
            reach = part.reach
            if reach is Reach.LINK and plan.interfaces and part.link and part.link.name not in plan.interfaces:
                reach = Reach.ROUTED
            if reach is Reach.LOCAL and part.first == part.last:
                address = str(IPv4Address(part.first))
                if address in here.own and address not in wanted.singles and not address.startswith("127."):
                    continue
            found.append(Segment(part.first, part.last, reach, part.link))
    return tuple(found)


def sixth(plan: Plan, wanted: TargetSet, here: Topology) -> dict[str, Segment]:
    """The targets of IPv6, each with the way to it."""
    found = {}
    for address in wanted.v6:
        part = here.reach(address)
        if part.reach is Reach.LINK and plan.interfaces and part.link and part.link.name not in plan.interfaces:
            part = part._replace(reach=Reach.ROUTED)
        found[address] = part
    return found


def grounds(
    parts: tuple[Segment, ...], sixes: Mapping[str, Segment], here: Topology, seed: int
) -> tuple[Ground, ...]:
    """The ground of every link, of what lies behind routers, and of this machine; only those with addresses."""
    own = frozenset(int(IPv4Address(address)) for address in here.own)
    found = [
        Ground(
            Reach.LINK, link, _spans(p for p in parts if p.reach is Reach.LINK and p.link and p.link.name == link.name),
            _reached(sixes, Reach.LINK, link), skip=own, seed=seed,
        ) for link in links((*parts, *sixes.values()))
    ]  # fmt: skip
    routed = _spans(part for part in parts if part.reach is Reach.ROUTED)
    if routed:
        found.append(Ground(Reach.ROUTED, None, routed, seed=seed))
    found += [
        Ground(reach, None, (), v6, seed=seed)
        for reach in (Reach.ROUTED, Reach.LOCAL) if (v6 := _reached(sixes, reach))
    ]  # fmt: skip
    local = _spans(part for part in parts if part.reach is Reach.LOCAL)
    if local:
        found.append(Ground(Reach.LOCAL, None, local, seed=seed))
    return tuple(found)


def _reached(sixes: Mapping[str, Segment], reach: Reach, link: Link | None = None) -> tuple[str, ...]:
    return tuple(
        address for address, part in sixes.items()
        if part.reach is reach and (link is None or (part.link is not None and part.link.name == link.name))
    )  # fmt: skip


def _spans(parts: Iterator[Segment]) -> tuple[Span, ...]:
    return targets.merge(Span(part.first, part.last) for part in parts)


def heads(found: Sequence[Way], ground: Ground, plan: Plan) -> list[Way]:
    """The ways that search a ground; one that stands in for another comes only when that one is unable, or is none for
    this kind of ground.
    """
    suited = {way.name: way for way in found if way.suits(ground, plan)}
    return [way for way in suited.values() if way.instead_of not in suited]


def deputies(found: Sequence[Way], way: Way, ground: Ground, plan: Plan) -> list[Way]:
    """The ways that stand in for one that is unable."""
    return [other for other in found if other.instead_of == way.name and other.suits(ground, plan)]


def expected(found: Sequence[Way], ground: Ground, plan: Plan) -> list[Expected]:
    """What a search of the ground would send, and how long it takes; sends nothing."""
    told: list[Expected] = []
    waiting = heads(found, ground, plan)
    while waiting:
        way = waiting.pop(0)
        try:
            one = way.expect(ground, plan)
        except Unable:
            waiting = deputies(found, way, ground, plan) + waiting
        else:
            told += [one] if one is not None else []
    return told


def portion(found: Sequence[Way], ground: Ground, plan: Plan) -> int:
    """How many addresses of a ground are searched before their hosts are asked."""
    told = expected(found, ground, plan)
    seconds = max((one.seconds for one in told), default=0.0)
    most = min((one.most for one in told if one.most is not None), default=PORTION_MOST)
    if not ground.whole or seconds <= PORTION_SECONDS:
        return most
    return int(min(most, max(PORTION_LEAST, ground.whole * PORTION_SECONDS / seconds)))


def count(parts: tuple[Segment, ...], reach: Reach, link: Link | None = None) -> int:
    """How many addresses are reached in one way, on one link or on all."""
    return sum(
        part.last - part.first + 1 for part in parts
        if part.reach is reach and (link is None or (part.link is not None and part.link.name == link.name))
    )  # fmt: skip


def links(parts: Iterable[Segment]) -> tuple[Link, ...]:
    """The links on which there are targets, each once."""
    found = {part.link.name: part.link for part in parts if part.reach is Reach.LINK and part.link is not None}
    return tuple(found.values())
