"""`lanveto.toml`: what it may say, what it counts against the environment and the command line, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
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


def _value(param: click.Option, folder: Path) -> Any:
    """Some value that the option takes."""
    if param.is_flag:
        return True
    kind = param.type
    known = {"profile": "private", "rules": str(folder), "as-of": "2026-11-24", "store": str(folder / "h.sqlite")}
    one: Any = next((known[o[2:]] for o in param.opts if o[2:] in known), "x")
    if isinstance(kind, click.Choice):
        one = kind.choices[0]
    elif isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        one = 2
    return [one] if param.multiple else one


def _leaves() -> dict[str, click.Command]:
    assert isinstance(main.cli, click.Group)
    return settings.commands(main.cli, click.Context(main.cli))


@pytest.mark.parametrize("name", _leaves())
def test_every_option_of_every_command_can_be_said_in_the_file(name: str, tmp_path: Path) -> None:
    command = _leaves()[name]
    (tmp_path / "vendors").mkdir()
    wanted = {}
    for param in command.params:
        if isinstance(param, click.Option):
            words = [o[2:] for o in param.opts if o.startswith("--")]
            assert words, f"{param.opts}: no long name"
            if words[0] not in settings.NEVER:
                wanted[words[0]] = param
    document = {name: {key: _value(param, tmp_path) for key, param in wanted.items()}}
    found = settings.Settings(tmp_path / "lanveto.toml", document)
    assert settings.check(found, _leaves()) == []
    there = settings.default_map(found, name, command)
    assert there.keys() == {param.name for param in wanted.values()}
    context = click.Context(command, info_name=name, default_map=there, resilient_parsing=True)
    for param in wanted.values():
        _, source = param.consume_value(context, {})
        assert source is click.core.ParameterSource.DEFAULT_MAP, f"{name} {param.opts}"


def test_what_cannot_be_said_in_the_file_is_a_short_list_with_reasons() -> None:
    there = {o[2:] for c in _leaves().values() for p in c.params for o in p.opts if o.startswith("--")}
    assert settings.NEVER.keys() - {"help", "version", "config"} <= there
    assert len(settings.NEVER) == 4
    assert all(settings.NEVER.values())


def test_commands_of_a_group_have_tables_of_their_own(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "lanveto.toml").write_text('as-of = "2020-01-01"\n[rules-update]\nreset = true\n')
    assert main.run(["rules", "update"]) == 0
    assert "came with lanveto" in capsys.readouterr().out
    assert main.run(["oui", "update", "--reset"]) == 0, "an option named alike at the top is not this one"
    (here / "lanveto.toml").write_text("[rules-update]\nrest = true\n")
    assert main.run(["rules", "update"]) == 2
    assert "`lanveto rules update` has no such option; did you mean reset?" in capsys.readouterr().err
    (here / "lanveto.toml").write_text('rules = ["nowhere"]\n')
    assert main.run(["rules", "list", "profiles"]) == 2
    assert "rules: Directory 'nowhere' does not exist" in capsys.readouterr().err


def test_how_often_a_device_must_be_missed_can_be_said(here: Path) -> None:
    from scanner.cli import keeping
    from scanner.cli.scan import command
    from scanner.store.findings import MISSES

    assert keeping.MISSES == MISSES
    found = settings.Settings(here / "lanveto.toml", {"misses": 7})
    assert settings.default_map(found, "scan", command)["misses"] == 7


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
