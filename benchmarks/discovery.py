"""Ways of finding hosts against their peers, in one laboratory, one after the other; ratios are what counts.

    python benchmarks/discovery.py [--devices 1000] [--repeat 3] [--nmap]

ARP: a /16 on the link, unthrottled, one pass, against arp-scan (and nmap, tuned). SYN: the same /16 behind a router
times five ports against masscan; then the living hosts alone against nmap -sS -T4. Wall and CPU seconds are those of
the whole process, start included; each figure is the median. masscan 1.3.2 does not end by itself: its wall is that
until it has sent all, plus the second it is told to wait for answers. The machine's neighbour table must not overflow
meanwhile, or every figure is false: that is checked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from scanner.model import Observation, Recording
from scanner.net import neighbour_table
from scanner.simulate.lab import Lab

NETWORK = "10.77.0.0/16"
PORTS = (80, 443, 554, 8000, 37777)
MOST = 60
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


def run(
    lab: Lab, command: Sequence[str], count: Callable[[str], int], repeat: int, *, sent: str | None = None
) -> Run:
    """The median of some runs. `sent`: what the tool says on stderr once all is sent, where it cannot end by itself."""
    runs = [once(lab, command, count, sent) for _ in range(repeat)]
    return Run(
        statistics.median(r.wall for r in runs), statistics.median(r.cpu for r in runs), min(r.found for r in runs),
        runs[-1].note,
    )  # fmt: skip


def once(lab: Lab, command: Sequence[str], count: Callable[[str], int], sent: str | None) -> Run:
    """One run; its CPU is what the kernel says of this very process when it ends."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+b") as told:
        began = time.perf_counter()
        process = subprocess.Popen(lab.enter(command), stdout=out, stderr=told)
        patience = began + MOST
        while True:
            done, _, usage = os.wait4(process.pid, os.WNOHANG)
            now = time.perf_counter()
            if done or now > patience:
                break
            if sent is not None and sent.encode() in os.pread(told.fileno(), 1 << 20, 0):
                sent, patience = None, now + WAIT  # masscan 1.3.2 never leaves this wait by itself
            time.sleep(0.005)
        if not done:
            process.send_signal(signal.SIGINT)  # it writes its results now
            time.sleep(0.5)
            process.send_signal(signal.SIGKILL)
            _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0  # it has been waited for
        wall, cpu = now - began, usage.ru_utime + usage.ru_stime
        out.seek(0)
        text = out.read()
        return Run(wall, cpu, count(text), text.partition("\t")[2].strip() if "the sweep alone" in text else "")


def child(kind: str, file: str) -> None:
    """Our own sweep, in a process of its own: prints how many it found."""
    from scanner.discover import arp, syn
    from scanner.discover.base import Ground
    from scanner.net import interfaces
    from scanner.net.interfaces import Reach
    from scanner.net.ledger import Ledger
    from scanner.net.pace import Pace
    from scanner.net.syn import Way
    from scanner.targets import Span

    first = int(IPv4Address("10.77.0.0"))
    topology = interfaces.read()
    link = topology.link("s0")
    assert link is not None
    span = (Span(first, first + 65_535),)
    found: set[object] = set()
    pace = Pace(1_000_000)
    began, worked = time.perf_counter(), time.process_time()
    if kind == "arp":
        ground = Ground(Reach.LINK, link, span, skip=frozenset(int(a.ip) for a in link.addresses), seed=1)
        asyncio.run(arp.sweep(link, ground, pace, Ledger(), found.add, passes=1))
    else:
        gateway = topology.reach("10.77.0.1").gateway
        known = subprocess.run(["ip", "neigh", "show", str(gateway)], capture_output=True, text=True, check=True).stdout
        mac = bytes.fromhex(known.split("lladdr ")[1].split()[0].replace(":", ""))
        way = Way(link, str(link.addresses[0].ip), gateway=mac)
        ground = Ground(Reach.ROUTED, None, span, seed=1)
        hosts = [int(IPv4Address(a)) for a in json.loads(Path(file).read_text())] if kind == "known" else None

        def take(address: str, port: int, is_open: bool) -> None:
            if is_open:
                found.add((address, port))

        numbers = (lambda: hosts) if hosts is not None else ground.numbers
        asyncio.run(syn.sweep(way, numbers, PORTS, pace, Ledger(), take, passes=1))
    wall, cpu = time.perf_counter() - began, time.process_time() - worked
    print(f"{len(found)}\tthe sweep alone: {wall:.2f} s, {cpu:.2f} s CPU")


