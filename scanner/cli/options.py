"""Options that several commands share, and the helpers behind them."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from scanner.errors import Code, Notice, UsageProblem, brief, notice, notice_of
from scanner.model import Action, Report

if TYPE_CHECKING:
    from scanner.assets import Assets
    from scanner.knowledge import Knowledge
    from scanner.model import Waiver
    from scanner.report import Format

MAX_IDLE = 20
"""Waivers without a device that are told one by one."""

F = TypeVar("F", bound=Callable[..., Any])

RECORDING = click.Path(readable=False, path_type=Path, allow_dash=True)
"""A file of recordings: opened later, so that one that cannot be read does not stop the others."""


def profile(command: F) -> F:
    """`--profile P`, repeatable: what the organisation is."""
    return click.option(
        "--profile",
        "-p",
        "profiles",
        multiple=True,
        metavar="P",
        help="What your organisation is (repeatable), e.g. us-federal-contractor; `lanveto rules list profiles`.",
    )(command)


def rules(command: F) -> F:
    """`--rules DIR`, repeatable: overlays of the user's own."""
    return click.option(
        "--rules",
        "overlays",
        multiple=True,
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        callback=_overlays,
        help="A folder of your own rules, laid over ours (repeatable).",
    )(command)


def _overlays(_context: click.Context, _option: click.Parameter, folders: tuple[Path, ...]) -> tuple[Path, ...]:
    if folders:
        from scanner.knowledge.loader import check_overlay

        for folder in folders:
            check_overlay(folder)
    return folders


def as_of(command: F) -> F:
    """`--as-of DATE`: judge by the law of that day."""
    return click.option("--as-of", metavar="DATE", help="Judge by the law of this day (YYYY-MM-DD; default: today).")(
        command
    )


def output(command: F) -> F:
    """`--output FILE`."""
    return click.option(
        "--output",
        "-o",
        metavar="FILE",
        type=click.Path(dir_okay=False, readable=False, path_type=Path),
        help="Write the result here instead of standard output.",
    )(command)


FORMATS = ("csv", "cyclonedx", "html", "inquiry", "json", "jsonl", "markdown", "table", "xlsx")
"""What `--format` may be, for the help text: a test compares it with the files of `scanner/report/`."""


def format_(command: F) -> F:
    """`--format F`."""
    return click.option(
        "--format",
        "format_",
        default="table",
        show_default=True,
        metavar="F",
        help=f"How the result is written: {', '.join(FORMATS)}.",
    )(command)


def renderer(name: str, output: Path | None) -> Format:
    """The format of `--format`. Raises `UsageProblem`, also for one that is no text and would go to a terminal."""
    import sys

    from scanner import report

    found = report.get(name)
    if found.binary and output is None and sys.stdout is not None and sys.stdout.isatty():
        raise UsageProblem(f"--format {name}: is no text for a terminal; name a file with --output FILE")
    return found


READ_FILE = click.Path(dir_okay=False, readable=False, path_type=Path)
"""A file that is read: opened later, so that its own reader says what is wrong with it."""


def annotated(command: F) -> F:
    """What an organisation adds to devices: `--waivers`, `--join`."""
    for option in (
        click.option("--join", "assets", type=READ_FILE, multiple=True, metavar="FILE",
                     help="Your own columns (owner, place) for devices, a CSV file with `mac` or `ip` (repeatable)."),
        click.option("--waivers", type=READ_FILE, multiple=True, metavar="FILE",
                     help="Findings that you have accepted until a day (repeatable; docs/waivers.md)."),
    ):  # fmt: skip
        command = option(command)
    return command


def operator(command: F) -> F:
    """`--operator NAME`."""
    return click.option(
        "--operator", metavar="NAME", help="Who runs this, as reports name them (default: the account)."
    )(command)


def bundle(command: F) -> F:
    """`--bundle FILE.zip`."""
    return click.option(
        "--bundle",
        metavar="FILE.zip",
        type=click.Path(dir_okay=False, readable=False, path_type=Path),
        help="Keep report, recordings, rules and waivers as one file that `lanveto verify` judges again.",
    )(command)


