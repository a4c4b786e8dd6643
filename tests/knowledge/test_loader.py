from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from scanner.errors import RulesProblem
from scanner.knowledge.loader import MAX_FILE, Place, convert, files, read_yaml


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    size: int = 0


def test_errors_name_file_entry_key_and_reason() -> None:
    with pytest.raises(RulesProblem, match=r"x\.yaml: entry 'a': size: Expected `int`, got `str`"):
        convert({"name": "a", "size": "big"}, Thing, Place("x.yaml", "a"))
    with pytest.raises(RulesProblem, match=r"x\.yaml: .*unknown field `colour`"):
        convert({"name": "a", "colour": 1}, Thing, Place("x.yaml"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"a: [", r"line 1|line 2"), (b"\xff\xfe", "UTF-8"), (b"a: &x [*x, *y]", "not YAML|undefined")],
)
def test_unusable_files(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(RulesProblem, match=reason):
        read_yaml(path)


def test_missing_and_huge_files(tmp_path: Path) -> None:
    with pytest.raises(RulesProblem, match="cannot be read"):
        read_yaml(tmp_path / "none.yaml")
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(RulesProblem, match="larger"):
        read_yaml(huge)


def test_files_of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert files(tmp_path, "fingerprints") == []
