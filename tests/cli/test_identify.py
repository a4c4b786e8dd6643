from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scanner.cli import main

DAHUA = """\
- id: lorex
  ip: 192.0.2.42
  observations:
    - {channel: rtsp.header.www-authenticate, port: 554, value: 'Digest realm="Login to ND011906001122", nonce="00"'}
    - {channel: dhip.response, port: 37810, value: '{"mac":"3c:ef:8c:11:22:33","method":"client.notifyDevInfo","params":
        {"deviceInfo":{"DeviceClass":"NVR","DeviceType":"NR900","Vendor":"Lorex","SerialNo":"ND011906001122"}}}'}
"""


def _identify(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scanner.cli.main", "identify", *arguments],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=60,
    )


@pytest.fixture
def case(tmp_path: Path) -> str:
    path = tmp_path / "case.yaml"
    path.write_text(DAHUA)
    return str(path)


def test_maker_evidence_and_law_of_a_white_label(case: str) -> None:
    done = _identify(case, "--profile", "us-federal-contractor", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["manufacturer"], answer["brand"], answer["level"]) == ("dahua", "lorex", "confirmed")
    verdicts = {v["policy"]: v for v in answer["verdicts"]}
    assert verdicts["us-889-a1b"]["action"] == "remove"
    assert verdicts["us-889-a1b"]["binds_you"] is True
    assert verdicts["us-bis-entity-list"]["action"] == "note"
    assert answer["evidence"]


def test_without_a_profile_nothing_is_above_note(case: str) -> None:
    done = _identify(case, "--format", "json")
    device = json.loads(done.stdout)["devices"][0]
    assert device["action"] == "note"
    assert all(v["binds_you"] is None for v in device["verdicts"])
    assert "--profile" in _identify(case).stdout


def test_fail_on_and_its_usage_error(case: str) -> None:
    profile = ("--profile", "us-federal-contractor")
    assert _identify(case, *profile, "--fail-on", "remove").returncode == 1
    assert _identify(case, *profile, "--fail-on", "do-not-buy,plan").returncode == 0
    assert _identify(case, "--fail-on", "remove").returncode == 2
    assert _identify(case, *profile, "--fail-on", "explode").returncode == 2


def test_the_law_of_a_day(case: str) -> None:
    done = _identify(case, "--profile", "us-federal-contractor", "--as-of", "2018-01-01", "--format", "jsonl")
    assert json.loads(done.stdout)["verdicts"] == []
    assert _identify(case, "--as-of", "yesterday").returncode == 2


def test_one_bad_entry_is_named_and_the_rest_is_done(case: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("- {id: broken, colour: red}\n- {id: fine}\n")
    done = _identify(str(bad), case, str(tmp_path / "missing.yaml"), "--format", "jsonl")
    assert done.returncode == 2
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["fine", "lorex"]
    assert "entry 'broken'" in done.stderr
    assert "missing.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_device_is_unknown_not_clear() -> None:
    done = _identify("-", "--format", "jsonl", stdin='{"id":"x","observations":[{"channel":"tcp.open","value":"80"}]}\n')
    answer = json.loads(done.stdout)
    assert answer["manufacturer"] is None
    assert answer["level"] == "unknown"
    assert answer["verdicts"] == []


def test_output_that_cannot_be_written_is_said_before_any_work(case: str, tmp_path: Path) -> None:
    done = _identify(case, "--output", str(tmp_path / "no" / "such" / "x.json"))
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    target = tmp_path / "out.jsonl"
    assert _identify(case, "--format", "jsonl", "--output", str(target)).returncode == 0
    assert json.loads(target.read_text())["id"] == "lorex"


def test_an_unknown_profile_is_a_usage_error(case: str) -> None:
    done = _identify(case, "--profile", "us-federal-contractr")
    assert done.returncode == 2
    assert "us-federal-contractor" in done.stderr


def test_waivers_own_columns_and_who_ran_it(case: str, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(
        "waivers: [{device: 192.0.2.42, policy: all, reason: moves in May, who: CISO, expires: 9999-01-01}]\n"
    )
    (tmp_path / "a.csv").write_text("ip;owner\n192.0.2.42;Ada\nbroken;x\n")
    law = ("--profile", "us-federal-contractor", "--fail-on", "remove")
    more = ("--waivers", str(tmp_path / "w.yaml"), "--join", str(tmp_path / "a.csv"), "--operator", "Grace")
    assert _identify(case, *law).returncode == 1
    done = _identify(case, *law, *more, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "line 3" in done.stderr
    document = json.loads(done.stdout)
    assert document["scan"]["operator"] == "Grace"
    (device,) = document["devices"]
    assert (device["action"], device["columns"]) == ("none", {"owner": "Ada"})
    assert {v["waiver"]["reason"] for v in device["verdicts"]} == {"moves in May"}
    assert document["waivers"][0]["devices"] == [device["key"]]
    table = _identify(case, *law, *more).stdout
    assert "Waived until 9999-01-01: 192.0.2.42, all: moves in May (CISO)" in table
    assert "Ada" in table
    (tmp_path / "w.yaml").write_text((tmp_path / "w.yaml").read_text().replace("9999-01-01", "2020-01-01"))
    done = _identify(case, *law, *more)
    assert done.returncode == 1
    assert "EXPIRED on 2020-01-01" in done.stdout


def test_a_binary_format_goes_to_a_file_or_a_pipe(case: str, tmp_path: Path) -> None:
    target = tmp_path / "x.xlsx"
    assert _identify(case, "--format", "xlsx", "--output", str(target)).returncode == 0
    assert target.read_bytes()[:2] == b"PK"
    inner = f"{sys.executable} -m scanner.cli.main identify {case} --format xlsx"
    done = subprocess.run(["script", "-qec", inner, "/dev/null"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "--output FILE" in done.stdout


@pytest.mark.parametrize(("form", "told"), [("jsonl", True), ("json", False)])
def test_a_waiver_that_fits_nobody_is_told_where_the_format_does_not(
    form: str, told: bool, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = "  - {device: %s, policy: all, reason: r, who: w, expires: 2099-01-01}\n"
    (tmp_path / "w.yaml").write_text("waivers:\n" + entry % "10.77.0.22" + entry % "192.0.2.250")
    words = ["identify", str(root / "examples" / "demo-fleet.yaml"), "--profile", "us-federal-contractor"]
    assert main.run([*words, "--format", form, "--waivers", str(tmp_path / "w.yaml")]) == 0
    out, err = capsys.readouterr()
    assert ("the waiver of all for 192.0.2.250 fits no device of this result [W-WAIVER]" in err) is told
    assert "10.77.0.22" not in err
    assert "192.0.2.250" in out + err
