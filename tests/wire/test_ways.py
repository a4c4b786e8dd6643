"""Ways of finding hosts, as the installed command uses them: everybody found, and only what was promised sent."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scanner import ports
from scanner.model import Observation, Recording
from scanner.net import neighbour_table
from scanner.recordings import load
from scanner.simulate.lab import Lab

pytestmark = pytest.mark.root
SYN = 2
"""The flags of TCP that a first segment has."""


def device(number: int, ports: str = "80", **more: Any) -> Recording:
    """A device of which nothing but its open ports is known."""
    mac = f"3c:ef:8c:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    open_ports = (Observation(channel="tcp.open", value=ports),) if ports else ()
    address = f"10.77.{number >> 8}.{number & 255}"
    return Recording(id=f"device-{number}", ip=address, mac=mac, observations=open_ports, **more)


def methods(report: dict[str, Any]) -> dict[str, tuple[bool, int]]:
    return {m["name"]: (m["ran"], m["hosts"]) for m in report["coverage"]["methods"]}


def opened(folder: Path) -> dict[str | None, str]:
    """Address → open ports, of the recordings in a folder."""
    return {
        r.ip: o.value for file in folder.glob("*.yaml") for r in load(file).recordings for o in r.observations
        if o.channel == "tcp.open"
    }  # fmt: skip


def test_behind_a_router_root_finds_hosts_and_ports_without_a_connection(me: Any, place: Path, capture: Any) -> None:
    # One has a port open, one refuses all, one answers nothing by TCP.
    fleet = [device(1, "80,554"), device(2, ""), device(3, "8000"), device(4, "", behaviour="silent"), device(5)]
    log = place / "audit.log"
    with Lab(fleet, routed=True) as lab:
        enter = lab.enter([])
        with capture(enter) as frames:
            report, _ = me.scan("10.77.0.0/29", "--rate", "500", "--exclude", "10.77.0.5", "--audit-log", str(log),
                                "--record", str(place / "heard"), enter=enter)  # fmt: skip
        violations = lab.violations()

    assert sorted(d["ip"] for d in report["devices"]) == ["10.77.0.1", "10.77.0.2", "10.77.0.3"]
    assert methods(report)["syn"] == (True, 3)
    assert methods(report)["icmp"] == (True, 3)
    assert "connect" not in methods(report)
    assert opened(place / "heard") == {"10.77.0.1": "80,554", "10.77.0.3": "8000"}
    assert violations == []
    lines = [line.split("\t")[1:] for line in log.read_text().splitlines()]
    kinds = Counter((kind, place.partition(":")[0]) for kind, place, *_ in lines)
    assert kinds["syn", "10.77.0.6"] == 2 * 7  # two passes over the ports where life is looked for
    assert kinds["icmp", "10.77.0.6"] == 2
    assert kinds["icmp", "10.77.0.1"] == 1
    assert kinds["tcp", "10.77.0.6"] == 0
    assert len([f for f in frames.frames if f[2] == "10.77.0.6"]) == 16
    assert [f for f in frames.frames if f[2] == "10.77.0.5"] == []
    assert {"udp", "tcp"} <= {kind for kind, where in kinds if where == "10.77.0.1"}  # others were asked everything
    refused = {line[1] for line in lines if line[0] == "syn" and line[1].startswith("10.77.0.2:")}
    assert not refused & {line[1] for line in lines if line[0] == "tcp"}  # what refused is not asked again


def test_behind_a_router_others_find_the_same_hosts_by_connecting(somebody: Any, capture: Any) -> None:
    fleet = [device(1, "80,554"), device(2, ""), device(3, "8000"), device(5)]
    with Lab(fleet, routed=True) as lab:
        lab.run(["sh", "-c", "echo 0 65535 > /proc/sys/net/ipv4/ping_group_range"])
        become, somebody.prefix = somebody.prefix, []
        with capture(lab.enter([])) as caught:
            report, _ = somebody.scan("10.77.0.0/29", "--exclude", "10.77.0.5", enter=[*lab.enter([]), *become])

    assert sorted(d["ip"] for d in report["devices"]) == ["10.77.0.1", "10.77.0.2", "10.77.0.3"]
    assert methods(report)["syn"][0] is False
    assert methods(report)["connect"] == (True, 3)
    assert methods(report)["icmp"] == (True, 3)
    assert json.dumps(report).count("Root would have told open ports") == 1
    targets = {target for _, _, target in caught.frames}
    assert "10.77.0.6" in targets
    assert "10.77.0.5" not in targets


def test_in_a_hurry_no_connection_is_tried_where_a_port_refuses(
    me: Any, capture: Any, fleet: tuple[Recording, ...]
) -> None:
    """Ports of hosts on a link are known before anybody connects; what a filter keeps to itself is tried all the same."""
    turret = next(r for r in fleet if r.id == "hik-turret")
    by_tcp = tuple(o for o in turret.observations if o.channel.startswith("http") and not o.tls)
    at_once, behind_a_filter = (
        replace(turret, observations=by_tcp, id=f"turret-{n}", ip=f"10.77.0.{n}", mac=f"02:56:e3:00:00:0{n}")
        for n in (1, 4)
    )
    several = device(6, "", addresses=("10.77.0.7",))
    there = [at_once, device(2, ""), behind_a_filter, device(5, "80"), several]
    bare = "ip daddr 10.77.0.4 tcp flags & (syn | ack) == syn tcp doff 6 drop"  # the kernel's own probes are longer
    with Lab(there, network="10.77.0.0/25") as lab:
        rules = f"table ip filter {{ chain in {{ type filter hook input priority -5; {bare};\n}}\n}}"
        subprocess.run(["nsenter", f"--net=/proc/{lab.pid}/ns/net", "nft", rules], check=True)
        with capture(lab.enter([])) as caught:
            report, _ = me.scan("10.77.0.0/25", "--fast", "--exclude", "10.77.0.5", enter=lab.enter([]))
        violations = lab.violations()

    asked = [(peer, port, mine) for ours, peer, port, mine, flags, _ in caught.tcp if ours and flags == SYN]
    refusing = [(port, mine) for peer, port, mine in asked if peer == "10.77.0.2"]
    assert sorted(port for port, _ in refusing) == sorted(ports.ASKED)  # each once
    (probe,) = {mine for _, mine in refusing}
    connected = {(peer, port) for peer, port, mine in asked if mine != probe}
    assert {port for peer, port in connected if peer == "10.77.0.1"} == {o.port for o in by_tcp}
    # One device with two addresses would hear two probes at once: it is asked one by one.
    assert {peer for peer, _, mine in asked if mine == probe} == {f"10.77.0.{n}" for n in (1, 2, 4)}
    assert "10.77.0.5" not in {target for _, _, target in caught.frames}
    assert set(caught.together().values()) <= {0, 1}
    assert violations == []
    assert [d["ip"] for d in report["devices"] if d["manufacturer"] == "hikvision"] == ["10.77.0.1", "10.77.0.4"]
    assert methods(report)["syn"] == (True, 2)


@pytest.mark.crowd
def test_four_times_the_hosts_that_the_neighbour_table_holds_are_all_named(
    me: Any, fleet: tuple[Recording, ...]
) -> None:
    one = next(r for r in fleet if r.id == "huawei-switch")
    assert [o.channel for o in one.observations] == ["ssh.banner"]  # what is simulated costs as little as can be
    crowd = [
        replace(one, id=f"switch-{n}", ip=device(n).ip, mac=f"{(one.mac or '')[:8]}:00:{n >> 8:02x}:{n & 255:02x}")
        for n in range(1, 4097)
    ]
    limit = int(Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3").read_text())
    assert limit <= 1024, "this machine's neighbour table is larger than the default: the test would show nothing"
    words = ("10.77.0.1-10.77.16.0", "--fast", "--rate", "1000000", "--ports", "22")
    with Lab(crowd) as lab:
        before = neighbour_table.overflows()
        report, _ = me.scan(*words, enter=lab.enter([]))
        left = lab.run(["ip", "neigh", "show"]).stdout
        assert neighbour_table.overflows() == before

    # A prefix alone makes a maker likely; only who was reached by TCP, too, is confirmed.
    named = [d["ip"] for d in report["devices"] if (d["manufacturer"], d["level"]) == ("huawei", "confirmed")]
    assert sorted(named) == sorted(r.ip or "" for r in crowd)
    assert report["coverage"]["unreached"] == []
    assert len(left.splitlines()) < limit
