"""Fingerprints: what a signal means, as data (docs/rules.md), read strictly and compiled once.

A fingerprint's condition is a channel with one test, or a combination of conditions; it is declarative on purpose:
a regular expression and all/any/not are all there is.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from scanner import channels
from scanner.errors import RulesProblem
from scanner.knowledge import shelf
from scanner.knowledge.loader import Place, convert, files, read_yaml, undisturbed
from scanner.model import Grade, Reading
from scanner.resources import data_dir

OPERATIONS = ("regex", "exact", "prefix", "contains")
MAX_TEXT = 65_536
"""Characters of one reading that are searched."""
FILLED = ("brand", "kind", "model", "firmware", "serial")
"""Fields of an answer that a named group may fill."""

Index = Mapping[str, Sequence[Reading]]
"""Channel → its readings."""


class Says(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a fingerprint says when it fits."""

    manufacturer: str | msgspec.UnsetType | None = msgspec.UNSET
    brand: str | None = None
    kind: str | None = None
    model: str | None = None
    firmware: str | None = None
    serial: str | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fingerprint as written."""

    id: str
    match: dict[str, Any]
    grade: Grade
    source: list[str]
    seen: datetime.date
    examples: list[Any] = msgspec.field(default_factory=list)
    counter_examples: list[Any] = msgspec.field(default_factory=list)
    says: Says = Says()
    shared_with: list[str] = msgspec.field(default_factory=list)
    oui: str | None = None
    family: str | None = None
    software: bool = False
    note: str | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    maker: str | None
    fingerprints: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Hit:
    """How a condition was met: by which readings, and what their groups caught."""

    readings: tuple[Reading, ...]
    caught: Mapping[str, str]


Test = Callable[[Index], Hit | None]


@dataclass(frozen=True)
class Fingerprint:
    """One fingerprint, ready to be tried."""

    id: str
    grade: Grade
    manufacturer: str | None
    says: Says
    family: str
    channels: frozenset[str]
    """Channels (or open families, `http.header.*`) of which one must be present for it to fit."""
    test: Test = field(repr=False)
    shared_with: tuple[str, ...] = ()
    oui: str | None = None
    software: bool = False
    source: tuple[str, ...] = ()
    seen: datetime.date = datetime.date.min
    examples: tuple[Any, ...] = ()
    counter_examples: tuple[Any, ...] = ()
    note: str | None = None
    file: str = ""
    patterns: tuple[str, ...] = ()
    """Its regular expressions, for the checks."""
    match: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The condition as written."""


@undisturbed()
def load(folders: Sequence[Path]) -> tuple[Fingerprint, ...]:
    """All fingerprints below `fingerprints/` of the rule folders; a later folder replaces entries of the same id.

    Raises `RulesProblem` that names file, entry, key and reason.
    """
    found: dict[str, Fingerprint] = {}
    # Checked before they shipped, or before they were put there: their expressions may wait until they are tried.
    ours = {data_dir("rules"), shelf.stored("rules")}
    for folder in folders:
        own: set[str] = set()
        for path in files(folder, "fingerprints"):
            for fingerprint in _load_file(path, lazy=folder in ours):
                if fingerprint.id in own:
                    raise RulesProblem(f"{path}: entry {fingerprint.id!r}: id: stands twice in this rule folder")
                own.add(fingerprint.id)
                found[fingerprint.id] = fingerprint
    return tuple(found.values())


def _load_file(path: Path, *, lazy: bool = False) -> list[Fingerprint]:
    document = convert(read_yaml(path), _File, Place(str(path)))
    made = []
    for number, raw in enumerate(document.fingerprints, 1):
        place = Place(str(path), str(raw.get("id") or f"number {number}"))
        entry = convert(raw, Entry, place)
        made.append(build(entry, document.maker, place, lazy=lazy))
    return made


def build(entry: Entry, maker: str | None, place: Place, *, lazy: bool = False) -> Fingerprint:
    """One entry, compiled; `lazy`: its expressions only when first tried (ours are checked before they ship).

    Raises `RulesProblem`.
    """
    patterns: list[str] = []
    test, present = _condition(entry.match, _Maker(place, patterns, lazy=lazy), "match")
    if not present:
        raise place.problem("match", "needs a condition that is not a `not`")
    said = entry.says.manufacturer
    manufacturer = maker if said is msgspec.UNSET else said
    if entry.grade is Grade.SHARED and not entry.shared_with:
        raise place.problem("shared_with", "a `shared` fingerprint names the other makers (or `unknown`)")
    if entry.oui not in {None, "maker", "other"}:
        raise place.problem("oui", f"{entry.oui!r} is neither `maker` nor `other`")
    if not entry.source:
        raise place.problem("source", "is empty: say where the string was seen")
    first = _first_channel(entry.match)
    return Fingerprint(
        id=entry.id,
        grade=entry.grade,
        manufacturer=manufacturer if isinstance(manufacturer, str) else None,
        says=entry.says,
        family=entry.family or channels.family(first if not first.endswith(".*") else first[:-1] + "x"),
        channels=frozenset(present),
        test=test,
        shared_with=tuple(entry.shared_with),
        oui=entry.oui,
        software=entry.software,
        source=tuple(entry.source),
        seen=entry.seen,
        examples=tuple(entry.examples),
        counter_examples=tuple(entry.counter_examples),
        note=entry.note,
        file=place.file,
        patterns=tuple(patterns),
        match=entry.match,
    )


