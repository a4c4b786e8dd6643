"""256 simulated devices on one segment: lanveto against nmap in the same laboratory, one after the other.

    python benchmarks/lab256.py [--devices 256] [--limit 1500] [--skip-nmap]

nmap gets `--limit` seconds; where it is not done by then, that is what the row says.
Prints wall time, CPU seconds, packets sent per device and the share of makers each names rightly, and the ratios.
nmap does host discovery (`-sn`) and service detection (`-sV -T4`) on the same ports; it is credited with a maker
wherever the maker's name stands anywhere in what it prints for the device (its MAC vendor included).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec

from scanner import knowledge, ports
from scanner.model import Recording
from scanner.recordings import load
from scanner.resources import data_dir
from scanner.simulate.lab import Lab

NETWORK = "10.77.0.0/22"


@dataclass
class Run:
    """What one tool cost and knew."""

    wall: float
    cpu: float
    packets: int
    right: int


def fleet(count: int) -> list[Recording]:
    """`count` devices: the demo's well-behaved ones again and again, each with a MAC and an address of its own."""
    whole = [r for r in load(data_dir("examples") / "demo-fleet.yaml").recordings if r.behaviour is None]
    good = [r for r in whole if r.truth and r.truth.manufacturer not in {"unknown", "software"}]
    made = []
    for number in range(count):
        model = good[number % len(good)]
        mac = (model.mac or "02:00:00")[:8] + f":{number >> 8:02x}:{number & 255:02x}:01"
        address = f"10.77.{1 + number // 250}.{1 + number % 250}"
        made.append(msgspec.structs.replace(model, id=f"{model.id}-{number}", mac=mac, ip=address, addresses=()))
    return made


def measured(lab: Lab, command: list[str]) -> tuple[float, float, int, str]:
    """Wall seconds, CPU seconds of the tool, packets it sent, and its standard output."""
    before = _sent(lab)
    times, began = os.times(), time.perf_counter()
    done = lab.run(command, capture_output=True, text=True)
    wall, after = time.perf_counter() - began, os.times()
    cpu = after.children_user + after.children_system - times.children_user - times.children_system
    return wall, cpu, _sent(lab) - before, done.stdout


def _sent(lab: Lab) -> int:
    text = lab.run(["cat", "/proc/net/dev"], capture_output=True, text=True).stdout
    return sum(int(line.split(":")[1].split()[9]) for line in text.splitlines() if ":" in line and " lo:" not in line)


def ours(lab: Lab, devices: list[Recording], *extra: str) -> Run:
    """lanveto, as an administrator would run it."""
    wall, cpu, packets, out = measured(
        lab, [sys.executable, "-m", "scanner.cli.main", "scan", NETWORK, "--format", "json", *extra]
    )
    said = {d["ip"]: d["manufacturer"] for d in json.loads(out)["devices"] if d["level"] in {"likely", "confirmed"}}
    right = sum(1 for r in devices if r.truth and said.get(r.ip) == r.truth.manufacturer)
    return Run(wall, cpu, packets, right)


def theirs(lab: Lab, devices: list[Recording], limit: int) -> Run | None:
    """nmap: who is there, then what runs there; None where it is not done within `limit` seconds."""
    nmap = shutil.which("nmap") or sys.exit("nmap is missing: apt-get install nmap")
    with tempfile.TemporaryDirectory() as folder:
        alive = Path(folder) / "alive"
        wall, cpu, packets, out = measured(lab, [nmap, "-n", "-sn", NETWORK])
        alive.write_text("\n".join(re.findall(r"report for (\S+)", out)))
        xml = Path(folder) / "out.xml"
        wanted = ",".join(map(str, ports.ASKED))
        command = [nmap, "-n", "-Pn", "-sV", "-T4", "-p", wanted, "-iL", str(alive), "-oX", str(xml)]
        more = measured(lab, ["timeout", str(limit), *command])
        if "</nmaprun>" not in xml.read_text(encoding="utf-8"):
            return None
        hosts = {
            address.get("addr"): ET.tostring(host, encoding="unicode").lower()
            for host in ET.parse(xml).getroot().iter("host")
            for address in host.iter("address")
        }
    names = _names()
    right = sum(
        1 for r in devices if r.truth and any(n in hosts.get(r.ip, "") for n in names.get(r.truth.manufacturer, ()))
    )
    return Run(wall + more[0], cpu + more[1], packets + more[2], right)


def _names() -> dict[str, set[str]]:
    vendors = knowledge.load().vendors
    return {
        group.group: {n.lower() for e in group.entities for n in (e.id, e.label, *e.aliases) if len(n) > 2}
        for group in vendors.groups.values()
    }


def main() -> None:
    """Run both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=256)
    parser.add_argument("--limit", type=int, default=1500, help="seconds that nmap gets")
    parser.add_argument("--skip-nmap", action="store_true")
    options = parser.parse_args()
    devices = fleet(options.devices)
    count = len(devices)
    runs: dict[str, Run] = {}
    print(f"{'':20}{'wall s':>9}{'CPU s':>9}{'packets/device':>16}{'makers right':>14}", flush=True)

    def add(name: str, run: Run) -> None:
        runs[name] = run
        print(f"{name:20}{run.wall:9.1f}{run.cpu:9.1f}{run.packets / count:16.1f}{run.right / count:14.0%}", flush=True)

    with Lab(devices, network=NETWORK) as lab:
        add("lanveto", ours(lab, devices))
        add("lanveto --fast", ours(lab, devices, "--fast", "--timeout", "1"))
        violations = lab.violations()
    if not options.skip_nmap:
        with Lab(devices, network=NETWORK) as lab:  # nmap asks what our devices count as violations
            peer = theirs(lab, devices, options.limit)
        if peer is None:
            print(f"nmap -sn, -sV -T4: not done after {options.limit} s")
        else:
            add("nmap -sn, -sV -T4", peer)
            for name in ("lanveto", "lanveto --fast"):
                run = runs[name]
                print(
                    f"{name} against nmap: {peer.wall / run.wall:.1f} x quicker, {peer.cpu / run.cpu:.1f} x less CPU, "
                    f"{peer.packets / run.packets:.1f} x fewer packets"
                )
    if violations:
        sys.exit(f"devices heard what they should not: {violations[:3]}")


if __name__ == "__main__":
    main()
