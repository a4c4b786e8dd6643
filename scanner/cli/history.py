"""`lanveto history`: the scans that are kept, and one device through time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scanner.cli import keeping, options

if TYPE_CHECKING:
    from scanner.store import Store
    from scanner.store.reading import Entry, Sighting


@click.command("history")
@click.argument("device", required=False)
@keeping.read
@keeping.site
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N",
              help="At most so many lines.")  # fmt: skip
@click.option("--report", "scan", metavar="SCAN", help="Write this scan's report again, as it was, in any --format.")
@click.option("--refused", is_flag=True,
              help="List the messages that a receiver of [publish.NAME] would not take.")
@click.option("--forget", metavar="NAME",
              help="Drop what waits for a receiver [publish.NAME] that is not in the configuration any more.")
@click.option("--format", "format_", default="text", show_default=True, metavar="F",
              help="text or json; with --report any report format.")  # fmt: skip
@options.output
def command(
    device: str | None, store: str | None, site: str | None, limit: int, scan: str | None, refused: bool,
    forget: str | None, format_: str, output: Path | None,
) -> int:  # fmt: skip
    """List the scans that are kept, newest first, or with DEVICE everything one device was.

    DEVICE is a MAC address in any spelling, an address it had, or its key. SCAN is a number of the list, `last`,
    `last~1`, a date (the last scan that began on or before that day) or the beginning of a scan's id.

    \b
    Examples:
      lanveto history
      lanveto history 3c-ef-8c-11-22-33
      lanveto history --site hq --format json
      lanveto history --refused
      lanveto history --forget old-broker
      lanveto history --report last~1 --format csv --output then.csv
    """
    from scanner.errors import UsageProblem
    from scanner.store import reading

    options.writable(output)
    with keeping.opened(store) as history:
        if forget is not None:
            options.emit(_forgotten(history, forget), output)
            return 0
        if scan is not None:
            if device is not None:
                raise UsageProblem("--report takes a whole scan: leave DEVICE out")
            renderer = options.renderer("table" if format_ == "text" else format_, output)
            entry = reading.find(history, scan, site=site)
            options.emit(renderer.render(reading.report(history, entry.number)), output)
            return 0
        if format_ not in {"text", "json"}:
            raise UsageProblem(f"--format {format_}: the history is written as text or json")
        if refused:
            if device is not None:
                raise UsageProblem("--refused lists messages of all devices: leave DEVICE out")
            options.emit(_refused(history, limit, format_), output)
            return 0
        if device is None:
            found = reading.entries(history, site=site, limit=limit)
            options.emit(_json("scans", [_scan(e) for e in found]) if format_ == "json" else _list(found), output)
            return 0
        sightings = reading.history(history, device, site=site, limit=limit)
        if not sightings:
            raise UsageProblem(f"history {device}: no device of that key, MAC or address is in {history.shown}")
        text = _json("sightings", [_sighting(s) for s in sightings]) if format_ == "json" else _life(sightings)
        options.emit(text, output)
    return 0


def _forgotten(history: Store, name: str) -> str:
    """Raises `UsageProblem` for a receiver that the history does not know, or that the configuration still names."""
    from scanner.errors import UsageProblem
    from scanner.store import outbox

    if name in {sink.name for sink in keeping.configured_sinks()}:
        raise UsageProblem(f"--forget {name}: [publish.{name}] is in the configuration; take it out first")
    known = {standing.name: standing for standing in outbox.standing(history)}
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise UsageProblem(f"--forget {name}: no messages wait for that name in {history.shown}; known are: {there}")
    outbox.forget(history, name)
    return f"{name} is forgotten, and {known[name].waiting} messages that waited for it.\n"


def _refused(history: Store, limit: int, format_: str) -> str:
    """What was set aside, newest first, and how many messages each sink still waits for or has lost."""
    from tabulate import tabulate

    from scanner.store import outbox
    from scanner.values import one_line

    headers = ("sink", "refused (UTC)", "kind", "event", "reason")
    found = outbox.refusals(history)
    standing = outbox.standing(history)
    if format_ == "json":
        sinks = [{"sink": s.name, "waiting": s.waiting, "lost": s.lost, "refused": s.refused} for s in standing]
        names = ("sink", "time", "kind", "event", "reason")
        return _json("refused", [dict(zip(names, row, strict=True)) for row in found[:limit]], sinks=sinks)
    rows = [(sink, at[:19].replace("T", " "), kind, uid, one_line(why)) for sink, at, kind, uid, why in found[:limit]]
    text = tabulate(rows, headers=headers, disable_numparse=True) if rows else "Nothing was refused."
    more = [f"{len(found) - limit} older ones are not shown (--limit)."] if len(found) > limit else []
    more += [f"{s.name}: {s.waiting} waiting, {s.refused} refused, {s.lost} lost" for s in standing]
    return "\n".join((text, *more)) + "\n"


def _list(entries: list[Entry]) -> str:
    from tabulate import tabulate

    if not entries:
        return "No scans.\n"
    rows = [
        (e.number, e.started[:19].replace("T", " "), e.site, e.state, e.devices, e.findings, e.uid[:8]) for e in entries
    ]
    return tabulate(rows, headers=("scan", "began (UTC)", "site", "state", "devices", "verdicts", "id")) + "\n"


def _life(sightings: list[Sighting]) -> str:
    from tabulate import tabulate

    from scanner.values import one_line

    rows = []
    for sighting in sightings:
        facts, asks = sighting.seen.facts, sighting.seen.actions
        rows.append((
            sighting.scan.number, sighting.scan.started[:19].replace("T", " "), sighting.scan.site, facts.ip or "",
            facts.mac or "", named(facts.manufacturer) or "unknown", one_line(facts.model or "", 24),
            one_line(facts.firmware or "", 24), facts.level,
            ", ".join(f"{policy}: {action}" for policy, action in sorted(asks.items())[:2])
            + (f" +{len(asks) - 2}" if len(asks) > 2 else ""),
        ))  # fmt: skip
    headers = ("scan", "began (UTC)", "site", "address", "MAC", "maker", "model", "firmware", "level", "verdicts")
    return tabulate(rows, headers=headers, disable_numparse=True) + "\n"


def named(maker: str | None) -> str | None:
    """A maker's name by the rules of today; the id itself where they do not know it."""
    if maker is None:
        return None
    from scanner import knowledge

    entity = knowledge.load().vendors.entity(maker)
    return maker if entity is None or not entity.names else f"{entity.names[0]} ({maker})"


def _scan(entry: Entry) -> dict[str, Any]:
    return {
        "scan": entry.number, "id": entry.uid, "site": entry.site, "started": entry.started,
        "finished": entry.finished, "state": entry.state, "devices": entry.devices, "verdicts": entry.findings,
    }  # fmt: skip


def _sighting(sighting: Sighting) -> dict[str, Any]:
    import msgspec

    return {
        "scan": _scan(sighting.scan), "device": sighting.seen.key,
        **{name: getattr(sighting.seen.facts, name) for name in sighting.seen.facts.__struct_fields__},
        "actions": msgspec.to_builtins(sighting.seen.actions),
    }  # fmt: skip


def _json(name: str, rows: list[dict[str, Any]], **more: Any) -> str:
    import msgspec

    from scanner.values import escaped_json

    body = msgspec.json.format(msgspec.json.encode({"schema": 1, name: rows, **more}), indent=2)
    return escaped_json(body.decode()) + "\n"
