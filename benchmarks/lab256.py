"""256 simulated devices on one segment: lanveto against nmap in the same laboratory, one after the other.

    python benchmarks/lab256.py [--devices 256] [--limit 280] [--skip-nmap]
    python benchmarks/lab256.py --packets [--limit 280]
    python benchmarks/lab256.py --manners

Prints wall time, CPU seconds (the devices' own, too), packets sent per device and the share of makers each names
rightly, and the ratios. nmap does host discovery (`-sn`) and service detection (`-sV -T4`) on the same ports, within
`--limit` seconds; it is credited with a maker wherever the maker's name stands anywhere in what it prints for the
device (its MAC's owner included).

`--packets`: every kind of device once; tcpdump counts what goes to each alone until it is identified, by lanveto and by
`nmap -sV` on the same ports. `--manners`: a /24 with 50 devices with default manners, as root and without raw sockets,
against the time that the pace itself takes: what the audit log says was sent, at the rates that the manners allow,
and the waits for answers that a scan promises.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks import peer
from benchmarks.peer import Cost
from scanner import ports
from scanner.config import MANNERS, Speed
from scanner.discover import arp, multicast, neighbours
from scanner.model import Recording
from scanner.simulate.lab import Lab

NETWORK = "10.77.0.0/22"
SMALL = "10.77.1.0/24"
LISTED = ",".join(map(str, ports.ASKED))
LIMIT = 280


def ours(lab: Lab, devices: Sequence[Recording], target: str, *more: str) -> Cost:
    """lanveto, as an administrator would run it."""
    cost = peer.run(lab, [*peer.OWN, target, "--format", "json", "-q", *more], LIMIT)
    told = json.loads(cost.out)["devices"] if cost.done else []
    said = {d["ip"]: d["manufacturer"] for d in told if d["level"] in {"likely", "confirmed"}}
    cost.right = sum(1 for r in devices if r.truth and said.get(r.ip or "") == r.truth.manufacturer)
    return cost


def theirs(lab: Lab, devices: Sequence[Recording], limit: float) -> Cost:
    """nmap: who is there, then what runs there."""
    with tempfile.TemporaryDirectory() as folder:
        alive = Path(folder) / "alive"
        first = peer.run(lab, ["nmap", "-n", "-sn", NETWORK], limit)
        alive.write_text("\n".join(re.findall(r"report for (\S+)", first.out)))
        command = ["nmap", "-n", "-Pn", "-sV", "-T4", "-p", LISTED, "-iL", str(alive)]
        cost = peer.run(lab, command, limit)
    cost.wall, cost.cpu, cost.packets = cost.wall + first.wall, cost.cpu + first.cpu, cost.packets + first.packets
    cost.right = peer.nmap_right(cost.out, devices)
    return cost


def compare(count: int, limit: float, *, skip: bool) -> None:
    """Both on all devices."""
    devices = peer.fleet(peer.kinds(), count)
    runs: dict[str, Cost] = {}
    print(f"{'':20}{'wall s':>9}{'CPU s':>9}{'simulator':>11}{'packets/device':>16}{'makers right':>14}", flush=True)

    def add(name: str, cost: Cost) -> None:
        runs[name] = cost
        print(f"{name:20}{cost.wall:9.1f}{cost.cpu:9.1f}{cost.simulator:11.1f}{cost.packets / count:16.1f}"
              f"{cost.right / count:14.0%}{'' if cost.done else '  not done'}", flush=True)  # fmt: skip

    with peer.laboratory(devices, NETWORK) as lab:
        add("lanveto", ours(lab, devices, NETWORK))
        add("lanveto --fast", ours(lab, devices, NETWORK, "--fast", "--timeout", "1"))
        violations = lab.violations()
    if not skip:
        with peer.laboratory(devices, NETWORK, enter=True) as lab:  # nmap asks what our devices count as violations
            other = theirs(lab, devices, limit)
        add("nmap -sn, -sV -T4", other)
        for name in ("lanveto", "lanveto --fast"):
            print(f"{name} against nmap: {peer.ratios(runs[name], other)}")
    if violations:
        sys.exit(f"devices heard what they should not: {violations[:3]}")


# -- packets to one device -------------------------------------------------------------------------------------


def packets(limit: float) -> None:
    """What goes to each kind of device until it is identified."""
    models = peer.kinds()
    devices = peer.fleet(models, len(models))
    target = f"{devices[0].ip}-{devices[-1].ip}"
    rows: dict[str, tuple[Counter[str], Counter[tuple[str, str]], Cost]] = {}
    for name in ("lanveto", "nmap -sV"):
        with peer.laboratory(devices, NETWORK, enter=name != "lanveto") as lab, tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "sent.pcap"
            # 96 bytes of each frame are enough, and nothing is resolved
            ear = subprocess.Popen(
                lab.enter(["tcpdump", "-i", "s0", "-Q", "out", "-n", "-s", "96", "-U", "-B", "16384", "-w", str(file)]),
                stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert ear.stderr is not None
            ear.stderr.readline()  # it listens
            if name == "lanveto":
                cost = ours(lab, devices, target)
            else:
                cost = peer.run(lab, ["nmap", "-n", "-sV", "-T4", "-p", LISTED, *(str(d.ip) for d in devices)], limit)
                cost.right = peer.nmap_right(cost.out, devices)
            time.sleep(0.5)
            ear.send_signal(signal.SIGINT)
            ear.communicate(timeout=20)
            rows[name] = (*frames(file.read_bytes()), cost)
    print(f"{'packets to':24}{'lanveto':>9}{'nmap -sV':>10}{'ratio':>8}   lanveto's by kind")
    whole = Counter[str]()
    for device in devices:
        mine, other = (rows[name][0][str(device.mac)] for name in rows)
        kinds = {kind: n for (mac, kind), n in sorted(rows["lanveto"][1].items()) if mac == device.mac}
        whole["mine"] += mine
        whole["other"] += other
        print(f"{device.id:24}{mine:9}{other:10}{mine / max(1, other):8.2f}   "
              + ", ".join(f"{n} {kind}" for kind, n in kinds.items()))  # fmt: skip
    print(f"{'all':24}{whole['mine']:9}{whole['other']:10}{whole['mine'] / max(1, whole['other']):8.2f}")
    for name, (counts, _, cost) in rows.items():
        everybody = sum(n for mac, n in counts.items() if int(mac[:2], 16) & 1)
        print(f"{name}: {everybody} to everybody, once for all; {cost.right} of {len(devices)} makers right"
              + ("" if cost.done else f", not done after {cost.wall:.0f} s"))  # fmt: skip


def frames(data: bytes) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Of a capture: frames by the MAC they went to, and by MAC and what they are."""
    by_mac: Counter[str] = Counter()
    kinds: Counter[tuple[str, str]] = Counter()
    place = 24
    while place + 16 <= len(data):
        length, = struct.unpack_from("<I", data, place + 8)
        frame = data[place + 16 : place + 16 + length]
        place += 16 + length
        mac = frame[:6].hex(":")
        by_mac[mac] += 1
        kinds[mac, _kind(frame)] += 1
    return by_mac, kinds


