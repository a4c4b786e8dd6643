"""From a plan and this machine's routes to the addresses of a scan and the ways to them; nothing is sent."""

from __future__ import annotations

from ipaddress import IPv4Address

from scanner import targets
from scanner.config import Plan
from scanner.errors import UsageProblem
from scanner.net import interfaces
from scanner.net.interfaces import Link, Reach, Segment, Topology
from scanner.targets import Proposal, TargetSet


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
    own = [a.network for name in plan.interfaces if (link := here.link(name)) for a in link.addresses]
    targets.guard(wanted, allow_public=plan.allow_public, on_link=own)
    return wanted


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


def count(parts: tuple[Segment, ...], reach: Reach, link: Link | None = None) -> int:
    """How many addresses are reached in one way, on one link or on all."""
    return sum(
        part.last - part.first + 1 for part in parts
        if part.reach is reach and (link is None or (part.link is not None and part.link.name == link.name))
    )  # fmt: skip


def links(parts: tuple[Segment, ...]) -> tuple[Link, ...]:
    """The links on which there are targets, each once."""
    found = {part.link.name: part.link for part in parts if part.reach is Reach.LINK and part.link is not None}
    return tuple(found.values())
