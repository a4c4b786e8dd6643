"""What `import`, `listen` and `snmp` share: their options, and how a picture of what was heard becomes a report."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import scanner
from scanner.cli import keeping, options
from scanner.errors import Code, Notice, notice, notice_of
from scanner.values import stamp

if TYPE_CHECKING:
    from scanner.imports.base import Input
    from scanner.model import Method
    from scanner.picture import Picture

F = TypeVar("F", bound=Callable[..., Any])


def report_options(command: F) -> F:
    """The options of every command that ends in a report, as `identify` and `scan` have them."""
    for option in (
        keeping.keep, options.bundle, options.operator, options.annotated, options.as_of, options.rules,
        options.fail_on,
        click.option("--site", default="default", show_default=True, metavar="NAME",
            help="Keeps overlapping networks apart."),
        click.option("--redact", is_flag=True, help="Recordings without serials and addresses, for bug reports."),
        click.option("--record", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
            help="One recording a device."),
        options.output,
        options.format_,
        options.profile,
    ):  # fmt: skip
        command = option(command)
    return command


@dataclass
class Told:
    """What the sources of one command told, besides the devices."""

    targets: list[str] = field(default_factory=list)
    methods: list[Method] = field(default_factory=list)
    warnings: list[Notice] = field(default_factory=list)
    problems: list[Notice] = field(default_factory=list)
    """Sources that could not be read, or not to their end."""
    failures: list[Notice] = field(default_factory=list)
    """What was not completed although it could have been (a network that failed)."""
    interrupted: bool = False
    silent: list[str] = field(default_factory=list)


class Work:
    """One command from its options to its exit code."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Checks everything that can be checked before anything is read or sent. Raises `UsageProblem`."""
        from scanner import knowledge
        from scanner.judge import judge
        from scanner.model import Identity

        self.given = given
        self.started = stamp()
        self.renderer = options.renderer(given["format_"], given["output"])
        self.wanted = options.actions(given["fail_on"], given["profiles"])
        self.day = options.day(given["as_of"])
        options.writable(given["output"])
        options.writable(given["bundle"], "--bundle")
        if given["record"] is not None:
            from scanner.recorded import prepare

            prepare(given["record"])
        self.known = knowledge.load(given["overlays"])
        if given["profiles"]:
            judge(Identity(), self.known, profiles=given["profiles"], as_of=self.day)  # an unknown profile is said now
        self.annotations = options.annotating(given, self.known)
        keeping.ready(given["store"])

    def finish(self, picture: Picture, told: Told, *, asked: bool = False) -> int:
        """Identify, judge, write the report and the recordings; returns the exit code.

        `asked`: whether every target was asked, so that the history may count who did not answer.
        """
        from scanner.knowledge.loader import seldom

        with seldom():
            return self._finish(picture, told, asked=asked)

    def _finish(self, picture: Picture, told: Told, *, asked: bool) -> int:
        from scanner import assess, state
        from scanner.knowledge.loader import settled, undisturbed
        from scanner.model import Scan
        from scanner.picture import alone
        from scanner.recorded import redacted, write_recordings
        from scanner.report import pieces

        with undisturbed():
            recordings, contradictions = picture.recordings()
        if self.given["record"] is not None:
            kept = [redacted(r, n) for n, r in enumerate(recordings, 1)] if self.given["redact"] else recordings
            told.failures += [notice(Code.WRITE, text) for text in write_recordings(self.given["record"], kept)]
        with undisturbed():
            devices = assess.assess(recordings, self.known, profiles=self.given["profiles"], as_of=self.day)
            settled()
        scan = Scan(
            id=str(uuid.uuid4()), started=self.started, finished=stamp(), site=self.given["site"],
            targets=tuple(told.targets), profiles=self.given["profiles"], law_as_of=self.day.isoformat(),
            interrupted=told.interrupted, failures=(*told.problems, *told.failures), version=scanner.__version__,
        )  # fmt: skip
        today = datetime.now(tz=UTC).date()
        cover = assess.coverage(
            devices, silent=told.silent, methods=told.methods,
            warnings=[*contradictions, *alone(recordings), *told.warnings, *assess.age_warnings(self.known, today)],
        )  # fmt: skip
        result = self.annotations.added(assess.report(scan, devices, cover, self.known))
        problem = state.save_last(recordings)
        if problem:
            options.complain(notice(Code.MEMORY, f"this is not remembered for `lanveto explain`: {problem}"))
        written = options.delivered(lambda: pieces(self.renderer, result), self.given["output"])
        options.idle_waivers(self.renderer, self.annotations.waivers, options.uses(result))
        for text in (*told.problems, *told.failures):
            options.complain(text)
        stored = keeping.store(
            result, self.given["store"], self.known, asked=asked, misses=self.given.get("misses", keeping.MISSES)
        )
        stored &= options.bundled(result, self.known, self.given)
        if told.interrupted:
            options.interrupted()
            return 130
        if told.failures or not (written and stored):
            return 3
        if told.problems:
            return 2
        return 1 if options.failed(result, self.wanted) else 0


def take(picture: Picture, source: Input, read: Callable[[Input], Any], told: Told, *, label: str) -> None:
    """Enter everything a source says; what it cannot tell becomes a problem, what was told before stays."""
    from scanner.errors import InputProblem
    from scanner.knowledge.loader import seldom
    from scanner.model import Method

    before = len(picture)
    count, failed = 0, False
    feed = read(source)
    try:
        with seldom():
            for heard in feed:
                picture.enter(heard, source.name, source.at)
                count += 1
    except InputProblem as problem:
        failed = True
        told.problems.append(notice_of(problem))
    except KeyboardInterrupt:
        told.interrupted = True
    finally:
        with contextlib.suppress(Exception):
            feed.close()
    note = None
    if source.unknown:
        note = f"{source.unknown} not understood: " + "; ".join(source.shown)
        if source.unknown > len(source.shown):
            note += "; …"
        told.warnings.append(notice(Code.IMPORT, f"{source.name} ({label}): {note}"))
        if not count and not failed:
            words = f"{source.name}: nothing in it was understood as {label}; name another format with --from"
            told.problems.append(notice(Code.INPUT, words))
    told.warnings.extend(notice(Code.IMPORT, text) for text in source.notes)
    told.methods.append(Method(name=f"{source.name} ({label})", ran=True, hosts=len(picture) - before, note=None))


def duration(text: str, option: str) -> float:
    """Seconds of `90`, `90s`, `10m`, `2h`. Raises `UsageProblem`."""
    import re

    from scanner.errors import UsageProblem

    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhd]?)", text.strip().lower())
    if found is None or float(found[1]) <= 0:
        raise UsageProblem(f"{option} {text}: is no duration; write it as 90s, 10m or 2h")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]]


def names(sources: Sequence[object]) -> list[str]:
    """How a report names what was read."""
    from scanner.values import file_name

    return [file_name(source) for source in sources]