def _first_channel(match: Mapping[str, Any]) -> str:
    if "channel" in match:
        return str(match["channel"]).lower()
    for key in ("all", "any"):
        for part in match.get(key) or ():
            if isinstance(part, dict) and "not" not in part:
                return _first_channel(part)
    return ""


@dataclass(frozen=True, slots=True)
class _Maker:
    """What the parts of one condition share while it is compiled."""

    place: Place
    patterns: list[str]
    lazy: bool

    def problem(self, key: str, reason: str) -> RulesProblem:
        return self.place.problem(key, reason)


def _condition(raw: Any, place: _Maker, key: str) -> tuple[Test, set[str]]:
    """The test of a condition, and the channels of which at least one must be present (empty for `not`)."""
    if not isinstance(raw, dict) or not raw:
        raise place.problem(key, "is no condition")
    if "channel" in raw:
        return _leaf(raw, place, key)
    if len(raw) != 1:
        raise place.problem(key, f"takes one of channel, all, any, not; has {', '.join(map(str, raw))}")
    ((kind, parts),) = raw.items()
    if kind == "not":
        inner, _ = _condition(parts, place, f"{key}.not")
        return lambda index: None if inner(index) is not None else Hit((), {}), set()
    if kind not in {"all", "any"} or not isinstance(parts, list) or not parts:
        raise place.problem(f"{key}.{kind}", "is no list of conditions")
    made = [_condition(part, place, f"{key}.{kind}[{n}]") for n, part in enumerate(parts, 1)]
    tests = tuple(test for test, _ in made)
    if kind == "any":
        if any(not present for _, present in made):
            raise place.problem(f"{key}.any", "holds a `not`")
        return _any(tests), set().union(*(present for _, present in made))
    positive = [present for _, present in made if present]
    return _all(tests), min(positive, key=len) if positive else set()


def _any(tests: Sequence[Test]) -> Test:
    def test(index: Index) -> Hit | None:
        for part in tests:
            hit = part(index)
            if hit is not None:
                return hit
        return None

    return test


def _all(tests: Sequence[Test]) -> Test:
    def test(index: Index) -> Hit | None:
        readings: list[Reading] = []
        caught: dict[str, str] = {}
        for part in tests:
            hit = part(index)
            if hit is None:
                return None
            readings += [r for r in hit.readings if r not in readings]
            caught = {**hit.caught, **caught}
        return Hit(tuple(readings), caught)

    return test


def _leaf(raw: Mapping[str, Any], place: _Maker, key: str) -> tuple[Test, set[str]]:
    channel = str(raw["channel"]).lower()
    probe = channel[:-1] + "x" if channel.endswith(".*") else channel
    if channels.find(probe) is None:
        raise place.problem(f"{key}.channel", f"{channel!r} is not in the vocabulary")
    used = [name for name in OPERATIONS if name in raw]
    unknown = sorted(set(map(str, raw)) - {"channel", *OPERATIONS})
    if unknown or len(used) != 1:
        raise place.problem(key, f"takes channel and one of {', '.join(OPERATIONS)}; has {', '.join(map(str, raw))}")
    text = raw[used[0]]
    if not isinstance(text, str) or not text:
        raise place.problem(f"{key}.{used[0]}", "is no text")
    matches = _text_test(used[0], text, place, key)

    def first(readings: Iterable[Reading]) -> Hit | None:
        for reading in readings:
            caught = matches(reading.value[:MAX_TEXT])
            if caught is not None:
                return Hit((reading,), caught)
        return None

    if channel.endswith(".*"):
        return lambda index: first(_of_family(index, channel[:-1])), {channel}

    def test(index: Index) -> Hit | None:
        readings = index.get(channel)
        return first(readings) if readings else None

    return test, {channel}


def _compile(text: str, place: _Maker, key: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise place.problem(f"{key}.regex", f"does not compile: {error}") from error


def _of_family(index: Index, prefix: str) -> Iterator[Reading]:
    return (reading for name, readings in index.items() if name.startswith(prefix) for reading in readings)


def _text_test(operation: str, text: str, place: _Maker, key: str) -> Callable[[str], Mapping[str, str] | None]:
    if operation == "regex":
        place.patterns.append(text)
        compiled = None if place.lazy else _compile(text, place, key)

        def search(value: str) -> Mapping[str, str] | None:
            nonlocal compiled
            if compiled is None:
                compiled = _compile(text, place, key)
            found = compiled.search(value)
            return None if found is None else {k: v for k, v in found.groupdict().items() if v}

        return search
    wanted = text.casefold() if operation != "exact" else text.strip().casefold()
    nothing: Mapping[str, str] = {}
    tests: dict[str, Callable[[str], bool]] = {
        "exact": lambda value: value.strip().casefold() == wanted,
        "prefix": lambda value: value.casefold().startswith(wanted),
        "contains": lambda value: wanted in value.casefold(),
    }
    chosen = tests[operation]
    return lambda value: nothing if chosen(value) else None
