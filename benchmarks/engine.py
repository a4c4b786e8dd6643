"""What a scan costs as the number of devices grows, and against nmap doing the same on the same devices.

    python benchmarks/engine.py [--sizes 256,1024,4096,16384] [--svg docs/growth.svg]
    python benchmarks/engine.py --sizes 1000 --peer scripts [--round-trip 50] [--limit 280]
    python benchmarks/engine.py --sizes 50,100,200 --peer services
    python benchmarks/engine.py --sizes 1000 --tls
    python benchmarks/engine.py --sizes 1000 --flat --peer scripts [--peer services] [--repeat 3]

Simulated devices (HTTP with favicon, RTSP, ONVIF as their recordings say; TLS only where asked for) on one segment in
namespaces of their own, scanned by the installed command: `--fast`, ARP unthrottled, JSON Lines out. Prints for each
size wall and CPU seconds, peak memory, CPU of the simulator (and of the wire, where frames take their time), packets
per device and the share of makers named rightly.

nmap gets the same addresses and ports, and `--limit` seconds. `scripts`: its scripts for what we ask (http-title,
http-server-header, http-favicon, rtsp-methods, the WS-Discovery broadcast, ssl-cert with TLS), all hosts as one group,
host discovery left out, the devices' neighbour entries made beforehand. `services`: `-sV -T4`. It is credited with a
maker whose name stands anywhere in what it prints for the device, its MAC's owner included.

`--flat`: the devices lie all over a /16 that is swept whole, on all default ports, from nothing to the report. nmap
does it in a chain: its tuned ARP sweep (`-sn -PR -T5 --min-rate 20000 --max-retries 1`), then with `-T5` the scripts or
the service detection on the hosts that it found.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import tempfile
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import msgspec

from benchmarks import peer
from benchmarks.peer import Cost
from scanner import ports
from scanner.model import Observation, Recording
from scanner.simulate.lab import Lab

PORTS = "80,554,8000,8080"
NETWORK = "10.77.0.0/16"
SCRIPTS = "http-title,http-server-header,http-favicon,rtsp-methods,broadcast-wsdd-discover"
PEERS = {"scripts": "nmap, scripts", "services": "nmap -sV"}
SWEEP = "nmap -n -sn -PR -T5 --min-rate 20000 --max-retries 1"
LIMIT = 280.0


PAGE = "<!doctype html><html><head><title></title></head><body></body></html>"
ANSWER = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(PAGE)}\r\n\r\n{PAGE}"
ICON = "HTTP/1.1 200 OK\r\nContent-Type: image/x-icon\r\nContent-Length: 64\r\n\r\n" + 32 * "ic"


def fleet(count: int, *, tls: bool = False) -> list[Recording]:
    """Devices that speak HTTP, most of them RTSP and ONVIF too, on every port that is open.

    Whoever has no page or no icon gets one that says nothing, so that every question is answered.
    """
    good = [
        _answering(peer.ready(r)) for r in peer.kinds()
        if any(o.channel.startswith(("http", "rtsp")) and not o.tls for o in r.observations)
    ]  # fmt: skip
    return peer.fleet(good, count, tls=tls)


def _answering(device: Recording) -> Recording:
    said = list(device.observations)
    asked = {o.request for o in said if o.channel == "http.response" and o.port == 80}
    for request, value in (("GET /", ANSWER), ("GET /favicon.ico", ICON)):
        if request not in asked:
            said.append(Observation(channel="http.response", port=80, request=request, value=value))
    return msgspec.structs.replace(device, observations=tuple(said))


def _ports(devices: Sequence[Recording]) -> str:
    return f"{PORTS},443" if any(o.tls for o in devices[0].observations) else PORTS


def spread(devices: Sequence[Recording]) -> list[Recording]:
    """The same devices all over the /16."""
    step, first = 65_000 // len(devices), int(IPv4Network(NETWORK)[1])
    return [
        msgspec.structs.replace(one, ip=str(IPv4Address(first + number * step))) for number, one in enumerate(devices)
    ]


def ours(lab: Lab, devices: Sequence[Recording], *more: str, flat: bool = False) -> Cost:
    """One scan by the installed command."""
    where = (NETWORK,) if flat else (f"{devices[0].ip}-{devices[-1].ip}", "--ports", _ports(devices))
    words = [*where, "--fast", "--rate", "1000000", "--timeout", "2", "--format", "jsonl", "-q", *more]
    cost = peer.run(lab, [*peer.OWN, *words], LIMIT)
    said = {}
    for line in cost.out.splitlines():
        device = json.loads(line)
        said[device["ip"]] = device["manufacturer"] if device["level"] in {"likely", "confirmed"} else None
    cost.right = sum(1 for r in devices if r.truth and said.get(r.ip or "") == r.truth.manufacturer)
    return cost


def nmap(lab: Lab, devices: Sequence[Recording], kind: str, limit: float, *, flat: bool = False) -> Cost:
    """nmap on the same addresses and ports."""
    wanted = ",".join(map(str, ports.ASKED)) if flat else _ports(devices)
    words = ["nmap", "-n", "-T5" if flat else "-T4", "-p", wanted]
    if kind == "scripts":
        scripts = SCRIPTS + (",ssl-cert" if _ports(devices) != PORTS else "")
        words += ["-Pn", "-sS", "--min-hostgroup", str(len(devices)), "--script", scripts]
    else:
        words += ["-sV"]
    if flat:
        with tempfile.TemporaryDirectory() as folder:
            found = Path(folder) / "hosts"
            sweep = f"{SWEEP} -oG - {NETWORK} | awk '/Status: Up/ {{print $2}}' > {found}"
            cost = peer.run(lab, ["sh", "-c", f"{sweep}; exec {shlex.join(words)} -iL {found}"], limit)
    else:
        cost = peer.run(lab, [*words, *(str(d.ip) for d in devices)], limit)
    cost.right = peer.nmap_right(cost.out, devices)
    return cost


def row(name: str, devices: int, cost: Cost) -> str:
    wall = f"{cost.wall:7.1f} s" if cost.done else f"> {cost.wall:5.0f} s"
    return (f"{name:13} {devices:6} devices {wall} wall {cost.cpu:7.1f} s CPU ({cost.cpu / devices * 1000:5.1f} ms a "
            f"device) {cost.memory:5.0f} MB peak, simulator {cost.simulator:6.1f} s CPU, "
            f"{cost.packets / devices:5.1f} packets a device, {cost.right / devices:4.0%} right")  # fmt: skip


def svg(costs: Sequence[tuple[int, Cost]], place: Path) -> None:
    """Wall seconds and megabytes over the number of devices, each size with its figures."""
    most = max(size for size, _ in costs)
    lines = []
    for values, colour, words, unit in (
        ([c.wall for _, c in costs], "#0a7d43", "wall seconds", "s"),
        ([c.memory for _, c in costs], "#0b5cad", "peak megabytes", "MB"),
    ):
        top = max(values)
        places = [(60 + 500 * size / most, 300 - 240 * v / top) for (size, _), v in zip(costs, values, strict=True)]
        points = " ".join(f"{x:.0f},{y:.0f}" for x, y in places)
        seconds = unit == "s"
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>'
                     f'<text x="70" y="{20 if seconds else 38}" fill="{colour}">{words}</text>')  # fmt: skip
        for (x, y), value in zip(places, values, strict=True):
            lines.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="{colour}"/>'
                         f'<text x="{x + 6:.0f}" y="{y + (16 if seconds else -6):.0f}" fill="{colour}" '
                         f'font-size="11">{value:.{1 if value < 20 else 0}f} {unit}</text>')  # fmt: skip
    for size, _ in costs:
        if size * 12 >= most:
            lines.append(f'<text x="{60 + 500 * size / most:.0f}" y="318" text-anchor="middle">{size:,}</text>')
    lines.append('<text x="320" y="338" text-anchor="middle">devices</text>')
    place.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 345" font-family="sans-serif" '
                     'font-size="13" role="img"><title>What a scan takes, by the number of devices</title>'
                     '<rect width="640" height="345" fill="#fff"/>'
                     f'<path d="M60 50V300H620" fill="none" stroke="#888"/>{"".join(lines)}</svg>\n')


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # our processes are compiled, as installed ones are
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", default="256,1024,4096,16384")
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--tls", action="store_true", help="every device speaks TLS, too")
    parser.add_argument("--round-trip", type=float, default=0.0, help="milliseconds on the wire")
    parser.add_argument("--peer", choices=PEERS, action="append", default=[])
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for nmap")
    parser.add_argument("--repeat", type=int, default=1, help="our runs, of which the quickest counts")
    parser.add_argument("--flat", action="store_true", help="the devices all over a /16, which is swept whole")
    parser.add_argument("--only-hosts", action="store_true",
                        help="identification alone: no questions to everybody, no search for hosts")
    args = parser.parse_args()
    more = ("--no-multicast", "--assume-up") if args.only_hosts else ()
    costs = []
    for size in (int(word) for word in args.sizes.split(",")):
        devices = spread(fleet(size, tls=args.tls)) if args.flat else fleet(size, tls=args.tls)
        with peer.laboratory(devices, NETWORK, round_trip=args.round_trip / 1000) as lab:
            runs = [ours(lab, devices, *more, flat=args.flat) for _ in range(args.repeat)]
            cost = min(runs, key=lambda one: one.wall)
        costs.append((size, cost))
        print(row("lanveto", size, cost), flush=True)
        for kind in args.peer:
            with peer.laboratory(devices, NETWORK, round_trip=args.round_trip / 1000, enter=True) as lab:
                other = nmap(lab, devices, kind, args.limit, flat=args.flat)
            print(row(PEERS[kind], size, other), peer.ratios(cost, other), sep="\n    ", flush=True)
    if args.svg and peer.falsified:
        raise SystemExit(f"{args.svg} was not drawn: {peer.falsified[0]}")
    if args.svg:
        svg(costs, args.svg)


if __name__ == "__main__":
    main()
