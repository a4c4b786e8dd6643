from __future__ import annotations

from pathlib import Path

import pytest

from scanner.errors import RulesProblem
from scanner.resources import data_dir, user_dir


def test_data_is_found_in_a_checkout() -> None:
    assert (data_dir("rules") / "fingerprints").is_dir()
    assert (data_dir("oui") / "registry.bin").is_file()


def test_a_missing_folder_is_said_so() -> None:
    with pytest.raises(RulesProblem, match="nowhere/ is missing"):
        data_dir("nowhere")


def test_the_users_own_data_follows_the_base_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/data")
    assert user_dir() == Path("/srv/data/lanveto")
    for unset in ("", "relative/path"):
        monkeypatch.setenv("XDG_DATA_HOME", unset)
        monkeypatch.setenv("HOME", "/home/somebody")
        assert user_dir() == Path("/home/somebody/.local/share/lanveto")
