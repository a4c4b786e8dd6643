from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanner.cli import demo
from scanner.errors import UsageProblem
from scanner.model import Recording

ROOT = Path(__file__).resolve().parents[2]


def run_demo(*words: str, env: dict[str, str] | None = None) -> tuple[dict[str, Any], str]:
    """The report, and what was said beside it."""
    done = subprocess.run(
        [sys.executable, "-m", "scanner.cli.main", "demo", "--format", "json", *words], cwd=ROOT, text=True,
        capture_output=True, check=False, timeout=60, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def wrong(report: dict[str, Any], recordings: tuple[Recording, ...], place: Callable[[Recording], str]) -> list[str]:
    """Devices whose maker, label or model the report tells otherwise than their truth."""
    told = {device["ip"]: device for device in report["devices"]}
    found = []
    for recording in recordings:
        truth = recording.truth
        assert truth is not None
        identity = told.get(place(recording), {})
        sure = identity.get("level") in {"likely", "confirmed"}
        maker = identity.get("manufacturer") if sure else "unknown"
        if maker != truth.manufacturer or any(
            getattr(truth, name) not in {None, identity.get(name)} for name in ("brand", "kind", "model")
        ):
            found.append(f"{recording.id}: {maker} {identity.get('brand')} {identity.get('model')}")
    return found


@pytest.mark.root
def test_the_demo_tells_the_truth_about_every_device() -> None:
    report, said = run_demo()

    assert wrong(report, demo.fleet(), lambda recording: str(recording.ip)) == []
    assert {device["mac"] for device in report["devices"]} == {r.mac for r in demo.fleet()}
    assert "lanveto scan 10.77.0.0/26" in said
    assert "should not" not in said
    assert "Traceback" not in said


def test_without_namespaces_the_fleet_answers_on_loopback_ports_of_its_own() -> None:
    report, said = run_demo("--loopback")
    places = {r.id: f"127.77.0.{number}" for number, r in enumerate(demo.fleet(), 1)}

    assert wrong(report, demo.fleet(), lambda recording: places[recording.id]) == []
    assert all(device["mac"] is None for device in report["devices"])
    assert "on loopback" in said
    assert "should not" not in said


def test_where_no_network_of_its_own_can_be_had_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from scanner.simulate import lab

    def refuse(_lab: object) -> None:
        raise UsageProblem("namespaces are not for you")

    monkeypatch.setattr(lab.Lab, "__enter__", refuse)
    simulation = demo.start([Recording(id="a")])
    simulation.close()

    assert "namespaces are not for you; the fleet answers on loopback" in capsys.readouterr().err


def test_the_fleet_has_every_kind_of_answer_a_report_can_give() -> None:
    recordings = demo.fleet()
    truths = {r.truth.manufacturer for r in recordings if r.truth}

    assert 16 <= len(recordings) <= 20
    assert {"hikvision", "dahua", "huawei", "zte", "uniview", "tp-link", "axis", "unknown"} <= truths
    assert {"ezviz", "lorex", "amcrest", "honeywell", "truvision", "alibi"} <= {
        r.truth.brand for r in recordings if r.truth
    }
    assert {r.behaviour for r in recordings} - {None}
