"""`lanveto diff`: what changed between two scans that are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scanner.cli import keeping, options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scanner.model import Action
    from scanner.store.changes import Change, Facts
    from scanner.store.diff import Difference


@click.command("diff")
@click.argument("before", metavar="A", default="last~1")
@click.argument("after", metavar="B", default="last")
@keeping.read
@keeping.site
@keeping.misses
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="How it is written.")  # fmt: skip
@options.output
def command(
    before: str, after: str, store: str | None, site: str | None, misses: int, format_: str, output: Path | None
) -> int:
    """Tell what changed from scan A to scan B of a site: by default from the last but one to the last.

    A and B are numbers of `lanveto history`, `last`, `last~1`, dates (the last scan that began on or before that day)
    or beginnings of ids. A device that B did not ask for is not called missing; one that it missed is gone only after
    --misses completed scans.

    \b
    Examples:
      lanveto diff
      lanveto diff 2026-11-01 last --site hq
      lanveto diff last~1 last --format json
    """
    from scanner.store import reading
    from scanner.store.diff import diff

    options.writable(output)
    with keeping.opened(store) as history:
        one, other = (reading.find(history, word, site=site) for word in (before, after))
        found = diff(history, one, other, misses=misses)
    options.emit(_json(found) if format_ == "json" else "\n".join(_text(found)) + "\n", output)
    return 0


def _text(found: Difference) -> Iterator[str]:
    yield f"From {keeping.scan_line(found.before)}"
    yield f"  to {keeping.scan_line(found.after)}:"
    gone = sum(m.gone for m in found.missing)
    missed = sum(m.asked and not m.gone for m in found.missing)
    unasked = len(found.missing) - gone - missed
    yield (
        f"  {len(found.appeared)} appeared, {gone} gone, {missed} not found, {unasked} not asked, "
        f"{len(found.changed)} changed, {found.same} as before."
    )
    for note in found.notes:
        yield f"  Note: {note}."
    for title, lines in (
        ("Appeared", [f"{_who(a.device, a.facts)}{_asks(a.actions)}" for a in found.appeared]),
        ("Gone", [f"{_who(m.device, m.facts)}{_asks(m.actions)}; missed {m.misses} times"
                  for m in found.missing if m.gone]),
        ("Not found", [f"{_who(m.device, m.facts)}{_asks(m.actions)}; missed {m.misses} times"
                       for m in found.missing if m.asked and not m.gone]),
        ("Not asked", [_who(m.device, m.facts) for m in found.missing if not m.asked and not m.gone]),
        ("Changed", [f"{_who(c.device, c.facts)}: {_changes(c.changes, c.verdicts)}" for c in found.changed]),
    ):  # fmt: skip
        if lines:
            yield ""
            yield title
            yield from (f"  {line}" for line in lines)


def _who(key: str, facts: Facts) -> str:
    from scanner.cli.history import named
    from scanner.values import one_line

    maker = named(facts.manufacturer) or "unknown maker"
    return one_line(" ".join(filter(None, (facts.ip or key, facts.mac, maker, facts.model))), 160)


def _asks(actions: Mapping[str, Action]) -> str:
    from scanner.model import ACTION_RANK

    if not actions:
        return ""
    policy = max(actions, key=lambda p: (ACTION_RANK[actions[p]], p))
    more = f" +{len(actions) - 1}" if len(actions) > 1 else ""
    return f" [{actions[policy]}: {policy}{more}]"


def _changes(facts: tuple[Change, ...], verdicts: tuple[Change, ...]) -> str:
    from scanner.values import one_line

    parts = [f"{c.field} {c.before or 'not told'} → {c.after or 'not told'}" for c in facts]
    parts += [f"{c.field}: {c.before or 'nothing'} → {c.after or 'nothing'}" for c in verdicts]
    return one_line("; ".join(parts), 400)


def _json(found: Difference) -> str:
    import msgspec

    from scanner.values import escaped_json

    def scan(entry: object) -> dict[str, object]:
        return {name: getattr(entry, name) for name in ("number", "uid", "site", "started", "finished", "state")}

    document = {
        "schema": 1, "before": scan(found.before), "after": scan(found.after), "notes": found.notes,
        "appeared": found.appeared, "missing": found.missing, "changed": found.changed, "same": found.same,
    }  # fmt: skip
    return escaped_json(msgspec.json.format(msgspec.json.encode(document), indent=2).decode()) + "\n"
