"""The same devices seen by a scan, by a capture of it, by nmap and arp-scan: real producers, one picture."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scanner.model import Recording
from scanner.recordings import load
from scanner.simulate.lab import Lab

pytestmark = pytest.mark.root
NETWORK = "10.55.0.0/24"
SURE = {"likely", "confirmed"}


@contextmanager
def _captured(lab: Lab, file: Path, link: str = "s0") -> Iterator[None]:
    words = [*lab.ready.enter, "tcpdump", "-i", link, "-B", "16384", "-U", "-s", "0", "-w", str(file), "-Z", "root"]
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


def _neighbours(lab: Lab) -> list[str]:
    return [placed.ip for placed in lab.devices.values()]


def _swept(lab: Lab, file: Path, ports: str) -> None:
    """masscan looks for open ports; its wait for late answers ends only when a frame comes, so one is sent."""
    words = lab.enter(["masscan", "-p", ports, "--rate", "400", "--wait", "1", "-e", "s0", "--adapter-ip", lab.scanner_address,
                       "--router-mac", "02-00-00-00-00-fd", "-oJ", str(file), *_neighbours(lab)])  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=file.parent)
    try:
        for _ in range(60):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
                return
            _produced(lab, "arp-scan", "-I", "s0", "-q", "--retry=1", _neighbours(lab)[0])
        raise AssertionError("masscan does not end")
    finally:
        process.kill()
        process.wait()


def _open_ports(file: Path, me: Any) -> dict[str, set[int]]:
    """Address → open ports, as an import of one file has them."""
    folder = file.with_suffix(".heard")
    done = me.run("import", str(file), "--record", str(folder), "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    kept = [load(one).recordings[0] for one in folder.glob("*.yaml")]
    return {r.ip or "": {int(p) for p in o.value.split(",")} for r in kept for o in r.observations if o.channel == "tcp.open"}


def test_scan_capture_and_other_scanners_agree(
    fleet: tuple[Recording, ...], corpus: tuple[Recording, ...], me: Any, place: Path
) -> None:
    """The same hundred devices by scan, by its capture, by nmap and by arp-scan: the same makers, or less sure."""
    some = (*(r for r in fleet if r.behaviour is None), *corpus[::8])
    with Lab(some, network=NETWORK) as lab:
        with _captured(lab, place / "scan.pcap"):
            report, _ = me.scan(NETWORK, "--fast", enter=lab.ready.enter)
        addresses = _neighbours(lab)
        _swept(lab, place / "masscan.json", "80,443,554,8000")
        arp = _produced(lab, "arp-scan", "-I", "s0", "--interval=1", NETWORK)
        neighbours = _produced(lab, "ip", "neigh")
        _produced(lab, "nmap", "-n", "-Pn", "-T5", "--max-retries", "1", "-p", "80,443,554,8000", "--script-timeout", "4s", "--script",
                  "http-title,http-server-header,ssl-cert,rtsp-methods", "-oX", str(place / "nmap.xml"), *addresses)  # fmt: skip
    (place / "arp.txt").write_text(arp)
    (place / "neigh.txt").write_text(neighbours)
    scanned = {device["mac"]: device for device in report["devices"]}
    assert len(scanned) == len(some) > 100

    # Every source alone: nobody is taken for another's, and what it hears less of is only less sure.
    heard = {
        "capture": _imported(me, str(place / "scan.pcap")), "nmap": _imported(me, str(place / "nmap.xml")),
        "arp-scan": _imported(me, str(place / "arp.txt")), "ip neigh": _imported(me, str(place / "neigh.txt")),
    }  # fmt: skip
    for source, devices in heard.items():
        assert set(scanned) == set(scanned) & set(devices), source
        wrong = [
            (mac, devices[mac]["manufacturer"], device["manufacturer"]) for mac, device in scanned.items()
            if devices[mac]["level"] in SURE and devices[mac]["manufacturer"] != device["manufacturer"]
        ]  # fmt: skip
        assert wrong == [], source
    known = {mac for mac, device in scanned.items() if device["level"] in SURE}
    # The capture hears what the scan heard, but for what was said inside TLS.
    missed = known - {mac for mac, device in heard["capture"].items() if device["level"] in SURE}
    assert all(any(e["port"] in {443, 8443} for e in scanned[mac]["evidence"]) for mac in missed), missed
    assert len(missed) <= len(known) // 5

    # masscan tells of ports only: those it names, and no other; it may leave before it has read all answers.
    named: dict[str, set[int]] = {}
    for record in json.loads((place / "masscan.json").read_text()):
        named.setdefault(record["ip"], set()).update(port["port"] for port in record["ports"])
    opened, by_nmap = _open_ports(place / "masscan.json", me), _open_ports(place / "nmap.xml", me)
    assert opened == named != {}
    assert all(found <= by_nmap[address] for address, found in opened.items())

    # All of them together are still as many devices, and no less is known of them.
    files = ("scan.pcap", "nmap.xml", "masscan.json", "arp.txt", "neigh.txt")
    together = _imported(me, *(str(place / name) for name in files))
    assert set(scanned) <= set(together)
    assert len(together) <= len(scanned) + 1  # who scanned
    assert known - {mac for mac, device in together.items() if device["level"] in SURE} <= missed


TRUNK = """
import os, selectors, socket, struct
# Two ports of a switch in VLAN 20, s0 and c0, and the trunk between them; checksums and sizes that the kernel has put off
# (struct virtio_net_hdr) travel with the frames. A kernel without 802.1Q interfaces can do this too.
def port(name):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
    sock.setsockopt(263, 1, struct.pack("iHH8s", socket.if_nametoindex(name), 1, 0, bytes(8)))  # promiscuous
    sock.bind((name, 3))
    return sock
