"""The examples do what they say."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from scanner import publish
from scanner.cli import main
from scanner.model import Device, Report
from scanner.publish import documents, shapes
from scanner.publish.deliver import Delivery
from scanner.store import open_store, outbox
from scanner.store.outbox import Draft
from tests.brokers import free_port, running
from tests.publish.doubles import Log, certificates, event

FLEET = "examples/demo-fleet.yaml"


def _run(*words: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": places, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), **more}
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=90, check=False)


def test_a_file_for_netbox(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "devices.csv"
    assert main.run(["identify", str(root / FLEET), "--format", "csv", "--output", str(table)]) == 0
    script = str(root / "examples" / "netbox" / "to_netbox.py")
    done = _run(sys.executable, script, str(table), "hq", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == ["name", "role", "manufacturer", "device_type", "serial", "site", "status", "comments"]
    assert {row["site"] for row in rows} == {"hq"}
    assert ("dahua", "N864A6") in {(row["manufacturer"], row["device_type"]) for row in rows}
    assert "3 left out" in done.stderr
    assert len({row["name"] for row in rows}) == len(rows) == 17
    assert "manufacturer: " in _run(sys.executable, script, str(table), "hq", "--missing", folder=tmp_path).stdout
    assert _run(sys.executable, script, folder=tmp_path).returncode == 2


@pytest.mark.parametrize(("profile", "code", "said"), [
    ("us-federal-contractor", 1, "are to be removed"), ("private", 0, "nothing is to be removed"), ("nobody", 2, "no pass"),
])  # fmt: skip
def test_a_job_that_fails_on_remove(root: Path, tmp_path: Path, profile: str, code: int, said: str) -> None:
    script = str(root / "examples" / "ci" / "check.sh")
    done = _run("sh", script, folder=tmp_path, RECORDINGS=str(root / FLEET), PROFILE=profile)
    assert done.returncode == code, done.stderr
    assert said in done.stdout
    if code < 2:
        assert (tmp_path / "reports" / "report.html").is_file()
        assert main.run(["verify", str(tmp_path / "reports" / "evidence.zip")]) == 0


def test_the_job_is_a_job(root: Path) -> None:
    job = yaml.safe_load((root / "examples" / "ci" / "gitlab-ci.yml").read_text(encoding="utf-8"))["equipment"]
    assert job["script"] == ["sh examples/ci/check.sh"]
    assert job["artifacts"]["when"] == "always"


def test_a_nightly_scan(root: Path, tmp_path: Path) -> None:
    script = str(root / "examples" / "cron" / "nightly.sh")
    options = "--timeout 0.1 --fast --no-raw --no-multicast"
    done = _run("sh", script, folder=tmp_path, TARGETS="127.99.0.1-127.99.0.2", OPTIONS=options,
                REPORTS=str(tmp_path / "r"))  # fmt: skip
    assert done.returncode in {0, 3}, done.stderr
    (page,) = (tmp_path / "r").glob("*.html")
    assert "Nothing answered" in page.read_text(encoding="utf-8")
    assert page.stat().st_mode & 0o077 == 0
    assert main.run(["verify", str(page.with_suffix(".zip"))]) == 0
    assert "name the networks" in _run("sh", script, folder=tmp_path).stderr


def test_a_policy_of_ones_own(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = str(root / "examples" / "policy")
    assert main.run(["rules", "check", "--rules", own]) == 0
    capsys.readouterr()
    words = ["identify", str(root / FLEET), "--rules", own, "--profile", "acme", "--format", "jsonl"]
    assert main.run(words) == 0
    devices = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    asked = {d["manufacturer"] for d in devices for v in d["verdicts"] if v["policy"] == "acme-no-unmanaged-cameras"}
    assert asked == {"reolink", "tp-link"}
    assert {d["action"] for d in devices if d["manufacturer"] == "reolink"} == {"do-not-buy"}


class _Tickets:
    """A ticket system that refuses at first."""

    def __init__(self, *plan: int) -> None:
        self.got: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.plan = list(plan)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                owner.tokens.append(self.headers["Authorization"])
                self.send_response(owner.plan.pop(0) if owner.plan else 201)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/tickets"

    def wait(self, count: int) -> None:
        end = time.monotonic() + 10
        while len(self.got) < count:
            assert time.monotonic() < end, self.got
            time.sleep(0.02)
        time.sleep(0.1)  # the answer, and what the hook says to the broker


@contextlib.contextmanager
def tickets(*plan: int) -> Iterator[_Tickets]:
    system = _Tickets(*plan)
    threading.Thread(target=system.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield system
    finally:
        system.server.shutdown()
        system.server.server_close()


def _broker_of_the_example(root: Path, folder: Path, port: int) -> str:
    """The configuration of `examples/mqtt`, its paths moved to `folder`; its files, certificates and users are there."""
    shutil.copytree(root / "examples" / "mqtt" / "broker", folder / "config")
    (folder / "tls").mkdir()
    (folder / "data").mkdir()
    certificates(folder / "tls", "server")
    for user in ("lanveto", "reader", "home-assistant"):
        first = [] if (folder / "config" / "passwords").exists() else ["-c"]
        command = ["mosquitto_passwd", "-b", *first, str(folder / "config" / "passwords"), user, f"of-{user}"]
        subprocess.run(command, check=True, capture_output=True)
    for file in (folder / "config").iterdir():
        file.chmod(0o600)
    written = (folder / "config" / "mosquitto.conf").read_text(encoding="utf-8")
    assert written.count("/mosquitto/") == 6
    here = written.replace("/mosquitto/", f"{folder}/").replace("listener 8883", f"listener {port} 127.0.0.1")
    return here + "user root\n"


def _publish(folder: Path, port: int, *drafts: Draft, prefix: str = "lanveto") -> None:
    """Send messages by the example's own sink table, as its user."""
    with (folder / "lanveto.toml").open("rb") as file:
        table = tomllib.load(file)["publish"]["mqtt"]
    (folder / "mqtt-password").write_text("of-lanveto\n")
    table |= {"url": f"mqtts://lanveto@127.0.0.1:{port}/{prefix}", "ca": str(folder / table["ca"]),
              "password-file": str(folder / table["password-file"])}  # fmt: skip
    with open_store(folder / "h.sqlite") as store:
        outbox.register(store, ["mqtt"])
        outbox.put(store, drafts)
        asyncio.run(Delivery(store, publish.configured("mqtt", table), Log()).drain())
        assert not outbox.refusals(store) or prefix != "lanveto"
        assert outbox.refusals(store) or prefix == "lanveto"


