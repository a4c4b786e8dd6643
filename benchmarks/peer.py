"""What the comparisons with other scanners share: a laboratory in which nothing falsifies a run, what a run costs, and
what nmap knows of makers.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from scanner import knowledge
from scanner.model import Observation, Recording
from scanner.net import neighbour_table
from scanner.recordings import load
from scanner.resources import data_dir
from scanner.simulate import wire
from scanner.simulate.lab import Lab

falsified: list[str] = []
"""What spoilt the runs of this process."""
OWN = (sys.executable, "-m", "scanner.cli.main", "scan")


@dataclass
class Cost:
    """What one run took, and told."""

    wall: float
    """Seconds; of one that was not done, the seconds that it was given."""
    cpu: float
    memory: float
    """Megabytes at most."""
    simulator: float
    """CPU seconds of the devices meanwhile, the wire's included."""
    packets: int
    """Sent by the scanner's side."""
    done: bool = True
    out: str = field(default="", repr=False)
    right: int = 0
    """Devices whose maker it names rightly."""


@contextmanager
def laboratory(
    devices: Sequence[Recording], network: str, *, round_trip: float = 0.0, enter: bool = False
) -> Iterator[Lab]:
    """A laboratory; says where a run in it was falsified: by a full neighbour table, or lost frames.

    The scanner's entry is pinned in it by itself; `enter`: the devices' entries too, for scanners that do not do that.
    """
    before = neighbour_table.overflows()
    with Lab(devices, network=network, round_trip=round_trip) as lab:
        if enter:
            lines = "".join(f"neigh replace {d.ip} lladdr {d.mac} dev s0 nud permanent\n" for d in devices)
            lab.run(["ip", "-batch", "-"], input=lines)
        yield lab
        if lab.wire is not None:
            time.sleep(2 * round_trip)
            if lost := wire.lost(lab.wire):
                falsified.append(f"{lost} frames were lost on the wire")
                print(falsified[-1], flush=True)
    if full := neighbour_table.overflows() - before:
        falsified.append(f"the machine's neighbour table was full {full} times: these figures are false")
        print(falsified[-1], flush=True)


def run(lab: Lab, command: Sequence[str], limit: float) -> Cost:
    """Run a command for so many seconds at most."""
    workers = [pid for pid in (lab.pid, lab.wire) if pid is not None]
    before, packets = sum(map(cpu_of, workers)), sent(lab)
    with tempfile.TemporaryFile("w+") as out:
        began = time.perf_counter()
        process = subprocess.Popen(lab.enter(command), stdout=out, stderr=subprocess.DEVNULL)
        done, most = 0, 0.0
        while not done and time.perf_counter() - began < limit:
            most = max(most, peak(process.pid))
            done, _, usage = os.wait4(process.pid, os.WNOHANG)
            time.sleep(0.02)
        wall = time.perf_counter() - began
        if not done:
            process.kill()
            _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0  # it has been waited for
        out.seek(0)
        return Cost(
            wall, usage.ru_utime + usage.ru_stime, most, sum(map(cpu_of, workers)) - before,
            sent(lab) - packets, bool(done), out.read(),
        )  # fmt: skip


def peak(pid: int) -> float:
    """Megabytes that a process has held at most since it runs what it runs; 0 where it is over.

    What `wait4` tells would not be less than what this benchmark held when it made the process.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def cpu_of(pid: int) -> float:
    """CPU seconds a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sent(lab: Lab) -> int:
    """Frames that the scanner's side has sent."""
    text = Path(f"/proc/{lab.scanner_pid}/net/dev").read_text()
    return sum(int(line.split(":")[1].split()[9]) for line in text.splitlines() if " s0:" in line or line[:3] == "s0:")


def kinds() -> list[Recording]:
    """The demo's well-behaved devices whose maker is known, each kind once."""
    whole = [r for r in load(data_dir("examples") / "demo-fleet.yaml").recordings if r.behaviour is None]
    return [r for r in whole if r.truth and r.truth.manufacturer not in {"unknown", "software"}]


def ready(device: Recording) -> Recording:
    """A device without ports that are open and say nothing: nmap's scripts wait half a minute for each of them."""
    return msgspec.structs.replace(
        device, observations=tuple(o for o in device.observations if o.channel != "tcp.open")
    )


def fleet(models: Sequence[Recording], count: int, *, tls: bool = False) -> list[Recording]:
    """`count` devices, these again and again, each with a MAC and an address of its own in 10.77.0.0/16.

    `tls`: each says on port 443, in TLS, what it says first in the clear on another.
    """
    made = []
    for number in range(count):
        model = models[number % len(models)]
        mac = (model.mac or "02:00:00")[:8] + f":{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        address = f"10.77.{1 + number // 250}.{1 + number % 250}"
        seen = model.observations
        if tls:
            web = [o for o in seen if o.channel.startswith("http") and not o.tls]
            seen += tuple(msgspec.structs.replace(o, port=443, tls=True) for o in web if o.port == web[0].port)
            seen += (Observation(channel="tls.subject", port=443, value=f"CN={model.id}"),)
        made.append(msgspec.structs.replace(
            model, id=f"{model.id}-{number}", mac=mac, ip=address, addresses=(), observations=seen
        ))  # fmt: skip
    return made


def nmap_right(out: str, devices: Iterable[Recording]) -> int:
    """Of how many devices nmap's normal output names the maker anywhere: in a banner, a title, the MAC's owner."""
    blocks = {re.split(r"\s", b, maxsplit=1)[0]: b.lower() for b in out.split("Nmap scan report for ")[1:]}
    names = _names()
    return sum(
        1 for r in devices
        if r.truth and any(n in blocks.get(r.ip or "", "") for n in names.get(r.truth.manufacturer or "", ()))
    )  # fmt: skip


def _names() -> Mapping[str, set[str]]:
    vendors = knowledge.load().vendors
    return {
        group.group: {n.lower() for e in group.entities for n in (e.id, e.label, *e.aliases) if len(n) > 2}
        for group in vendors.groups.values()
    }


def ratios(ours: Cost, peer: Cost) -> str:
    """Ours against a peer's, in words."""
    least = "" if peer.done else "more than "
    return (f"{least}{peer.wall / ours.wall:.1f} x quicker, {least}{peer.cpu / ours.cpu:.1f} x less CPU, "
            f"{least}{peer.packets / ours.packets:.1f} x fewer packets")  # fmt: skip
