"""`lanveto config`: which configuration holds, and whether it is right."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from scanner.cli import options, settings
from scanner.errors import Code, UsageProblem, notice


@click.group("config")
def command() -> None:
    """Check and show lanveto.toml (docs/configuration.md)."""


@command.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.pass_context
def check(context: click.Context, file: Path | None) -> int:
    """Say whether a configuration is right: every key, with its reason where it is not.

    Without FILE the one that holds here is checked. The exit code is 1 where something is wrong.

    \b
    Examples:
      lanveto config check
      lanveto config check /etc/lanveto/lanveto.toml
    """
    found = settings.load(file or _explicit(context))
    if found is None:
        raise UsageProblem(f"config check: there is no configuration; it would be one of {_places()}")
    problems = settings.check(found, _commands(context))
    for problem in problems:
        options.complain(notice(Code.USAGE, problem))
    if problems:
        return 1
    click.echo(f"{found.path}: nothing is wrong with it.")
    return 0


@command.command("show")
@click.argument("name", metavar="[COMMAND]", required=False)
@click.pass_context
def show(context: click.Context, name: str | None) -> int:
    """Show what holds without a command line, and where each setting comes from.

    \b
    Examples:
      lanveto config show
      lanveto config show scan
    """
    found = settings.load(_explicit(context))
    commands = _commands(context)
    if name is not None and name not in commands:
        raise UsageProblem(f"config show {name}: there is no such command")
    click.echo(f"Configuration: {found.path}" if found else f"No configuration; looked for {_places()}.")
    for which, one in commands.items():
        if name not in {None, which}:
            continue
        own = {param.name: (key, value) for key, param, value in settings.chosen(found, which, one)} if found else {}
        for key, param in settings.options(one).items():
            given = [param.envvar] if isinstance(param.envvar, str) else list(param.envvar or ())
            variables = [*given, f"LANVETO_{which}_{param.name}".upper().replace("-", "_")]
            setting = next((v for v in variables if v and os.environ.get(v)), None)
            if setting is not None:
                click.echo(f"{which}.{key} = {os.environ[setting]!r} (environment: {setting})")
            elif param.name in own:
                click.echo(f"{which}.{key} = {_shown(own[param.name][1])} (file: {own[param.name][0]})")
            elif name is not None and isinstance(param.default, (str, int, float)):
                click.echo(f"{which}.{key} = {_shown(param.default)} (default)")
    for sink, table in found.publish.items() if found else ():
        click.echo(f"publish.{sink} = {_shown(sorted(table) if isinstance(table, dict) else table)} (file)")
    return 0


def _shown(value: Any) -> str:
    from scanner.values import one_line

    return one_line(str(value).lower() if isinstance(value, bool) else repr(value), 200)


def _explicit(context: click.Context) -> Path | None:
    path = context.find_root().params.get("config")
    return path if isinstance(path, Path) else None


def _places() -> str:
    return ", ".join(str(place) for place in settings.places())


def _commands(context: click.Context) -> dict[str, click.Command]:
    root = context.find_root()
    group = root.command
    assert isinstance(group, click.Group)
    return settings.commands(group, root)