def bundled(result: Report, known: Knowledge, given: Mapping[str, Any]) -> bool:
    """Whether the bundle stands where it was wanted (or none was); what failed is said, the report is written."""
    path: Path | None = given["bundle"]
    if path is None:
        return True
    from scanner import evidence
    from scanner.errors import LanvetoError

    try:
        emit(evidence.pack(result, known, waived=given["waivers"], joined=given["assets"]), path, "--bundle")
    except LanvetoError as problem:
        complain(notice_of(problem))
        return False
    return True


@dataclass(frozen=True)
class Annotations:
    """What an organisation adds to a report, read before anything is sent."""

    waivers: tuple[Waiver, ...]
    assets: tuple[Assets, ...]
    operator: str | None

    def added(self, report: Report) -> Report:
        """The report with all of it."""
        from msgspec.structs import replace

        from scanner import assets
        from scanner.judge import waivers

        who = self.operator or report.scan.operator or _account()
        report = replace(report, scan=replace(report.scan, operator=who))
        for table in self.assets:
            report = assets.join(report, table)
        return waivers.apply(report, self.waivers)


def annotating(given: Mapping[str, Any], known: Knowledge) -> Annotations:
    """Read the files of `annotated`; remarks about rows go to standard error. Raises `InputProblem`."""
    read: tuple[Waiver, ...] = ()
    tables: list[Assets] = []
    if given["waivers"]:
        from scanner.judge import waivers

        read = waivers.load(given["waivers"], known)
    if given["assets"]:
        from scanner import assets

        tables = [assets.load(path) for path in given["assets"]]
        for problem in (problem for table in tables for problem in table.problems):
            complain(notice(Code.ASSETS, problem))
    return Annotations(read, tuple(tables), given.get("operator"))


def idle_waivers(renderer: Format, waivers: Iterable[Waiver], used: Collection[tuple[str, str]]) -> None:
    """Say which waivers fitted no verdict, where the format (`jsonl`: devices alone) does not; `used`: those that did,
    by device and policy.
    """
    from scanner.report import Streamed

    idle = [w for w in waivers if (w.device, w.policy) not in used] if isinstance(renderer, Streamed) else []
    for waiver in idle[:MAX_IDLE]:
        words = f"the waiver of {waiver.policy} for {waiver.device} fits no device of this result"
        complain(notice(Code.WAIVER, words))
    if len(idle) > MAX_IDLE:
        complain(notice(Code.WAIVER, f"{len(idle) - MAX_IDLE} more waivers fit no device of this result"))


def uses(report: Report) -> set[tuple[str, str]]:
    """Device and policy of the waivers that fit some device of a report."""
    return {(use.waiver.device, use.waiver.policy) for use in report.waivers if use.devices}


def _account() -> str | None:
    """The account that runs this; under sudo, who called it. None where it has no name."""
    import getpass
    import os

    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a number without a name, as in containers
        return None
    caller = os.environ.get("SUDO_USER")
    return f"{caller} (as {name})" if caller and caller != name else name


def fail_on(command: F) -> F:
    """`--fail-on ACTION[,ACTION]`."""
    return click.option(
        "--fail-on",
        metavar="ACTION[,ACTION]",
        help="Leave with exit code 1 where a verdict asks for one of these actions (remove, do-not-buy, …).",
    )(command)


def day(text: str | None) -> datetime.date:
    """The day of `--as-of`, today without one. Raises `UsageProblem`."""
    if text is None:
        return datetime.datetime.now(tz=datetime.UTC).date()
    try:
        found = datetime.date.fromisoformat(text)
    except ValueError as error:
        raise UsageProblem(f"--as-of {text}: is no date; write it as 2026-11-24") from error
    if found.isoformat() != text:  # a week, or digits without hyphens
        raise UsageProblem(f"--as-of {text}: write it as {found.isoformat()}")
    return found


def actions(text: str | None, profiles: Sequence[str]) -> frozenset[Action]:
    """The actions of `--fail-on`. Raises `UsageProblem`, also without a profile: nothing could ever fail then."""
    if text is None:
        return frozenset()
    if not profiles:
        raise UsageProblem(
            "--fail-on needs --profile: without it no rule is known to bind you and no action is above `note`"
        )
    wanted: set[Action] = set()
    for word in text.split(","):
        try:
            action = Action(word.strip())
        except ValueError as error:
            names = ", ".join(a for a in Action if a is not Action.NONE)
            raise UsageProblem(f"--fail-on {word.strip()!r}: is no action; there are {names}") from error
        if action is Action.NONE:
            raise UsageProblem("--fail-on none: every clean network would fail; name an action")
        wanted.add(action)
    return frozenset(wanted)


