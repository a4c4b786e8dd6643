"""`lanveto scan`: find the devices of a network, their makers, and what the law asks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scanner.cli import keeping, options

if TYPE_CHECKING:
    from scanner.cli.options import Annotations
    from scanner.config import Plan
    from scanner.engine import Past
    from scanner.knowledge import Knowledge
    from scanner.model import Device, Report
    from scanner.publish.mqtt import Broker


@click.command("scan")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@options.profile
@click.option("--exclude", "-x", multiple=True, metavar="X", help="Address, network, range, MAC prefix or file.")
@click.option("--interface", "-i", "interfaces", multiple=True, metavar="IF", help="Stay on this interface.")
@click.option("--ports", metavar="LIST", help="TCP ports to look at instead of the default ones (80,443,8000-8010).")
@click.option("--rate", type=float, metavar="N", help="ARP requests a second.")
@click.option(
    "--timeout", type=float, default=3.0, show_default=True, metavar="S", help="Seconds to wait for an answer."
)
@click.option("--gentle", is_flag=True, help="At most 10 ARP requests a second: for networks with ARP inspection.")
@click.option("--fast", is_flag=True, help="As fast as the wires allow: for your own.")
@options.format_
@options.output
@click.option(
    "--record", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="One recording a device."
)
@click.option("--redact", is_flag=True, help="Recordings without serials and addresses, for bug reports.")
@click.option("--site", default="default", show_default=True, metavar="NAME", help="Keeps overlapping networks apart.")
@options.fail_on
@click.option("--engine", type=click.Choice(["lanveto", "nmap"]), default="lanveto", help="Who sends the packets.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent and how long it takes; send nothing.")
@click.option("--yes", "-y", is_flag=True, help="Without TARGET: scan what is proposed, without asking.")
@click.option("--allow-public", is_flag=True, help="Allow targets that are public addresses.")
@click.option("--no-raw", is_flag=True, help="No raw sockets, even as root.")
@click.option("--no-multicast", is_flag=True, help="No questions to everybody; hosts are asked one by one.")
@click.option("--no-neighbour-writes", is_flag=True, help="Never write the kernel's neighbour table.")
@click.option("--audit-log", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Everything sent.")
@click.option("--mqtt", metavar="URL", help="Publish to mqtt://user@host:1883/prefix (mqtts:// for TLS).")
@click.option("--mqtt-password-file", type=click.Path(path_type=Path), metavar="FILE", help="The broker's password.")
@click.option("--mqtt-ca", type=click.Path(path_type=Path), metavar="FILE", help="CA of the broker's certificate.")
@click.option("--mqtt-cert", type=click.Path(path_type=Path), metavar="FILE", help="Our certificate.")
@click.option("--mqtt-key", type=click.Path(path_type=Path), metavar="FILE", help="Its key.")
@click.option("--port-map", type=click.Path(dir_okay=False, path_type=Path), hidden=True)
@click.option("--assume-up", is_flag=True, help="Ask every address, found or not: for hosts that hide.")
@click.option("--resume", metavar="FILE|last", help="Continue an interrupted scan from its own record.")
@click.option("--checkpoint", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Keep the scan's own record here (default: in the state folder, until it is complete).")
@click.option("--quiet", "-q", is_flag=True, help="No progress, even on a terminal.")
@options.rules
@options.as_of
@options.annotated
@options.operator
@options.bundle
@keeping.keep
@keeping.misses
def command(targets: tuple[str, ...], **given: Any) -> int:
    """Scan your own network: addresses, networks, ranges, interfaces or files of them.

    Without TARGET the physical links of this machine are proposed. Scan only networks you are responsible for.

    \b
    Examples:
      lanveto scan --dry-run 192.0.2.0/24
      lanveto scan 192.0.2.0/24 --profile us-federal-contractor
      lanveto scan eth0 --exclude 192.0.2.7 --format json --output report.json
      lanveto scan 192.0.2.10-192.0.2.40 --gentle --record recordings/
      lanveto scan 10.0.0.0/8 --format jsonl --output devices.jsonl
      lanveto scan --resume last --format jsonl --output devices.jsonl
    """
    if given["engine"] == "nmap":
        from scanner.cli import by_nmap

        return by_nmap.run(given, targets)
    from functools import partial

    from scanner import engine, knowledge
    from scanner.cli.progress import Line
    from scanner.cli.streaming import Results
    from scanner.errors import Code, notice

    renderer = options.renderer(given["format_"], given["output"])
    wanted = options.actions(given["fail_on"], given["profiles"])
    options.writable(given["output"])
    options.writable(given["bundle"], "--bundle")
    broker = _broker(given)
    plan, past = _plan(targets, given), None
    if given["resume"]:
        plan, past = _resumed(plan, given["resume"])
    elif not targets and not given["interfaces"]:
        plan = _proposed(plan, yes=given["yes"] or given["dry_run"])
    if given["dry_run"]:
        for line in engine.dry_run(plan):
            click.echo(line)
        return 0
    known = knowledge.load(given["overlays"])
    if given["overlays"]:
        known.read()
    _check_profiles(known, given["profiles"])
    annotations = options.annotating(given, known)
    keeping.ready(given["store"])
    line_ = Line(quiet=given["quiet"])
    with Results(renderer, given["output"], wanted, partial(_with, annotations, known, plan)) as results:
        keep = results.streamed is None or broker is not None or bool(given["store"] or given["bundle"])
        try:
            result = engine.run(
                plan, known, progress=line_, tell=results.tell, keep=keep, record=engine.Record(given["checkpoint"]),
                past=past,
            )  # fmt: skip
        finally:
            line_.clear()
        result = annotations.added(result)
        written = results.close(result)
    if results.streamed is None:
        written = options.delivered(lambda: renderer.render(result), given["output"])
    options.idle_waivers(renderer, annotations.waivers, results.used)
    for failure in result.scan.failures:
        options.complain(notice(Code.SCAN, f"not completed: {failure}"))
    kept = keeping.store(result, given["store"], known, misses=given["misses"])
    kept &= options.bundled(result, known, given)
    published = _publish(result, broker)
    return _code(result, done=written and kept and published, found=results.found)


def _code(result: Report, *, done: bool, found: bool) -> int:
    if result.scan.interrupted:
        return 130
    if result.scan.failures or not done:
        return 3
    return 1 if found else 0


def _plan(targets: tuple[str, ...], given: Mapping[str, Any]) -> Plan:
    from scanner import ports as known
    from scanner.config import Plan, Speed, parse_ports
    from scanner.errors import UsageProblem

    if given["gentle"] and given["fast"]:
        raise UsageProblem("--gentle and --fast contradict each other: leave one of them out")
    speed = Speed.GENTLE if given["gentle"] else Speed.FAST if given["fast"] else Speed.NORMAL
    return Plan(
        targets=targets,
        exclude=given["exclude"],
        interfaces=given["interfaces"],
        ports=parse_ports(given["ports"]) if given["ports"] else tuple(known.ASKED),
        speed=speed,
        rate=given["rate"],
        timeout=given["timeout"],
        site=given["site"],
        profiles=given["profiles"],
        as_of=options.day(given["as_of"]),
        allow_public=given["allow_public"],
        raw=not given["no_raw"],
        multicast=not given["no_multicast"],
        assume_up=given["assume_up"],
        neighbour_writes=not given["no_neighbour_writes"],
        port_map=_port_map(given["port_map"]),
        record=given["record"],
        redact=given["redact"],
        audit_log=given["audit_log"],
    )


_OPTIONS = {
    "speed": ("gentle", "fast"), "raw": ("no_raw",), "multicast": ("no_multicast",),
    "neighbour_writes": ("no_neighbour_writes",),
}  # fmt: skip
"""Fields of a plan that several options, or one of another name, decide."""


def _resumed(plan: Plan, word: str) -> tuple[Plan, Past]:
    """The plan of an interrupted scan, with what may be said anew, and its record.

    Raises `UsageProblem` where the command line asks for something else than the scan did.
    """
    from dataclasses import fields, replace

    from scanner.engine import checkpoint
    from scanner.errors import UsageProblem

    context = click.get_current_context()
    past = checkpoint.find(word)
    old = past.plan
    said = {
        field.name for field in fields(plan)
        if any(context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
               for name in _OPTIONS.get(field.name, (field.name,)))
    }  # fmt: skip
    wrong = [name for name in checkpoint.changed(old, plan) if name in said]
    if wrong:
        then, now = getattr(old, wrong[0]), getattr(plan, wrong[0])
        raise UsageProblem(
            f"--resume {word}: the interrupted scan had other {wrong[0].replace('_', ' ')} ({_told(then)}, now "
            f"{_told(now)}): leave that out, or begin a new scan"
        )
    return replace(old, **{name: getattr(plan, name) for name in said - set(checkpoint.ASKING)}), past


def _told(value: object) -> str:
    return " ".join(str(part) for part in value) if isinstance(value, tuple) else str(value)


def _with(annotations: Annotations, known: Knowledge, plan: Plan, device: Device) -> Device:
    """The device with what the organisation adds."""
    from scanner.model import Coverage, Report, Scan

    scan = Scan(id="", started="", profiles=plan.profiles, law_as_of=plan.as_of.isoformat())
    alone = Report(scan=scan, devices=(device,), coverage=Coverage(), rules_version=known.version)
    return annotations.added(alone).devices[0]


def _port_map(path: Path | None) -> dict[str, dict[int, int]]:
    if path is None:
        return {}
    import msgspec

    from scanner.errors import InputProblem

    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[int, int]], strict=False)
    except (OSError, msgspec.DecodeError) as error:
        raise InputProblem(f"--port-map {path}: {error}") from error


def _proposed(plan: Plan, *, yes: bool) -> Plan:
    """The plan with the proposed targets, once the user has agreed. Raises `UsageProblem`."""
    from dataclasses import replace

    from scanner import engine
    from scanner.errors import UsageProblem

    proposal = engine.proposal()
    text = f"no TARGET given; the physical links are {' '.join(proposal.words)} ({proposal.addresses} addresses)"
    if yes:
        click.echo(f"lanveto: {text}", err=True)
    elif sys.stdin.isatty():
        click.confirm(f"lanveto: {text}. Scan them?", abort=True, err=True)
    else:
        raise UsageProblem(f"{text}. Name your targets, or agree with --yes")
    return replace(plan, targets=proposal.words)


def _broker(given: Mapping[str, Any]) -> Broker | None:
    from scanner.errors import UsageProblem

    extras = {name: given[name] for name in ("mqtt_password_file", "mqtt_ca", "mqtt_cert", "mqtt_key") if given[name]}
    if not given["mqtt"]:
        if extras:
            raise UsageProblem(f"--{next(iter(extras)).replace('_', '-')} needs --mqtt")
        return None
    try:
        import aiomqtt  # noqa: F401 - said before anything is sent
    except ImportError as error:
        raise UsageProblem("--mqtt needs the extra: pip install 'lanveto[mqtt]'") from error
    from scanner.publish import mqtt

    return mqtt.broker(
        given["mqtt"],
        password=os.environ.get(mqtt.PASSWORD_VARIABLE),
        password_file=given["mqtt_password_file"],
        ca=given["mqtt_ca"],
        certificate=given["mqtt_cert"],
        key=given["mqtt_key"],
    )


def _publish(result: Report, broker: Broker | None) -> bool:
    """Whether the results reached the broker (or none was wanted); a failure is said, the report is written already."""
    if broker is None:
        return True
    import asyncio

    from scanner.errors import ScanIncomplete, notice_of
    from scanner.publish import mqtt

    try:
        asyncio.run(mqtt.publish(result, broker))
    except ScanIncomplete as problem:
        options.complain(notice_of(problem))
        return False
    return True


def _check_profiles(known: Any, profiles: tuple[str, ...]) -> None:
    """An unknown profile is said before anything is sent. Raises `UsageProblem`."""
    from scanner.judge import judge
    from scanner.model import Identity

    if profiles:
        judge(Identity(), known, profiles=profiles, as_of=options.day(None))