def main() -> None:
    """Run all and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--nmap", action="store_true", help="nmap's ARP sweep too (some 12 seconds a run)")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    for tool in ("arp-scan", "masscan", "nmap"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is missing: apt-get install {tool}")
    devices = fleet(options.devices)
    ports = ",".join(map(str, PORTS))
    opened = sum(len(str(d.observations[0].value).split(",")) for d in devices)
    before = neighbour_table.overflows()
    with tempfile.TemporaryDirectory() as folder:
        hosts, names, listed = (Path(folder) / name for name in ("hosts.json", "hosts.txt", "masscan.txt"))
        hosts.write_text(json.dumps([d.ip for d in devices]))
        names.write_text("\n".join(str(d.ip) for d in devices))
        own = [sys.executable, str(Path(__file__).resolve()), "--child"]
        ours = lambda out: int(out.partition("\t")[0])  # noqa: E731
        with Lab(devices, network=NETWORK) as lab:
            rows = {"lanveto": run(lab, [*own, "arp", "-"], ours, options.repeat)}
            scan = ["arp-scan", "-I", "s0", "--interval=5u", "-r1", "-q", "-x", "-g", NETWORK]
            rows["arp-scan"] = run(lab, scan, lambda out: len(set(out.split("\n")) - {""}), options.repeat)
            if options.nmap:
                scan = ["nmap", "-n", "-sn", "-PR", "-T5", "--min-rate", "20000", "--max-retries", "1", NETWORK]
                rows["nmap"] = run(lab, scan, lambda out: out.count("Host is up") - 1, 1)
            table(f"ARP, {NETWORK}, {len(devices)} alive", rows, len(devices))
        with Lab(devices, network=NETWORK, routed=True) as lab:
            rows = {"lanveto": run(lab, [*own, "syn", "-"], ours, options.repeat)}
            scan = ["masscan", NETWORK, "-p", ports, "--rate", "10000000", "--wait", f"{WAIT:g}", "-e", "s0",
                    "--router-mac", "02-00-00-00-00-fd", "--adapter-ip", lab.scanner_address,
                    "-oL", str(listed)]  # fmt: skip

            def seen(_out: str) -> int:
                return len({line for line in listed.read_text().splitlines() if line.startswith("open")})

            rows["masscan"] = run(lab, scan, seen, options.repeat, sent="100.00% done, waiting")
            table(f"SYN, {NETWORK} x {len(PORTS)} ports behind a router, {opened} open", rows, opened)
            rows = {"lanveto": run(lab, [*own, "known", str(hosts)], ours, options.repeat)}
            scan = ["nmap", "-n", "-Pn", "-sS", "-T4", "-p", ports, "-iL", str(names), "-oG", "-"]
            rows["nmap"] = run(lab, scan, lambda out: out.count("/open/"), options.repeat)
            table(f"SYN, {len(devices)} living hosts x {len(PORTS)} ports, {opened} open", rows, opened)
    if neighbour_table.overflows() != before:
        sys.exit("the neighbour table was full meanwhile: these figures are false")


def table(title: str, rows: dict[str, Run], whole: int) -> None:
    """Print one comparison."""
    print(f"\n{title}\n{'':12}{'wall s':>9}{'CPU s':>9}{'found':>14}{'our wall':>10}{'our CPU':>9}", flush=True)
    ours = rows["lanveto"]
    for name, one in rows.items():
        ratios = "" if one is ours else f"{ours.wall / one.wall:9.2f}x{ours.cpu / one.cpu:8.2f}x"
        print(f"{name:12}{one.wall:9.2f}{one.cpu:9.2f}{one.found:>7} / {whole}{ratios}  {one.note}", flush=True)


if __name__ == "__main__":
    main()