def failed(report: Report, wanted: frozenset[Action]) -> bool:
    """Whether some verdict that no waiver mutes asks for one of the wanted actions."""
    return any(v.action in wanted and not v.waived for device in report.devices for v in device.verdicts)


def writable(path: Path | None, what: str = "--output") -> None:
    """Check that a result can be written to `path`, before anything is sent. Raises `UsageProblem`."""
    if path is None:
        return
    import os

    folder = path.parent if str(path.parent) else Path()
    if path.is_dir():
        raise UsageProblem(f"{what} {path}: is a folder; name a file in it")
    if not folder.is_dir():
        raise UsageProblem(f"{what} {path}: the folder {folder} does not exist; make it first")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UsageProblem(f"{what} {path}: no permission to write there")


def emit(content: str | bytes | Iterable[str], path: Path | None, what: str = "--output") -> None:
    """Write a result to a file (whole or not at all) or to standard output; text also piece by piece.

    Raises `UsageProblem`.
    """
    if path is None:
        _print(content)
        return
    part = path.with_name(f".{path.name}.part")
    try:
        if path.exists() and not path.is_file():  # a device or a pipe cannot be replaced
            with path.open("wb") as file:
                file.writelines(_encoded(content))
            return
        with part.open("wb") as file:
            file.writelines(_encoded(content))
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise UsageProblem(f"{what} {path}: cannot be written: {error.strerror or error}") from error


def delivered(
    make: Callable[[], str | bytes | Iterable[str]], path: Path | None, *, remembered: bool = True
) -> bool:
    """Whether the result that `make` gives stands where it was wanted; elsewhere it goes to standard output, so that
    nothing that took a scan's time is lost. What failed is said; `remembered`: `lanveto explain` knows the devices.
    """
    try:
        emit(make(), path)
    except UsageProblem as problem:
        if path is None:
            more = "; `lanveto explain` still knows this scan" if remembered else "; name a file with --output"
            complain(notice(Code.WRITE, f"{problem}{more}"))
            return False
        complain(notice(Code.WRITE, f"{problem}; the report goes to standard output instead"))
        delivered(make, None, remembered=remembered)
        return False
    return True


def _encoded(
    content: str | bytes | Iterable[str], encoding: str = "utf-8", errors: str = "surrogateescape"
) -> Iterator[bytes]:
    """The bytes of a result; text ends with a line end."""
    if isinstance(content, bytes):
        yield content
        return
    ended = False
    for piece in [content] if isinstance(content, str) else content:
        yield piece.encode(encoding, errors)
        ended = piece.endswith("\n")
    if not ended:
        yield b"\n"


def _print(content: str | bytes | Iterable[str]) -> None:
    """Write to standard output. A reader that has left (`| head`) is no failure."""
    import errno
    import io
    import os
    import sys

    if isinstance(content, bytes) and sys.stdout is not None and sys.stdout.isatty():
        raise UsageProblem("standard output: is a terminal, and the result is no text")
    raw = getattr(sys.stdout, "buffer", None)
    try:
        if isinstance(raw, io.RawIOBase):  # PYTHONUNBUFFERED: a signal would cut a write short, and nobody would notice
            for data in _encoded(content, sys.stdout.encoding, sys.stdout.errors or "strict"):
                left = memoryview(data)
                while left:
                    taken = raw.write(left)
                    if taken is None:
                        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                    left = left[taken:]
            return
        if isinstance(content, bytes):
            click.echo(content, nl=False)
            return
        piece = ""
        for piece in [content] if isinstance(content, str) else content:
            click.echo(piece, nl=False)
        if not piece.endswith("\n"):
            click.echo()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise UsageProblem(f"standard output: cannot be written: {error.strerror or error}") from error


def interrupted() -> None:
    """Says on standard error that the user ended a command before its time."""
    with contextlib.suppress(OSError):
        click.echo("lanveto: interrupted: what was known by then is reported", err=True)


def complain(said: Notice) -> None:
    """One message on standard error, safe to print: it may quote what a hostile file or device says."""
    with contextlib.suppress(OSError):
        click.echo("lanveto: " + brief(said, 2000), err=True)
