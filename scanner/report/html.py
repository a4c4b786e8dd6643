"""HTML: one self-contained page that an auditor opens offline, filters, prints and files.

Coverage first, then the numbers, the table, what the rules ask, one section per device with its evidence chain, the
measures with their dates, waivers, and the record of the inquiry. Readable without JavaScript; the script only sorts
and filters. A verdict that many devices share is written once and referred to, so that ten thousand devices still open.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from scanner.model import ACTION_ORDER, ACTION_RANK, Action, Device, Level, Match, Reading, Report, Verdict
from scanner.report import cells, page, view
from scanner.report.page import line
from scanner.values import to_text

MAX_EVIDENCE = 8
"""Rows of evidence in one device's section; the JSON report and `lanveto explain` have all."""
EAGER = 300
"""Devices whose rows and sections a browser builds at once. The others stand in `noscript`: a browser with script takes
them as text, which costs next to nothing, and builds what is looked at or printed; one without shows them all.
"""
MAX_HEARD = 300
"""Characters of one thing heard."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of an evidence chain."""

    asked: str
    heard: str
    fingerprint: str
    grade: str
    says: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One verdict, written once for all devices that share it."""

    number: int
    verdict: Verdict
    devices: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Section:
    """One device, ready to print."""

    number: int
    device: Device
    address: str
    maker: str
    rule: str
    evidence_line: str
    rows: list[Row]
    against: list[Row]
    more: int
    verdicts: list[Asked]
    unanswered: int
    columns: list[str]


class Html:
    """`--format html`."""

    name = "html"
    binary = False

    def render(self, report: Report) -> str:
        """The page."""
        asked: dict[tuple[object, ...], Asked] = {}
        own = cells.own_columns(report.devices)
        devices = view.by_urgency(report.devices)
        sections = [_section(n, device, report, own, asked) for n, device in enumerate(devices, 1)]
        groups = sorted(asked.values(), key=lambda a: (-ACTION_RANK[a.verdict.action], a.number))
        return page.rendered(
            "report.html",
            report,
            sections=sections,
            eager=EAGER,
            groups=groups,
            notes=sum(group.verdict.action is Action.NOTE for group in groups),
            own=[line(name, 40) for name in own],
            charts=page.charts(report) if devices else [],
            actions=[a for a in reversed(ACTION_ORDER) if any(d.action is a for d in devices)],
            levels=[x for x in reversed(Level) if any(d.identity.level is x for d in devices)],
            makers=sorted({section.maker for section in sections}),
            ages={m.policy: page.age(m, report) for m in report.measures},
            waivers=[(use, view.waiver_state(use)) for use in report.waivers],
        )


def _section(
    number: int, device: Device, report: Report, own: Iterable[str], asked: dict[tuple[object, ...], Asked]
) -> Section:
    identity, recording, columns = device.identity, device.recording, dict(device.columns)
    rows = [row for match in identity.matches for row in _rows(match)]
    if not rows:
        heard = [seen for seen in recording.observations if not seen.silent]
        rows = [_row(Reading(seen.channel, seen.value, seen), "", "", "fits no fingerprint") for seen in heard]
    mine = []
    for verdict in device.verdicts:
        if verdict.action is Action.NONE:
            continue
        key = (verdict.policy, verdict.action, verdict.because, verdict.path, verdict.waiver)
        one = asked.setdefault(key, Asked(len(asked) + 1, verdict))
        one.devices.append(number)
        mine.append(one)
    return Section(
        number=number,
        device=device,
        address=view.address(device),
        maker=line(view.maker(device), 60),
        rule=line(view.rule(device.verdicts, report.scan.profiles), 60),
        evidence_line=view.evidence_line(device, 90),
        rows=rows[:MAX_EVIDENCE],
        against=[row for match in identity.conflicts for row in _rows(match)][:MAX_EVIDENCE],
        more=max(0, len(rows) - MAX_EVIDENCE),
        verdicts=mine,
        unanswered=sum(seen.silent for seen in recording.observations),
        columns=[line(columns.get(name, ""), 200) for name in own],
    )


def _rows(match: Match) -> list[Row]:
    says = match.manufacturer or (f"brand {match.brand}" if match.brand else "no maker")
    return [_row(reading, match.fingerprint, match.grade, says) for reading in match.readings]


def _row(reading: Reading, fingerprint: str, grade: str, says: str) -> Row:
    seen = reading.observation
    where = f" port {seen.port}" if seen.port is not None else ""
    asked = line(f"{seen.request or 'heard'}{where}{' (TLS)' if seen.tls else ''}", 80)
    return Row(asked, line(f"{reading.channel}: {to_text(reading.value[: 8 * MAX_HEARD])}", MAX_HEARD),
               line(fingerprint, 80), grade, line(says, 60))  # fmt: skip


FORMAT = Html()
