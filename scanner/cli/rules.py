"""`lanveto rules`: validate, list, show and score what lanveto knows."""

from __future__ import annotations

from pathlib import Path

import click

from scanner.cli import options


@click.group("rules")
def command() -> None:
    """Validate, read and score vendors, fingerprints and policies."""


@command.command("check")
@options.rules
def check(overlays: tuple[Path, ...]) -> int:
    """Validate every vendor, brand, fingerprint, policy and profile; exit code 1 where something is wrong."""
    from scanner import knowledge
    from scanner.knowledge import check as checks

    rules = knowledge.load(overlays)
    findings = checks.check(rules)
    for finding in findings:
        click.echo(str(finding))
    counts = (
        f"{len(rules.fingerprints)} fingerprints, {len(rules.vendors.groups)} vendor groups, "
        f"{len(rules.policies)} policies, {len(rules.profiles)} profiles"
    )
    click.echo(f"{counts}: " + (f"{len(findings)} problem(s)" if findings else "all good"))
    return 1 if findings else 0


@command.command("list")
@click.argument("what", type=click.Choice(["vendors", "brands", "fingerprints", "policies", "profiles"]))
@options.rules
def list_(what: str, overlays: tuple[Path, ...]) -> int:
    """List what is known, one line each."""
    from scanner import knowledge
    from scanner.knowledge import show

    for line in show.listing(knowledge.load(overlays), what):
        click.echo(line)
    return 0


@command.command("show")
@click.argument("name")
@options.rules
def show_(name: str, overlays: tuple[Path, ...]) -> int:
    """Tell everything about a vendor, brand, policy or fingerprint, by any name or alias.

    \b
    Examples:
      lanveto rules show cloudwalk
      lanveto rules show us-889-a1b
    """
    from scanner import knowledge
    from scanner.knowledge import show

    click.echo(show.show(knowledge.load(overlays), name))
    return 0


@command.command("eval")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@options.rules
@click.option("--heard-by", type=click.Choice(["default"]), help="Score only what a default scan can hear.")
@click.option(
    "--leave-out", type=click.Choice(["brand", "source"]), help="Drop what was learned from each, then score it."
)
def eval_(files: tuple[Path, ...], overlays: tuple[Path, ...], heard_by: str | None, leave_out: str | None) -> int:
    """Score recordings that carry a truth: recall, false accusations, honest unknowns, calibration, every miss."""
    from scanner import knowledge
    from scanner.knowledge import evaluate
    from scanner.model import Recording
    from scanner.recordings import load

    pool: list[Recording] = []
    problems = 0
    for file in files:
        loaded = load(file)
        pool += loaded.recordings
        for problem in loaded.problems:
            problems += 1
            click.echo(f"lanveto: {problem}", err=True)
    result = evaluate.evaluate(pool, knowledge.load(overlays), heard_by=heard_by, leave_out=leave_out)
    click.echo(result.render())
    return 2 if problems else 0
