"""How long the installed command takes to start: `lanveto --help`, and from its start to the first packet of a scan.

    python benchmarks/startup.py [--repeat 9] [--python PYTHON] [--modules]

Builds the wheel and installs it with the extra `all` into an environment of its own, as a user has it; `--python` names
the interpreter of an environment where that is done already. The first packet is what a packet socket beside the
scanner sees leave, in a laboratory of 16 devices: an ARP request of a sweep as root, default manners. Parsed rules are
kept after the first run, as they are at a user's; the first run is shown apart. `--modules` prints what the imports of
a scan cost until its first packet, dearest first.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.engine import fleet
from scanner.simulate.lab import Lab

ROOT = Path(__file__).resolve().parent.parent
WATCH = """
import socket, subprocess, sys, time
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind(("s0", 3))
sock.settimeout(20)
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
while True:
    frame, (_, _, kind, _, _) = sock.recvfrom(128)
    if kind == 4 and frame[12:14] != b"\\x86\\xdd":  # outgoing, and no business of the kernel's own
        break
print(1000 * (time.perf_counter() - began), flush=True)
process.wait()
"""
HELP, FIRST = 100, 250


def installed(folder: Path) -> Path:
    """The interpreter of a new environment with the wheel of this checkout."""
    run = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder / "dist"), str(ROOT)]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    wheel = next((folder / "dist").glob("*.whl"))
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", f"{wheel}[all]"], check=True)
    return python


def helped(command: str) -> float:
    """Milliseconds of `--help`."""
    began = time.perf_counter()
    subprocess.run([command, "--help"], check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - began)


def modules(lab: Lab, python: Path, words: list[str]) -> None:
    """The dearest imports of a scan, in milliseconds, each without what it imports itself."""
    run = [str(python), "-X", "importtime", "-m", "scanner.cli.main", *words]
    told = lab.run(run).stderr
    rows = [(int(own), name) for own, name in re.findall(r"import time: +(\d+) \| +\d+ \| +(\S+)", told)]
    print(f"imports of a whole scan: {sum(own for own, _ in rows) / 1000:.0f} ms in {len(rows)} modules")
    for own, name in sorted(rows, reverse=True)[:25]:
        print(f"{own / 1000:8.1f} {name}")


def row(what: str, runs: list[float], goal: int) -> None:
    print(f"{what:38} fastest {min(runs):6.0f} ms, middle {statistics.median(runs):6.0f} ms; goal at most {goal} ms")


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # our processes are compiled, as installed ones are
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--python", type=Path)
    parser.add_argument("--modules", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Lab(fleet(16), network="10.77.0.0/16") as lab:
        folder = Path(name)
        os.environ |= {"XDG_CACHE_HOME": str(folder / "cache"), "XDG_STATE_HOME": str(folder / "state")}
        python = options.python or installed(folder)
        command = str(python.parent / "lanveto")
        words = ["scan", "10.77.1.0/28", "--no-multicast", "--format", "json", "-q"]

        def first() -> float:
            return float(lab.run([str(python), "-c", WATCH, command, *words], check=True).stdout)

        bare, helps, firsts = [], [], []
        cold = first()
        for _ in range(options.repeat):
            began = time.perf_counter()
            subprocess.run([python, "-c", "pass"], check=True)
            bare.append(1000 * (time.perf_counter() - began))
            helps.append(helped(command))
            firsts.append(first())
        print(f"Python itself, nothing done            fastest {min(bare):6.0f} ms")
        row("lanveto --help", helps, HELP)
        row("lanveto scan, to its first packet", firsts, FIRST)
        print(f"... with nothing kept from a run before: {cold:.0f} ms")
        if options.modules:
            modules(lab, python, words)


if __name__ == "__main__":
    main()
