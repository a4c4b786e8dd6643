"""Reads rule files: YAML to typed entries, with errors that name file, entry, key and reason."""

from __future__ import annotations

import contextlib
import gc
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from scanner.errors import RulesProblem
from scanner.knowledge import parsed

T = TypeVar("T")

FOLDERS = ("brands", "fingerprints", "policies", "vendors")
"""What a folder of rules may hold, beside `profiles.yaml`."""
MAX_FILE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands."""

    file: str
    entry: str | None = None

    def problem(self, key: str, reason: str) -> RulesProblem:
        """The error about one key here."""
        where = f": entry {self.entry!r}" if self.entry else ""
        return RulesProblem(f"{self.file}{where}: {key}: {reason}" if key else f"{self.file}{where}: {reason}")


def files(folder: Path, name: str) -> list[Path]:
    """The rule files `folder/name/*.yaml` in order of name; an empty list where the folder is not there."""
    return sorted((folder / name).glob("*.yaml"))


def check_overlay(folder: Path) -> None:
    """A folder of the user's own rules that would change nothing is a mistake. Raises `RulesProblem`."""
    parts = [folder / name for name in FOLDERS if (folder / name).is_dir()]
    if not parts and not (folder / "profiles.yaml").is_file():
        raise RulesProblem(f"{folder}: holds none of {', '.join(f'{n}/' for n in FOLDERS)} and profiles.yaml")
    for other in (path for part in parts for path in sorted(part.iterdir()) if path.suffix in {".yml", ".json"}):
        raise RulesProblem(f"{other}: is not read: rules end in .yaml")


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Holds the search for cyclic garbage, which would take longer than the reading: rules have none."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextlib.contextmanager
def seldom() -> Iterator[None]:
    """Lets that search run after 100,000 new objects instead of 700: where devices are made that have no cycles."""
    was = gc.get_threshold()
    gc.set_threshold(100_000, *was[1:])
    try:
        yield
    finally:
        gc.set_threshold(*was)


def settled() -> None:
    """Spares that search everything made by now, which stays to the end, and lets it run after 2,000 new objects at
    the earliest: little of what follows has cycles. Once in a process: nothing piles up.
    """
    if not gc.get_freeze_count():
        gc.freeze()
        was = gc.get_threshold()
        gc.set_threshold(max(was[0], 2_000), *was[1:])


def read_yaml(path: Path) -> Any:
    """The document of one file. Raises `RulesProblem`."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise RulesProblem(f"{path}: is larger than {MAX_FILE // 1024 // 1024} MiB")
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise RulesProblem(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RulesProblem(f"{path}: is not UTF-8 text (byte {error.start})") from error
    with undisturbed():
        document = parsed.get(content)
        if document is not parsed.MISSING:
            return document
        from scanner import documents  # PyYAML, which a start with parsed rules never needs

        try:
            node = documents.compose(text)
            document = None if node is None else documents.Builder().build(node)
        except documents.YamlError as error:
            raise RulesProblem(f"{path}: {error}") from error
        parsed.keep(content, document)
        return document


def convert(raw: object, kind: type[T], place: Place) -> T:
    """`raw` as the typed entry `kind`. Raises `RulesProblem` naming the key."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        match = re.match(r"(.*) - at `\$\.?(.*)`$", str(error))
        raise place.problem(match[2] if match else "", match[1] if match else str(error)) from error
