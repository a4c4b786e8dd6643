"""What commands share that keep or read the history: `--store`, and how a finished scan gets there."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from scanner.cli import options
from scanner.errors import Code, notice

if TYPE_CHECKING:
    from scanner.knowledge import Knowledge
    from scanner.model import Report
    from scanner.publish import Configured
    from scanner.store import Store
    from scanner.store.reading import Entry

F = TypeVar("F", bound=Callable[..., Any])

VARIABLE = "LANVETO_STORE"
LATER = "LANVETO_DELIVERY"
"""Set to `later` in the environment of a scan whose messages another process delivers."""
PATIENCE = "LANVETO_PATIENCE"
"""Seconds for which such a scan goes on trying to store its result."""
NOT_YET = "this scan is not in the history yet"


def _checked(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        from scanner.store import place

        return place(value)
    return None


def keep(command: F) -> F:
    """`--store FILE|URL` of commands that add to the history, where it is asked for."""
    return click.option(
        "--store", metavar="FILE|URL", envvar=VARIABLE, callback=_checked,
        help="Keep the result in this history: a file, or postgresql://user@host/db (`lanveto history`).",
    )(command)  # fmt: skip


def read(command: F) -> F:
    """`--store FILE|URL` of commands that read the history; without it, the account's own."""
    return click.option(
        "--store", metavar="FILE|URL", envvar=VARIABLE, callback=_checked,
        help="The history to read: a file, or postgresql://user@host/db; default: history.sqlite in the state folder.",
    )(command)  # fmt: skip


def site(command: F) -> F:
    """`--site NAME` of commands that read the history."""
    return click.option("--site", metavar="NAME", help="Only scans of this site.")(command)


MISSES = 3
"""As `store.findings.MISSES`, which costs the import of a database to know; a test compares them."""


def misses(command: F) -> F:
    """`--misses N`."""
    return click.option(
        "--misses", type=click.IntRange(1), default=MISSES, show_default=True, metavar="N",
        help="Completed scans in a row that must miss a device before it counts as gone.",
    )(command)  # fmt: skip


def default() -> str:
    """The account's own history."""
    from scanner import state

    return str(state.folder() / "history.sqlite")


def opened(where: str | None) -> Store:
    """The history to read. Raises `StoreProblem` where there is none."""
    from scanner.store import open_store

    return open_store(where or default(), create=False)


def ready(where: str | None) -> None:
    """Open the store before anything is sent, so that a long scan does not end in a typing error.

    Says what is wrong and goes on: a scan is worth having without its history.
    """
    if where is None:
        return
    from scanner.errors import StoreProblem
    from scanner.store import open_store

    try:
        open_store(where).close()
    except StoreProblem as problem:
        words = f"{problem}. The scan goes on; its report will be written all the same"
        options.complain(notice(problem.code, words))


def store(
    result: Report, where: str | None, known: Knowledge, *, asked: bool = True, misses: int = MISSES
) -> bool:
    """Whether the result is in the history (or none was wanted); a failure is said, the report is written already.

    `asked`: False where nobody was asked, so that nobody can be missed. `misses`: looks that must miss a device
    before it counts as gone.
    """
    if where is None:
        return True
    import time

    from scanner.errors import StoreProblem

    end, wait = time.monotonic() + float(os.environ.get(PATIENCE, "0")), 0.5
    while True:
        try:
            return _kept(result, where, known, asked=asked, misses=misses)
        except StoreProblem as problem:
            left = end - time.monotonic()
            if left <= 0:
                options.complain(notice(problem.code, f"this scan is not in the history: {problem}"))
                return False
            if wait == 0.5:
                options.complain(notice(problem.code, f"{NOT_YET}: {problem}; it is tried again"))
            wait = min(2 * wait, 60.0)
            time.sleep(min(wait, left))


def _kept(result: Report, where: str, known: Knowledge, *, asked: bool, misses: int) -> bool:
    """Store, then deliver; whether every sink took what waits for it. Raises `StoreProblem`: nothing was stored."""
    import datetime

    from scanner import assess
    from scanner.publish import documents
    from scanner.store import open_store, outbox, writing

    day = datetime.date.fromisoformat(result.scan.law_as_of or options.day(None).isoformat())
    law = assess.Law(result.scan.profiles, day)
    sinks = configured_sinks()
    with open_store(where) as history:
        if sinks:
            outbox.register(history, [sink.name for sink in sinks])
        saved = writing.save(
            history, result, again=lambda recording: assess.device(recording, known, law),
            describe=documents.describe, asked=asked, misses=misses,
        )  # fmt: skip
        if saved.dropped:
            options.complain(notice(
                Code.OUTBOX,
                f"the outbox of {history.shown} is full: the oldest {saved.dropped} events were dropped; see to it "
                "that its sinks can be reached, or drop those that are gone (`lanveto history --forget NAME`)",
            ))
        return os.environ.get(LATER) == "later" or _deliver(history, sinks)


def configured_sinks() -> list[Configured]:
    """The sinks of `[publish.NAME]`."""
    from scanner import publish
    from scanner.cli.settings import Settings

    context = click.get_current_context(silent=True)
    found = context.find_root().obj if context is not None else None
    if not isinstance(found, Settings):
        return []
    return [publish.configured(name, table) for name, table in found.publish.items()]


def _deliver(history: Store, sinks: list[Configured]) -> bool:
    """Whether every sink took what waits for it; what one does not take now waits for the next time."""
    import asyncio

    from scanner.publish import Doubtful, Unavailable
    from scanner.publish.deliver import Delivery

    done = True
    for sink in sinks:
        try:
            asyncio.run(Delivery(history, sink, _Complaints()).drain())
        except (Unavailable, Doubtful) as problem:
            words = f"publish.{sink.name}: {sink.sink}: {problem}; its messages wait in {history.shown}"
            options.complain(notice(Code.SINK, words))
            done = False
    return done


class _Complaints:
    """What a delivery has to say, on standard error."""

    def broken(self, what: str, text: str) -> None:
        del what
        options.complain(notice(Code.SINK, text))

    def mended(self, what: str) -> None:
        del what

    def say(self, text: str, **more: object) -> None:
        del more
        options.complain(notice(Code.SINK, text))


def scan_line(entry: Entry) -> str:
    """One scan as a heading names it."""
    return f"scan {entry.number} of {entry.started[:16].replace('T', ' ')} UTC ({entry.site}, {entry.state})"
