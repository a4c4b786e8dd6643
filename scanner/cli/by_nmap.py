"""`lanveto scan --engine nmap`: where an organisation trusts only nmap to send packets, it sends them all.

The same targets, exclusions, ports and guards as for lanveto's own scan; nmap's result is then read like any other
(`imports/nmap.py`). No script that tries a credential is run: `snmp-sysdescr` would ask with `public`.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scanner.cli import options, sources
from scanner.errors import Code, notice

SCRIPTS = ("banner", "http-auth", "http-favicon", "http-server-header", "http-title", "rtsp-methods", "ssl-cert")
"""One unauthenticated read each; all are in nmap's category `safe` but the two that only send OPTIONS and GET."""


UNKNOWN = ("resume", "checkpoint")
"""Options of lanveto's own engine whose meaning nmap cannot keep: refused, never passed over."""


def words(given: Mapping[str, Any], targets: tuple[str, ...], result: Path) -> list[str]:
    """The command line of nmap."""
    from scanner import ports as known
    from scanner.config import parse_ports

    wanted = parse_ports(given["ports"]) if given["ports"] else tuple(known.ASKED)
    speed = ["-T2"] if given["gentle"] else ["-T4"] if given["fast"] else ["-T3"]
    line = ["nmap", "-n", "-sV", "--version-light", *speed, "-p", ",".join(map(str, wanted))]
    line += ["--script", ",".join(SCRIPTS), "--exclude-ports", ",".join(map(str, known.FORBIDDEN)), "-oX", str(result)]
    for name in given["interfaces"][:1]:
        line += ["-e", name]
    if given["exclude"]:
        line += ["--exclude", ",".join(given["exclude"])]
    return [*line, "--", *targets]


def run(given: Mapping[str, Any], targets: tuple[str, ...]) -> int:
    """Let nmap scan, and report what it heard. Raises `UsageProblem` before anything is sent."""
    from scanner import engine, imports
    from scanner.config import Plan
    from scanner.engine import ways
    from scanner.errors import InputProblem, UsageProblem
    from scanner.imports.opening import opened
    from scanner.picture import Picture

    if shutil.which("nmap") is None:
        raise UsageProblem("--engine nmap: nmap is not installed")
    wrong = next((name for name in UNKNOWN if given.get(name)), None)
    if wrong is not None:
        raise UsageProblem(f"--{wrong} is of no use with --engine nmap, which keeps no record that could be continued")
    if not targets:
        raise UsageProblem(f"--engine nmap: name the targets; here they could be {' '.join(engine.proposal().words)}")
    plan = Plan(targets=targets, exclude=given["exclude"], interfaces=given["interfaces"],
    allow_public=given["allow_public"])
    ways.resolve(plan, ways.topology())  # the guards of a scan: spelling, public addresses
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "nmap.xml"
        line = words(given, targets, result)
        if given["dry_run"]:
            print("nothing is sent; nmap would be run as:", " ".join(line))  # noqa: T201
            return 0
        work = sources.Work(given)
        told = sources.Told(targets=list(targets))
        picture = Picture()
        process = subprocess.Popen(  # noqa: S603 - a list of words, the targets checked above
            line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            _out, error = process.communicate()
        except KeyboardInterrupt:
            told.interrupted = True
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
                process.communicate(timeout=5)
            process.kill()
            error = ""
        if process.returncode and not told.interrupted:
            reason = " ".join(error.split())[-300:] or f"exit code {process.returncode}"
            told.failures.append(notice(Code.NMAP, f"nmap did not complete the scan: {reason}"))
        try:
            source = opened(result)
        except InputProblem as problem:
            told.failures.append(notice(Code.NMAP, f"nmap left no result: {problem}"))
        else:
            source.name = "nmap"
            problems = len(told.problems)
            sources.take(picture, source, imports.get("nmap").read, told, label="engine")
            source.stream.close()
            told.failures += told.problems[problems:]
            del told.problems[problems:]
        if given["mqtt"]:
            options.complain(notice(Code.IGNORED, "--mqtt is not published to with --engine nmap"))
        return work.finish(picture, told, asked=True)
