"""A real snmpd, its own tables and those of a switch that is recorded, asked with v2c and v3 over the wire."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanner.cli.main import run
from scanner.protocols import read_all
from scanner.recordings import load
from scanner.store import open_store, reading

AGENT = "10.77.0.1"
SWITCH = """
.1.3.6.1.2.1.17.1.1.0 string x
.1.3.6.1.2.1.17.1.4.1.2.1 integer 2
.1.3.6.1.2.1.17.1.4.1.2.9 integer 99
.1.3.6.1.2.1.17.4.3.1.2.60.239.140.17.34.51 integer 9
.1.3.6.1.2.1.17.4.3.1.3.60.239.140.17.34.51 integer 3
.1.3.6.1.2.1.17.7.1.2.2.1.2.20.196.47.144.167.181.209 integer 1
.1.3.6.1.2.1.17.7.1.2.2.1.3.20.196.47.144.167.181.209 integer 3
"""
PASS = """#!{python}
import sys
rows = [line.split(None, 2) for line in open({file!r}) if line.strip()]
rows.sort(key=lambda r: [int(p) for p in r[0][1:].split(".")])
def key(oid): return [int(p) for p in oid.strip(".").split(".") if p]
while True:
    line = sys.stdin.readline()
    if not line: break
    if line.strip() == "PING": print("PONG", flush=True); continue
    oid = sys.stdin.readline().strip()
    if line.strip() == "get": found = [r for r in rows if r[0] == oid]
    elif line.strip() == "getnext": found = [r for r in rows if key(r[0]) > key(oid)]
    else: sys.stdin.readline(); found = []
    print("\\n".join(p.strip() for p in found[0]) if found else "NONE", flush=True)
"""
CONF = """
rocommunity sesame
createUser audit SHA "authpass123" AES "privpass123"
rouser audit priv
sysName edge-1.example
pass_persist .1.3.6.1.2.1.17 {script}
agentaddress udp:10.77.0.1:161
"""


@pytest.fixture
def agent(segment: Callable[..., Any], tmp_path: Path) -> Any:
    made = segment({AGENT: "02:00:00:00:00:77"})
    (tmp_path / "rows").write_text(SWITCH)
    script = tmp_path / "pass.py"
    script.write_text(PASS.format(python=sys.executable, file=str(tmp_path / "rows")))
    script.chmod(0o755)
    (tmp_path / "snmpd.conf").write_text(CONF.format(script=script))
    words = ["nsenter", "-t", str(made.holder), "-n", "snmpd", "-f", "-Lf", str(tmp_path / "log"), "-C", "-c", str(tmp_path / "snmpd.conf")]
    process = subprocess.Popen(words, env=os.environ | {"SNMP_PERSISTENT_DIR": str(tmp_path / "state")}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    made.processes.append(process)
    for _ in range(400):
        if (tmp_path / "log").exists() and "NET-SNMP version" in (tmp_path / "log").read_text():
            break
        time.sleep(0.05)
    return made


def _snmp(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scanner.cli.main", "snmp", AGENT, *words], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "XDG_STATE_HOME": str(folder), **env},
    )  # fmt: skip


V3 = {"LANVETO_SNMP_USER": "audit", "LANVETO_SNMP_AUTH_PASSWORD": "authpass123", "LANVETO_SNMP_PRIV_PASSWORD": "privpass123"}


@pytest.mark.parametrize("secret", [{"LANVETO_SNMP_COMMUNITY": "sesame"}, V3], ids=["v2c", "v3"])
def test_a_real_agent_tells_its_neighbours_and_where_they_hang(agent: Any, tmp_path: Path, secret: dict[str, str]) -> None:
    # A busy machine starts the helper of the agent slowly.
    done = _snmp(tmp_path, "--timeout", "8", "--format", "json", "--walks", str(tmp_path / "walks"), "--store", str(tmp_path / "h.sqlite"), **secret)

    assert done.returncode == 0, done.stderr
    devices = {d["mac"]: d for d in json.loads(done.stdout)["devices"]}
    assert devices[agent.mac]["ip"] == "10.77.255.254"  # the agent's own neighbour: this side of the wire
    camera = devices["c4:2f:90:a7:b5:d1"]
    assert (camera["manufacturer"], camera["place"]["switch"], camera["place"]["vlan"]) == ("hikvision", "edge-1", 20)
    assert camera["place"]["port"] in {"d0", "lo", "eth0"}
    assert devices["3c:ef:8c:11:22:33"]["place"]["port"] == "port 9"
    assert all(word not in done.stdout + done.stderr for word in ("sesame", "authpass123", "privpass123"))
    with open_store(tmp_path / "h.sqlite", create=False) as store:
        (entry,) = reading.entries(store)
        assert not reading.head(store, entry.number).asked
        assert "c42f90a7b5d1" in reading.snapshot(store, entry.number)
    # What it said can be imported again, and says the same.
    again = subprocess.run(
        [sys.executable, "-m", "scanner.cli.main", "import", str(tmp_path / "walks" / f"{AGENT}.walk"), "--format", "json"], capture_output=True, text=True,
        check=True, env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip
    told = {d["mac"]: d["place"] and (d["place"].get("switch"), d["place"].get("port")) for d in json.loads(again.stdout)["devices"] if d["mac"]}
    assert told == {d["mac"]: d["place"] and (d["place"].get("switch"), d["place"].get("port")) for d in devices.values() if d["mac"]}


def test_a_scan_that_knows_no_secret_hears_the_agents_engine_id(agent: Any, tmp_path: Path) -> None:
    words = ("scan", AGENT, "--ports", "80", "--record", str(tmp_path / "heard"), "--format", "json")
    done = subprocess.run(
        [sys.executable, "-m", "scanner.cli.main", *words], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "heard").glob("*.yaml")
    (recording,) = load(file).recordings
    (told,) = (seen for seen in recording.observations if seen.channel == "snmp.engineid")
    assert (told.port, told.value[:8]) == (161, "80001f88")  # net-snmp's own number: who made the agent, not the device
    assert ("snmp.enterprise", "8072") in {(r.channel, r.value) for r in read_all(recording)}


@pytest.mark.parametrize("secret", [{"LANVETO_SNMP_COMMUNITY": "wrong"}, {**V3, "LANVETO_SNMP_AUTH_PASSWORD": "wrongpass"}], ids=["v2c", "v3"])
def test_a_wrong_secret_is_a_clear_failure(agent: Any, tmp_path: Path, secret: dict[str, str]) -> None:
    done = _snmp(tmp_path, "--timeout", "1", **secret)

    assert done.returncode == 3
    assert f"{AGENT}: SNMP: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "wrong" not in done.stdout + done.stderr.lower().replace("wrong digest", "").replace("wrong snmp pdu digest", "")


def test_usage(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LANVETO_SNMP_COMMUNITY", raising=False)
    assert run(["snmp"]) == 2
    assert run(["snmp", "192.0.2.1"]) == 2
    monkeypatch.setenv("LANVETO_SNMP_COMMUNITY", "sesame")
    assert run(["snmp", "192.0.2.0/24"]) == 2
    assert run(["snmp", "8.8.8.8"]) == 2
    told = capsys.readouterr().err
    for why in ("name the routers", "never on the command line", "is not the address of one", "--allow-public"):
        assert why in told
