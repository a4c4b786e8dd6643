from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from scanner import knowledge
from scanner.errors import InputProblem, RulesProblem
from scanner.knowledge import shelf
from scanner.resources import data_dir


def _put(name: str, file: str, text: str) -> Path:
    with shelf.replacing(name) as folder:
        (folder / file).write_text(text)
    final = shelf.stored(name)
    assert final is not None
    return final


def test_without_own_data_ours_is_in_use(own_data: Path) -> None:
    assert shelf.rules() == data_dir("rules")
    assert shelf.registry() == data_dir("oui")
    assert shelf.overrides() == (data_dir("oui") / "overrides.yaml",)
    assert not own_data.exists()


def test_only_what_is_newer_stands_in_for_ours(own_data: Path) -> None:
    newer = _put("rules", "version.yaml", "as_of: 2999-01-01\n")
    assert shelf.rules() == newer
    assert newer.parent == own_data
    _put("rules", "version.yaml", "as_of: 2020-01-01\n")
    assert shelf.rules() == data_dir("rules")


@pytest.mark.usefixtures("own_data")
def test_a_failure_leaves_the_copy_in_use(own_data: Path) -> None:
    before = _put("rules", "version.yaml", "as_of: 2999-01-01\n")
    with pytest.raises(ValueError, match="boom"), shelf.replacing("rules") as folder:  # noqa: PT012
        (folder / "version.yaml").write_text("as_of: 2999-12-31\n")
        raise ValueError("boom")
    assert shelf.stored("rules") == before
    assert len([p for p in own_data.iterdir() if p.is_dir() and not p.is_symlink()]) == 1


def test_the_copy_before_stays_and_older_ones_go(own_data: Path) -> None:
    made = [_put("oui", "x", str(number)) for number in range(4)]
    assert [folder.exists() for folder in made] == [False, False, True, True]
    assert shelf.remove("oui")
    assert not shelf.remove("oui")
    assert shelf.stored("oui") is None
    assert not list(own_data.glob(".oui-*"))


def test_two_updates_at_once_are_refused(own_data: Path) -> None:
    own_data.mkdir(parents=True)
    with (own_data / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputProblem, match="another update"), shelf.replacing("oui"):
            pass


def test_a_folder_that_no_update_made_is_never_replaced(own_data: Path) -> None:
    (own_data / "rules").mkdir(parents=True)
    (own_data / "rules" / "version.yaml").write_text("as_of: 2020-01-01\n")
    with pytest.raises(InputProblem, match="move it away"), shelf.replacing("rules"):
        pass
    with pytest.raises(InputProblem, match="move it away"):
        shelf.remove("rules")
    assert (own_data / "rules" / "version.yaml").exists()


@pytest.mark.usefixtures("own_data")
def test_a_damaged_copy_says_how_to_go_back() -> None:
    _put("rules", "version.yaml", "as_of: soon\n")
    with pytest.raises(RulesProblem, match="rules update --reset"):
        knowledge.load()
    shelf.remove("rules")
    _put("oui", "registry.json", "{")
    with pytest.raises(RulesProblem, match="oui update --reset"):
        knowledge.load()


def test_own_overrides_lie_over_ours(own_data: Path) -> None:
    own_data.mkdir(parents=True)
    (own_data / shelf.OVERRIDES).write_text(
        "overrides: [{prefix: '3c:ef:8c', organisation: Somebody Else, because: seen, source: [https://example.org]}]\n"
    )
    registry = knowledge.load().registry
    changed, ours = registry.lookup("3c:ef:8c:00:00:01"), registry.lookup("00:12:31:08:bb:97")
    assert changed is not None
    assert changed.organisation == "Somebody Else"
    assert ours is not None
    assert "Xiongmai" in ours.organisation


def test_an_account_without_a_home_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does where it knows none
    assert shelf.rules() == data_dir("rules")
    with pytest.raises(InputProblem, match="XDG_DATA_HOME"), shelf.replacing("rules"):
        pass


def test_a_home_that_cannot_be_looked_into_has_no_overrides(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "is_file", closed)
        assert shelf.overrides() == (data_dir("oui") / "overrides.yaml",)