@pytest.mark.xdist_group("mosquitto")
def test_a_broker_and_a_hook_that_opens_tickets(root: Path, tmp_path: Path) -> None:
    port = free_port()
    shutil.copy(root / "examples" / "mqtt" / "lanveto.toml", tmp_path)
    compose = yaml.safe_load((root / "examples" / "mqtt" / "compose.yaml").read_text(encoding="utf-8"))
    mounts = [v.split(":")[0] for v in compose["services"]["broker"]["volumes"]]
    assert mounts == ["./broker", "./tls", "data"]
    with running(_broker_of_the_example(root, tmp_path, port), tmp_path, port), tickets(500) as system:
        script = str(root / "examples" / "tickets" / "open_tickets.py")
        env = {**os.environ, "READER_PASSWORD": "of-reader", "BROKER_CA": str(tmp_path / "tls" / "ca.pem"),
               "TICKET_TOKEN": "t0ken", "RETRY_SECONDS": "0.01"}  # fmt: skip
        words = [sys.executable, script, "127.0.0.1", str(port), "lanveto", system.url]
        with subprocess.Popen(words, env=env, stdout=subprocess.PIPE) as hook:
            try:
                assert hook.stdout is not None
                assert hook.stdout.readline() == b"ready\n"
                _publish(tmp_path, port, event(1), event(2, "device-appeared"))
                system.wait(2)
            finally:
                hook.terminate()
        # What comes while the hook does not run is kept for it.
        _publish(tmp_path, port, event(3, "finding-closed", action=None), event(1))
        with subprocess.Popen(words, env=env, stdout=subprocess.PIPE) as hook:
            try:
                system.wait(4)
            finally:
                hook.terminate()
        # The user of the example may not write elsewhere.
        _publish(tmp_path, port, event(9), prefix="other")
    got = [ticket["external_id"] for ticket in system.got]
    assert got == ["e1", "e1", "e3", "e1"]  # refused once, taken, what was missed, and the second e1 by its id
    assert system.got[1]["title"] == "lanveto: remove: dahua device 192.0.2.7"
    assert system.got[2]["state"] == "closed"
    assert system.got[1]["group"] == system.got[2]["group"]
    assert set(system.tokens) == {"Bearer t0ken"}


def test_the_package_for_home_assistant(
    root: Path, make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    package = yaml.safe_load((root / "examples" / "home-assistant" / "lanveto.yaml").read_text(encoding="utf-8"))
    topics = {e["state_topic"] for kind in package["mqtt"].values() for e in kind}
    assert topics == {"lanveto/hq/summary"}
    heard = {t["topic"] for a in package["automation"] for t in a["triggers"]}
    assert heard == {"lanveto/hq/event/finding-opened", "lanveto/hq/event/scan-failed"}
    good = documents.summary(make_report(make_device()), {"remove": 1})
    bad = documents.summary(make_report(failures=("x",)), None)
    renderer = jinja2.Environment(undefined=jinja2.StrictUndefined)

    def shown(entity: dict[str, Any], told: shapes.Summary) -> str:
        return renderer.from_string(entity["value_template"]).render(value_json=json.loads(documents.json(told)))

    remove, coverage = package["mqtt"]["sensor"]
    incomplete = package["mqtt"]["binary_sensor"][0]
    assert [shown(remove, good), shown(coverage, good), shown(incomplete, good)] == ["1", "100.0", "ON"]
    assert [shown(remove, bad), shown(incomplete, bad)] == ["None", "ON"]
    for automation in package["automation"]:
        for action in automation["actions"]:
            for template in action["data"].values():
                renderer.from_string(template).render(trigger={"payload_json": json.loads(event().body)})
