"""What a compliance hook relies on: a scan of answering devices whose findings reach a real broker."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from scanner.model import Observation, Recording
from scanner.simulate.lab import Loopback, environment
from tests.brokers import free_port, running

pytestmark = pytest.mark.xdist_group("mosquitto")

NETWORK = "127.66.0.0/28"
DEVICES = (
    Recording(
        id="lorex",
        ip="127.66.0.2",
        observations=(
            Observation(
                channel="rtsp.response",
                port=554,
                request="OPTIONS",
                value="RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest "
                "realm=\"Login to ND011906001122\","
                ' nonce="0123456789abcdef0123456789abcdef"\r\n\r\n',
            ),
            Observation(channel="http.title", port=80, value="WEB SERVICE"),
            Observation(channel="http.body", port=80, value='<div class="ui-dialog-content"></div>/LOREX_webplugin'),
        ),
    ),
    Recording(
        id="axis",
        ip="127.66.0.3",
        observations=(
            Observation(
                channel="http.header.www-authenticate", port=80, value='Digest realm="AXIS_00408CEF081C", nonce="0"'
            ),
        ),
    ),
)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[list[str]]:
    """The devices, and the command line that scans them as an ordinary user would."""
    with Loopback(DEVICES, network=NETWORK, kind="high") as devices:
        table = tmp_path / "ports.json"
        table.write_bytes(msgspec.json.encode(devices.port_map))
        yield [
            sys.executable, "-m", "scanner.cli.main", "scan", NETWORK, "--port-map", str(table), "--fast",
            "--timeout", "1", "--ports", "80,554", "--no-raw", "--no-multicast", "--site", "lab",
            "--profile", "us-federal-contractor", "--format", "json", "--output", str(tmp_path / "report.json"),
        ]  # fmt: skip


def _scan(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    where = dict(environment()) | {"XDG_STATE_HOME": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, timeout=90, env=where)


def test_the_findings_of_a_scan_reach_the_broker(fleet: list[str], tmp_path: Path) -> None:
    port = free_port()
    with running(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n", tmp_path, port):
        done = _scan([*fleet, "--mqtt", f"mqtt://127.0.0.1:{port}/lanveto"], tmp_path)
        assert done.returncode == 0, done.stderr
        held = asyncio.run(_held(port))
    device = "lanveto/lab/ip-127-66-0-2"
    finding = held[f"{device}/finding/us-889-a1b"]
    assert finding["manufacturer"] == "dahua"
    assert finding["brand"] == "lorex"
    assert finding["action"] in {"remove", "investigate"}
    assert held["lanveto/lab/ip-127-66-0-3/state"]["manufacturer"] == "axis"
    assert not [topic for topic in held if topic.startswith("lanveto/lab/ip-127-66-0-3/finding")]
    assert held["lanveto/status"]["state"] == "completed"
    report = json.loads((tmp_path / "report.json").read_text())
    assert finding["scan"] == report["scan"]["id"]


def test_a_broker_that_is_down_costs_nothing_but_the_exit_code(fleet: list[str], tmp_path: Path) -> None:
    port = free_port()
    done = _scan([*fleet, "--mqtt", f"mqtt://127.0.0.1:{port}/lanveto"], tmp_path)
    assert done.returncode == 3
    assert f"mqtt://127.0.0.1:{port}/lanveto" in done.stderr
    assert "Traceback" not in done.stderr
    devices = json.loads((tmp_path / "report.json").read_text())["devices"]
    assert {d["manufacturer"] for d in devices} == {"dahua", "axis"}


async def _held(port: int) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("lanveto/#")
        try:
            async with asyncio.timeout(1.0):
                async for message in client.messages:
                    assert isinstance(message.payload, bytes)
                    found[str(message.topic)] = json.loads(message.payload)
        except TimeoutError:
            pass
    return found
