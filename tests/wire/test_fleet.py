"""Everybody in the fleet is found and told as they are: as root and as an ordinary user, near and far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scanner.model import Recording, Transport
from scanner.protocols import protocols
from scanner.recordings import load
from scanner.simulate.device import open_ports
from scanner.simulate.lab import Lab

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]
FILES = [str(file) for file in sorted((Path(__file__).resolve().parents[1] / "fleet").glob("*.yaml"))]
NETWORK = "10.77.0.0/24"


def test_the_fleet_is_large_and_mixed(fleet: tuple[Recording, ...]) -> None:
    truths = [r.truth.manufacturer for r in fleet if r.truth is not None]

    assert len(fleet) >= 40
    assert len(truths) == len(fleet)
    assert len(set(truths)) >= 20
    assert {r.behaviour for r in fleet} >= {"silent", "tarpit", "endless", "half", "reset", "garbage"}


def test_as_root_on_the_segment(fleet: tuple[Recording, ...], me: Any, compare: Any, place: Path) -> None:
    with Lab(fleet, network=NETWORK, requests=5) as lab:
        report, done = me.scan(NETWORK, "--record", str(place / "heard"), enter=lab.ready.enter)
        places = {name: (placed.ip, placed.mac) for name, placed in lab.devices.items()}
        violations = lab.violations()

    assert compare.wrong(report, places) == []
    assert violations == []
    assert {device["ip"]: device["mac"] for device in report["devices"]} == dict(places.values())
    assert places["dark"][0] in report["coverage"]["silent"]
    assert sorted(method["name"] for method in report["coverage"]["methods"] if method["hosts"]) == ["arp", "multicast"]
    assert "\x1b" not in done.stdout + done.stderr
    _what_was_recorded_is_what_was_reported(report, place / "heard", me)


def _what_was_recorded_is_what_was_reported(report: dict[str, Any], folder: Path, me: Any) -> None:
    import json

    files = sorted(folder.glob("*.yaml"))
    assert len(files) == len(report["devices"])
    assert all(not load(file).problems for file in files)
    done = me.run(
        "identify", "--profile", "us-federal-contractor", "--as-of", "2026-11-24", "--format", "jsonl", *map(str, files)
    )
    assert done.returncode == 0, done.stderr
    again = {line["id"]: line for line in map(json.loads, done.stdout.splitlines())}
    names = ("manufacturer", "brand", "kind", "model", "firmware", "serial", "level")
    assert {d["id"]: [d[n] for n in names] for d in report["devices"]} == {
        name: [line[n] for n in names] for name, line in again.items()
    }


def test_as_an_ordinary_user_on_a_segment_of_their_own(somebody: Any, compare: Any) -> None:
    with somebody.simulate(*FILES, "--lab", "--network", NETWORK) as ready:
        report, _ = somebody.scan(NETWORK, enter=ready["enter"])

    places = {device["id"]: (device["ip"], device["mac"]) for device in ready["devices"]}
    assert compare.wrong(report, places) == []


def test_without_the_right_to_raw_sockets(fleet: tuple[Recording, ...], somebody: Any, compare: Any) -> None:
    # Only who may enter can become an ordinary user inside; who is one already keeps nothing there.
    become = somebody.prefix or ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]
    somebody.prefix = []
    with Lab(fleet, network=NETWORK) as lab:
        report, _ = somebody.scan(NETWORK, enter=[*lab.ready.enter, *become])
        places = {name: (placed.ip, placed.mac) for name, placed in lab.devices.items()}
        assert lab.violations() == []

    assert compare.wrong(report, places) == []
    methods = {method["name"]: method for method in report["coverage"]["methods"]}
    assert not methods["arp"]["ran"]
    assert "raw sockets" in methods["arp"]["note"]
    assert methods["neighbours"]["hosts"] == len(fleet)


def test_as_an_ordinary_user_on_loopback(
    fleet: tuple[Recording, ...], somebody: Any, compare: Any, place: Path
) -> None:
    table = str(place / "ports.json")
    with somebody.simulate(*FILES, "--bind", "127.78.0.0/24", "--high-ports", "--port-map", table) as ready:
        report, _ = somebody.scan("127.78.0.0/24", "--port-map", table)

    found = {device["ip"] for device in report["devices"]}
    speaking = {r.id for r in fleet if _over_tcp(r)}
    places = {
        device["id"]: (device["ip"], None) for device in ready["devices"]
        if device["id"] in speaking or (device["id"] == "resets" and device["ip"] in found)  # seen, or not in time
    }  # fmt: skip
    assert len(places) > 40
    assert compare.wrong(report, places) == []


def test_as_an_ordinary_user_on_loopback_with_real_ports(
    somebody: Any, fleet: tuple[Recording, ...], compare: Any
) -> None:
    """In a namespace of their own even an ordinary user may open port 80."""
    innocent = [file for file in FILES if file.endswith("innocent.yaml")]
    with somebody.simulate(*innocent, "--bind", "127.79.0.0/26") as ready:
        report, _ = somebody.scan("127.79.0.0/26", enter=ready["enter"])

    assert ready["port_map"] is None
    speaking = {r.id for r in fleet if _over_tcp(r)}
    places = {device["id"]: (device["ip"], None) for device in ready["devices"] if device["id"] in speaking}
    assert len(places) > 10
    assert compare.wrong(report, places) == []


def _over_tcp(recording: Recording) -> bool:
    """On loopback only an open port shows that somebody is there."""
    kinds = {transport for transport, _ in open_ports(recording, list(protocols().values()))}
    return Transport.TCP in kinds and recording.behaviour != "reset"


def test_behind_a_router(fleet: tuple[Recording, ...], me: Any, compare: Any) -> None:
    with Lab(fleet, network=NETWORK, routed=True, requests=5) as lab:
        report, _ = me.scan(NETWORK, enter=lab.ready.enter)
        places = {name: (placed.ip, None) for name, placed in lab.devices.items() if name != "dark"}
        assert lab.violations() == []

    # Answers to a group, and questions to everybody, cross no router.
    assert compare.wrong(report, places, unheard=lambda r: r.id in {"hik-group-answer", "dahua-old-search"}) == []
    assert all(device["mac"] is None for device in report["devices"])
