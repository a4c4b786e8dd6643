"""`lanveto identify`: recordings in, makers and verdicts out; sends nothing."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

import scanner
from scanner.cli import keeping, options
from scanner.errors import Code, Notice, notice, notice_of
from scanner.values import stamp


@click.command("identify")
@click.argument("files", nargs=-1, required=True, type=options.RECORDING, metavar="FILE...")
@options.profile
@options.rules
@options.as_of
@options.format_
@options.output
@options.fail_on
@options.annotated
@options.operator
@options.bundle
@keeping.keep
def command(
    files: tuple[Path, ...],
    profiles: tuple[str, ...],
    overlays: tuple[Path, ...],
    as_of: str | None,
    format_: str,
    output: Path | None,
    fail_on: str | None,
    **given: Any,
) -> int:
    """Tell who made the devices of recordings, without a network.

    FILE is YAML or JSON Lines (docs/recordings.md); `-` is standard input. One broken entry is named and the rest
    is done; the exit code is then 2.

    \b
    Examples:
      lanveto identify camera.yaml
      lanveto identify --profile us-federal-contractor --format jsonl scans/*.yaml
      lanveto identify --as-of 2020-01-01 --profile us-federal-contractor old.yaml
      lanveto identify scans/*.yaml --waivers waivers.yaml --join assets.csv --format xlsx --output devices.xlsx
    """
    from scanner import assess, knowledge
    from scanner.errors import InputProblem
    from scanner.model import Recording, Scan
    from scanner.recordings import load
    from scanner.report import pieces
    from scanner.values import file_name

    renderer = options.renderer(format_, output)
    wanted = options.actions(fail_on, profiles)
    day = options.day(as_of)
    options.writable(output)
    options.writable(given["bundle"], "--bundle")
    started = stamp()
    known = knowledge.load(overlays)
    annotations = options.annotating(given, known)
    recordings: list[Recording] = []
    problems: list[Notice] = []
    for file in files:
        try:
            loaded = load(file)
        except InputProblem as problem:
            problems.append(notice_of(problem))
            continue
        recordings += loaded.recordings
        problems += [notice(Code.INPUT, str(problem)) for problem in loaded.problems]
    devices = assess.assess(recordings, known, profiles=profiles, as_of=day)
    scan = Scan(
        id=str(uuid.uuid4()),
        started=started,
        finished=stamp(),
        targets=tuple(file_name(file) for file in files),
        profiles=profiles,
        law_as_of=day.isoformat(),
        version=scanner.__version__,
        failures=tuple(problems),
    )
    today = datetime.now(tz=UTC).date()
    cover = assess.coverage(devices, warnings=assess.age_warnings(known, today))
    result = annotations.added(assess.report(scan, devices, cover, known))
    written = options.delivered(lambda: pieces(renderer, result), output, remembered=False)
    options.idle_waivers(renderer, annotations.waivers, options.uses(result))
    for problem_text in problems:
        options.complain(problem_text)
    stored = keeping.store(result, given["store"], known, asked=False) & options.bundled(result, known, given)
    if not (written and stored):
        return 3
    if problems:
        return 2
    return 1 if options.failed(result, wanted) else 0
