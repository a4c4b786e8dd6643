"""`lanveto simulate`: recordings as devices that answer on the wire."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scanner.cli import options
from scanner.errors import Code, notice

if TYPE_CHECKING:
    from scanner.model import Recording
    from scanner.simulate.device import Violation
    from scanner.simulate.lab import Simulation


@click.command("simulate")
@click.argument("files", nargs=-1, required=True, type=options.RECORDING, metavar="FILE...")
@click.option("--lab", is_flag=True, help="A network segment in namespaces: each device with its own MAC and IP.")
@click.option("--bind", metavar="NET", help="Loopback addresses of this network (default: 127.64.0.0/16).")
@click.option("--network", metavar="NET", help="With --lab: the segment's addresses (default: 10.77.0.0/16).")
@click.option("--routed", is_flag=True, help="With --lab: the scanner sits behind a router.")
@click.option("--high-ports", is_flag=True, help="With --bind: ports anybody may open, even where others could be had.")
@click.option(
    "--port-map",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With --bind: write there which port is really where, for `lanveto scan --port-map`.",
)
def command(files: tuple[Path, ...], **given: Any) -> int:
    """Let recordings answer on the wire as the devices they were, until Ctrl-C.

    Prints one line of JSON when every device answers (where they are, and the command that reaches them), then one for
    everything a device heard that no polite scanner may send; the exit code is then 1.

    \b
    Examples:
      lanveto simulate fleet.yaml                        # loopback addresses from 127.64.0.1 on
      lanveto simulate fleet.yaml --bind 127.80.0.0/24 --high-ports --port-map ports.json
      lanveto simulate fleet.yaml --lab                  # as root, or where ordinary users may have namespaces
    """
    import msgspec

    recordings, problems = load(files)
    simulation = start(recordings, given)
    try:
        ended = _signals()  # before anybody is told that there is something to end
        ready = {
            "ready": True,
            "devices": [msgspec.to_builtins(placed) for placed in simulation.ready.devices],
            "pid": simulation.pid,
            "enter": simulation.ready.enter,
            "scanner": simulation.ready.address,
            "port_map": simulation.port_map or None,
        }
        if given["port_map"] is not None:
            given["port_map"].write_bytes(msgspec.json.encode(simulation.port_map) + b"\n")
        _line(ready)
        hint(simulation)
        violations = _serve(simulation, ended)
    finally:
        simulation.close()
    for problem in problems:
        options.complain(notice(Code.INPUT, problem))
    return 1 if violations else 2 if problems else 0


def load(files: tuple[Path, ...]) -> tuple[list[Recording], list[str]]:
    """The recordings of all files with ids that are unique among them, and what could not be read."""
    import msgspec

    from scanner.recordings import load as load_file

    found: list[Recording] = []
    problems: list[str] = []
    known: set[str] = set()
    for file in files:
        loaded = load_file(file)
        problems += [str(problem) for problem in loaded.problems]
        for recording in loaded.recordings:
            name = recording.id if recording.id not in known else f"{file.stem}:{recording.id}"
            if name in known:
                problems.append(f"{file}: entry {recording.id!r} stands in another file of the same name; left out")
                continue
            known.add(name)
            found.append(msgspec.structs.replace(recording, id=name))
    return found, problems


def start(recordings: list[Recording], given: dict[str, Any]) -> Simulation:
    """The running simulation that the options ask for. Raises `UsageProblem`."""
    from scanner.errors import UsageProblem
    from scanner.simulate import lab

    if given["lab"]:
        wrong = next((name for name in ("bind", "high_ports", "port_map") if given[name]), None)
        if wrong:
            raise UsageProblem(f"--lab has real ports on a segment of its own: leave --{wrong.replace('_', '-')} out")
        return lab.Lab(recordings, network=given["network"] or lab.NETWORK, routed=given["routed"]).__enter__()
    wrong = next((name for name in ("network", "routed") if given[name]), None)
    if wrong:
        raise UsageProblem(f"--{wrong} needs --lab")
    network = given["bind"] or lab.LOOPBACK
    if given["high_ports"]:
        return lab.Loopback(recordings, network=network, kind="high").__enter__()
    return lab.best_loopback(recordings, network=network)


def hint(simulation: Simulation) -> None:
    """Tell a person how to scan this."""
    import shlex

    targets = f"{simulation.ready.devices[0].ip}/24" if simulation.ready.devices else "TARGET"
    before = shlex.join(simulation.ready.enter)
    after = " --port-map FILE" if simulation.port_map else ""
    click.echo(f"lanveto: scan it with: {before + ' ' if before else ''}lanveto scan {targets}{after}", err=True)


def _signals() -> int:
    """A descriptor that becomes readable when somebody asks us to end."""
    import os
    import signal

    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return reading


def _serve(simulation: Simulation, ended: int) -> int:
    """Tell violations until somebody ends it; how many there were. Raises `UsageProblem` where it ends by itself."""
    import select

    ready: list[int] = []
    while ended not in ready:
        ready, _, _ = select.select([ended, simulation.fileno], [], [])
        if simulation.fileno in ready:
            for violation in simulation.poll():
                _tell(violation)
    before = len(simulation.seen)
    for violation in simulation.violations()[before:]:
        _tell(violation)
    return len(simulation.seen)


def _tell(violation: Violation) -> None:
    import msgspec

    _line({"violation": msgspec.to_builtins(violation)})


def _line(data: object) -> None:
    import sys

    import msgspec

    click.echo(msgspec.json.encode(data))
    sys.stdout.flush()
