"""`lanveto explain`: every byte, match and rule behind one answer."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scanner.cli import options

if TYPE_CHECKING:
    from scanner.knowledge import Knowledge
    from scanner.model import Device, Match, Recording, Verdict


@click.command("explain")
@click.argument("key")
@click.option(
    "--from",
    "files",
    multiple=True,
    type=options.RECORDING,
    metavar="FILE",
    help="Recordings to look in (repeatable); default: the last scan.",
)
@options.profile
@options.rules
@options.as_of
@options.annotated
def command(
    key: str,
    files: tuple[Path, ...],
    profiles: tuple[str, ...],
    overlays: tuple[Path, ...],
    as_of: str | None,
    **given: Any,
) -> int:
    """Tell one device's whole story: what was heard, what fits it, which rules follow, and what would make it surer.

    KEY is an IP address, a MAC address in any spelling, or a recording's id.

    \b
    Examples:
      lanveto explain 192.0.2.42
      lanveto explain 3c-ef-8c-11-22-33 --profile us-federal-contractor
      lanveto explain dah-0042 --from cases.yaml --waivers waivers.yaml --join assets.csv
    """
    from scanner import assess, knowledge, recordings, state
    from scanner.errors import Code, UsageProblem, notice
    from scanner.model import Scan

    day = options.day(as_of)
    pool: list[Recording] = []
    if files:
        for file in files:
            loaded = recordings.load(file)
            pool += loaded.recordings
            for problem in loaded.problems:
                options.complain(notice(Code.INPUT, str(problem)))
    else:
        pool += state.load_last()
    hits = find(pool, key)
    if not hits:
        known = ", ".join(r.ip or r.mac or r.id for r in pool[:8]) + (", …" if len(pool) > 8 else "")
        raise UsageProblem(f"explain {key}: no device of that address, MAC or id; there are {known or 'none'}")
    rules = knowledge.load(overlays)
    scan = Scan(id="explain", started=f"{day}T00:00:00Z", profiles=profiles, law_as_of=day.isoformat())
    devices = assess.assess(hits, rules, profiles=profiles, as_of=day)
    report = assess.report(scan, devices, assess.coverage(devices), rules)
    for device in options.annotating(given, rules).added(report).devices:
        click.echo("\n".join(story(device, rules, profiles)))
    return 0


def find(pool: Sequence[Recording], key: str) -> list[Recording]:
    """The recordings of this address, MAC or id."""
    from scanner.assess import key as key_of
    from scanner.values import normal_mac

    mac = normal_mac(key)
    return [
        r
        for r in pool
        if key in {r.id, r.ip, key_of(r), *r.addresses} or (mac is not None and r.mac and normal_mac(r.mac) == mac)
    ]


def story(device: Device, rules: Knowledge, profiles: Sequence[str]) -> Iterable[str]:
    """The lines of one device's story, safe to print."""
    from scanner.values import one_line

    return (one_line(text, 2000) for text in _story(device, rules, profiles))


def _story(device: Device, rules: Knowledge, profiles: Sequence[str]) -> Iterable[str]:
    from scanner.model import Level
    from scanner.values import one_line, to_text

    identity, recording = device.identity, device.recording
    yield one_line(f"{recording.id}  {recording.ip or ''}  {recording.mac or ''}".rstrip(), 200)
    yield ""
    yield "Who made it"
    if identity.manufacturer and identity.level is not Level.UNKNOWN:
        yield f"  {identity.manufacturer}: {identity.level} ({identity.confidence:.0%})"
    else:
        yield "  unknown. That is not the same as clear: see what was heard below."
    for label in ("brand", "kind", "model", "firmware", "serial"):
        value = getattr(identity, label)
        if value:
            yield f"  {label}: {one_line(value, 100)}"
    for name, value in device.columns:
        yield f"  your {one_line(name, 40)}: {one_line(value, 100)}"
    for note in identity.notes:
        yield from _wrapped(f"note: {one_line(note, 400)}")
    yield ""
    yield "How we know"
    if not identity.matches:
        yield "  no fingerprint fits what was heard"
    for match in identity.matches:
        yield from _match(match, rules)
    if identity.conflicts:
        yield ""
        yield "What speaks against it"
        for match in identity.conflicts:
            yield from _match(match, rules)
    yield ""
    yield "What the law asks"
    if not device.verdicts:
        yield "  no rule names this maker" if identity.manufacturer else "  nothing can be said about an unknown maker"
    for verdict in device.verdicts:
        yield from _verdict(verdict)
    if device.verdicts and not profiles:
        yield "  No profile given: nothing is known to bind you (--profile; `lanveto rules list profiles`)."
    better = list(surer(device))
    if better:
        yield ""
        yield "What would make it surer"
        for text in better:
            yield from _wrapped(f"- {text}")
    yield ""
    yield "Everything heard"
    for seen in recording.observations:
        where = f" port {seen.port}" if seen.port is not None else ""
        asked = f" after {one_line(seen.request, 60)}" if seen.request else ""
        if seen.silent:
            yield f"  {seen.channel}{where}{asked}: no answer"
            continue
        yield f"  {seen.channel}{where}{asked}{' (TLS)' if seen.tls else ''}{' (cut)' if seen.truncated else ''}:"
        text = to_text(seen.value)
        lines = text.splitlines() or [""]
        for line in lines[:40]:
            yield f"    | {one_line(line, 200)}"
        if len(lines) > 40:
            yield f"    … {len(lines) - 40} more lines"
    yield ""


