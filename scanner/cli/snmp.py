"""`lanveto snmp`: what routers and switches know of their neighbours, read with your own secret."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scanner.cli import sources
from scanner.errors import Code, notice

if TYPE_CHECKING:
    from scanner.cli.progress import Line
    from scanner.imports.snmp_walk import Walk
    from scanner.net.snmp import Secret


@click.command("snmp")
@click.argument("hosts", nargs=-1, metavar="ROUTER|SWITCH...")
@click.option(
    "--secret-file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Community or v3 user."
)
@click.option("--port", type=click.IntRange(1, 65_535), default=161, show_default=True, help="UDP port of the agents.")
@click.option(
    "--timeout", type=float, default=3.0, show_default=True, metavar="S", help="Seconds to wait for an answer."
)
@click.option(
    "--walks", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Keep what they said here."
)
@click.option("--allow-public", is_flag=True, help="Allow agents with public addresses.")
@sources.report_options
@click.option("--quiet", "-q", is_flag=True, help="No progress, even on a terminal.")
def command(hosts: tuple[str, ...], **given: Any) -> int:
    """Neighbours and ports of routers and switches, with your own secret.

    A router's neighbour table gives the addresses behind it their MACs; a switch's bridge and LLDP tables tell at
    which port, in which VLAN a device hangs. The secret is a v2c community in $LANVETO_SNMP_COMMUNITY, a v3 user in
    $LANVETO_SNMP_USER with $LANVETO_SNMP_AUTH_PASSWORD and $LANVETO_SNMP_PRIV_PASSWORD, or --secret-file; never on the
    command line. Nothing is ever set. Only the named agents are asked.

    \b
    Examples:
      LANVETO_SNMP_COMMUNITY=... lanveto snmp 192.0.2.1 192.0.2.2
      lanveto snmp --secret-file snmp.toml 192.0.2.1 --walks walks/
      lanveto import walks/*.walk scan.xml          # together with what others know
    """
    from scanner import targets
    from scanner.cli.progress import Line
    from scanner.errors import ScanIncomplete, UsageProblem
    from scanner.imports.snmp_walk import Walk
    from scanner.imports.tables import normal_address
    from scanner.model import Method
    from scanner.net import snmp
    from scanner.picture import Picture

    if not hosts:
        raise UsageProblem("name the routers and switches that may be asked")
    shown = snmp.secret(given["secret_file"])
    for host in hosts:
        if "/" in host or normal_address(host) is None:
            raise UsageProblem(f"{host}: is not the address of one router or switch; name each by its address")
    targets.guard(targets.parse(hosts, {}), allow_public=given["allow_public"])
    work = sources.Work(given)
    told = sources.Told(targets=list(hosts))
    picture = Picture()
    line = Line(quiet=given["quiet"])
    for host in dict.fromkeys(hosts):
        walk = Walk()
        lines: list[str] = []
        try:
            rows = asyncio.run(_read(host, shown, given, walk, lines, line))
        except ScanIncomplete as problem:
            told.failures.append(notice(Code.SNMP, str(problem)))
            rows = len(lines)
        except KeyboardInterrupt:
            told.interrupted = True
            rows = len(lines)
        before = len(picture)
        for heard in walk.heard(host, host):
            picture.enter(heard, f"snmp {host}", work.started)
        told.methods.append(Method(name=f"snmp {host}", ran=rows > 0, hosts=len(picture) - before, note=f"{rows} rows"))
        if given["walks"] is not None and lines:
            problem_text = _keep(given["walks"], host, lines)
            if problem_text:
                told.failures.append(notice(Code.SNMP, problem_text))
        if told.interrupted:
            break
    line.clear()
    return work.finish(picture, told)


async def _read(host: str, shown: Secret, given: dict[str, Any], walk: Walk, lines: list[str], line: Line) -> int:
    from scanner.imports.snmp_walk import ROOTS
    from scanner.net import snmp

    count = 0
    rows = snmp.walk(host, shown, ROOTS, port=given["port"], patience=given["timeout"])
    async with contextlib.aclosing(rows):  # type: ignore[type-var]
        async for oid, value in rows:
            walk.add(oid, value)
            count += 1
            lines.append(f".{oid} = {value}".replace("\r", " ").replace("\n", " "))
            line.update(f"reading {host}", count, None, 0)
    return count


def _keep(folder: Path, host: str, lines: list[str]) -> str | None:
    """Write a walk (mode 0600); returns why that failed, or None."""
    path = folder / f"{host.replace(':', '-')}.walk"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("\n".join(lines) + "\n")
    except OSError as error:
        return f"--walks {path}: {error.strerror or error}"
    return None
