"""Scans of a segment whose devices have MACs of their own: real ARP, real multicast, real TCP, in namespaces."""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from scanner import engine, knowledge
from scanner.config import Plan
from scanner.discover import neighbours
from scanner.discover.book import SEVERAL, Book, Entry, Sighting
from scanner.engine.stages import _Lanes
from scanner.knowledge import Knowledge
from scanner.model import Report
from scanner.net import netlink

pytestmark = pytest.mark.root
Build = Callable[[dict[str, str]], Any]

SIMULATOR = """
import asyncio, socket, struct, sys
GROUP, speakers = "239.255.255.250", sys.argv[1].split(",")
async def serve(reader, writer):
    try:
        await reader.readuntil(b"\\r\\n\\r\\n")
        writer.write(b"HTTP/1.1 200 OK\\r\\nServer: test\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    except Exception:
        pass
    writer.close()
def answer(address):
    return ("<?xml version=\\"1.0\\" encoding=\\"UTF-8\\"?><ProbeMatch><Types>inquiry</Types>"
            "<DeviceDescription>DS-2CD2385G1-I</DeviceDescription><DeviceSN>DS-2CD2385G1-I2020AAWR" + address +
            "</DeviceSN><IPv4Address>" + address + "</IPv4Address></ProbeMatch>").encode()
def heard():
    data, ancillary, _, peer = sock.recvmsg(4000, 100)
    _, there, to = struct.unpack("=i4s4s", ancillary[0][2])
    alone = socket.inet_ntoa(to)
    for address in speakers:
        if b"<Types>inquiry</Types>" in data and alone in (GROUP, address):
            source = struct.pack("=i4s4s", 0, socket.inet_aton(address), bytes(4))
            sock.sendmsg([answer(address)], [(socket.IPPROTO_IP, 8, source)], 0, peer)
async def main():
    await asyncio.start_server(serve, "0.0.0.0", 80, backlog=4096)
    asyncio.get_running_loop().add_reader(sock.fileno(), heard)
    print("up", flush=True)
    await asyncio.sleep(300)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setblocking(False)
sock.setsockopt(socket.IPPROTO_IP, 8, 1)
sock.bind(("", 37020))
index = socket.if_nametoindex("d0")
member = struct.pack("=4s4si", socket.inet_aton(GROUP), bytes(4), index)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
asyncio.run(main())
"""


def fleet(count: int, prefix: str = "3c:ef:8c") -> dict[str, str]:
    return {f"10.77.{n >> 8}.{n & 255}": f"{prefix}:00:{n >> 8:02x}:{n & 255:02x}" for n in range(1, count + 1)}


