"""`lanveto config check` and `show`."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.cli import main

GOOD = """\
site = "hq"
profile = ["us-federal-contractor"]
[scan]
targets = ["192.0.2.0/24"]
gentle = true
timeout = 2
[publish.mqtt]
url = "mqtt://user@broker/lanveto"
actions = ["remove"]
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    path = tmp_path / "lanveto.toml"
    path.write_text(GOOD)
    return path


def test_nothing_is_wrong(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["config", "check"]) == 0, capsys.readouterr().err
    assert "nothing is wrong" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("profiles = []", "profiles: no command has this option; did you mean profile?"),
        ("[skan]\nx = 1", "[skan]: there is no such table"),
        ("[scan]\ntimeout = 'x'", "scan.timeout: is 'x'; write a number"),
        ("[scan]\ngentle = 1", "scan.gentle: is 1; write true or false"),
        ("[publish.mqtt]\nurl = 'http://x'", "[publish.mqtt]: --mqtt http://x: begin it with mqtt://"),
        ("[publish.mqtt]\nurl = 'mqtt://x'\nqos = 2", "unknown field `qos`"),
        ("[publish.pigeon]\nurl = 'x'", "'pigeon' is no sink"),
        ("[publish.mqtt]\nurl = 'mqtt://x'\nactions = ['shout']", "actions[0]"),
    ],
)
def test_everything_wrong_is_said(file: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(text)
    assert main.run(["config", "check", str(file)]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert str(file) in err


def test_show_says_where_each_setting_comes_from(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANVETO_SCAN_RATE", "7")
    assert main.run(["config", "show", "scan"]) == 0
    out = capsys.readouterr().out
    assert "scan.site = 'hq' (file: site)" in out
    assert "scan.gentle = true (file: scan.gentle)" in out
    assert "scan.rate = '7' (environment: LANVETO_SCAN_RATE)" in out
    assert main.run(["config", "show", "nothing"]) == 2
