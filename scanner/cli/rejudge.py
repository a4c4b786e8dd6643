"""`lanveto rejudge`: what the rules and the law of another day say about a scan that is kept; sends nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from scanner.cli import keeping, options


@click.command("rejudge")
@click.argument("scan", default="last")
@keeping.read
@keeping.site
@options.profile
@options.rules
@options.as_of
@options.format_
@options.output
@options.fail_on
@options.annotated
def command(
    scan: str, store: str | None, site: str | None, profiles: tuple[str, ...], overlays: tuple[Path, ...],
    as_of: str | None, format_: str, output: Path | None, fail_on: str | None, **given: Any,
) -> int:  # fmt: skip
    """Judge a scan of the history again: with the rules of today, your own, or the law of another day.

    What the devices said then is read and judged anew; no packet is sent and the history stays as it is. Without
    --profile the scan's own profiles are used.

    \b
    Examples:
      lanveto rejudge
      lanveto rejudge last~1 --as-of 2027-01-01 --profile us-federal-contractor
      lanveto rejudge 17 --rules my-rules/ --format json --output again.json
    """
    from msgspec.structs import replace

    from scanner import assess, knowledge
    from scanner.errors import Code, code_of, notice
    from scanner.store import reading

    renderer = options.renderer(format_, output)
    options.writable(output)
    day = options.day(as_of)
    with keeping.opened(store) as history:
        entry = reading.find(history, scan, site=site)
        then = reading.report(history, entry.number)
    profiles = profiles or then.scan.profiles
    wanted = options.actions(fail_on, profiles)
    known = knowledge.load(overlays)
    annotations = options.annotating(given, known)
    again = assess.assess((d.recording for d in then.devices), known, profiles=profiles, as_of=day)
    packets = {d.recording.id: (d.packets, d.bytes_sent) for d in then.devices}
    devices = [
        replace(d, packets=packets[d.recording.id][0], bytes_sent=packets[d.recording.id][1]) for d in again
    ]
    old = then.coverage
    aged = assess.age_warnings(known, options.day(None))
    again_on = f"judged again on {options.day(None)} from what was heard in {keeping.scan_line(entry)}"
    counted = assess.coverage(
        devices, addresses=old.addresses, silent=old.silent, excluded=old.excluded, methods=old.methods,
        warnings=[notice(Code.REJUDGED, again_on), *(w for w in old.warnings if code_of(w) is not Code.STALE), *aged],
    )  # fmt: skip
    head = replace(then.scan, profiles=profiles, law_as_of=day.isoformat())
    result = annotations.added(assess.report(head, devices, counted, known))
    options.emit(renderer.render(result), output)
    options.idle_waivers(renderer, annotations.waivers, options.uses(result))
    return 1 if options.failed(result, wanted) else 0
