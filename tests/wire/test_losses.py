"""A reader that is stopped while everybody speaks: what its kernel had no room for is counted, and told."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanner.protocols import protocols

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]
REPLIES = 100_000
DATAGRAMS = 6000
DEVICE, MAC, OURS = "10.77.0.1", "3c:ef:8c:00:00:01", "10.77.255.254"
SPEAK = f"""
import socket, sys
ours, ports = bytes.fromhex(sys.argv[1].replace(":", "")), [int(word) for word in sys.argv[2:]]
mac = bytes.fromhex("{MAC}".replace(":", ""))
arp = ours + mac + bytes.fromhex("0806000108000604" "0002") + mac + socket.inet_aton("{DEVICE}") + ours + socket.inet_aton("{OURS}")
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(("d0", 0))
for _ in range({REPLIES}): raw.send(arp.ljust(60, b"\\0"))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("{DEVICE}", 0))
for _ in range({DATAGRAMS}):
    for port in ports: udp.sendto(b"?" * 1000, ("{OURS}", port))
print("done", flush=True)
sys.stdin.read()
"""


def open_ports(pid: int) -> set[int]:
    """UDP ports on which something waits in the network of a process."""
    lines = Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]
    return {int(line.split()[1].partition(":")[2], 16) for line in lines}


def listening(pid: int) -> int:
    """Sockets for whole frames there."""
    return len(Path(f"/proc/{pid}/net/packet").read_text().splitlines()) - 1


def wait(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    raise AssertionError("it never came so far")


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scanner.cli.main", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=os.environ | {"XDG_STATE_HOME": str(folder)},
    )  # fmt: skip


def told(report: dict[str, Any], words: str) -> int:
    """The number in the one warning that has these words."""
    (warning,) = (w for w in report["coverage"]["warnings"] if words in w and "[W-LOST]" in w)
    return int(re.findall(r"\d+ ", warning)[0])


def test_what_a_scan_and_an_ear_had_no_room_for_is_told(segment: Callable[..., Any], tmp_path: Path) -> None:
    made = segment({DEVICE: MAC})
    ear = start(tmp_path, "listen", "-i", "s0", "--format", "json")
    wait(ear, lambda: listening(ear.pid) == 1)
    ports = {port for p in protocols().values() for q in p.questions() for port in q.listen}
    # Slow enough that the sweep is under way when it is stopped.
    scan = start(tmp_path, "scan", "10.77.0.1-10.77.0.20", "--rate", "10", "--ports", "80", "--format", "json")
    wait(scan, lambda: listening(scan.pid) >= 3 and ports <= open_ports(scan.pid))

    for process in (ear, scan):
        process.send_signal(signal.SIGSTOP)
    made.start(SPEAK, made.mac, *map(str, sorted(ports)))
    for process in (ear, scan):
        process.send_signal(signal.SIGCONT)
    out, err = scan.communicate(timeout=60)
    ear.send_signal(signal.SIGINT)
    heard, _ = ear.communicate(timeout=60)

    assert scan.returncode == 0, err
    report = json.loads(out)
    assert 1000 < told(report, "answers to ARP requests") <= REPLIES + 40
    assert told(report, "answers to discovery questions") > 1000
    report = json.loads(heard)
    (method,) = report["coverage"]["methods"]
    lost, taken = told(report, "frames were lost"), int(method["note"].split()[0])
    assert lost > 1000
    assert lost + taken >= REPLIES + len(ports) * DATAGRAMS
