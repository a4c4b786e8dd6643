"""`lanveto demo`: a simulated fleet, scanned for real over real sockets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scanner.cli import options
from scanner.errors import Code, notice

if TYPE_CHECKING:
    from scanner.model import Recording
    from scanner.simulate.lab import Simulation

FLEET = "demo-fleet.yaml"
NETWORK = "10.77.0.0/26"
LOOPBACK = "127.77.0.0/26"
PROFILE = "us-federal-contractor"


@click.command("demo")
@click.option("--profile", "-p", "profiles", multiple=True, metavar="P", help=f"Your organisation ({PROFILE}).")
@options.format_
@click.option("--loopback", is_flag=True, help="Loopback addresses, even where a network of its own could be had.")
def command(profiles: tuple[str, ...], format_: str, loopback: bool) -> int:
    """Show what a scan tells: twenty simulated devices on a network of their own, scanned by the real thing.

    Sends nothing to any real network and needs no root. Where this system lets ordinary users have network namespaces,
    every device has its own MAC address; elsewhere the fleet answers on loopback addresses, without MACs.

    \b
    Example:
      lanveto demo && lanveto explain 10.77.0.22
    """
    simulation = start(fleet(), loopback=loopback)
    try:
        words = scan_words(simulation, profiles or (PROFILE,), format_)
        where = "on a segment of their own, each with its own MAC" if simulation.ready.scanner else "on loopback"
        click.echo(f"lanveto: {len(simulation.devices)} simulated devices {where}; scanning them now:", err=True)
        click.echo(f"lanveto: lanveto {' '.join(words)}", err=True)
        code = scan(simulation, words)
        violations = simulation.violations()
    finally:
        simulation.close()
    for violation in violations:
        said = f"{violation.device} heard what it should not: {violation.reason}. Please report it"
        options.complain(notice(Code.INTERNAL, said))
    return code or (1 if violations else 0)


def fleet() -> tuple[Recording, ...]:
    """The recordings of the demo. Raises `InputProblem` where they are broken."""
    from scanner.errors import InputProblem
    from scanner.recordings import load
    from scanner.resources import data_dir

    loaded = load(data_dir("examples") / FLEET)
    if loaded.problems:
        raise InputProblem(str(loaded.problems[0]))
    return loaded.recordings


def start(recordings: Sequence[Recording], *, loopback: bool = False) -> Simulation:
    """The fleet, running: a segment of its own, or loopback where that cannot be. Raises `UsageProblem`."""
    from scanner.errors import UsageProblem
    from scanner.simulate import lab

    if not loopback:
        try:
            return lab.Lab(recordings, network=NETWORK).__enter__()
        except UsageProblem as problem:
            words = f"{problem}; the fleet answers on loopback addresses, without MACs"
            options.complain(notice(problem.code, words))
    return lab.Loopback(recordings, network=LOOPBACK, kind="high").__enter__()


def scan_words(simulation: Simulation, profiles: Sequence[str], format_: str) -> list[str]:
    """The command line of the scan, without the port map."""
    target = NETWORK if simulation.ready.scanner else LOOPBACK
    words = ["scan", target, "--fast", "--timeout", "1"]
    for profile in profiles:
        words += ["--profile", profile]
    return words if format_ == "table" else [*words, "--format", format_]


def scan(simulation: Simulation, words: Sequence[str]) -> int:
    """Run the scan where the fleet can be reached, on our own terminal; its exit code."""
    import os
    import tempfile

    import msgspec

    from scanner.simulate.lab import environment

    extra: list[str] = []
    with tempfile.TemporaryDirectory(prefix="lanveto-") as folder:
        if simulation.port_map:
            table = Path(folder) / "ports.json"
            table.write_bytes(msgspec.json.encode(simulation.port_map))
            extra = ["--port-map", str(table)]
        whole = simulation.enter([sys.executable, "-m", "scanner.cli.main", *words, *extra])
        process = subprocess.Popen(whole, env=dict(environment()))  # noqa: S603 - ourselves
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the scan has heard it too, and ends within a second
                if os.getpgrp() != os.getpgid(process.pid):
                    process.terminate()
