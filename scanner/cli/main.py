"""The command `lanveto`: finds each subcommand by its file and turns every failure into a sentence and an exit code.

Exit codes: 0 nothing at `--fail-on`; 1 findings at `--fail-on`, or a check that failed; 2 wrong usage or unreadable
input; 3 the scan could not be completed; 70 internal error; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import io
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module

import click

import scanner
from scanner import errors
from scanner.errors import LanvetoError
from scanner.values import one_line

EXIT_OK, EXIT_FINDINGS, EXIT_USAGE, EXIT_INCOMPLETE, EXIT_INTERNAL, EXIT_INTERRUPTED = 0, 1, 2, 3, 70, 130

MAX_SENTENCE = 2000
"""Characters of one message to a person."""

_ROOMS = frozenset({"by_nmap", "keeping", "main", "options", "progress", "settings", "sources", "streaming"})
"""Files here that are not commands."""


class _Commands(click.Group):
    """Subcommands are the files of this folder; one is imported only when it is called, so `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        folder = [os.path.dirname(__file__)]  # noqa: PTH120 - pathlib would cost its import at every start
        found = (m.name for m in pkgutil.iter_modules(folder) if m.name not in _ROOMS and m.name[0] != "_")
        return sorted(name.removesuffix("_") for name in found)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        file = f"{cmd_name}_" if cmd_name in {"import"} else cmd_name  # a word of the language is no module's name
        command = import_module(f"scanner.cli.{file}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, _SUMMARY.get(name, "")) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(error.format_message() + hint, ctx) from error


_SUMMARY = {
    "demo": "A simulated fleet, scanned for real: no root, no network.",
    "completion": "What a shell needs to complete commands and options.",
    "config": "Check and show lanveto.toml.",
    "diff": "What changed between two scans that are kept.",
    "explain": "Every byte, match and rule behind one answer.",
    "history": "The scans that are kept, and one device through time.",
    "identify": "Recordings in, makers and verdicts out: no network.",
    "import": "What other tools know becomes a report: no network.",
    "listen": "Hear what devices say of themselves; sends nothing.",
    "oui": "Look up and update the IEEE registry.",
    "prune": "Let old scans leave the history.",
    "rejudge": "Other rules or another day's law on a scan that is kept: no network.",
    "rules": "Validate, read and score vendors, fingerprints and policies.",
    "scan": "Find the devices of a network, their makers, and what the law asks.",
    "simulate": "Recordings as devices that answer on the wire.",
    "snmp": "Neighbours and ports of routers and switches, with your own secret.",
    "verify": "Is an evidence bundle whole, and do its rules give its answer?",
    "watch": "Scan on a schedule, keep the history, tell what changes.",
}
"""One line each, so that `lanveto --help` imports no command; a test compares them with the commands' own."""


@click.group(
    cls=_Commands,
    context_settings={
        "help_option_names": ["-h", "--help"], "max_content_width": 110, "auto_envvar_prefix": "LANVETO",
    },
    epilog="Begin with `lanveto demo`, then `lanveto scan --dry-run`. Not legal advice.",
)
@click.version_option(scanner.__version__, prog_name="lanveto")
@click.option("--config", metavar="FILE", help="The configuration; default: lanveto.toml here, at home, in /etc.")
@click.pass_context
def cli(context: click.Context, config: str | None) -> None:
    """Who made the devices on this network, how do we know, and what does the law ask of us?"""
    name = context.invoked_subcommand
    if name is None or name in {"config", "completion"}:
        if config is not None:
            _configure(context, config)
        return
    if config is None and not any(map(os.path.isfile, _configurations())):
        return
    _configure(context, config)
    from scanner.cli import settings

    found = context.obj
    assert isinstance(cli, click.Group)
    command = cli.get_command(context, name)
    if isinstance(found, settings.Settings) and command is not None:
        context.default_map = {name: settings.defaults(found, name, command, context)}


def _configurations() -> tuple[str, ...]:
    """Where a configuration may lie; `settings.places` says the same, at the cost of its imports."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    base = base if base.startswith("/") else os.path.expanduser("~/.config")  # noqa: PTH111
    return ("lanveto.toml", f"{base}/lanveto/lanveto.toml", "/etc/lanveto/lanveto.toml")


def _configure(context: click.Context, config: str | None) -> None:
    from pathlib import Path

    from scanner.cli import settings

    path = Path(config) if config is not None else None
    context.params["config"] = path
    context.obj = settings.load(path)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code; no traceback reaches the user."""
    sys.exit(run(argv))


def run(argv: Sequence[str] | None = None) -> int:
    """The exit code of one command line."""
    _reserve()
    try:
        code = cli.main(args=None if argv is None else list(argv), prog_name="lanveto", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code if isinstance(code, int) else EXIT_OK
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.exceptions.Abort:  # Ctrl-C, as click tells it
        return _say("lanveto: interrupted", EXIT_INTERRUPTED)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        return _say(errors.coded(shown.getvalue().rstrip("\n"), errors.UsageProblem.code), EXIT_USAGE)
    except LanvetoError as error:
        return _say(errors.coded(f"lanveto: {error}", error.code), error.exit_code)
    except KeyboardInterrupt:
        return _say("lanveto: interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has left (`| head`): there is nobody to tell, and nothing more to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except MemoryError:
        text = "lanveto: out of memory; split the input into smaller files"
        return _say(errors.coded(text, errors.Code.INTERNAL), EXIT_INTERNAL)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _say(errors.coded(f"lanveto: {error.strerror or error}{where}", errors.Code.SYSTEM), EXIT_USAGE)
    except Exception as error:
        if os.environ.get("LANVETO_DEBUG"):
            raise
        place = _place(error)
        return _say(
            f"lanveto: internal error: {type(error).__name__}: {error} ({place}). Please report it; "
            f"LANVETO_DEBUG=1 shows more. [{errors.Code.INTERNAL}]",
            EXIT_INTERNAL,
        )


def _place(error: BaseException) -> str:
    """File and line where an unexpected error arose: what a bug report needs without a traceback."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "unknown place"
    last = frames[-1]
    return f"{os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119


def _say(text: str, code: int) -> int:
    """Tell a person, where anybody listens; file names and entries may hold what a terminal obeys."""
    with contextlib.suppress(OSError):
        click.echo("\n".join(one_line(line, MAX_SENTENCE) for line in text.rstrip("\n").split("\n")), err=True)
    return code


def _reserve() -> None:
    """Keep the numbers of closed standard streams from becoming those of files and sockets that we open."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(handle)


if __name__ == "__main__":
    main()
