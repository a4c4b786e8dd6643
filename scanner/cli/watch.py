"""`lanveto watch`: a service that scans on a schedule, keeps the history and tells what changes (docs/watch.md).

Each scan is `lanveto scan` as a process of its own: memory stays flat, and what a network does to a scan does not reach
the service. Configuration and rules hold as they were at the start or at the last SIGHUP.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scanner.cli import keeping

if TYPE_CHECKING:
    from scanner.watch.log import Log
    from scanner.watch.service import Ended, Service, Setup

_OURS = ("output", "format_", "resume", "dry_run", "mqtt", "fail_on", "bundle", "checkpoint")
"""Options of `scan` that make no sense here: the report goes into the history, messages through the outbox."""
_CHILD = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(1, 15)\n"  # PR_SET_PDEATHSIG: no scan without its service
    "sys.exit(15) if os.getppid() != int(sys.argv.pop(1)) else None\n"
    "from scanner.cli.main import main\n"
    "main()"
)
_READ = (
    "import sys\n"
    "from pathlib import Path\n"
    "from scanner import knowledge\n"
    "from scanner.errors import LanvetoError\n"
    "try:\n"
    "    knowledge.load([Path(word) for word in sys.argv[1:]]).read()\n"
    "except LanvetoError as problem:\n"
    "    sys.exit(str(problem))\n"
)
_REMARKS = 50
"""Lines of a scan's standard error that are kept."""


@click.command("watch", context_settings={"ignore_unknown_options": True})
@click.option("--every", default="6h", show_default=True, metavar="TIME", help="From scan to scan: 30m, 6h, 1d.")
@click.option("--jitter", type=click.FloatRange(0, 100), default=10, show_default=True, metavar="PERCENT",
              help="Share of the period by which a scan may begin later, by chance.")
@click.option("--log", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="What lines on standard error look like.")
@click.option("--cycles", type=click.IntRange(min=1), metavar="N", help="End after so many scans.")
@click.argument("scan", nargs=-1, type=click.UNPROCESSED, metavar="[TARGET|SCAN-OPTION]...")
@click.pass_context
def command(context: click.Context, /, log: str, cycles: int | None, scan: tuple[str, ...], **given: Any) -> int:
    """Scan on a schedule, keep the history, tell what changes.

    Targets and options are those of `lanveto scan`, here or in lanveto.toml; sinks are the tables [publish.NAME] there.
    Without --store the history is history.sqlite in the state folder. SIGHUP reads the configuration again, SIGTERM
    ends the service. It is ready for systemd: examples/systemd.

    \b
    Examples:
      lanveto watch --every 6h 192.0.2.0/24 --profile us-federal-contractor
      lanveto watch --every 1d --log json 192.0.2.0/24 --gentle --store history.sqlite
      lanveto --config /etc/lanveto/lanveto.toml watch
    """
    from typing import cast

    from scanner.store import open_store
    from scanner.watch.log import Form, Log
    from scanner.watch.notify import Notifier
    from scanner.watch.service import Service

    config = context.find_root().params.get("config")
    lines = Log(sys.stderr, cast(Form, log))
    with contextlib.closing(_Kept()) as kept:
        where, setup = _setup(kept, given, scan, context.find_root().obj, lines)
        # What the command line says counts most, also when the file is read again.
        said = {
            name: value for name, value in given.items()
            if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        }  # fmt: skip

        def load() -> Setup:
            from scanner.cli import settings

            found = settings.load(config)
            there = settings.default_map(found, "watch", command) if found is not None else {}
            again, fresh = _setup(kept, {**given, **there, **said}, scan, found, lines)
            if again != where:
                from scanner.errors import UsageProblem

                raise UsageProblem("store: another history needs a restart of the service")
            return fresh

        with open_store(where) as store, store.alone("watch") as free:
            if not free:
                from scanner.errors import UsageProblem

                raise UsageProblem(f"watch: another one keeps {store.shown}; end it first, or name another --store")
            _run(Service(store, setup, lines, load=load, notifier=Notifier(), cycles=cycles), kept.close)
    return 0


def _run(service: Service, last: Callable[[], None]) -> None:
    """Run the service; when it has ended, nothing is waited for any more. `last` is called also then."""
    import signal

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, service.stop.set)
        loop.add_signal_handler(signal.SIGHUP, service.reload.set)
        await service.run()

    import threading
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(thread_name_prefix="lanveto-watch")
    loop = asyncio.new_event_loop()
    loop.set_default_executor(pool)
    try:
        loop.run_until_complete(main())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("lanveto-watch")]
        for thread in threads:
            thread.join(0.1 / len(threads))
        if any(thread.is_alive() for thread in threads):
            # A store that is locked holds a thread for up to 20 s; what it was about to write is written whole or not.
            sys.stderr.flush()
            last()
            os._exit(0)
        loop.close()


