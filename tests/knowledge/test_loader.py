from __future__ import annotations

import gc
from pathlib import Path

import msgspec
import pytest
import yaml

from scanner.errors import RulesProblem
from scanner.knowledge.loader import MAX_FILE, Place, check_overlay, convert, files, read_yaml, seldom, undisturbed


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


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a: 1\nb: 2\na: 3\n", r"'a' stands twice.*line 3|line 3.*'a' stands twice"),
        ("a: &x {b: *x}\n", "holds itself"),
        ("[a]: 1\n", "key is no text"),
        ("a: !!python/object:os.system {}\n", "tag .*os.system"),
        ("a: !!python/name:os.system x\n", "could not determine a constructor"),
    ],
)
def test_yaml_that_is_legal_and_still_wrong(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(content)
    with pytest.raises(RulesProblem, match=reason):
        read_yaml(path)


def test_data_is_what_any_yaml_reader_gives(root: Path, tmp_path: Path) -> None:
    for path in sorted((root / "rules").rglob("*.yaml"))[::10]:
        assert read_yaml(path) == yaml.safe_load(path.read_text(encoding="utf-8"))
    mixed = tmp_path / "x.yaml"
    mixed.write_text("a: &x [1, 1.5, true, null, 2026-01-02, '2', text]\nb: *x\nc: {}\nd:\n")
    assert read_yaml(mixed) == yaml.safe_load(mixed.read_text())
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    mixed.write_text(bomb)
    with pytest.raises(RulesProblem, match="aliases repeat more than"):
        read_yaml(mixed)


def test_the_garbage_collector_is_left_as_it_was(tmp_path: Path) -> None:
    broken = tmp_path / "x.yaml"
    broken.write_text("a: [")
    assert gc.isenabled()
    with undisturbed():
        assert not gc.isenabled()
        with pytest.raises(RulesProblem):
            read_yaml(broken)
        assert not gc.isenabled()
    assert gc.isenabled()

    was = gc.get_threshold()
    with seldom():
        assert gc.get_threshold()[0] > was[0]
    assert gc.get_threshold() == was


def test_an_overlay_that_changes_nothing_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(RulesProblem, match="holds none of brands/"):
        check_overlay(tmp_path)
    (tmp_path / "brands").mkdir()
    check_overlay(tmp_path)
    (tmp_path / "brands" / "x.yml").touch()
    with pytest.raises(RulesProblem, match=r"end in \.yaml"):
        check_overlay(tmp_path)
