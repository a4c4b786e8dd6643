"""What several formats say alike: the order of devices, one line of evidence, the coverage block in words.

Everything a device said passes `one_line` before it is shown: no control, bidirectional or zero-width character
of a hostile banner reaches a terminal.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from scanner.errors import brief
from scanner.model import (
    ACTION_ORDER,
    ACTION_RANK,
    GRADE_RANK,
    SURE,
    Action,
    Device,
    Identity,
    Level,
    Match,
    Method,
    Report,
    Verdict,
    WaiverUse,
)
from scanner.values import ipv4_number, one_line, to_text

MAX_LINE = 4000
"""Characters of one sentence about coverage or waivers."""
_LEVEL_RANK = {level: rank for rank, level in enumerate(Level)}


def actions(devices: Iterable[Device]) -> Iterator[Action]:
    """The action of each device, in their order: those of one maker share their verdicts, which are looked at once."""
    known: dict[int, tuple[tuple[Verdict, ...], Action]] = {}
    for device in devices:
        verdicts = device.verdicts
        seen = known.get(id(verdicts))
        if seen is None:
            seen = known[id(verdicts)] = (verdicts, device.action)
        yield seen[1]


def by_urgency(devices: Sequence[Device]) -> list[Device]:
    """Strictest action first, then by level and address."""
    ranks = [
        (-ACTION_RANK[action], -_LEVEL_RANK[device.identity.level], *_address_order(device))
        for device, action in zip(devices, actions(devices), strict=True)
    ]
    return [devices[n] for n in sorted(range(len(devices)), key=ranks.__getitem__)]


def _address_order(device: Device) -> tuple[int, int, str]:
    text = device.recording.ip or ""
    number = ipv4_number(text)
    if number is not None:
        return (4, number, device.key)
    if not text:
        return (9, 0, device.key)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return (9, 0, device.key)
    return (address.version, int(address), device.key)


def leading(verdicts: Sequence[Verdict], profiles: Sequence[str] = ()) -> Verdict | None:
    """The verdict that stands for a device: strictest action, then what binds, then the organisation's own country.

    One that a waiver mutes comes last. None without verdicts.
    """
    home = {profile.partition("-")[0] for profile in profiles}

    def rank(verdict: Verdict) -> tuple[bool, int, bool, bool]:
        own = verdict.policy.partition("-")[0] in home
        return (not verdict.waived, ACTION_RANK[verdict.action], verdict.binds_you is True, own)

    return max(verdicts, key=rank, default=None)


def rule(verdicts: Sequence[Verdict], profiles: Sequence[str] = ()) -> str:
    """The leading measure and how many more name a device's maker; empty without verdicts."""
    verdict = leading(verdicts, profiles)
    if verdict is None:
        return ""
    more = len(verdicts) - 1
    return f"{verdict.policy} +{more}" if more else verdict.policy


def heard(match: Match, width: int = 60) -> str:
    """One match as `channel: "value"`, safe to print."""
    parts = [f"{one_line(r.channel)}: {one_line(to_text(r.value), width)}" for r in match.readings[:2]]
    return " + ".join(parts) if parts else one_line(match.fingerprint)


def evidence_line(device: Device, width: int = 60) -> str:
    """The strongest thing heard for the manufacturer, on one line; empty where nothing was."""
    own = [m for m in device.identity.matches if m.manufacturer is not None and m.readings]
    if not own:
        return one_line(device.identity.notes[0], width) if device.identity.notes else ""
    if len(own) == 1:
        return one_line(heard(own[0], width), width)
    # Of equally strong matches the short one reads best: a header rather than a page.
    best = min(own, key=lambda m: (GRADE_RANK[m.grade], sum(len(r.value) > 160 for r in m.readings)))
    return one_line(heard(best, width), width)


def may_be_named(identity: Identity) -> bool:
    """Whether there is a maker to name at all, sure or only possible."""
    return identity.manufacturer is not None and identity.level is not Level.UNKNOWN


def maker(device: Device) -> str:
    """The maker as a table shows it: the id where it may be said, with a mark where it is only possible."""
    identity = device.identity
    if identity.manufacturer is None or not may_be_named(identity):
        return "unknown"
    return identity.manufacturer if identity.level in SURE else f"{identity.manufacturer}?"


def address(device: Device) -> str:
    """The device's address, or its recording's id where it has none."""
    return one_line(device.recording.ip or device.recording.id, 45)


