from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanner.cli.main import run
from scanner.store import open_store, reading
from tests.imports.frames import CAMERA, arp, datagram

SADP = b'<?xml version="1.0"?><ProbeMatch><DeviceDescription>DS-2CD2042WD-I</DeviceDescription><MAC>c4-2f-90-a7-b5-d1</MAC></ProbeMatch>'
FRAMES = [
    arp(address="10.77.0.1", target="ff:ff:ff:ff:ff:ff").ljust(60, b"\0"), arp(address="10.77.0.2", mac="c4:2f:90:a7:b5:d1", tags=(20,)).ljust(60, b"\0"),
    datagram(SADP, 37020, 37020, source="10.77.0.2", target="239.255.255.250", ttl=1).replace(bytes.fromhex(CAMERA.replace(":", "")), bytes.fromhex("c42f90a7b5d1"), 1),
]  # fmt: skip
SPEAK = """
import socket, sys, time
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind(("d0", 0))
print("ready", flush=True)
while True:
    for frame in FRAMES: sock.send(bytes.fromhex(frame))
    time.sleep(0.2)
"""
SNIFF = """
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind(("d0", 3))
print("listening", flush=True)
while True:
    frame, where = sock.recvfrom(2048)
    if where[2] != 4: print(frame.hex(), flush=True)
"""


def _start(*words: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scanner.cli.main", "listen", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"XDG_STATE_HOME": str(folder)},
    )  # fmt: skip


def test_devices_are_heard_and_not_one_frame_is_sent(segment: Callable[..., Any], tmp_path: Path) -> None:
    made = segment({"10.77.0.200": "02:00:00:00:00:77"})
    time.sleep(0.5)
    sniffer = made.start(SNIFF)
    made.start(SPEAK.replace("FRAMES", repr([f.hex() for f in FRAMES])))
    out, err = _start("-i", "s0", "--for", "2s", "--format", "json", "--profile", "us-federal-contractor", "--store", str(tmp_path / "h.sqlite"), folder=tmp_path).communicate(timeout=60)
    sniffer.kill()

    report = json.loads(out)
    found = {d["mac"]: d for d in report["devices"]}
    assert found[CAMERA]["ip"] == "10.77.0.1"
    assert (found["c4:2f:90:a7:b5:d1"]["manufacturer"], found["c4:2f:90:a7:b5:d1"]["level"]) == ("hikvision", "confirmed")
    assert found["c4:2f:90:a7:b5:d1"]["place"]["vlan"] == 20
    assert found["c4:2f:90:a7:b5:d1"]["place"]["source"] == "s0"
    (method,) = report["coverage"]["methods"]
    assert "nothing was sent" in method["note"]
    sent = sniffer.stdout.read().decode().split()
    assert sent == []
    assert err == ""
    # It is in the history, and nobody counts as missing because he did not speak.
    with open_store(tmp_path / "h.sqlite", create=False) as store:
        (entry,) = reading.entries(store)
        assert not reading.head(store, entry.number).asked
        assert set(reading.snapshot(store, entry.number)) == {mac.replace(":", "") for mac in found}


def test_ctrl_c_ends_it_with_the_report(segment: Callable[..., Any], tmp_path: Path) -> None:
    made = segment({"10.77.0.200": "02:00:00:00:00:77"})
    made.start(SPEAK.replace("FRAMES", repr([f.hex() for f in FRAMES])))
    process = _start("-i", "s0", "--format", "jsonl", folder=tmp_path)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, _err = process.communicate(timeout=20)

    assert process.returncode == 0  # without --for that is how it ends
    assert {json.loads(line)["mac"] for line in out.splitlines()} == {CAMERA, "c4:2f:90:a7:b5:d1"}


def test_a_link_that_goes_away_is_said(segment: Callable[..., Any], tmp_path: Path) -> None:
    made = segment({"10.77.0.200": "02:00:00:00:00:77"})
    made.start(SPEAK.replace("FRAMES", repr([f.hex() for f in FRAMES])))
    process = _start("-i", "s0", "--for", "30s", "--format", "jsonl", folder=tmp_path)
    time.sleep(3)
    subprocess.run(["ip", "link", "del", "s0"], check=True)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 3
    assert len(out.splitlines()) == 2
    assert "s0 went away or down" in err


@pytest.mark.parametrize(("words", "why"), [
    (["-i", "nope0"], "there is no such interface"), (["--for", "soon"], "write it as 90s, 10m or 2h"), (["--for", "0"], "no duration"),
])  # fmt: skip
def test_usage(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["listen", *words]) == 2
    assert why in capsys.readouterr().err


def test_without_root(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_more: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("scanner.net.ear.Ear.__init__", refuse)
    assert run(["listen", "-i", "lo", "--for", "1s"]) == 2
    told = capsys.readouterr().err
    assert "CAP_NET_RAW" in told
    assert "tcpdump -w" in told
