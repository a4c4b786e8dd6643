"""The examples do what they say."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scanner.cli import main

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