def _kind(frame: bytes) -> str:
    if frame[12:14] != b"\x08\x00":
        return "ARP" if frame[12:14] == b"\x08\x06" else "frame"
    head = 14 + (frame[14] & 15) * 4
    if frame[23] != 6:
        return "UDP" if frame[23] == 17 else "ICMP"
    if struct.unpack_from(">H", frame, 16)[0] + 14 > head + (frame[head + 12] >> 4) * 4:
        return "TCP with data"
    flags = frame[head + 13]
    return next((word for bit, word in ((2, "SYN"), (1, "FIN"), (4, "RST")) if flags & bit), "ACK")


# -- default manners -------------------------------------------------------------------------------------------


def manners() -> None:
    """A /24 with 50 devices, against what the pace alone takes; then with ports that are open and say nothing."""
    kinds = peer.kinds()
    fleets = {"": [peer.ready(r) for r in kinds], ", some silent ports": kinds}
    without = ("--no-raw", "--no-neighbour-writes")
    for words, models in fleets.items():
        devices = peer.fleet(models, 50)
        for name, more in (("as root", ()), ("without raw sockets", without)):
            with peer.laboratory(devices, NETWORK) as lab, tempfile.TemporaryDirectory() as folder:
                log = Path(folder) / "sent.log"
                cost = ours(lab, devices, SMALL, "--audit-log", str(log), *more)
                lines = [line.split("\t") for line in log.read_text().splitlines()]
                violations = lab.violations()
            parts = pace(lines, raw=not more)
            least = sum(parts.values())
            print(f"{name + words}: {cost.wall:.1f} s wall, {cost.cpu:.1f} s CPU, simulator {cost.simulator:.1f} s "
                  f"CPU, {cost.packets} packets, {cost.right} of {len(devices)} right; the pace alone {least:.1f} s ("
                  + ", ".join(f"{part} {seconds:.1f}" for part, seconds in parts.items())
                  + f"): {cost.wall / least:.2f} x", flush=True)  # fmt: skip
            if violations:
                sys.exit(f"devices heard what they should not: {violations[:3]}")


def pace(lines: Sequence[Sequence[str]], *, raw: bool) -> dict[str, float]:
    """Seconds that the questions of an audit log take at least, by default manners: their rates, and the waits for
    answers before those who answered are asked more.
    """
    rules = MANNERS[Speed.NORMAL]
    assert rules.requests is not None
    assert rules.device_connects is not None
    sought = {where for _, way, where, *_ in lines if way == "arp"} or {
        where for _, way, where, size, *_ in lines if way == "udp" and size == "0"
    }
    datagrams = sum(
        1 for _, way, where, size, *_ in lines if way == "udp" and size != "0" and int(where.partition(".")[0]) < 224
        and not where.startswith("255.") and ".255:" not in where
    )  # fmt: skip
    connects: Counter[str] = Counter()
    requests: Counter[str] = Counter()
    for _, way, where, size, *_ in lines:
        if way == "tcp":
            (requests if size != "0" else connects)[where.rpartition(":")[0]] += 1
    slowest = max(
        max((connects[one] + requests[one] - 1) // rules.device_connects, (requests[one] - 1) // rules.requests)
        for one in connects | requests
    )  # fmt: skip
    search = len(sought) / rules.arp + arp.SETTLE if raw else len(sought) / rules.connects + neighbours.ARPS
    return {
        "search": max(search, multicast.FIRST_ANSWERS), "datagrams": datagrams / rules.datagrams,
        "their answers": multicast.QUIET, "the slowest device": float(slowest),
    }


def main() -> None:
    """Run what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=256)
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds that nmap gets for each step")
    parser.add_argument("--skip-nmap", action="store_true")
    parser.add_argument("--packets", action="store_true")
    parser.add_argument("--manners", action="store_true")
    options = parser.parse_args()
    if shutil.which("nmap") is None and not options.skip_nmap:
        sys.exit("nmap is missing: apt-get install nmap")
    if options.packets:
        packets(options.limit)
    elif options.manners:
        manners()
    else:
        compare(options.devices, options.limit, skip=options.skip_nmap)


if __name__ == "__main__":
    main()
