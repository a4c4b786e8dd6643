"""`lanveto.toml`: what it may say, what it counts against the environment and the command line, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scanner.cli import main, settings

CASE = "- id: lorex\n  ip: 192.0.2.42\n  observations:\n    - {channel: http.title, port: 80, value: x}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "case.yaml").write_text(CASE)
    return tmp_path


def _profiles(capsys: pytest.CaptureFixture[str], *more: str) -> list[str]:
    assert main.run(["identify", "case.yaml", "--format", "json", *more]) == 0
    found: list[str] = json.loads(capsys.readouterr().out)["scan"]["profiles"]
    return found


def test_flags_beat_the_environment_and_the_environment_the_file(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _profiles(capsys) == []
    (here / "lanveto.toml").write_text('profile = ["private"]\n')
    assert _profiles(capsys) == ["private"]
    (here / "lanveto.toml").write_text('profile = ["private"]\n[identify]\nprofile = ["us-dod"]\n')
    assert _profiles(capsys) == ["us-dod"]
    monkeypatch.setenv("LANVETO_IDENTIFY_PROFILES", "uk-government")
    assert _profiles(capsys) == ["uk-government"]
    assert _profiles(capsys, "--profile", "us-federal-agency") == ["us-federal-agency"]


def test_the_first_place_holds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = here / "config" / "lanveto"
    home.mkdir(parents=True)
    (home / "lanveto.toml").write_text('profile = ["us-dod"]\n')
    assert _profiles(capsys) == ["us-dod"]
    (here / "lanveto.toml").write_text('profile = ["private"]\n')
    assert _profiles(capsys) == ["private"]
    assert main.run(["--config", str(home / "lanveto.toml"), "identify", "case.yaml", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["scan"]["profiles"] == ["us-dod"]


def test_a_file_that_everybody_may_write_is_not_taken(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "lanveto.toml").write_text("")
    (here / "lanveto.toml").chmod(0o666)
    assert main.run(["identify", "case.yaml"]) == 2
    assert "everybody may write it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("profile = 'private'", "profile: is 'private'; write a list"),
        ("[identify]\nprofil = []", "[identify] profil: `lanveto identify` has no such option; did you mean profile?"),
        ("[identify]\nformat = 3", "identify.format: is 3; write a text in quotes"),
        ("[identify", "lanveto.toml: "),
        ("identify = 3", "identify: is a table: write [identify]"),
    ],
)
def test_what_cannot_be_is_said_with_file_key_and_reason(
    here: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "lanveto.toml").write_text(text)
    assert main.run(["identify", "case.yaml"]) == 2
    err = capsys.readouterr().err
    assert "lanveto.toml: " in err
    assert said in err


def test_every_option_of_a_scan_can_be_set() -> None:
    from scanner.cli.scan import command

    assert {"targets", "profile", "exclude", "gentle", "store", "mqtt", "as-of"} <= set(settings.options(command))
    assert not settings.options(command).keys() & settings.NEVER


def test_the_targets_of_a_scan_may_stand_in_the_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "lanveto.toml").write_text('[scan]\ntargets = ["127.66.9.0/30"]\n')
    assert main.run(["scan", "--dry-run"]) == 0
    assert "targets: 127.66.9.0/30: 2 addresses" in capsys.readouterr().out
    assert main.run(["scan", "--dry-run", "127.66.9.9"]) == 0
    assert "targets: 127.66.9.9: 1 address" in capsys.readouterr().out


def test_messages_wait_in_the_store_while_the_broker_is_away(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from scanner.store import open_store, outbox

    (here / "lanveto.toml").write_text('store = "h.sqlite"\n[publish.mqtt]\nurl = "mqtt://127.0.0.1:1/p"\n')
    assert main.run(["identify", "case.yaml"]) == 3
    assert "its messages wait in h.sqlite" in capsys.readouterr().err
    with open_store(here / "h.sqlite") as store:
        assert outbox.standing(store)[0].waiting > 0
