from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from scanner import userfiles
from scanner.errors import InputProblem


def test_a_file_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * userfiles.MIB)
    assert userfiles.read(path, userfiles.MIB) == path.read_bytes()
    path.write_bytes(b"x" * (userfiles.MIB + 1))
    with pytest.raises(InputProblem, match="is larger than 1 MiB; split it"):
        userfiles.read(path, userfiles.MIB, hint="; split it")


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputProblem, match="cannot be read: No such file"):
        userfiles.read(tmp_path / "nothing", 10)
    with pytest.raises(InputProblem, match="is a folder"):
        userfiles.read(tmp_path, 10)


def test_standard_input_only_where_it_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abc")))
    assert userfiles.read(Path("-"), 10, dash=True) == b"abc"
    with pytest.raises(InputProblem, match="No such file"):
        userfiles.read(Path("-"), 10)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputProblem, match="is closed"):
        userfiles.read(Path("-"), 10, dash=True)
