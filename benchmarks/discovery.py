"""Ways of finding hosts against their peers, in one laboratory; ratios are what counts.

    python benchmarks/discovery.py [--devices 1000] [--repeat 5] [--only arp|syn|known] [--nmap]

ARP: a /16 on the link, unthrottled, one pass, against arp-scan. SYN: the same /16 behind a router times five ports
against masscan; then the living hosts alone against nmap -sS -T4. With `--nmap` nmap's own ARP sweep too, tuned on the
whole /16, and as it comes on a quarter of it, times four.

Both sides run in turns, and the quickest run of each counts. Wall and CPU seconds are those of the whole process, start
included. The rate is packets sent a second of wall without the last wait for answers. masscan 1.3.2 does not end by
itself: its wall is that until it has sent all, plus the second it is told to wait. The machine's neighbour table must
not overflow meanwhile, or every figure is false: that is checked.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks.sweep import PORTS
from scanner.discover import syn
from scanner.model import Observation, Recording
from scanner.net import neighbour_table
from scanner.simulate.lab import Lab

NETWORK = "10.77.0.0/16"
QUARTER = "10.77.64.0/18"
LISTED = ",".join(map(str, PORTS))
OWN = (sys.executable, str(Path(__file__).resolve().parent / "sweep.py"))
MOST = 170
"""Seconds after which a tool is ended."""
WAIT = 1.0
"""Seconds that masscan waits for late answers, as `--wait` asks."""


@dataclass
class Run:
    """What one tool cost and found."""

    wall: float
    cpu: float
    found: int
    note: str = ""


@dataclass
class Tool:
    """How a tool is run, and what it found of what it prints."""

    command: Sequence[str]
    count: Callable[[str], int]
    sent: str | None = None
    """What it says on stderr once all is sent, where it cannot end by itself."""
    wait: float = 0.0
    """Seconds of its wall that it waits for late answers."""
    note: str = ""


def fleet(count: int) -> list[Recording]:
    """Devices spread over the /16, with some of the five ports open each."""
    made = []
    for number in range(count):
        place = 1 + number * (65_000 // count)
        wanted = [port for turn, port in enumerate(PORTS) if number % (turn + 1) == 0]
        made.append(Recording(
            id=f"device-{number}", ip=str(IPv4Address(int(IPv4Address("10.77.0.0")) + place)),
            mac=f"3c:ef:8c:00:{number >> 8:02x}:{number & 255:02x}",
            observations=(Observation(channel="tcp.open", value=",".join(map(str, wanted))),),
        ))  # fmt: skip
    return made


def turns(lab: Lab, tools: dict[str, Tool], repeat: int) -> dict[str, Run]:
    """The best run of each, in turns, so that whatever else the machine does strikes all of them."""
    runs: dict[str, list[Run]] = {name: [] for name in tools}
    for _ in range(repeat):
        for name, tool in tools.items():
            runs[name].append(once(lab, tool))
    return {
        name: Run(min(r.wall for r in done), min(r.cpu for r in done), min(r.found for r in done), done[-1].note)
        for name, done in runs.items()
    }


def once(lab: Lab, tool: Tool) -> Run:
    """One run; its CPU is what the kernel says of this very process when it ends."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+b") as told:
        began, sent = time.perf_counter(), tool.sent
        process = subprocess.Popen(lab.enter(tool.command), stdout=out, stderr=told)
        patience = began + MOST
        while True:
            done, _, usage = os.wait4(process.pid, os.WNOHANG)
            now = time.perf_counter()
            if done or now > patience:
                break
            if sent is not None and sent.encode() in os.pread(told.fileno(), 1 << 20, 0):
                sent, patience = None, now + WAIT  # masscan 1.3.2 never leaves this wait by itself
            time.sleep(0.002)
        if not done:
            os.kill(process.pid, signal.SIGINT)  # it writes its results now; `process` itself would wait for its end
            time.sleep(0.5)
            os.kill(process.pid, signal.SIGKILL)
            _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0  # it has been waited for
        wall, cpu = now - began, usage.ru_utime + usage.ru_stime
        out.seek(0)
        text = out.read()
        note = text.split("\t")[2].strip() if "the sweep alone" in text else tool.note
        if not done and tool.sent is None:
            note = f"not done after {MOST} s"
        return Run(wall, cpu, tool.count(text), note)