class _Kept:
    """Copies of the configuration and of the user's own rules as they were read last: what all scans go by.

    A file that is edited, and wrong for a while, changes nothing before SIGHUP has found it right.
    """

    def __init__(self) -> None:
        import tempfile

        self._folder = Path(tempfile.mkdtemp(prefix="lanveto-watch-"))
        self._count = 0
        self._good: list[Path] = []

    def take(self, config: Path | None, overlays: Sequence[Path]) -> tuple[Path | None, list[Path]]:
        """Copies of both. Raises `LanvetoError` where the rules are wrong, naming the file itself."""
        import shutil

        from scanner.errors import InputProblem

        self._count += 1
        new = self._folder / str(self._count)
        try:
            new.mkdir(mode=0o700)
            copies = [new / f"rules-{number}" for number, _ in enumerate(overlays)]
            for overlay, copy in zip(overlays, copies, strict=True):
                shutil.copytree(overlay, copy)
            mine = Path(shutil.copy(config, new / "lanveto.toml")) if config is not None else None
            if copies:
                _check_rules(dict(zip(copies, overlays, strict=True)))
        except (OSError, shutil.Error, InputProblem) as error:
            shutil.rmtree(new, ignore_errors=True)
            if isinstance(error, InputProblem):
                raise
            raise InputProblem(f"watch: configuration and rules cannot be copied to {new}: {error}") from error
        self._good.append(new)
        for old in self._good[:-2]:  # the last but one may be in use
            shutil.rmtree(old, ignore_errors=True)
        return mine, copies

    def close(self) -> None:
        import shutil

        shutil.rmtree(self._folder, ignore_errors=True)


def _check_rules(copies: Mapping[Path, Path]) -> None:
    """In a process of its own: rules need memory that the service does not. Raises `InputProblem`."""
    import subprocess

    from scanner.errors import InputProblem

    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-c", _READ, *map(str, copies)], check=False, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, errors="replace", timeout=120,
    )  # fmt: skip
    if done.returncode:
        text = (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]
        for copy, own in copies.items():
            text = text.replace(str(copy), str(own))
        raise InputProblem(f"rules: {text}")


def _without(words: Sequence[str], option: str) -> list[str]:
    """The words without this option and its values."""
    found: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == option:
            next(rest, None)
        elif not word.startswith(f"{option}="):
            found.append(word)
    return found


def _setup(
    kept: _Kept, given: Mapping[str, Any], scan: Sequence[str], found: object, log: Log
) -> tuple[str, Setup]:
    """Store and setup. Raises `LanvetoError` for options that a scan would refuse; nothing has been sent by then."""
    from scanner import publish
    from scanner.cli import settings, sources
    from scanner.errors import UsageProblem
    from scanner.watch.schedule import Schedule
    from scanner.watch.service import Setup

    about = _parsed(scan, found)
    wrong = next((name for name in _OURS if about.get(name) not in (None, False, "table")), None)
    if wrong is not None:
        raise UsageProblem(f"watch: --{wrong.strip('_').replace('_', '-')} is not for a service (docs/watch.md)")
    if not about["targets"] and not about["interfaces"] and not about["yes"]:
        raise UsageProblem("watch: name your targets, here or in the table [scan] of lanveto.toml")
    where = about["store"] or keeping.default()
    tables = found.publish if isinstance(found, settings.Settings) else {}
    schedule = Schedule(sources.duration(given["every"], "--every"), given["jitter"] / 100)
    sinks = [publish.configured(name, table) for name, table in tables.items()]
    config, rules = kept.take(found.path if isinstance(found, settings.Settings) else None, about["overlays"])
    words = [*_without(scan, "--rules"), *(word for copy in rules for word in ("--rules", str(copy))),
             "--store", where, "--quiet", "--format", "json", "--output", os.devnull]  # fmt: skip
    more = {keeping.LATER: "later", keeping.PATIENCE: str(schedule.every)}

    async def call() -> Ended:
        return await _call(config, words, more, log)

    return where, Setup(
        schedule=schedule,
        scan=call, site=about["site"], targets=tuple(about["targets"]), profiles=tuple(about["profiles"]),
        sinks=sinks,
    )  # fmt: skip


def _parsed(words: Sequence[str], found: object) -> Mapping[str, Any]:
    """What `lanveto scan` makes of these words and the configuration."""
    from scanner.cli import settings
    from scanner.cli.scan import command as scan

    there = settings.default_map(found, "scan", scan) if isinstance(found, settings.Settings) else {}
    context = scan.make_context("watch", list(words), default_map=there, auto_envvar_prefix="LANVETO_SCAN")
    return context.params


async def _call(config: Path | None, words: Sequence[str], more: Mapping[str, str], log: Log) -> Ended:
    """One `lanveto scan` with `more` in its environment; cancelled, it ends within a moment."""
    from scanner.watch.service import Ended

    before = ["--config", str(config)] if config is not None else []
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CHILD, str(os.getpid()), *before, "scan", *words, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, limit=1 << 20, env={**os.environ, **more},
    )  # fmt: skip
    assert process.stderr is not None
    lines: list[str] = []
    try:
        async for line in process.stderr:
            text = line.decode(errors="replace").strip().removeprefix("lanveto: ")
            if text.startswith(keeping.NOT_YET):
                log.broken("store", text)
            elif text:
                lines.append(text)
            del lines[:-_REMARKS]
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 0.3)
            except TimeoutError:
                process.kill()
                await process.wait()
    said = tuple(dict.fromkeys(lines))
    if code == 0:
        return Ended(None, said)
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return Ended(f"{said[-1]} ({how})" if said else how, said)
