from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scanner.config import Plan, Speed
from scanner.discover import syn
from scanner.discover.base import Ground, Unable
from scanner.net import interfaces
from scanner.net.interfaces import Reach
from scanner.net.ledger import Ledger
from scanner.net.pace import Pace
from scanner.net.packet import LinkGone
from scanner.net.syn import Way
from scanner.targets import Span

pytestmark = pytest.mark.root
Build = Callable[[dict[str, str]], Any]

DEVICES = {f"10.77.0.{n}": f"3c:ef:8c:00:00:{n:02x}" for n in range(1, 41)}
OWN = "10.77.255.254"
LISTEN = """
import socket, sys, time
servers = [socket.create_server(("0.0.0.0", int(port)), backlog=4096) for port in sys.argv[1].split(",")]
print("up", flush=True)
time.sleep(300)
"""
WATCH = """
import socket, time
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
sock.bind(("d0", 0x0800))
print("up", flush=True)
while True:
    frame, origin = sock.recvfrom(200)
    if origin[2] != 4:
        print(socket.inet_ntoa(frame[30:34]), int.from_bytes(frame[36:38], "big"), frame[47], time.monotonic(), flush=True)
"""


def number(address: str) -> int:
    return int(IPv4Address(address))


def way(devices: dict[str, str] = DEVICES) -> Way:
    link = next(found for found in interfaces.read().links if found.name == "s0")
    return Way(link, OWN, macs={number(a): bytes.fromhex(mac.replace(":", "")) for a, mac in devices.items()})


def sweep(hosts: list[str], ports: tuple[int, ...], rate: float = 20_000, ledger: Ledger | None = None, **more: Any) -> (
    tuple[dict[str, dict[int, bool]], syn.Swept]
):  # fmt: skip
    found: dict[str, dict[int, bool]] = defaultdict(dict)
    twice: list[object] = []

    def take(address: str, port: int, is_open: bool) -> None:
        if port in found[address]:
            twice.append((address, port))
        found[address][port] = is_open

    numbers = [number(host) for host in hosts]
    work = syn.sweep(way(), lambda: numbers, ports, Pace(rate), ledger or Ledger(), take, **more)
    swept = asyncio.run(work)
    assert not twice
    return dict(found), swept


def test_every_open_and_every_closed_port_is_found_once(segment: Build) -> None:
    segment(DEVICES).start(LISTEN, "80,554")
    found, swept = sweep(list(DEVICES), (80, 443, 554))

    assert found == {key: {80: True, 443: False, 554: True} for key in DEVICES}
    assert swept == syn.Swept(3 * 40, 0)  # nothing is left for the second pass


def test_the_second_pass_goes_to_what_stayed_silent(segment: Build) -> None:
    made = segment(DEVICES)
    made.start(LISTEN, "80")
    made.inside("nft", "add table ip mute; add chain ip mute in { type filter hook input priority 0; }")
    made.inside("nft", "add rule ip mute in ip daddr 10.77.0.1 drop")
    made.inside("nft", "add rule ip mute in ip daddr 10.77.0.2 tcp dport 443 drop")
    found, swept = sweep(list(DEVICES), (80, 443))

    assert "10.77.0.1" not in found
    assert found["10.77.0.2"] == {80: True}
    assert swept.probes == 2 * 40 + 3


def test_one_device_hears_one_probe_at_a_time_and_the_sweep_keeps_to_its_rate(segment: Build) -> None:
    made = segment(DEVICES)
    made.start(LISTEN, "80,81,82")
    log = made.start(WATCH)
    start = time.monotonic()
    _, swept = sweep(list(DEVICES), (80, 81, 82), rate=200, gap=0.1, passes=1)
    assert 120 / 200 * 0.85 <= time.monotonic() - start < 20
    sweep(["10.77.0.1"], (80, 81, 82), gap=0.1, passes=1)
    time.sleep(0.2)
    log.terminate()
    heard: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    for line in log.stdout.read().decode().splitlines():
        address, port, flags, moment = line.split()
        heard[address].append((int(port), int(flags), float(moment)))

    assert swept.probes == 120
    for seen in heard.values():
        assert [flags for _, flags, _ in seen] == [2, 4] * (len(seen) // 2)  # SYN, reset, SYN, reset …
        moments = [moment for _, flags, moment in seen if flags == 2]
        assert min((b - a for a, b in pairwise(moments)), default=1) >= 0.09


def test_a_sweep_of_nobody_ends_soon(segment: Build) -> None:
    segment(DEVICES)
    start = time.monotonic()
    found, swept = sweep([], (80,), passes=2)

    assert (found, swept.probes) == ({}, 0)
    assert time.monotonic() - start < 20


def test_everything_sent_stands_in_the_audit_log(segment: Build, tmp_path: Path) -> None:
    segment(DEVICES).start(LISTEN, "80")
    with Ledger(tmp_path / "log") as ledger:
        sweep(["10.77.0.1"], (80, 81), ledger=ledger)
    lines = [line.split("\t")[1:] for line in (tmp_path / "log").read_text().splitlines()]

    assert sorted(lines) == [  # a late answer may come after the second probe
        ["syn", "10.77.0.1:80", "40", "reset: the port is open"],
        ["syn", "10.77.0.1:80", "44", "SYN"],
        ["syn", "10.77.0.1:81", "44", "SYN"],
    ]
    assert ledger.packets == {"10.77.0.1": 3}


def test_a_link_that_goes_away_is_told(segment: Build) -> None:
    made = segment(DEVICES)

    async def main() -> None:
        task = asyncio.create_task(
            syn.sweep(way(), lambda: [number("10.77.0.1")] * 5000, (80,), Pace(500), Ledger(), lambda *_: None)
        )
        await asyncio.sleep(0.3)
        made.inside("ip", "link", "del", "d0")
        with pytest.raises(LinkGone, match="s0"):
            await asyncio.wait_for(task, 3)

    asyncio.run(main())


def test_where_all_have_answered_nothing_is_waited_for(segment: Build) -> None:
    segment(DEVICES).start(LISTEN, "80")
    began = time.monotonic()
    found, swept = sweep(list(DEVICES), (80, 443), quiet=30.0)

    assert len(found) == len(DEVICES)
    assert swept.probes == 2 * len(DEVICES)
    assert time.monotonic() - began < 20


def test_manners_keep_their_gap_whatever_is_answered(segment: Build) -> None:
    segment(DEVICES).start(LISTEN, "80")
    began = time.monotonic()
    sweep(list(DEVICES), (80, 443, 554), gap=0.4)
    assert time.monotonic() - began >= 1.2


@pytest.mark.parametrize(("speed", "sweeps"), [(Speed.FAST, True), (Speed.NORMAL, False), (Speed.GENTLE, False)])
def test_hosts_on_a_link_are_swept_only_for_those_in_a_hurry(*, speed: Speed, sweeps: bool) -> None:
    link = interfaces.Link("x0", 2, "aa:bb:cc:dd:ee:ff", True, True, True)
    ground = Ground(Reach.LINK, link, (Span(number("10.77.0.0"), number("10.77.0.255")),))
    plan = Plan(speed=speed)

    assert syn.Syn().suits(ground, plan) is sweeps
    if sweeps:
        told = syn.Syn().expect(ground, plan)
        assert told.text.startswith("x0: TCP SYN probes to each host found, ports 80, 443, 554")
        assert told.seconds < 5
        with pytest.raises(Unable):
            syn.Syn().expect(ground, replace(plan, raw=False))
