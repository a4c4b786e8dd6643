"""`lanveto import`: what other tools know becomes a report: no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from scanner.cli import options, sources
from scanner.errors import Code, notice, notice_of


@click.command("import")
@click.argument("files", nargs=-1, metavar="[FORMAT] FILE...", type=options.RECORDING)
@click.option(
    "--from", "format_of_files", metavar="FORMAT", help="Read the files as this, instead of recognising them."
)
@click.option("--map", "mapping", metavar="MEANING=COLUMN,…", help="Columns of a CSV file: mac=Hardware,ip=Address.")
@click.option("--list", "list_", is_flag=True, help="List the formats.")
@sources.report_options
@click.option("--quiet", "-q", is_flag=True, help="No progress, even on a terminal.")
def command(files: tuple[Path, ...], **given: Any) -> int:
    """What other tools know becomes a report: no network.

    Tables of routers and switches, leases, captures, results of other scanners and lanveto's own recordings, in any
    mix; `-` is standard input, compressed files are fine. Each file is recognised by what it holds, or named with
    FORMAT or --from. All files make one picture: they are merged by MAC and address, and where they contradict each
    other the report says so.

    \b
    Examples:
      lanveto import arp.txt
      ssh router show arp | lanveto import arp -
      lanveto import scan.xml capture.pcapng.gz leases.csv --profile us-federal-contractor
      lanveto import inventory.csv --map mac=Hardware,ip=Address --format jsonl
    """
    from scanner import imports
    from scanner.cli.progress import Line
    from scanner.errors import InputProblem, UsageProblem
    from scanner.imports.base import HEAD, Head
    from scanner.imports.csv import check_mapping
    from scanner.imports.opening import opened
    from scanner.picture import Picture

    if given["list_"]:
        for name in imports.names():
            click.echo(f"{name:14} {imports.get(name).summary}")
        return 0
    chosen, files = _chosen(files, given["format_of_files"])
    mapping = check_mapping(given["mapping"]) if given["mapping"] else {}
    if mapping and chosen is None:
        chosen = "csv"
    if not files:
        raise UsageProblem("name a FILE, or - for standard input; --list shows the formats")
    named = imports.get(chosen) if chosen else None
    work = sources.Work(given)
    told = sources.Told(targets=sources.names(files))
    picture = Picture()
    line = Line(quiet=given["quiet"])

    def tick(_count: int, taken: int, size: int | None) -> None:
        line.update(f"reading {file.name}", taken >> 20, (size >> 20) or None if size else None, len(picture))

    def enough(head: Head) -> bool:
        return named is not None or imports.known(head) is not None

    for file in files:
        try:
            source = opened(file, mapping=mapping, tick=tick, enough=enough)
            if not source.head.text.strip() and len(source.head.data) < HEAD:
                told.problems.append(notice(Code.INPUT, f"{source.name}: is empty"))
                continue
            importer = named or imports.recognise(source.head, source.name)
        except InputProblem as problem:
            told.problems.append(notice_of(problem))
            continue
        sources.take(picture, source, importer.read, told, label=importer.name)
        source.stream.close()
        if told.interrupted:
            break
    line.clear()
    return work.finish(picture, told)


def _chosen(files: tuple[Path, ...], named: str | None) -> tuple[str | None, tuple[Path, ...]]:
    """The format that was named, by --from or as the first word, and the files. Raises `UsageProblem`."""
    import re

    from scanner import imports
    from scanner.errors import UsageProblem

    if named is not None:
        return named, files
    first = str(files[0]) if files else ""
    if first in imports.names() and (len(files) > 1 or not files[0].exists()):
        return first, files[1:]
    if len(files) > 1 and re.fullmatch(r"[a-z][a-z0-9-]*", first) and not files[0].exists():
        raise UsageProblem(f"{first}: is neither a file nor a format; there are {', '.join(imports.names())}")
    return None, files