sides = {name: port(name) for name in ("s0", "t0", "t1", "c0")}
other = {"s0": "t0", "t0": "s0", "c0": "t1", "t1": "c0"}
look = selectors.DefaultSelector()
for name, sock in sides.items(): look.register(sock, selectors.EVENT_READ, name)
print("ready", flush=True)
while True:
    for key, _ in look.select():
        data, where = key.fileobj.recvfrom(1 << 17)
        if where[2] == 4: continue  # our own
        flags, kind, size, segment, start, offset = struct.unpack("=BBHHHH", data[:10])
        frame = data[10:]
        if key.data in "s0c0":
            frame = frame[:12] + b"\\x81\\0\\0\\x14" + frame[12:]
            size, start = size + 4 * bool(size), start + 4 * (flags & 1)
        elif frame[12:14] == b"\\x81\\0":  # the kernel has taken the tag off, or left it on
            frame = frame[:12] + frame[16:]
            size, start = size - 4 * bool(size), start - 4 * (flags & 1)
        try: sides[other[key.data]].send(struct.pack("=BBHHHH", flags & 1, kind, size, segment, start, offset) + frame)
        except OSError: pass
"""
CABLES = """
set -e
ip addr flush dev s0
ip link set s0 address 02:00:00:00:00:aa
ip link add t0 type veth peer name t1
ip link add c0 type veth peer name c1 netns $1
for one in t0 t1 c0; do ip link set $one up; done
"""
BEHIND = """
set -e
ip link set c1 address 02:00:00:00:00:fe
ip link set lo up; ip link set c1 up
ip addr add $1/24 broadcast + dev c1
"""


def test_a_trunk_keeps_its_vlan(fleet: tuple[Recording, ...], me: Any, place: Path) -> None:
    """A scan across a trunk whose frames carry an 802.1Q tag; tcpdump and `listen` stand at the trunk and keep it."""
    some = tuple(r for r in fleet if r.behaviour is None)[-12:]
    with Lab(some, network=NETWORK) as lab, contextlib.ExitStack() as started:
        holder = _started(started, lab.enter(["unshare", "-n", "sh", "-c", "echo ready; exec sleep 120"]))
        _produced(lab, "sh", "-c", CABLES, "cables", str(holder.pid))
        inside = ["nsenter", "-t", str(holder.pid), "-n"]
        subprocess.run([*inside, "sh", "-c", BEHIND, "behind", lab.scanner_address], check=True)
        _started(started, lab.enter([sys.executable, "-c", TRUNK]))
        before = _sockets(lab)
        ear = me.start("listen", "-i", "t1", "--promiscuous", "--format", "json", enter=lab.ready.enter)
        started.callback(ear.kill)
        _until(lambda: _sockets(lab) > before)
        with _captured(lab, place / "trunk.pcap", "t1"):
            report, _ = me.scan(NETWORK, "--fast", enter=inside)
        ear.send_signal(signal.SIGINT)
        out, err = ear.communicate(timeout=60)
    assert ear.returncode == 0, err
    scanned = {device["mac"]: device for device in report["devices"]}
    assert set(scanned) == {placed.mac for placed in lab.devices.values()}
    captured = _imported(me, str(place / "trunk.pcap"))
    heard = {device["mac"]: device for device in json.loads(out)["devices"]}
    for mac, device in scanned.items():
        for other in (captured[mac], heard[mac]):
            assert (other["ip"], other["place"]["vlan"]) == (device["ip"], 20)
            assert other["level"] not in SURE or other["manufacturer"] == device["manufacturer"]


def _sockets(lab: Lab) -> int:
    return len(_produced(lab, "cat", "/proc/net/packet").splitlines())


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _started(stack: contextlib.ExitStack, words: Sequence[str]) -> subprocess.Popen[str]:
    """A helper that says when it is ready, until the stack ends."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    stack.callback(process.communicate)
    stack.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


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
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
until_() {{ for _ in $(seq 200); do if eval "$1"; then return 0; fi; sleep 0.05; done; echo "never: $1" >&2; return 1; }}
ip link set lo up
ip link add br0 type bridge; ip link set br0 address 02:00:00:00:00:fe; ip addr add 10.66.0.1/24 dev br0; ip link set br0 up
ip link add c0 type veth peer name c1; ip link set c1 master br0; ip link set c1 up
ip link add l0 type veth peer name l1; ip link set l1 master br0; ip link set l1 up; ip link set l0 up
unshare -n sleep 60 & CLIENT=$!
until_ '[ "$(readlink /proc/$CLIENT/ns/net)" != "$(readlink /proc/self/ns/net)" ]'
ip link set c0 netns $CLIENT
nsenter -t $CLIENT -n ip link set c0 address ac:cc:8e:01:02:03
nsenter -t $CLIENT -n ip link set c0 up
dnsmasq -k -C {place}/conf --user=root --pid-file={place}/pid & SERVER=$!
tcpdump -i l0 --immediate-mode -U -s 0 -Z root -w {capture} 2>{place}/told & DUMP=$!
until_ '[ "$(bridge link | grep -c "state forwarding")" = 2 ]'
until_ 'grep -q listening {place}/told && [ -s {place}/pid ]'
nsenter -t $CLIENT -n udhcpc -i c0 -n -q -f -B -t 20 -T 1 -s /bin/true -V "AXIS,Network Camera,P3343,5.20.3" -x hostname:axis-accc8e010203
sleep 0.3
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
