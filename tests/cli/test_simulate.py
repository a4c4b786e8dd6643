from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scanner.cli.main import run
from scanner.cli.simulate import load

ROOT = Path(__file__).resolve().parents[2]
FLEET = """
- id: cam
  ip: 127.77.0.5
  observations:
    - {channel: ssh.banner, value: SSH-2.0-cam, port: 22}
    - {channel: tcp.open, value: "37777"}
- id: cam2
  observations: [{channel: ssh.banner, value: SSH-2.0-cam2, port: 2222}]
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    file = tmp_path / "fleet.yaml"
    file.write_text(FLEET, encoding="utf-8")
    return file


@contextmanager
def simulate(*words: str | Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "scanner.cli.main", "simulate", *map(str, words)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str], number: int = signal.SIGINT) -> tuple[int, list[dict[str, Any]], str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


def talk(address: str, port: int, text: bytes = b"") -> bytes:
    with socket.create_connection((address, port), timeout=5) as sock:
        if text:
            sock.sendall(text)
        sock.settimeout(0.5)
        try:
            return sock.recv(99)
        except TimeoutError:
            return b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_the_devices_are_and_ends_cleanly(fleet: Path, tmp_path: Path, number: int) -> None:
    table = tmp_path / "ports.json"
    with simulate(fleet, "--bind", "127.77.0.0/24", "--high-ports", "--port-map", table) as (process, ready):
        assert ready["ready"] is True
        assert ready["devices"] == [
            {"id": "cam", "ip": "127.77.0.5", "mac": None}, {"id": "cam2", "ip": "127.77.0.1", "mac": None}
        ]  # fmt: skip
        assert ready["port_map"] == json.loads(table.read_bytes())
        assert ready["port_map"]["127.77.0.1"] == {"2222": 2222}
        assert talk("127.77.0.5", ready["port_map"]["127.77.0.5"]["22"]) == b"SSH-2.0-cam\r\n"
        code, told, said = end(process, number)

    assert (code, told) == (0, [])
    assert "--port-map" in said


def test_violations_are_told_and_fail_it(fleet: Path) -> None:
    with simulate(fleet, "--bind", "127.77.0.0/24", "--high-ports") as (process, ready):
        talk("127.77.0.5", ready["port_map"]["127.77.0.5"]["37777"], b"login")
        code, told, _ = end(process)

    assert code == 1
    assert [line["violation"]["device"] for line in told] == ["cam"]
    assert told[0]["violation"]["port"] == 37777


@pytest.mark.root
def test_in_the_lab_the_given_command_reaches_the_devices(fleet: Path) -> None:
    with simulate(fleet, "--lab", "--network", "10.9.0.0/24") as (process, ready):
        devices = {device["id"]: device for device in ready["devices"]}
        read = "import socket,sys; print(socket.create_connection((sys.argv[1], 2222), 5).recv(99))"
        said = subprocess.run(
            [*ready["enter"], sys.executable, "-c", read, devices["cam2"]["ip"]], capture_output=True, text=True,
            check=True, timeout=20,
        )  # fmt: skip
        assert said.stdout == "b'SSH-2.0-cam2\\r\\n'\n"
        assert devices["cam2"]["ip"].startswith("10.9.0.")
        assert int(devices["cam2"]["mac"][:2], 16) & 3 == 2
        assert ready["scanner"] == "10.9.0.254"
        assert end(process)[0] == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--lab", "--bind", "127.0.0.0/8"], "leave --bind out"),
        (["--routed"], "--routed needs --lab"),
        (["--bind", "192.0.2.0/24"], "must lie within 127.0.0.0/8"),
        (["--bind", "here"], "is no IPv4 network"),
    ],
)
def test_what_cannot_be_is_told(
    fleet: Path, words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", str(fleet), *words]) == 2
    assert reason in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "nowhere.yaml"]) == 2
    assert "nowhere.yaml: cannot be read" in capsys.readouterr().err


def test_broken_entries_are_named_and_the_rest_is_simulated(fleet: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(FLEET + "- id: broken\n  colour: red\n", encoding="utf-8")
    recordings, problems = load((fleet, other))

    assert [r.id for r in recordings] == ["cam", "cam2", "other:cam", "other:cam2"]
    assert len(problems) == 1
    assert "colour" in problems[0]