class Capture:
    """Every frame that arrives on the devices' side, from a socket that lives there."""

    def __init__(self, made: Any) -> None:
        self.frames: list[bytes] = []
        self._process = subprocess.Popen(
            ["nsenter", "-t", str(made.holder), "-n", "tcpdump", "-i", "d0", "-Q", "in", "-U", "-w", "-", "-s", "96",
             "--immediate-mode", "-B", "8192"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stderr is not None
        assert b"listening" in self._process.stderr.readline()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        out = self._process.stdout
        assert out is not None
        out.read(24)
        while len(header := out.read(16)) == 16:
            self.frames.append(out.read(struct.unpack("=IIII", header)[2]))

    def __enter__(self) -> list[bytes]:
        return self.frames

    def __exit__(self, *_: object) -> None:
        time.sleep(0.3)
        self._process.terminate()
        self._thread.join(5)
        self._process.communicate()


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return knowledge.load(())


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def plan(*words: str, **more: Any) -> Plan:
    return Plan(targets=words, **{"rate": 20_000.0, "ports": (80,), "timeout": 1.0, **more})


def method(report: Report, name: str) -> Any:
    return next((m for m in report.coverage.methods if m.name == name), None)


def test_everybody_is_found_asked_and_heard(segment: Build, known: Knowledge) -> None:
    devices = fleet(40)
    made = segment(devices)
    made.start(SIMULATOR, "10.77.0.7,10.77.0.8")
    report = engine.run(plan("10.77.0.0/24"), known)

    assert {d.recording.ip: d.recording.mac for d in report.devices} == devices
    assert report.scan.failures == ()
    assert report.coverage.silent == ()
    assert method(report, "arp").hosts == 40
    assert method(report, "multicast").hosts == 2
    by_address = {d.recording.ip: d for d in report.devices}
    seven = by_address["10.77.0.7"].recording.observations
    assert next(o.channel for o in seven if not o.silent) == "sadp.response"
    assert any(o.channel == "sadp.response" and o.silent for o in by_address["10.77.0.9"].recording.observations)
    opened = [o.value for d in report.devices for o in d.recording.observations if o.channel == "tcp.open"]
    assert opened == ["80"] * 40
    assert all(1 <= d.packets <= 60 for d in report.devices)


def test_excluded_hosts_receive_no_frame_of_their_own(segment: Build, known: Knowledge) -> None:
    devices = {**fleet(20), "10.77.0.30": "00:40:84:00:00:01"}
    made = segment(devices)
    made.start(SIMULATOR, "10.77.0.7,10.77.0.8,10.77.0.30")
    with Capture(made) as frames:
        report = engine.run(plan("10.77.0.0/26", exclude=("10.77.0.7", "10.77.0.10-12", "00:40:84")), known)

    excluded = {"10.77.0.7", "10.77.0.10", "10.77.0.11", "10.77.0.12"}
    assert len(frames) > 50
    assert {d.recording.ip for d in report.devices} == set(devices) - excluded - {"10.77.0.30"}
    macs = {bytes.fromhex(devices[a].replace(":", "")) for a in (*excluded, "10.77.0.30")}
    addresses = {socket.inet_aton(a) for a in excluded}
    assert not [f for f in frames if f[:6] in macs]
    assert not [f for f in frames if f[12:14] == b"\x08\x06" and f[38:42] in addresses]
    addresses.add(socket.inet_aton("10.77.0.30"))  # its MAC is known only once it has been found
    assert not [f for f in frames if f[12:14] == b"\x08\x00" and f[30:34] in addresses]
    assert report.coverage.excluded == 5


def test_without_raw_sockets_the_kernel_helps(segment: Build, known: Knowledge) -> None:
    devices = fleet(30)
    segment(devices).start(SIMULATOR, "10.77.0.7")
    report = engine.run(plan("10.77.0.0/26", raw=False, multicast=False), known)

    assert {d.recording.ip: d.recording.mac for d in report.devices} == devices
    assert method(report, "arp").ran is False
    assert method(report, "neighbours").hosts == 30
    assert method(report, "multicast").ran is False


def test_hosts_that_answer_nothing_are_listed_as_silent(segment: Build, known: Knowledge) -> None:
    made = segment(fleet(5))
    made.inside("nft", "add table ip mute; add chain ip mute in { type filter hook input priority 0; }")
    made.inside("nft", "add rule ip mute in ip daddr { 10.77.0.2, 10.77.0.3 } drop")
    made.start(SIMULATOR, "10.77.0.1")
    report = engine.run(plan("10.77.0.0/28", timeout=0.3), known)

    assert len(report.devices) == 5
    assert set(report.coverage.silent) == {"10.77.0.2", "10.77.0.3"}
    assert not set(report.coverage.unknown) & set(report.coverage.silent)


def test_a_device_from_a_foreign_subnet_is_heard_and_not_asked(segment: Build, known: Knowledge) -> None:
    made = segment(fleet(3))
    made.inside("ip", "route", "add", "local", "192.168.1.64/32", "dev", "lo")
    made.start(SIMULATOR, "192.168.1.64")
    Path("/proc/sys/net/ipv4/conf/all/rp_filter").write_text("0")
    Path("/proc/sys/net/ipv4/conf/s0/rp_filter").write_text("0")
    subprocess.run(["ip", "route", "add", "192.168.1.0/24", "dev", "s0"], check=True)
    report = engine.run(plan("10.77.0.0/29"), known)

    foreign = next(d for d in report.devices if d.recording.ip == "192.168.1.64")
    assert not any(o.channel.startswith("http") for o in foreign.recording.observations)
    assert any("192.168.1.64" in warning for warning in report.coverage.warnings)


def test_an_interface_that_goes_away_ends_in_a_partial_report(segment: Build, known: Knowledge) -> None:
    made = segment(fleet(200))
    made.start(SIMULATOR, "10.77.0.7")
    timer = threading.Timer(1.0, made.inside, ("ip", "link", "del", "d0"))
    timer.start()
    start = time.monotonic()
    report = engine.run(plan("10.77.0.0/22", rate=300), known)
    took = time.monotonic() - start
    timer.join()

    assert took < 60
    assert report.scan.failures
    assert all("s0" in failure for failure in report.scan.failures)
    assert 10 < len(report.devices) < 200
    assert not report.scan.interrupted


@pytest.mark.crowd
def test_a_crowd_is_asked_wholly_and_the_neighbour_table_is_left_as_it_was(
    segment: Build, known: Knowledge, own_state: Path
) -> None:
    devices = fleet(1200)
    segment(devices).start(SIMULATOR, "10.77.0.7")
    written: list[int] = []
    real = netlink.write_neighbours

    def write(entries: Any) -> Any:
        done = real(entries)
        written.append(len(done))
        assert list((own_state / "lanveto").glob("neighbours-*.json"))
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(netlink, "write_neighbours", write)
        report = engine.run(plan("10.77.0.0/20", speed="fast", rate=20_000.0), known)

    answered = [d for d in report.devices if any(o.channel == "http.response" and not o.silent
                                                 for o in d.recording.observations)]  # fmt: skip
    assert len(report.devices) == 1200
    assert len(answered) == 1200
    assert sum(written) > 1100
    assert not [n for n in netlink.neighbours() if n.flags & netlink.EXTERN_LEARN]
    assert not list((own_state / "lanveto").glob("neighbours-*.json"))


@pytest.mark.crowd
def test_without_raw_sockets_whoever_of_a_crowd_is_not_reached_is_listed(
    segment: Build, known: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "_ROOM", 0.2)  # a patient scan reaches them all, in some 70 seconds
    devices = fleet(1100)
    segment(devices).start(SIMULATOR, "10.77.0.7")
    report = engine.run(
        plan("10.77.0.1-10.77.4.76", speed="fast", rate=9000.0, raw=False, neighbour_writes=False, multicast=False),
        known,
    )

    told = {d.recording.ip for d in report.devices}
    missing = set()
    for text in report.coverage.unreached:
        first, _, last = text.partition("-")
        numbers = range(int(IPv4Address(first)), int(IPv4Address(last or first)) + 1)
        missing |= {str(IPv4Address(number)) for number in numbers}
    assert len(told) > 600
    assert told | missing == set(devices)
    assert told.isdisjoint(missing)
    assert bool(missing) is bool(report.scan.failures)


def test_one_device_with_several_addresses_is_asked_on_one_at_a_time() -> None:
    entries = [Entry(f"10.0.0.{n}", "3c:ef:8c:00:00:01") for n in range(3)]
    entries += [Entry(f"10.0.1.{n}", "3c:ef:8c:00:00:02") for n in range(SEVERAL + 1)]
    book = Book()
    for entry in entries:
        book.sighted(Sighting(entry.address, entry.mac, "arp"))
    now: Counter[str | None] = Counter()
    most: Counter[str | None] = Counter()

    async def ask(lanes: _Lanes, entry: Entry) -> None:
        async with lanes.of(entry):
            now[entry.mac] += 1
            most[entry.mac] = max(most[entry.mac], now[entry.mac])
            await asyncio.sleep(0.01)
            now[entry.mac] -= 1

    async def main() -> None:
        lanes = _Lanes(book)
        await asyncio.gather(*(ask(lanes, entry) for entry in entries))

    asyncio.run(main())
    assert most == {"3c:ef:8c:00:00:01": 1, "3c:ef:8c:00:00:02": SEVERAL + 1}


def test_a_device_that_shows_a_second_address_while_it_is_asked_is_not_asked_twice_at_once() -> None:
    first, second = Entry("10.0.0.1", "3c:ef:8c:00:00:01"), Entry("10.0.0.2", "3c:ef:8c:00:00:01")
    book = Book()
    book.sighted(Sighting(first.address, first.mac, "arp"))
    order: list[str] = []

    async def ask(lanes: _Lanes, entry: Entry, met: asyncio.Event) -> None:
        async with lanes.of(entry):
            order.append(f"{entry.address} begins")
            met.set()
            for _ in range(5):
                await asyncio.sleep(0)
            order.append(f"{entry.address} ends")

    async def main() -> None:
        lanes, met = _Lanes(book), asyncio.Event()
        asking = asyncio.create_task(ask(lanes, first, met))
        await met.wait()
        book.sighted(Sighting(second.address, second.mac, "arp"))
        await ask(lanes, second, asyncio.Event())
        await asking

    asyncio.run(main())
    assert order == ["10.0.0.1 begins", "10.0.0.1 ends", "10.0.0.2 begins", "10.0.0.2 ends"]


def test_no_route_is_a_failure_that_is_told(segment: Build, known: Knowledge) -> None:
    segment(fleet(2))
    report = engine.run(plan("10.77.0.0/30", "10.99.0.0/30"), known)

    assert len(report.devices) == 2
    assert any("no route" in failure for failure in report.scan.failures)


def test_a_router_that_answers_arp_for_everybody_is_no_crowd_of_devices(segment: Build, known: Knowledge) -> None:
    router = "00:e0:fc:00:00:01"
    made = segment({f"10.77.0.{n}": router for n in range(1, 60)})
    made.start(SIMULATOR, "10.77.0.7")
    made.inside("nft", "add table ip mute; add chain ip mute in { type filter hook input priority 0; }")
    made.inside("nft", "add rule ip mute in ip daddr != { 10.77.0.9, 10.77.0.30, 10.77.255.254 } drop")
    report = engine.run(plan("10.77.0.0/26", multicast=False, timeout=0.3), known)

    assert {(d.recording.ip, d.recording.mac) for d in report.devices} == {("10.77.0.9", None), ("10.77.0.30", None)}
    assert any(router in w and "proxy ARP" in w for w in report.coverage.warnings)
    assert all(d.identity.manufacturer is None for d in report.devices)  # the router's maker is not theirs


def test_what_answers_on_every_port_and_says_nothing_is_no_device(segment: Build, known: Knowledge) -> None:
    made = segment(fleet(3))
    made.start(SIMULATOR, "10.77.0.1")
    made.start("import socket, time\ns = socket.create_server(('0.0.0.0', 999), backlog=99)\nprint(1, flush=True)\n"
               "time.sleep(99)")  # fmt: skip
    made.inside("ip", "-batch", "-", stdin="route add local 10.99.0.5/32 dev lo\nroute add local 10.99.0.6/32 dev lo\n")
    made.inside("nft", "add table ip trap; add chain ip trap in { type nat hook prerouting priority -100; }")
    made.inside("nft", "add rule ip trap in ip daddr 10.99.0.5 tcp dport 1-65535 dnat to 10.77.0.2:999")
    made.inside("nft", "add chain ip trap lost { type filter hook prerouting priority -200; }")
    made.inside("nft", "add rule ip trap lost ip daddr 10.99.0.5 tcp dport 8000 drop")  # a lost packet changes nothing
    subprocess.run(["ip", "route", "add", "10.99.0.0/24", "via", "10.77.0.1"], check=True)
    report = engine.run(plan("10.99.0.0/28", timeout=0.3, ports=(80, 443, 554, 8000, 8080)), known)

    assert [d.recording.ip for d in report.devices] == ["10.99.0.6"]
    assert any("10.99.0.5" in w and "tarpit" in w for w in report.coverage.warnings)


def test_a_link_lost_after_a_quick_sweep_names_arp_inspection(segment: Build, known: Knowledge) -> None:
    made = segment(fleet(5))
    timer = threading.Timer(0.8, made.inside, ("ip", "link", "set", "d0", "down"))
    timer.start()
    quick = engine.run(plan("10.77.0.0/22", rate=300), known)
    timer.join()

    assert any("ARP inspection" in failure and "--gentle" in failure for failure in quick.scan.failures)
