"""`lanveto.toml`: everything the command line can say, said once.

A key at the top holds for every command that has the option of that name; one in the table `[scan]` for `lanveto scan`
alone, one in `[rules-eval]` for `lanveto rules eval`. Of the commands that come in groups only `rules` is taken from
the top: what else is named alike there (`--as-of` of `lanveto oui update`) means something else.

What the environment says (`LANVETO_SCAN_SITE`, …) counts more than the file, what the command line says counts
most. `[publish.NAME]` describes where `lanveto watch` publishes (docs/configuration.md).

The file is the one of `--config` or `LANVETO_CONFIG`; else the first of ./lanveto.toml,
$XDG_CONFIG_HOME/lanveto/lanveto.toml (~/.config/…) and /etc/lanveto/lanveto.toml.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from scanner.errors import InputProblem, UsageProblem

NAME = "lanveto.toml"
TABLES = frozenset({"publish"})
"""Tables that are no command."""
NEVER: Mapping[str, str] = {
    "help": "it asks, and nothing is done",
    "version": "it asks, and nothing is done",
    "config": "it says which file this is",
    "port-map": "it is for simulated devices, whose ports differ with every start",
}
"""Options that a file cannot set, with the reason."""
FROM_THE_TOP = frozenset({"rules"})
"""Keys at the top that also hold for commands of a group."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A configuration file as it was read."""

    path: Path
    document: Mapping[str, Any]

    @property
    def publish(self) -> Mapping[str, Any]:
        """The tables below `[publish]`."""
        found = self.document.get("publish", {})
        return found if isinstance(found, dict) else {}


def places() -> tuple[Path, ...]:
    """Where a configuration is looked for, in this order."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):  # noqa: PTH117 - of a text that may be empty
        base = os.path.join(os.path.expanduser("~"), ".config")  # noqa: PTH111, PTH118 - without a home it stays "~"
    return (Path(NAME), Path(base) / "lanveto" / NAME, Path("/etc/lanveto") / NAME)


def load(explicit: Path | None = None) -> Settings | None:
    """The configuration that holds; None without one. Raises `InputProblem`, naming file, line and reason."""
    path = explicit
    if path is None:
        path = next((place for place in places() if place.is_file()), None)
        if path is None:
            return None
        _trusted(path)
    import tomllib

    try:
        return Settings(path, tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputProblem(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputProblem(f"{path}: {error}") from error


def _trusted(path: Path) -> None:
    """A file that merely lies where we are called must not be somebody else's: it may name commands to run."""
    about = path.stat()
    if hasattr(os, "geteuid") and (about.st_uid not in {0, os.geteuid()} or about.st_mode & 0o002):
        raise InputProblem(
            f"{path}: belongs to somebody else, or everybody may write it, so it is not taken without being asked for; "
            f"name it with --config {path}, or mend its owner and mode"
        )


def default_map(settings: Settings, name: str, command: click.Command) -> dict[str, Any]:
    """What the file says for one command, as click takes it. Raises `UsageProblem` for what cannot be."""
    problems = list(_problems_of(settings, name, command))
    if problems:
        raise UsageProblem("\n".join(problems))
    return {param.name: value for _, param, value in chosen(settings, name, command) if param.name is not None}


def chosen(
    settings: Settings, name: str, command: click.Command
) -> Iterator[tuple[str, click.Parameter, Any]]:
    """Every key of the file that holds for a command: as it is written there, its parameter and value."""
    own = settings.document.get(name, {})
    for key, param in options(command).items():
        if isinstance(own, dict) and key in own:
            yield f"{name}.{key}", param, own[key]
        elif "-" in name and key not in FROM_THE_TOP:
            continue
        elif key in settings.document and key not in TABLES and not isinstance(settings.document[key], dict):
            yield key, param, settings.document[key]


def commands(group: click.Group, context: click.Context) -> dict[str, click.Command]:
    """Every command by the name of its table: `scan`, `rules-eval`."""
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        if isinstance(one, click.Group):
            found |= {f"{name}-{below}": leaf for below, leaf in commands(one, context).items()}
        elif one is not None:
            found[name] = one
    return found


