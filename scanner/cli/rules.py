"""`lanveto rules`: validate, list, show, score, pack and update what lanveto knows."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from scanner.cli import options
from scanner.errors import Code, notice


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
            options.complain(notice(Code.INPUT, str(problem)))
    result = evaluate.evaluate(pool, knowledge.load(overlays), heard_by=heard_by, leave_out=leave_out)
    click.echo(result.render())
    return 2 if problems else 0


@command.command("update")
@click.option(
    "--from",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Rules as one .zip or .tar.gz, as `lanveto rules pack` writes it.",
)
@click.option("--sha256", metavar="HEX", help="The checksum FILE must have; else FILE.sha256 beside it is read.")
@click.option("--reset", is_flag=True, help="Go back to the rules that came with lanveto.")
def update(file: Path | None, sha256: str | None, reset: bool) -> int:
    """Use newer rules from a file, without a network; they are checked first, and used only if all is well.

    They are kept in your own data folder; the rules that came with lanveto stay as they are, and are used again as
    soon as a newer lanveto brings newer ones.

    \b
    Examples:
      lanveto rules update --from rules-2026-12-01.tar.gz
      lanveto rules update --from rules-2026-12-01.zip --sha256 5f2c…
      lanveto rules update --reset
    """
    from scanner.errors import UsageProblem
    from scanner.knowledge import bundle, shelf

    if reset:
        if file is not None or sha256 is not None:
            raise UsageProblem("rules update --reset: goes alone")
        gone = shelf.remove("rules")
        click.echo("the rules that came with lanveto are in use" + ("" if gone else " already"))
        return 0
    if file is None:
        raise UsageProblem("rules update: name the file with --from FILE (or go back with --reset)")
    done = bundle.install(file, datetime.datetime.now(tz=datetime.UTC).date(), sha256=sha256)
    click.echo(f"the rules are now as of {done.as_of} (before: {done.before}), {done.files} files")
    click.echo(f"  sha256 of {file.name}: {done.sha256}")
    click.echo(f"  in {done.folder}")
    return 0


@command.command("pack")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
def pack(folder: Path, target: Path) -> int:
    """Write a folder of rules as one .zip or .tar.gz for `lanveto rules update`, with FILE.sha256 beside it.

    DIR holds all rules (`version.yaml`, `fingerprints/`, `vendors/`, …); they must pass `lanveto rules check`.

    \b
    Example:
      lanveto rules pack rules rules-2026-12-01.tar.gz
    """
    from scanner.knowledge import bundle

    found = bundle.pack(folder, target)
    click.echo(f"{found}  {target}")
    return 0
