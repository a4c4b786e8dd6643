"""The same devices seen by a scan, by a capture of it, by nmap and arp-scan: real producers, one picture."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scanner.model import Recording
from scanner.simulate.lab import Lab

pytestmark = pytest.mark.root
NETWORK = "10.55.0.0/24"
SURE = {"likely", "confirmed"}


@contextmanager
def _captured(lab: Lab, file: Path) -> Iterator[None]:
    words = [*lab.ready.enter, "tcpdump", "-i", "s0", "-U", "-s", "0", "-w", str(file), "-Z", "root"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "listening on" in process.stderr.readline()
    try:
        yield
    finally:
        time.sleep(0.5)
        process.terminate()
        process.communicate(timeout=20)


def _produced(lab: Lab, *words: str, seconds: float = 120) -> str:
    done = subprocess.run([*lab.ready.enter, *words], capture_output=True, text=True, check=False, timeout=seconds)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def _imported(me: Any, *words: str) -> dict[str, dict[str, Any]]:
    done = me.run("import", *words, "--format", "json", "--profile", "us-federal-contractor", "--as-of", "2026-11-24")
    assert done.returncode in {0, 1}, done.stderr
    return {device["mac"]: device for device in json.loads(done.stdout)["devices"] if device["mac"]}


def test_scan_capture_and_other_scanners_agree(fleet: tuple[Recording, ...], me: Any, place: Path) -> None:
    some = tuple(r for r in fleet if r.behaviour is None)[:10]
    with Lab(some, network=NETWORK) as lab:
        with _captured(lab, place / "scan.pcap"):
            report, _ = me.scan(NETWORK, enter=lab.ready.enter)
        addresses = [placed.ip for placed in lab.devices.values()]
        arp = _produced(lab, "arp-scan", "-I", "s0", NETWORK)
        neighbours = _produced(lab, "ip", "neigh")
        _produced(lab, "nmap", "-n", "-Pn", "-T4", "--max-retries", "1", "-p", "80,554", "--script-timeout", "4s", "--script",
                  "http-title,http-server-header", "-oX", str(place / "nmap.xml"), *addresses[:4])  # fmt: skip
    (place / "arp.txt").write_text(arp)
    (place / "neigh.txt").write_text(neighbours)
    scanned = {device["mac"]: device for device in report["devices"]}
    assert len(scanned) == len(some)

    # Every source alone: nobody is taken for another's, and what it hears less of is only less sure.
    heard = {
        "capture": _imported(me, str(place / "scan.pcap")), "nmap": _imported(me, str(place / "nmap.xml")),
        "arp-scan": _imported(me, str(place / "arp.txt")), "ip neigh": _imported(me, str(place / "neigh.txt")),
    }  # fmt: skip
    for source, devices in heard.items():
        assert len(set(scanned) & set(devices)) == (4 if source == "nmap" else len(scanned)), source
        wrong = [
            (mac, devices[mac]["manufacturer"], device["manufacturer"]) for mac, device in scanned.items()
            if mac in devices and devices[mac]["level"] in SURE and device["level"] in SURE and devices[mac]["manufacturer"] != device["manufacturer"]
        ]  # fmt: skip
        assert wrong == [], source
    known = {mac for mac, device in scanned.items() if device["level"] in SURE}
    # The capture hears what the scan heard, but for what was said inside TLS.
    missed = known - {mac for mac, device in heard["capture"].items() if device["level"] in SURE}
    assert all(any(e["port"] in {443, 8443} for e in scanned[mac]["evidence"]) for mac in missed), missed
    assert len(missed) <= len(known) // 5

    # All of them together are still as many devices, and no less is known of them.
    files = ("scan.pcap", "nmap.xml", "arp.txt", "neigh.txt")
    together = _imported(me, *(str(place / name) for name in files))
    assert set(scanned) <= set(together)
    assert known - {mac for mac, device in together.items() if device["level"] in SURE} <= missed
    assert len([m for m in together if m in scanned]) == len(scanned)


def test_nmap_sends_where_only_nmap_may(fleet: tuple[Recording, ...], me: Any) -> None:
    some = tuple(r for r in fleet if r.behaviour is None)[:1]
    with Lab(some, network=NETWORK) as lab:
        addresses = [placed.ip for placed in lab.devices.values()]
        report, _ = me.scan(*addresses, "--engine", "nmap", "--ports", "80", "--fast", enter=lab.ready.enter)

    assert {device["ip"] for device in report["devices"]} == set(addresses)
    assert [method["name"] for method in report["coverage"]["methods"]] == ["nmap (engine)"]


SERVER = """
interface=br0
bind-interfaces
port=0
dhcp-range=10.66.0.10,10.66.0.50,255.255.255.0,1h
dhcp-leasefile={leases}
dhcp-authoritative
no-ping
"""


def test_a_real_client_and_a_real_server_of_dhcp(place: Path, me: Any) -> None:
    """dnsmasq leases to udhcpc across a bridge; who listens at the bridge, and who reads the leases, know the client."""
    leases, capture = place / "leases", place / "dhcp.pcap"
    (place / "conf").write_text(SERVER.format(leases=leases))
    # One namespace: a bridge with the server on it, the client behind one pair of interfaces, the listener behind another.
    script = f"""
set -e
ip link set lo up
ip link add br0 type bridge; ip link set br0 address 02:00:00:00:00:fe; ip addr add 10.66.0.1/24 dev br0; ip link set br0 up
ip link add c0 type veth peer name c1; ip link set c1 master br0; ip link set c1 up
ip link add l0 type veth peer name l1; ip link set l1 master br0; ip link set l1 up; ip link set l0 up
unshare -n sleep 60 & CLIENT=$!
sleep 0.3
ip link set c0 netns $CLIENT
nsenter -t $CLIENT -n ip link set c0 address ac:cc:8e:01:02:03
nsenter -t $CLIENT -n ip link set c0 up
dnsmasq -k -C {place}/conf --user=root --pid-file={place}/pid & SERVER=$!
tcpdump -i l0 -U -s 0 -Z root -w {capture} 2>/dev/null & DUMP=$!
sleep 1.5
nsenter -t $CLIENT -n udhcpc -i c0 -n -q -f -B -t 5 -T 1 -s /bin/true -V "AXIS,Network Camera,P3343,5.20.3" -x hostname:axis-accc8e010203
sleep 0.7
kill $DUMP $SERVER $CLIENT
wait || true
"""
    done = subprocess.run(["unshare", "-n", "bash", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr

    heard = _imported(me, str(capture))["ac:cc:8e:01:02:03"]
    leased = _imported(me, str(leases))["ac:cc:8e:01:02:03"]
    assert heard["ip"] == leased["ip"]
    assert (heard["manufacturer"], heard["level"]) == ("axis", "confirmed")
    assert leased["manufacturer"] == "axis"
