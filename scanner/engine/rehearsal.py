"""`--dry-run`: what a scan would send, to how many, and how long it takes; sends nothing."""

from __future__ import annotations

from collections.abc import Sequence

from scanner import discover, ports
from scanner.config import Plan
from scanner.discover import multicast
from scanner.engine import ways
from scanner.protocols import protocols
from scanner.protocols.base import Alone

_DEVICE_SECONDS = 6.0  # of one device with an open web server and RTSP at five requests a second


def dry_run(plan: Plan) -> list[str]:
    """The lines to show. Raises `UsageProblem` for a plan that cannot be carried out."""
    here = ways.topology()
    wanted = ways.resolve(plan, here)
    lines = [f"targets: {' '.join(wanted.words)}: {wanted.count} addresses"]
    if wanted.excluded or wanted.mac_prefixes:
        macs = f"; devices with MAC {', '.join(wanted.mac_prefixes)} are not spoken to" if wanted.mac_prefixes else ""
        lines.append(f"excluded: {wanted.excluded} of them{macs}")
    found = [made() for made in discover.ways()]
    seconds = 0.0
    for ground in ways.grounds(ways.segments(plan, wanted, here), ways.sixth(plan, wanted, here), here, seed=0):
        for expected in ways.expected(found, ground, plan):
            lines.append(f"{expected.text}: at most {duration(expected.seconds)}")
            seconds = max(seconds, expected.seconds)
    lines += _devices(plan)
    known = min(wanted.count, 1024)
    most = seconds + multicast.ANSWERS + _DEVICE_SECONDS * max(1, -(-known // plan.manners.devices))
    lines.append(f"time: {duration(seconds)} to find the hosts, then some {duration(_DEVICE_SECONDS)} for every "
                 f"{plan.manners.devices} devices found; {duration(most)} if {known} answer")  # fmt: skip
    lines.append("nothing was sent")
    return lines


def _devices(plan: Plan) -> list[str]:
    questions = multicast.questions(multicast.speakers(protocols().values()))
    alone = sorted({question.port for question in questions if question.alone is not Alone.NEVER})
    leading = [name for name, protocol in protocols().items() if protocol.follows()]
    manners = plan.manners
    pace = f"at most {manners.requests} requests a second" if manners.requests else "as fast as it answers"
    return [
        f"each host found: UDP questions to ports {_list(alone)}, then TCP ports {_list(plan.ports)}, and where an "
        f"answer of {', '.join(leading)} leads on the same host; one connection at a time, {pace}, "
        f"{plan.device_seconds:g} s and {plan.device_bytes >> 20} MiB at the most",
        f"never spoken to: TCP ports {_list(sorted(ports.FORBIDDEN))}; no login, no password, nothing that changes a "
        "device",
    ]


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers) or "none"


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
