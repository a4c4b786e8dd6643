from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanner.cli.main import run
from scanner.store import open_store, reading
from tests import blocking
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
    print("spoken", flush=True)
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
        env=blocking.watched(folder / "watched", os.environ | {"XDG_STATE_HOME": str(folder)}),
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
    commands, calls = blocking.told(tmp_path / "watched")
    assert len(commands) == 1
    assert not calls, "\n".join(calls)
    # It is in the history, and nobody counts as missing because he did not speak.
    with open_store(tmp_path / "h.sqlite", create=False) as store:
        (entry,) = reading.entries(store)
        assert not reading.head(store, entry.number).asked
        assert set(reading.snapshot(store, entry.number)) == {mac.replace(":", "") for mac in found}


def test_ctrl_c_ends_it_with_the_report(segment: Callable[..., Any], tmp_path: Path) -> None:
    made = segment({"10.77.0.200": "02:00:00:00:00:77"})
    process = _start("-i", "s0", "--format", "jsonl", folder=tmp_path)
    _until(lambda: _ears("s0") == 1)
    _heard(made.start(SPEAK.replace("FRAMES", repr([f.hex() for f in FRAMES]))))
    process.send_signal(signal.SIGINT)
    out, _err = process.communicate(timeout=20)

    assert process.returncode == 0  # without --for that is how it ends
    assert {json.loads(line)["mac"] for line in out.splitlines()} == {CAMERA, "c4:2f:90:a7:b5:d1"}


def _until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def _ears(link: str) -> int:
    """How many sockets hear everything on a link (packet(7))."""
    try:
        index = str(socket.if_nametoindex(link))
    except OSError:
        return 0
    rows = [line.split() for line in Path("/proc/thread-self/net/packet").read_text().splitlines()[1:]]
    return sum(row[3] == "0003" and row[4] == index for row in rows)


def _heard(speaker: subprocess.Popen[bytes]) -> None:
    """Wait until every frame was sent once more."""
    assert speaker.stdout is not None
    for _ in range(2):
        speaker.stdout.readline()


def test_a_link_that_goes_away_is_said(segment: Callable[..., Any], tmp_path: Path) -> None:
    made = segment({"10.77.0.200": "02:00:00:00:00:77"})
    process = _start("-i", "s0", "--format", "jsonl", folder=tmp_path)
    _until(lambda: _ears("s0") == 1)
    _heard(made.start(SPEAK.replace("FRAMES", repr([f.hex() for f in FRAMES]))))
    subprocess.run(["ip", "link", "del", "s0"], check=True)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 3
    assert len(out.splitlines()) == 2
    assert "s0 went away or down" in err


def test_a_link_that_comes_back_is_heard_again(segment: Callable[..., Any], tmp_path: Path) -> None:
    """A switch that restarts does not end a night's listening; the report says how long nothing was heard."""
    made = segment({"10.77.0.200": "02:00:00:00:00:77"})
    process = _start("-i", "s0", "--for", "10m", "--format", "json", folder=tmp_path)
    _until(lambda: _ears("s0") == 1)
    subprocess.run(["ip", "link", "set", "s0", "down"], check=True)
    _until(lambda: _ears("s0") == 0)
    subprocess.run(["ip", "link", "set", "s0", "up"], check=True)
    _until(lambda: _ears("s0") == 1)
    _heard(made.start(SPEAK.replace("FRAMES", repr([f.hex() for f in FRAMES]))))
    process.send_signal(signal.SIGINT)
    out, _err = process.communicate(timeout=20)

    assert process.returncode == 130
    report = json.loads(out)
    assert {device["mac"] for device in report["devices"]} == {CAMERA, "c4:2f:90:a7:b5:d1"}
    assert any("s0 was away for" in text for text in report["coverage"]["warnings"])
    assert report["scan"]["failures"] == []


def test_a_link_that_is_down_is_not_waited_for(segment: Callable[..., Any], tmp_path: Path) -> None:
    segment({"10.77.0.200": "02:00:00:00:00:77"})
    subprocess.run(["ip", "link", "set", "s0", "down"], check=True)
    _out, err = _start("-i", "s0", "--for", "10m", folder=tmp_path).communicate(timeout=30)

    assert "s0: is down; bring it up first" in err


def test_forged_addresses_do_not_fill_the_memory(segment: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever forges addresses can make any number of devices; those that were heard before stay, and it is said."""
    made = segment({"10.77.0.200": "02:00:00:00:00:77"})
    forged = [arp(address=f"10.77.1.{n}", mac=f"02:00:00:00:01:{n:02x}").ljust(60, b"\0").hex() for n in range(1, 200)]
    monkeypatch.setattr("scanner.cli.listen.MOST", 50)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made.start(SPEAK.replace("FRAMES", repr([*(f.hex() for f in FRAMES), *forged])))

    assert run(["listen", "-i", "s0", "--for", "2s", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert 49 <= len(report["devices"]) <= 50
    assert any("more than 50 devices were heard" in text for text in report["coverage"]["warnings"])


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
