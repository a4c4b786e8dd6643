from __future__ import annotations

from pathlib import Path

import pytest

from scanner import state
from scanner.errors import InputProblem
from scanner.model import Recording


def test_the_last_scan_comes_back_and_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(InputProblem, match="--from"):
        state.load_last()
    assert state.save_last([Recording(id="a", ip="192.0.2.1")]) is None
    assert state.load_last() == (Recording(id="a", ip="192.0.2.1"),)
    assert (tmp_path / "lanveto" / state.NAME).stat().st_mode & 0o777 == 0o600


def test_a_scan_that_heard_nothing_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state.save_last([Recording(id="a")]) is None
    assert state.save_last([]) is None
    assert state.load_last() == (Recording(id="a"),)
    assert [path.name for path in (tmp_path / "lanveto").iterdir()] == [state.NAME]


def test_a_scan_survives_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lanveto").write_text("a file where a folder should be")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state.save_last([]) is not None


def test_an_account_without_a_home_remembers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setattr(Path, "home", homeless)
    assert state.folder() == Path("/nonexistent/.local/state/lanveto")
    with pytest.raises(InputProblem, match="--from"):
        state.load_last()


def test_a_home_that_cannot_be_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(Path, "exists", closed)
    with pytest.raises(InputProblem, match="Permission denied; .*--from"):
        state.load_last()