def main() -> None:
    """Run all and print the tables."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # our processes are compiled, as installed ones are
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", choices=["arp", "syn", "known"])
    parser.add_argument("--nmap", action="store_true", help="nmap's ARP sweeps too (some three minutes)")
    options = parser.parse_args()
    for tool in ("arp-scan", "masscan", "nmap"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is missing: apt-get install {tool}")
    devices = fleet(options.devices)
    before = neighbour_table.overflows()
    if options.only in {None, "arp"}:
        with Lab(devices, network=NETWORK) as lab:
            arp(lab, devices, options.repeat, nmap=options.nmap)
    if options.only in {None, "syn", "known"}:
        with Lab(devices, network=NETWORK, routed=True) as lab, tempfile.TemporaryDirectory() as folder:
            if options.only != "known":
                whole(lab, devices, options.repeat, Path(folder))
            if options.only != "syn":
                known(lab, devices, options.repeat, Path(folder))
    if neighbour_table.overflows() != before:
        sys.exit("the neighbour table was full meanwhile: these figures are false")


def arp(lab: Lab, devices: list[Recording], repeat: int, *, nmap: bool) -> None:
    """The ARP sweep of the /16."""
    tools = {
        "lanveto": Tool((*OWN, "arp"), ours),
        "arp-scan": Tool(
            ("arp-scan", "-I", "s0", "--interval=5u", "-r1", "-q", "-x", "-g", NETWORK),
            lambda out: len(set(out.split("\n")) - {""}),
        ),
    }
    rows = turns(lab, tools, repeat)
    if nmap:
        plain = ("nmap", "-n", "-sn", "-PR")
        tuned = ("-T5", "--min-rate", "20000", "--max-retries", "1")
        rows["nmap, tuned"] = once(lab, Tool((*plain, *tuned, NETWORK), up))
        part = once(lab, Tool((*plain, QUARTER), up))
        rows["nmap"] = Run(4 * part.wall, 4 * part.cpu, 4 * part.found, part.note or f"{QUARTER}, times four")
    table(f"ARP, {NETWORK}, {len(devices)} alive", rows, len(devices))


def whole(lab: Lab, devices: list[Recording], repeat: int, folder: Path) -> None:
    """The SYN sweep of the /16 behind a router."""
    listed = folder / "masscan.txt"
    tools = {
        "lanveto": Tool((*OWN, "syn"), ours, wait=syn.QUIET),
        "masscan": Tool(
            ("masscan", NETWORK, "-p", LISTED, "--rate", "10000000", "--wait", f"{WAIT:g}", "-e", "s0",
             "--router-mac", "02-00-00-00-00-fd", "--adapter-ip", lab.scanner_address, "-oL", str(listed)),
            lambda _out: len({line for line in listed.read_text().splitlines() if line.startswith("open")}),
            sent="100.00% done, waiting", wait=WAIT,
        ),
    }  # fmt: skip
    opened, probes = doors(devices), 65_536 * len(PORTS)
    rows = turns(lab, tools, repeat)
    table(f"SYN, {NETWORK} x {len(PORTS)} ports behind a router, {opened} open", rows, opened)
    rates = {name: probes / (rows[name].wall - tool.wait) for name, tool in tools.items()}
    print("probes a second: " + ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
          + f": {rates['lanveto'] / rates['masscan']:.2f} x masscan's rate")  # fmt: skip


def known(lab: Lab, devices: list[Recording], repeat: int, folder: Path) -> None:
    """The SYN sweep of the living hosts alone."""
    hosts, names = folder / "hosts.json", folder / "hosts.txt"
    hosts.write_text(json.dumps([d.ip for d in devices]))
    names.write_text("\n".join(str(d.ip) for d in devices))
    tools = {
        "lanveto": Tool((*OWN, "known", str(hosts)), ours),
        "nmap": Tool(
            ("nmap", "-n", "-Pn", "-sS", "-T4", "-p", LISTED, "-iL", str(names), "-oG", "-"),
            lambda out: out.count("/open/"),
        ),
    }
    opened = doors(devices)
    table(f"SYN, {len(devices)} living hosts x {len(PORTS)} ports, {opened} open", turns(lab, tools, repeat), opened)


def doors(devices: list[Recording]) -> int:
    """How many ports are open on all of them."""
    return sum(len(str(d.observations[0].value).split(",")) for d in devices)


def ours(out: str) -> int:
    return int(out.partition("\t")[0])


def up(out: str) -> int:
    return out.count("Host is up") - 1  # itself


def table(title: str, rows: dict[str, Run], whole: int) -> None:
    """Print one comparison."""
    print(f"\n{title}\n{'':12}{'wall s':>9}{'CPU s':>9}{'found':>14}{'our wall':>10}{'our CPU':>9}", flush=True)
    ours = rows["lanveto"]
    for name, one in rows.items():
        ratios = "" if one is ours else f"{ours.wall / one.wall:9.2f}x{ours.cpu / one.cpu:8.2f}x"
        print(f"{name:12}{one.wall:9.2f}{one.cpu:9.2f}{one.found:>7} / {whole}{ratios}  {one.note}", flush=True)


if __name__ == "__main__":
    main()
