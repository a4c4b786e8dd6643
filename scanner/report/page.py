"""What the HTML formats share: the templates, the policy that lets nothing else run, and the numbers of the charts.

A page is one file: style and script stand in it, and its Content-Security-Policy names their digests and nothing else,
so that no string of a device runs or loads anything even where escaping had failed. Every string passes `one_line` and
autoescaping; ids and classes are ours alone.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scanner.model import ACTION_ORDER, Action, Device, Level, Measure, Report
from scanner.report import view
from scanner.values import one_line

TEMPLATES = Path(__file__).with_name("templates")
MAX_BARS = 12
"""Bars of one chart; the rest is counted together."""
LONGEST = 1_000_000
"""Characters of one text that a template writes without a bound of its own."""
BINDS = {True: "binds you", False: "does not bind you", None: "not known whether it binds you"}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart."""

    label: str
    count: int
    flagged: int
    """Of them with something asked above `note`."""
    share: float
    """Of the longest bar, in percent."""
    flagged_share: float


@cache
def environment() -> Environment:
    """The templates; what they are not given is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    made.filters["line"] = line
    made.filters["link"] = link
    return made


def _shown(value: object) -> object:
    """What a template writes: a text that no filter has made safe is made so, whichever field it is."""
    return line(value, LONGEST) if type(value) is str else value


def line(text: object, width: int = 300) -> str:
    """One value on one line, without characters that a reader would not see."""
    return one_line("" if text is None else str(text), width)


def link(text: str | None) -> str | None:
    """The address of a source where a browser may follow it, else None."""
    return text if text and text.startswith(("https://", "http://")) and text.isprintable() else None


def rendered(template: str, report: Report, **more: Any) -> str:
    """A whole page; `style` and `script` come from the templates of those names."""
    found = environment()
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return found.get_template(template).render(
        report=report, scan=report.scan, cover=report.coverage, rules=report.rules_version, policy=policy,
        style=style, script=script, answer=answer(report), inquiry=inquiry(report), binds=BINDS, **more,
    )  # fmt: skip


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def answer(report: Report) -> str:
    """The answer in one sentence for this organisation's profile."""
    who = f"For {', '.join(report.scan.profiles)}: " if report.scan.profiles else "Without a profile: "
    return line(who + view.summary_line(report), 600)


def flagged(device: Device) -> bool:
    """Whether something is asked about the device beyond taking note."""
    return device.action not in {Action.NONE, Action.NOTE}


def bars(devices: Iterable[tuple[str, bool]], order: Sequence[str] = ()) -> list[Bar]:
    """The bars of (label, flagged) pairs: in the given order, else the longest first, the rest counted together."""
    counts: Counter[str] = Counter()
    marks: Counter[str] = Counter()
    for label, mark in devices:
        counts[label] += 1
        marks[label] += mark
    labels = [label for label in order if counts[label]] or sorted(counts, key=lambda name: (-counts[name], name))
    if len(labels) > MAX_BARS:
        rest = labels[MAX_BARS - 1 :]
        labels = labels[: MAX_BARS - 1]
        other = f"{len(rest)} others"
        counts[other] = sum(counts[name] for name in rest)
        marks[other] = sum(marks[name] for name in rest)
        labels.append(other)
    longest = max((counts[name] for name in labels), default=1)
    return [
        Bar(line(name, 40), counts[name], marks[name], 100 * counts[name] / longest, 100 * marks[name] / longest)
        for name in labels
    ]


def charts(report: Report) -> list[tuple[str, list[Bar]]]:
    """Title and bars of every chart."""
    pairs = [(device, flagged(device)) for device in report.devices]
    actions, levels = [str(a) for a in reversed(ACTION_ORDER)], [str(x) for x in reversed(Level)]
    return [
        ("Devices by action", bars(((str(d.action), mark) for d, mark in pairs), actions)),
        ("Devices by maker", bars((view.maker(d), mark) for d, mark in pairs)),
        ("Devices by how sure the maker is", bars(((str(d.identity.level), mark) for d, mark in pairs), levels)),
        ("Devices by network", bars((subnet(d), mark) for d, mark in pairs)),
    ]


def subnet(device: Device) -> str:
    """The network a device is counted in: its /24, or its /64."""
    try:
        address = ipaddress.ip_address(device.recording.ip or "")
    except ValueError:
        return "no address"
    return str(ipaddress.ip_network(f"{address}/{24 if address.version == 4 else 64}", strict=False))


def age(measure: Measure, report: Report) -> int | None:
    """Days from the day up to which a measure's text was followed to the scan."""
    try:
        then = datetime.date.fromisoformat(measure.as_of)
        return (datetime.date.fromisoformat(report.scan.started[:10]) - then).days
    except ValueError:
        return None


def inquiry(report: Report) -> dict[str, Any]:
    """What the record of an inquiry tells beyond the report's own fields."""
    found = [device for device in view.by_urgency(report.devices) if flagged(device)]
    bound = [m for m in report.measures if m.binds_you]
    sure = {
        v.policy
        for device in found
        if device.identity.level is Level.CONFIRMED
        for v in device.verdicts
        if v.binds_you and not v.waived
    }
    return {
        "found": [(device, [v for v in device.verdicts if v.binds_you and not v.waived]) for device in found],
        "bound": bound,
        "clocks": [(m, m.policy in sure) for m in bound if m.clocks],
        "muted": [line(text) for text in view.waiver_lines(report)],
    }
