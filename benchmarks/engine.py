"""What a scan costs as the number of devices grows, and against nmap's service detection on the same devices.

    python benchmarks/engine.py [--sizes 256,1024,4096,16384] [--svg growth.svg]
    python benchmarks/engine.py --sizes 1000 --nmap --limit 200
    python benchmarks/engine.py --sizes 1000 --tls

Simulated devices (HTTP with favicon, RTSP, ONVIF as their recordings say; TLS only where asked for) on one segment in
namespaces of their own, scanned by the installed command: `--fast`, ARP unthrottled, JSON Lines out. Prints for each
size wall and CPU seconds, peak memory, CPU of the simulator, packets per device and the share of makers named
rightly. nmap runs `-sV -T4` on the same addresses and ports and gets `--limit` seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from scanner.model import Observation, Recording
from scanner.recordings import load
from scanner.resources import data_dir
from scanner.simulate.lab import Lab

PORTS = "80,554,8000,8080"


@dataclass
class Cost:
    """What one run took."""

    devices: int
    wall: float
    cpu: float
    memory: float
    simulator: float
    packets: float
    right: float


def fleet(count: int, *, tls: bool = False) -> list[Recording]:
    """The demo's well-behaved devices again and again, each with a MAC and an address of its own.

    Without TLS, or each says on port 443, in TLS, what it says first in the clear on another.
    """
    whole = [r for r in load(data_dir("examples") / "demo-fleet.yaml").recordings if r.behaviour is None]
    good = [r for r in whole if r.truth and r.truth.manufacturer not in {"unknown", "software"}
            and any(o.channel.startswith(("http", "rtsp")) and not o.tls for o in r.observations)]  # fmt: skip
    made = []
    for number in range(count):
        model = good[number % len(good)]
        mac = (model.mac or "02:00:00")[:8] + f":{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        address = f"10.77.{1 + number // 250}.{1 + number % 250}"
        plain = tuple(o for o in model.observations if not o.tls and not o.channel.startswith("tls."))
        if tls:
            web = [o for o in plain if o.channel.startswith("http")]
            plain += tuple(msgspec.structs.replace(o, port=443, tls=True) for o in web if o.port == web[0].port)
            plain += (Observation(channel="tls.subject", port=443, value=f"CN={model.id}"),)
        made.append(msgspec.structs.replace(
            model, id=f"{model.id}-{number}", mac=mac, ip=address, addresses=(), observations=plain
        ))  # fmt: skip
    return made


def cpu_of(pid: int) -> float:
    """CPU seconds a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sent(lab: Lab) -> int:
    """Packets that the scanner's side has sent."""
    text = lab.run(["cat", "/proc/net/dev"]).stdout
    return sum(int(line.split(":")[1].split()[9]) for line in text.splitlines() if ":" in line and " lo:" not in line)


def run(lab: Lab, command: list[str], limit: float) -> tuple[float, float, float, str]:
    """Wall and CPU seconds, peak memory in MB, and the output; wall is -1 where `limit` was not enough."""
    with tempfile.TemporaryFile("w+") as out:
        began = time.perf_counter()
        process = subprocess.Popen(lab.enter(command), stdout=out)
        done = 0
        while not done and time.perf_counter() - began < limit:
            done, _, usage = os.wait4(process.pid, os.WNOHANG)
            time.sleep(0.02)
        wall = time.perf_counter() - began
        if not done:
            process.kill()
            _, _, usage = os.wait4(process.pid, 0)
            wall = -1
        out.seek(0)
        return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out.read()


def ours(lab: Lab, devices: list[Recording]) -> Cost:
    """One scan by the installed command."""
    ports = f"{PORTS},443" if any(o.tls for o in devices[0].observations) else PORTS
    words = [f"{devices[0].ip}-{devices[-1].ip}", "--fast", "--rate", "1000000", "--ports", ports, "--timeout", "2",
             "--format", "jsonl", "-q"]  # fmt: skip
    before, packets = cpu_of(lab.pid), sent(lab)
    wall, cpu, memory, out = run(lab, [sys.executable, "-m", "scanner.cli.main", "scan", *words], 280)
    said = {}
    for line in out.splitlines():
        device = json.loads(line)
        said[device["ip"]] = device["manufacturer"] if device["level"] in {"likely", "confirmed"} else None
    right = sum(1 for r in devices if r.truth and said.get(r.ip or "") == r.truth.manufacturer)
    return Cost(len(devices), wall, cpu, memory, cpu_of(lab.pid) - before, (sent(lab) - packets) / len(devices),
                right / len(devices))  # fmt: skip


