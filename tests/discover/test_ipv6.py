"""A kernel with IPv6 is the device: it answers pings, listener queries and TCP by itself."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanner import engine, knowledge
from scanner.config import Plan, Speed
from scanner.knowledge import Knowledge
from scanner.model import Report
from tests.ipv6 import UP

pytestmark = pytest.mark.root
Build = Callable[[dict[str, str]], Any]

MAC = "3c:ef:8c:00:00:07"
LOCAL = "fe80::3eef:8cff:fe00:7%s0"
SERVE = """
import socket, sys
server = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
print("up", flush=True)
while True:
    line, _ = server.accept()
    line.recv(4000)
    line.sendall(b"HTTP/1.1 200 OK\\r\\nServer: test\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    line.close()
"""
TALK = """
import socket, time
index = socket.if_nametoindex("s0")
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
    sock.setsockopt(socket.SOL_SOCKET, option, 1)
sock.bind(("::", 5353))
name = b"\\4_ipp\\4_tcp\\5local\\0"
answer = bytes.fromhex("0000840000000001 00000000") + name + bytes.fromhex("000c0001000000780005") + b"\\2me\\xc0\\x0c"
sock.sendto(answer, ("ff02::fb", 5353, 0, index))
print("up", flush=True)
while True:
    sock.sendto(answer, ("ff02::fb", 5353, 0, index))
    time.sleep(0.1)
"""
"""Like the mDNS responder of this machine: what it says to the group comes back to it."""


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return knowledge.load(())


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def scan(segment: Build, known: Knowledge, devices: dict[str, str], *words: str, **more: Any) -> Report:
    made = segment(devices)
    made.inside("ip", "link", "set", "d0", "address", MAC)
    made.inside("sh", "-c", UP)
    subprocess.run(["sh", "-c", UP], check=True)
    made.start(SERVE)
    time.sleep(0.5)
    return engine.run(Plan(targets=words, rate=100_000.0, ports=(80,), timeout=1.0, **more), known)


def note(report: Report) -> Any:
    return next(m for m in report.coverage.methods if m.name == "ipv6")


def test_a_kernel_is_found_by_ipv6_alone_and_asked_where_the_whole_link_is_meant(
    segment: Build, known: Knowledge
) -> None:
    report = scan(segment, known, {"10.77.0.8": "3c:ef:8c:00:00:08"}, "s0")
    alone = next(d for d in report.devices if d.recording.mac == MAC)

    assert alone.recording.ip == LOCAL
    assert any(o.channel == "http.response" and not o.silent for o in alone.recording.observations)


def test_a_device_that_arp_found_gets_its_further_addresses_and_others_are_not_asked(
    segment: Build, known: Knowledge
) -> None:
    report = scan(segment, known, {"10.77.0.7": MAC, "10.77.0.8": "3c:ef:8c:00:00:08"}, "10.77.0.7", "10.77.0.8")

    assert {(d.recording.ip, d.recording.mac, d.recording.addresses) for d in report.devices} == {
        ("10.77.0.7", MAC, (LOCAL,)), ("10.77.0.8", "3c:ef:8c:00:00:08", ())
    }  # fmt: skip
    assert (note(report).ran, note(report).hosts) == (True, 1)
    assert "were not asked" in note(report).note


def test_a_link_without_ipv6_is_told(segment: Build, known: Knowledge) -> None:
    segment({"10.77.0.8": "3c:ef:8c:00:00:08"})
    report = engine.run(Plan(targets=("10.77.0.0/28",), rate=20_000.0, ports=(80,), timeout=0.3), known)

    assert note(report).ran is False
    assert "no IPv6 address" in note(report).note


def test_who_is_excluded_by_an_address_that_it_does_not_show_is_not_asked_at_another(
    segment: Build, known: Knowledge
) -> None:
    report = scan(segment, known, {"10.77.0.8": "3c:ef:8c:00:00:08"}, "s0", exclude=("fd10:77::7",))

    assert [device.recording.ip for device in report.devices] == ["10.77.0.8"]
    assert "were not asked" in note(report).note


def test_this_machine_is_no_device_though_it_hears_what_it_says_itself(segment: Build, known: Knowledge) -> None:
    made = segment({"10.77.0.8": "3c:ef:8c:00:00:08"})
    subprocess.run(["sh", "-c", UP], check=True)
    with subprocess.Popen([sys.executable, "-c", TALK], stdout=subprocess.PIPE) as talking:
        assert talking.stdout is not None
        assert talking.stdout.readline() == b"up\n"
        try:
            report = engine.run(Plan(targets=("s0",), rate=100_000.0, ports=(80,), timeout=1.0), known)
        finally:
            talking.kill()

    assert made.mac not in {device.recording.mac for device in report.devices}
    assert [device.recording.ip for device in report.devices if device.recording.ip == "10.77.0.8"]


def test_who_answers_arp_only_the_second_time_is_one_device(segment: Build, known: Knowledge) -> None:
    made = segment({"10.77.0.7": MAC})
    made.inside("ip", "link", "set", "d0", "address", MAC)
    first = "arp operation request arp daddr ip 10.77.0.7 limit rate 1/hour burst 1 packets drop"
    made.inside("nft", "insert", "rule", "netdev", "lab", "in", *first.split())
    made.inside("sh", "-c", UP)
    subprocess.run(["sh", "-c", UP], check=True)
    report = engine.run(Plan(targets=("s0",), speed=Speed.FAST, rate=100_000.0, ports=(80,), timeout=1.0), known)

    assert [(d.recording.ip, d.recording.mac, d.recording.addresses) for d in report.devices] == [
        ("10.77.0.7", MAC, (LOCAL,))
    ]
