from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanner import documents
from scanner.errors import RulesProblem
from scanner.knowledge import parsed
from scanner.knowledge.loader import read_yaml
from scanner.resources import data_dir

FILES = sorted(data_dir("rules").rglob("*.yaml"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, not made yet; every file is long enough to be kept."""
    monkeypatch.setattr(parsed, "LEAST", 0)
    monkeypatch.setattr(parsed, "_shipped", dict)  # as in a checkout that was never built
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lanveto" / "parsed-rules"


def _plain(path: Path) -> Any:
    node = documents.compose(path.read_text(encoding="utf-8"))
    return None if node is None else documents.Builder().build(node)


def _same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down: `1`, `True` and `1.0` are equal to Python."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


@pytest.mark.usefixtures("cache")
def test_every_rule_file_comes_back_as_it_was() -> None:
    for path in FILES:
        first, second = read_yaml(path), read_yaml(path)
        assert parsed.get(path.read_bytes()) is not parsed.MISSING, path
        assert _same(first, second), path
        assert _same(second, _plain(path)), path


@pytest.mark.parametrize(
    "text",
    ["", "null\n", "- 1\n- 1.0\n- true\n- '1'\n- 2026-11-24\n- null\n", "a: {b: [2022, 2022-11, '2022-11-24']}\n"],
)
def test_types_survive(cache: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    first = read_yaml(path)
    assert len(list(cache.iterdir())) == 1
    assert _same(read_yaml(path), first)


@pytest.mark.parametrize(
    "document", [{1: "a"}, [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)], {"a": 2**70}, ["\ud800"], [{1, 2}]]
)
def test_what_would_come_back_otherwise_is_not_kept(cache: Path, document: Any) -> None:
    parsed.keep(b"x", document)
    assert parsed.get(b"x") is parsed.MISSING
    assert not list(cache.iterdir())


def test_a_changed_file_is_read_again(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\n")
    assert read_yaml(path) == {"a": 1}
    path.write_text("a: 2\n")
    assert read_yaml(path) == {"a": 2}
    path.write_text("a: [\n")
    with pytest.raises(RulesProblem, match="not YAML"):
        read_yaml(path)
    assert len(list(cache.iterdir())) == 2


def test_a_damaged_entry_is_as_if_not_there(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\n")
    read_yaml(path)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    for broken in (b"", whole[:-1], whole[: parsed.DIGEST], whole[:-1] + b"\x02"):
        kept.write_bytes(broken)
        assert parsed.get(path.read_bytes()) is parsed.MISSING
        assert read_yaml(path) == {"a": 1}
        assert kept.read_bytes() == whole, "written anew"


def test_another_reader_shares_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed.keep(b"x", ["kept"])
    assert parsed.get(b"x") == ["kept"]
    monkeypatch.setattr(parsed, "_reader", lambda: b"another version")
    assert parsed.get(b"x") is parsed.MISSING
    assert cache.exists()


def test_a_folder_that_others_can_write_to_is_not_trusted(cache: Path) -> None:
    parsed.keep(b"x", ["kept"])
    cache.chmod(0o777)
    assert parsed.get(b"x") is parsed.MISSING
    cache.chmod(0o700)
    assert parsed.get(b"x") == ["kept"]


def test_without_a_place_to_keep_it_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\n")
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
    assert read_yaml(path) == {"a": 1}

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(Path, "home", nowhere)
    assert read_yaml(path) == {"a": 1}
    assert not cache.exists()


def test_the_folder_does_not_grow_without_end(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsed, "MAX_FILES", 10)
    for number in range(12):
        parsed.keep(f"file {number}".encode(), [number])
    assert len(list(cache.iterdir())) == 12
    parsed._sweep.cache_clear()  # another process
    parsed.keep(b"one more", [])
    assert len(list(cache.iterdir())) == 7


def test_short_files_are_not_worth_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    parsed.keep(b"x" * (parsed.LEAST - 1), [])
    assert not (tmp_path / "cache").exists()
    parsed.keep(b"x" * parsed.LEAST, [])
    assert parsed.get(b"x" * parsed.LEAST) == []


def test_what_a_build_ships_is_every_file_whatever_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setattr(parsed, "LEAST", 2_048)
    made = msgspec.msgpack.decode(parsed.ship(data_dir("rules")))
    monkeypatch.setattr(parsed, "_shipped", lambda: made)
    for path in FILES:
        assert _same(parsed.get(path.read_bytes()), _plain(path)), path
    assert not cache.exists(), "nothing was left to keep"
    edited = FILES[0].read_bytes() + b"# edited\n"
    assert parsed.get(edited) is parsed.MISSING
    monkeypatch.setattr(parsed, "_shipped", lambda: {key: value[:-1] for key, value in made.items()})
    assert parsed.get(FILES[0].read_bytes()) is parsed.MISSING, "damaged: as if it were not there"


@pytest.mark.parametrize("content", [None, b"", b"\xc1", b"\x81\xa1a\x01"])
def test_a_damaged_or_missing_shipped_file_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    file = tmp_path / parsed.SHIPPED
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(parsed, "package_file", lambda name: tmp_path / name)
    assert parsed._shipped.__wrapped__() == {}


def test_a_user_s_overlay_is_read_as_strictly(tmp_path: Path) -> None:
    overlay = tmp_path / "fingerprints"
    overlay.mkdir()
    (overlay / "x.yaml").write_text("maker: hikvision\nfingerprints: []\nfingerprints: []\n")
    with pytest.raises(RulesProblem, match="stands twice"):
        read_yaml(overlay / "x.yaml")