def nmap(lab: Lab, devices: list[Recording], limit: float) -> Cost:
    """nmap's service detection on the same addresses and ports; a maker named anywhere in a device's lines counts."""
    before, packets = cpu_of(lab.pid), sent(lab)
    words = ["nmap", "-n", "-sV", "-T4", "-p", PORTS, f"10.77.1-{1 + len(devices) // 250}.1-250"]
    wall, cpu, memory, out = run(lab, words, limit)
    blocks = {re.split(r"\s", b, maxsplit=1)[0]: b.lower() for b in out.split("Nmap scan report for ")[1:]}
    right = sum(1 for r in devices if r.truth and r.truth.manufacturer in blocks.get(r.ip or "", ""))
    return Cost(len(devices), wall, cpu, memory, cpu_of(lab.pid) - before, (sent(lab) - packets) / len(devices),
                right / len(devices))  # fmt: skip


def row(name: str, cost: Cost) -> str:
    wall = f"{cost.wall:7.1f} s" if cost.wall >= 0 else "not done "
    return (f"{name:8} {cost.devices:6} devices {wall} wall {cost.cpu:7.1f} s CPU "
            f"({cost.cpu / cost.devices * 1000:5.1f} ms a device) {cost.memory:5.0f} MB peak, simulator "
            f"{cost.simulator:6.1f} s CPU, {cost.packets:5.1f} packets a device, {cost.right:4.0%} right")  # fmt: skip


def svg(costs: list[Cost], place: Path) -> None:
    """Wall seconds and megabytes over the number of devices."""
    most = max(c.devices for c in costs)
    lines = []
    for values, colour, words in (
        ([c.wall for c in costs], "#0b5", "wall seconds"), ([c.memory for c in costs], "#05b", "peak MB"),
    ):  # fmt: skip
        top = max(values)
        points = " ".join(f"{40 + 540 * c.devices / most:.0f},{300 - 260 * v / top:.0f}"
                          for c, v in zip(costs, values, strict=True))  # fmt: skip
        y = 20 if colour == "#0b5" else 38
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>'
                     f'<text x="50" y="{y}" fill="{colour}">{words}, at most {top:.0f}</text>')  # fmt: skip
    lines.append(f'<text x="500" y="318">{most} devices</text>')
    place.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 330" font-family="sans-serif" '
                     f'font-size="13"><path d="M40 40V300H600" fill="none" stroke="#888"/>{"".join(lines)}</svg>\n')


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # our processes are compiled, as installed ones are
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", default="256,1024,4096,16384")
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--tls", action="store_true", help="every device speaks TLS, too")
    parser.add_argument("--nmap", action="store_true")
    parser.add_argument("--limit", type=float, default=200.0)
    args = parser.parse_args()
    costs = []
    for size in (int(word) for word in args.sizes.split(",")):
        devices = fleet(size, tls=args.tls)
        with Lab(devices, network="10.77.0.0/16") as lab:
            costs.append(ours(lab, devices))
            print(row("lanveto", costs[-1]), flush=True)
            if args.nmap:
                peer = nmap(lab, devices, args.limit)
                print(row("nmap -sV", peer))
                wall = peer.wall if peer.wall >= 0 else args.limit
                least = "" if peer.wall >= 0 else "more than "
                print(f"{least}{wall / costs[-1].wall:.0f} x quicker, {peer.cpu / costs[-1].cpu:.1f} x less CPU, "
                      f"{peer.packets / costs[-1].packets:.1f} x fewer packets")
    if args.svg:
        svg(costs, args.svg)


if __name__ == "__main__":
    main()
