"""`--dry-run`: what a scan would send, to how many, and how long it takes; sends nothing."""

from __future__ import annotations

from scanner import ports
from scanner.config import Plan
from scanner.discover import arp, multicast, neighbours
from scanner.engine import ways
from scanner.engine.stages import ANSWERS
from scanner.net import raw
from scanner.net.interfaces import Link, Reach
from scanner.protocols import protocols
from scanner.protocols.base import Question

_DEVICE_SECONDS = 6.0  # of one device with an open web server and RTSP at five requests a second


def dry_run(plan: Plan) -> list[str]:
    """The lines to show. Raises `UsageProblem` for a plan that cannot be carried out."""
    here = ways.topology()
    wanted = ways.resolve(plan, here)
    parts = ways.segments(plan, wanted, here)
    questions = multicast.questions(multicast.speakers(protocols().values()))
    lines = [f"targets: {' '.join(wanted.words)}: {wanted.count} addresses"]
    if wanted.excluded or wanted.mac_prefixes:
        macs = f"; devices with MAC {', '.join(wanted.mac_prefixes)} are not spoken to" if wanted.mac_prefixes else ""
        lines.append(f"excluded: {wanted.excluded} of them{macs}")
    seconds = 0.0
    for link in ways.links(parts):
        text, took = _link(plan, link, ways.count(parts, Reach.LINK, link))
        lines.append(text)
        seconds = max(seconds, took)
        if plan.multicast and questions:
            lines.append(f"{link.name}: questions to everybody: {_groups(questions)}")
            seconds = max(seconds, max(question.seconds for question in questions) + 0.3)
    for reach, words in ((Reach.ROUTED, "behind a router or tunnel"), (Reach.LOCAL, "on this machine")):
        count = ways.count(parts, reach) + (len(wanted.v6) if reach is Reach.ROUTED else 0)
        if count:
            life = [p for p in ports.LIFE if p in plan.ports] or list(plan.ports[: len(ports.LIFE)])
            asked = plan.ports if reach is Reach.LOCAL else life
            took = count * len(asked) / (plan.manners.connects if reach is Reach.ROUTED else 50_000) + 2
            seconds = max(seconds, took)
            lines.append(
                f"{words}: {count} addresses, TCP connections to ports {_list(asked)} until one answers, "
                f"at most {plan.manners.connects:g} a second: at most {duration(took)}"
            )
    lines += _devices(plan, questions)
    known = min(wanted.count, 1024)
    most = seconds + ANSWERS + _DEVICE_SECONDS * max(1, -(-known // plan.manners.devices))
    lines.append(f"time: {duration(seconds)} to find the hosts, then some {duration(_DEVICE_SECONDS)} for every "
                 f"{plan.manners.devices} devices found; {duration(most)} if {known} answer")  # fmt: skip
    lines.append("nothing was sent")
    return lines


def _link(plan: Plan, link: Link, count: int) -> tuple[str, float]:
    if plan.raw and raw.permitted():
        took = arp.PASSES * (count / plan.arp_rate + arp.SETTLE)
        return (
            f"{link.name}: ARP requests to {count} addresses, {plan.arp_rate:g} a second, a second pass to the "
            f"silent: at most {duration(took)}"
        ), took
    took = count / max(1.0, plan.arp_rate / neighbours.ARPS) + 3.3 * -(-count // neighbours.BATCH)
    return (
        f"{link.name}: without raw sockets, one empty UDP datagram to port 9 of {count} addresses, so that the kernel "
        f"asks by ARP: at most {duration(took)}"
    ), took


def _groups(questions: tuple[Question, ...]) -> str:
    found = dict.fromkeys(
        f"{question.request} to {', '.join(question.groups or ('everybody',))}:{question.port} × {question.repeat}"
        for question in questions if question.groups or question.broadcast
    )  # fmt: skip
    return "; ".join(found)


def _devices(plan: Plan, questions: tuple[Question, ...]) -> list[str]:
    alone = sorted({question.port for question in questions if question.unicast})
    manners = plan.manners
    pace = f"at most {manners.requests} requests a second" if manners.requests else "as fast as it answers"
    return [
        f"each host found: UDP questions to ports {_list(alone)}, then TCP ports {_list(plan.ports)}; one connection "
        f"at a time, {pace}, {plan.device_seconds:g} s and {plan.device_bytes >> 20} MiB at the most",
        f"never spoken to: TCP ports {_list(sorted(ports.FORBIDDEN))}; no login, no password, nothing that changes a "
        "device",
    ]


def _list(numbers: object) -> str:
    assert isinstance(numbers, list | tuple)
    return ", ".join(str(number) for number in numbers) or "none"


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