def moment(text: str) -> datetime.datetime:
    """An RFC 3339 time; the beginning of 1970 where a file says something that is none."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def summary_line(report: Report) -> str:
    """The answer in one sentence; never "clear"."""
    if not report.devices:
        return "Nothing answered. That says nothing about devices that are off, hidden or elsewhere."
    counts = Counter(actions(report.devices))
    findings = [f"{counts[a]} {a}" for a in reversed(ACTION_ORDER) if a is not Action.NONE and counts[a]]
    sure = sum(d.identity.level in SURE for d in report.devices)
    text = f"{len(report.devices)} device(s), {sure} identified; "
    waived = sum(1 for d in report.devices for v in d.verdicts if v.waived)
    if findings:
        text += "asked of you: " + ", ".join(findings)
    else:
        text += "nothing else is asked of you" if waived else "no listed maker recognised"
    return text + (f"; {waived} finding(s) muted by waivers" if waived else "") + "."


def waiver_state(use: WaiverUse) -> str:
    """`used`, `expired` (it mutes nothing) or `unused` (it fits no finding of this report)."""
    if use.waiver.expired:
        return "expired"
    return "used" if use.devices else "unused"


def waiver_lines(report: Report) -> list[str]:
    """Every waiver that was used or has expired, in words; the others counted."""
    lines = []
    for use in report.waivers:
        waiver, state = use.waiver, waiver_state(use)
        if state == "unused":
            continue
        what = f"{one_line(waiver.device, 60)}, {one_line(waiver.policy, 60)}: {one_line(waiver.reason, 300)}"
        who = one_line(waiver.who, 100)
        if state == "expired":
            back = f"; {len(use.devices)} device(s) judged again" if use.devices else ""
            lines.append(f"Waiver EXPIRED on {waiver.expires}: {what} ({who}){back}")
        else:
            lines.append(f"Waived until {waiver.expires}: {what} ({who})")
    unused = sum(1 for use in report.waivers if waiver_state(use) == "unused")
    if unused:
        lines.append(f"{unused} waiver(s) fit no finding of this report.")
    return [one_line(text, MAX_LINE) for text in lines]


def coverage_lines(report: Report) -> list[str]:
    """The coverage block in words, one sentence a line."""
    cover, scan = report.coverage, report.scan
    looked = f"{cover.addresses} asked, {cover.alive} alive" if cover.methods else f"{cover.alive} recording(s) read"
    lines = [
        f"Coverage: {looked}, {cover.identified} identified, {len(cover.unknown)} unknown, {len(cover.silent)} silent"
        + (f", {cover.excluded} excluded" if cover.excluded else "")
        + "."
    ]
    if scan.interrupted:
        lines.append("INTERRUPTED: only what was known by then is shown.")
    lines.extend(f"NOT COMPLETED: {brief(text, 300)}" for text in scan.failures)
    for label, entries in (
        ("Unknown", cover.unknown), ("Silent", cover.silent), ("Answered at first, then no more", cover.quiet),
        ("Not reached", cover.unreached),
    ):  # fmt: skip
        if entries:
            shown = ", ".join(one_line(e, 60) for e in entries[:12])
            lines.append(f"{label}: {shown}" + (f" and {len(entries) - 12} more" if len(entries) > 12 else ""))
    ran = [_method(m) for m in cover.methods if m.ran]
    if ran:
        lines.append("Methods: " + "; ".join(ran))
    lines.extend(f"Not run: {m.name}: {m.note or 'no reason given'}" for m in cover.methods if not m.ran)
    lines.extend(f"Warning: {brief(text, 300)}" for text in cover.warnings)
    if cover.blind_spots:
        lines.append("No scan sees: " + "; ".join(cover.blind_spots) + ".")
    if not scan.profiles:
        lines.append(
            "No profile given: no rule is known to bind you, every action is at most `note`. "
            "Say what you are with --profile (`lanveto rules list profiles`)."
        )
    version = report.rules_version
    lines.append(
        f"Rules as of {version.rules_as_of}, registry as of {version.registry_as_of}; "
        f"law as of {scan.law_as_of or 'today'}. Not legal advice."
    )
    return [one_line(text, MAX_LINE) for text in lines]


def _method(method: Method) -> str:
    text = f"{method.name} ({method.hosts})"
    return text + (f", {one_line(method.note, 120)}" if method.note else "")
