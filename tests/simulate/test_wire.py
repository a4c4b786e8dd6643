from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from scanner.model import Observation, Recording
from scanner.simulate import wire
from scanner.simulate.lab import Lab

pytestmark = pytest.mark.root

PAGE = "<html><title>" + "x" * 20_000 + "</title></html>"
CAMERA = Recording(
    id="camera", mac="3c:ef:8c:00:00:01",
    observations=(Observation(
        channel="http.response", port=80, request="GET /",
        value=f"HTTP/1.1 200 OK\r\nContent-Length: {len(PAGE)}\r\n\r\n{PAGE}",
    ),),
)  # fmt: skip
ASK = """
import socket, sys, time
began = time.monotonic()
s = socket.create_connection((sys.argv[1], 80), 20)
stood = time.monotonic() - began
s.sendall(b"GET / HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n")
data = b""
while piece := s.recv(65536):
    data += piece
print(stood, len(data), data.count(b"x"))
"""


def test_every_frame_takes_its_time_and_arrives_whole() -> None:
    with Lab([CAMERA], network="10.77.0.0/24", round_trip=0.2) as lab:
        assert lab.wire is not None
        said = lab.run([sys.executable, "-c", ASK, lab.devices["camera"].ip])
        stood, length, letters = said.stdout.split()

        assert float(stood) >= 0.4  # ARP, then TCP
        assert int(letters) == 20_000
        assert int(length) > 20_000  # more than one frame
        assert _quiet(lab.wire)


def test_its_process_ends_with_the_laboratory() -> None:
    with Lab([CAMERA], network="10.77.0.0/24", round_trip=0.001) as lab:
        assert lab.wire is not None
        place = Path(f"/proc/{lab.wire}/ns/net")
        assert place.readlink() != Path(f"/proc/{lab.pid}/ns/net").readlink()

    for _ in range(1000):
        try:
            place.readlink()
        except OSError:
            return
        time.sleep(0.01)
    pytest.fail("it goes on")


def test_without_a_round_trip_nobody_carries_anything() -> None:
    with Lab([CAMERA], network="10.77.0.0/24") as lab:
        assert lab.wire is None


def _quiet(pid: int) -> bool:
    """Whether, once the last frames have arrived, none is missing."""
    for _ in range(1000):
        if wire.lost(pid) == 0:
            return True
        time.sleep(0.01)
    return False
