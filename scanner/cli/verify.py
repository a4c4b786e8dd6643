"""`lanveto verify`: is an evidence bundle whole, and do its rules give its answer?"""

from __future__ import annotations

from pathlib import Path

import click

from scanner.cli import options


@click.command("verify")
@click.argument("file", type=options.READ_FILE, metavar="FILE.zip")
def command(file: Path) -> int:
    """Check an evidence bundle and judge its recordings again by the rules inside; sends nothing.

    The exit code is 0 where it is whole and gives the same answer, 1 where it was changed or gives another one (each
    difference is told), 2 where it is no readable bundle. That it is whole does not say who made it.

    \b
    Example:
      lanveto identify scans/*.yaml --profile us-federal-contractor --bundle evidence.zip
      lanveto verify evidence.zip
    """
    from scanner import evidence
    from scanner.errors import Code, notice
    from scanner.values import one_line

    found = evidence.verify(file)
    for text in found.damaged or found.differences:
        click.echo(one_line(text, 500))
    if found.damaged:
        words = f"{len(found.damaged)} of {found.files} files are not as they were packed: do not rely on it"
        options.complain(notice(Code.BUNDLE, words))
        return 1
    if found.differences:
        words = "the bundle is whole, and judging again gives another answer (another version of lanveto?)"
        options.complain(notice(Code.BUNDLE, words))
        return 1
    about = found.about
    click.echo(
        one_line(
            f"{found.files} files are whole; {found.devices} device(s) judged again for "
            f"{', '.join(about.profiles) or 'no profile'} by the law of {about.law_as_of}: the same answer "
            f"(scan {about.scan}, {about.tool} {about.version}, {about.created})",
            600,
        )
    )
    return 0
