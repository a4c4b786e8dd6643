"""`lanveto prune`: old scans leave the history."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from scanner.cli import keeping, options
from scanner.errors import Code, notice

if TYPE_CHECKING:
    from scanner.store.pruning import Chosen

SHOWN = 20
"""Scans that are named one by one."""


@click.command("prune")
@keeping.read
@keeping.site
@click.option("--keep-scans", type=click.IntRange(1), metavar="N", help="Keep the last N scans of each site.")
@click.option("--keep-days", type=click.IntRange(0, 36_500), metavar="N", help="Keep scans of the last N days.")
@click.option("--dry-run", is_flag=True, help="Say what would leave; change nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def command(
    store: str | None, site: str | None, keep_scans: int | None, keep_days: int | None, dry_run: bool, yes: bool
) -> int:
    """Let old scans leave the history.

    A scan stays where --keep-scans or --keep-days says so. The last two scans of a site, its last completed one, and
    scans whose answers keep a finding open stay always. What has left cannot be had back: keep a bundle of what an
    auditor may ask for (`lanveto scan --bundle`).

    \b
    Examples:
      lanveto prune --keep-days 365 --dry-run
      lanveto prune --keep-days 365 --keep-scans 100 --yes
      lanveto prune --site lab --keep-scans 5
    """
    from scanner.errors import UsageProblem
    from scanner.store import pruning

    if keep_scans is None and keep_days is None:
        raise UsageProblem("prune: say what stays: --keep-days N, --keep-scans N, or both")
    with keeping.opened(store) as history:
        chosen = pruning.choose(history, scans=keep_scans, days=keep_days, today=options.day(None), site=site)
        for line in _lines(chosen):
            click.echo(line)
        if dry_run or not chosen.going:
            return 0
        if not yes:
            if not sys.stdin.isatty():
                raise UsageProblem("prune: nothing was changed; agree with --yes, or look first with --dry-run")
            click.confirm(f"lanveto: take {len(chosen.going)} scans out of {history.shown}?", abort=True, err=True)
        done = pruning.prune(history, [entry.number for entry in chosen.going])
        click.echo(
            f"{done.scans} scans have left {history.shown}, with {done.answers} answers and {done.devices} devices "
            "that nothing else needs"
        )
        if done.problem is not None:
            words = f"the file keeps its size, its free room is used again: {done.problem}"
            options.complain(notice(Code.STORE, words))
    return 0


def _lines(chosen: Chosen) -> list[str]:
    lines = [f"to leave: {keeping.scan_line(entry)}, {entry.devices} devices" for entry in chosen.going[:SHOWN]]
    if len(chosen.going) > SHOWN:
        lines.append(f"to leave: and {len(chosen.going) - SHOWN} older ones")
    if chosen.pinned:
        numbers = ", ".join(str(entry.number) for entry in chosen.pinned[:SHOWN])
        lines.append(f"{len(chosen.pinned)} older scan(s) stay, for what they heard keeps a finding open: {numbers}")
    lines.append(f"{len(chosen.going)} scan(s) to leave, {chosen.staying} to stay")
    return lines