def _match(match: Match, rules: Knowledge) -> Iterable[str]:
    from scanner.values import one_line, to_text

    says = match.manufacturer or (f"brand {match.brand}" if match.brand else "no maker")
    shared = f", shared with {', '.join(match.shared_with)}" if match.shared_with else ""
    yield f"  {match.fingerprint} ({match.grade}{shared}; {match.family}) says {says}"
    for reading in match.readings:
        seen = reading.observation
        where = f" port {seen.port}" if seen.port is not None else ""
        asked = f" after {one_line(seen.request, 60)}" if seen.request else ""
        yield f"    {reading.channel}{where}{asked}: {one_line(to_text(reading.value), 200)}"
    for source in sources(match.fingerprint, rules)[:2]:
        yield f"    seen in: {source}"


def sources(fingerprint: str, rules: Knowledge) -> tuple[str, ...]:
    """Where the strings of a fingerprint were published; empty for the registry's own evidence."""
    for known in rules.fingerprints:
        if known.id == fingerprint:
            return tuple(known.source)
    return ()


def _verdict(verdict: Verdict) -> Iterable[str]:
    from scanner.values import one_line

    binds = {True: "binds you", False: "does not bind you", None: "not known whether it binds you"}[verdict.binds_you]
    yield f"  {verdict.action}: {verdict.title} [{verdict.policy}; {verdict.effect}; {binds}]"
    for step in verdict.path:
        yield from _wrapped(step, 4)
    yield from _wrapped(verdict.because, 4)
    yield f"    {verdict.citation or 'citation not verified'}" + (f"; {verdict.source}" if verdict.source else "")
    if verdict.waiver is not None:
        waiver, word = verdict.waiver, "waived until" if verdict.waived else "a waiver EXPIRED on"
        yield from _wrapped(f"{word} {waiver.expires}: {one_line(waiver.reason, 300)} ({one_line(waiver.who, 100)})", 4)


TELLING = ("http", "rtsp", "onvif", "tls")
"""Families of evidence (`channels.family`) that most often name a maker and that any way of reaching it can hear."""


def surer(device: Device) -> Iterable[str]:
    """What could raise the level, for a person to do; nothing for a confirmed device without contradictions."""
    from scanner import channels
    from scanner.model import Level

    identity, recording = device.identity, device.recording
    if identity.conflicts:
        yield "the evidence contradicts itself: read the label on the device, and what speaks against it above"
    if identity.level is Level.CONFIRMED:
        return
    families = {match.family for match in identity.matches if match.manufacturer == identity.manufacturer}
    heard = {channels.family(seen.channel) for seen in recording.observations if not seen.silent}
    if recording.mac is None:
        yield "no MAC address is known: scan from the same network segment, or import the switch's or router's table"
    if identity.level is not Level.UNKNOWN and len(families) == 1:
        yield f"only one kind of evidence ({', '.join(families)}) names the maker: a second one would confirm it"
    missing = [name for name in TELLING if name not in heard]
    if missing:
        yield f"nothing was heard by {', '.join(missing)}: is it filtered on the way, or on another port (--ports)?"
    silent = [seen for seen in recording.observations if seen.silent]
    if silent:
        yield f"{len(silent)} question(s) stayed unanswered: scan again at another time"
    yield "read the label, ask the seller; once you know what it is, its recording makes a rule (docs/writing-rules.md)"


def _wrapped(text: str, indent: int = 2) -> list[str]:
    return textwrap.wrap(text, 108, initial_indent=" " * indent, subsequent_indent=" " * indent)