def defaults(settings: Settings, name: str, command: click.Command, context: click.Context) -> dict[str, Any]:
    """What the file says for a command, or for all commands of a group, as click takes it. Raises `UsageProblem`."""
    if not isinstance(command, click.Group):
        return default_map(settings, name, command)
    return {
        table.removeprefix(f"{name}-"): default_map(settings, table, leaf)
        for table, leaf in ((f"{name}-{below}", leaf) for below, leaf in commands(command, context).items())
    }


def options(command: click.Command) -> dict[str, click.Parameter]:
    """The keys that a file may set for a command: long option names, and `targets`."""
    found: dict[str, click.Parameter] = {}
    for param in command.params:
        if isinstance(param, click.Argument):
            if param.nargs == -1 and param.name == "targets":
                found[param.name] = param
            continue
        key = next((o[2:] for o in param.opts if o.startswith("--")), None)
        if key is not None and key not in NEVER:
            found[key] = param
    return found


def check(settings: Settings, commands: Mapping[str, click.Command]) -> list[str]:
    """Everything that is wrong with a file, one sentence each: file, key and reason."""
    problems: list[str] = []
    for name, command in commands.items():
        problems += _problems_of(settings, name, command)
    everywhere = {key for command in commands.values() for key in options(command)}
    for key, value in settings.document.items():
        if key in TABLES:
            continue
        if isinstance(value, dict):
            if key not in commands:
                problems.append(f"{settings.path}: [{key}]: there is no such table{_near(key, {*commands, *TABLES})}")
        elif key not in everywhere:
            problems.append(f"{settings.path}: {key}: no command has this option{_near(key, everywhere)}")
    problems += publish_problems(settings)
    return list(dict.fromkeys(problems))


def publish_problems(settings: Settings) -> list[str]:
    """What is wrong with the tables `[publish.NAME]`."""
    from scanner import publish

    if not isinstance(settings.document.get("publish", {}), dict):
        return [f"{settings.path}: publish: is a table: write [publish.mqtt]"]
    problems = []
    for name, table in settings.publish.items():
        try:
            publish.configured(name, table)
        except UsageProblem as problem:
            problems.append(f"{settings.path}: [publish.{name}]: {problem}")
    return problems


def _problems_of(settings: Settings, name: str, command: click.Command) -> Iterator[str]:
    own = settings.document.get(name, {})
    known = options(command)
    if not isinstance(own, dict):
        yield f"{settings.path}: {name}: is a table: write [{name}]"
        return
    for key in own:
        if key not in known:
            words = name.replace("-", " ")
            yield f"{settings.path}: [{name}] {key}: `lanveto {words}` has no such option{_near(key, known)}"
    for key, param, value in chosen(settings, name, command):
        reason = _wrong(param, value, command)
        if reason is not None:
            yield f"{settings.path}: {key}: {reason}"


def _wrong(param: click.Parameter, value: Any, command: click.Command) -> str | None:
    """Why a value cannot be; None where it can."""
    many = param.nargs == -1 or getattr(param, "multiple", False)
    if many != isinstance(value, list):
        return f"is {value!r}; " + ('write a list: ["…"]' if many else "write one value, not a list")
    for entry in value if many else [value]:
        wanted = _type(param)
        if not isinstance(entry, wanted) or (isinstance(entry, bool) and bool not in wanted):
            return f"is {entry!r}; write {_WORDS[wanted]}"
        if bool in wanted:
            continue
        try:
            param.type.convert(entry, param, click.Context(command))
        except click.BadParameter as error:
            return error.message
    return None


def _type(param: click.Parameter) -> tuple[type, ...]:
    if getattr(param, "is_flag", False):
        return (bool,)
    if isinstance(param.type, click.types.IntParamType):
        return (int,)
    return (int, float) if isinstance(param.type, click.types.FloatParamType) else (str,)


_WORDS: Mapping[tuple[type, ...], str] = {
    (bool,): "true or false", (int,): "a whole number", (int, float): "a number", (str,): 'a text in quotes: "…"',
}  # fmt: skip


def _near(word: str, known: Any) -> str:
    import difflib

    close = difflib.get_close_matches(word.replace("_", "-"), sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(known))}"
