from __future__ import annotations

from pathlib import Path

import pytest

from scanner import state
from scanner.cli import main
from scanner.model import Observation, Recording

DEVICE = Recording(
    id="dev-1",
    ip="192.0.2.42",
    mac="3c:ef:8c:11:22:33",
    observations=(
        Observation(
            channel="rtsp.header.www-authenticate", port=554, value='Digest realm="Login to ND011906001122", nonce="0"'
        ),
        Observation(channel="http.title", port=80, value="\x1b[2Jhidden"),
        Observation(channel="sadp.response", port=37020, value="", silent=True, request="inquiry"),
    ),
)


@pytest.fixture(autouse=True)
def last_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state.save_last([DEVICE]) is None


@pytest.mark.parametrize("key", ["192.0.2.42", "3C-EF-8C-11-22-33", "dev-1", "3cef8c112233"])
def test_the_whole_story_of_one_device(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["explain", key, "--profile", "us-federal-contractor"]) == 0
    text = capsys.readouterr().out
    assert "dahua: confirmed" in text
    assert "Login to ND011906001122" in text
    assert "Sec. 889" in text
    assert "no answer" in text
    assert "\x1b" not in text


def test_an_unknown_key_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["explain", "192.0.2.1"]) == 2
    assert "192.0.2.42" in capsys.readouterr().err


def test_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text("- {id: x, mac: '3c:ef:8c:11:22:33'}\n")
    assert main.run(["explain", "x", "--from", str(path)]) == 0
    assert "dahua" in capsys.readouterr().out


def test_waivers_and_own_columns_belong_to_the_story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "w.yaml").write_text(
        "waivers:\n"
        "  - {device: 192.0.2.42, policy: us-889-a1b, reason: moves in May, who: CISO, expires: 9999-01-01}\n"
        "  - {device: 192.0.2.42, policy: all, reason: long ago, who: CISO, expires: 2020-01-01}\n"
    )
    (tmp_path / "a.csv").write_text("mac,owner\n3c:ef:8c:11:22:33,Ada\n")
    words = ["explain", "192.0.2.42", "--profile", "us-federal-contractor"]
    assert main.run([*words, "--waivers", str(tmp_path / "w.yaml"), "--join", str(tmp_path / "a.csv")]) == 0
    text = capsys.readouterr().out
    assert "your owner: Ada" in text
    assert "waived until 9999-01-01: moves in May (CISO)" in text
    assert "a waiver EXPIRED on 2020-01-01: long ago (CISO)" in text


def test_what_would_make_it_surer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(
        "- {id: prefix, mac: '3c:ef:8c:11:22:33'}\n"
        "- id: nobody\n  ip: 192.0.2.9\n  observations:\n"
        "    - {channel: tcp.open, value: '80'}\n    - {channel: sadp.response, value: '', silent: true}\n"
    )
    assert main.run(["explain", "prefix", "--from", str(path)]) == 0
    assert "only one kind of evidence (oui) names the maker" in " ".join(capsys.readouterr().out.split())
    assert main.run(["explain", "nobody", "--from", str(path)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for part in ("no MAC address is known", "nothing was heard by http", "1 question(s) stayed unanswered", "read the label"):
        assert part in told
    assert main.run(["explain", "dev-1"]) == 0
    assert "What would make it surer" not in capsys.readouterr().out
