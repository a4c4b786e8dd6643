"""Reads the IEEE registry as published: the CSV files, their .txt twins, and the JSON of the npm package `oui-data`.

All give prefix (6, 7 or 9 upper-case hex digits: 24, 28 or 36 bits) → organisation. The files come from elsewhere: a
damaged or cut one is refused with the reason, and names lose everything that is not printable.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator

import msgspec

from scanner.errors import InputProblem

Blocks = dict[str, str]

LENGTHS = frozenset({6, 7, 9})
HEADER = ["Registry", "Assignment", "Organization Name", "Organization Address"]
STRAY = 0.01
"""Share of entries that may be unreadable before a whole file counts as damaged."""

_PREFIX = re.compile(r"[0-9A-F]+")
_HEX = re.compile(r"\s*([0-9A-F]{2})-([0-9A-F]{2})-([0-9A-F]{2})\s+\(hex\)", re.IGNORECASE)
_BASE16 = re.compile(r"\s*([0-9A-F]{6})(?:-([0-9A-F]{6}))?[ \t]+\(base 16\)[ \t]*(.*)", re.IGNORECASE)
_SPAN = {0x100000: 28, 0x1000: 36}
"""Addresses of a range → bits of its prefix."""


def clean(name: str) -> str:
    """A registrant's name on one line, without surplus blanks and without what a terminal would act on."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())


def read(data: bytes, name: str) -> Blocks:
    """The prefixes of one published file; its form is told by its content. Raises `InputProblem`."""
    text = _text(data, name)
    start = text.lstrip()[:4000]
    reader: Callable[[str, str], Iterable[tuple[str, str] | None]]
    if start.startswith("{"):
        reader = _oui_data
    elif start.startswith("<"):
        raise InputProblem(f"{name}: is a web page, not the registry; fetch the file itself")
    elif start.startswith(HEADER[0]):
        reader = _csv
    elif "(hex)" in start or "(base 16)" in start:
        reader = _twin
    else:
        raise InputProblem(
            f"{name}: is none of the forms read here: the IEEE's CSV or .txt files, or index.json of npm's oui-data"
        )
    blocks: Blocks = {}
    strays = entries = 0
    for entry in reader(text, name):
        entries += 1
        if entry is None:
            strays += 1
        else:
            blocks.setdefault(*entry)  # a few prefixes stand twice: the first is the registration in force
    if strays > max(2, STRAY * entries):
        raise InputProblem(f"{name}: {strays} of {entries} entries are unreadable: the file is damaged")
    if not blocks:
        raise InputProblem(f"{name}: holds no prefix of 24, 28 or 36 bits")
    return blocks


def _text(data: bytes, name: str) -> str:
    if b"\0" in data:
        raise InputProblem(f"{name}: is no text; unpack it first, or name registry.bin beside its registry.json")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")  # older copies of the .txt files


def _entry(prefix: str, organisation: str) -> tuple[str, str] | None:
    """One prefix and its owner; None where it is unreadable."""
    digits, owner = prefix.strip().upper(), clean(organisation)
    return (digits, owner) if len(digits) in LENGTHS and _PREFIX.fullmatch(digits) and owner else None


def _csv(text: str, name: str) -> Iterator[tuple[str, str] | None]:
    if not text.endswith("\n"):
        raise InputProblem(f"{name}: is cut off (its last line has no end): fetch it again")
    rows = csv.reader(io.StringIO(text, newline=""))
    line = 0
    try:
        for row in rows:
            line += 1
            if line == 1:
                if [field.strip() for field in row] != HEADER:
                    raise InputProblem(f"{name}: its first line is not {','.join(HEADER)}")
            elif len(row) >= 3 and row[0] != "CID":  # company ids are no addresses
                yield _entry(row[1], row[2])
            elif row and row[0] != "CID":
                yield None
    except csv.Error as error:
        raise InputProblem(f"{name}: entry {line}: {error}: the file is damaged") from error


def _twin(text: str, name: str) -> Iterator[tuple[str, str] | None]:
    if not text.endswith("\n"):
        raise InputProblem(f"{name}: is cut off (its last line has no end): fetch it again")
    oui = ""
    for line in text.splitlines():
        found = _HEX.match(line)
        if found:
            oui = "".join(found.groups())
            continue
        found = _BASE16.match(line)
        if not found:
            continue
        first, last, owner = found.groups()
        if last is None:
            yield _entry(first, owner)
            continue
        bits = _SPAN.get(int(last, 16) - int(first, 16) + 1)
        yield _entry((oui + first)[: bits // 4], owner) if bits else None


def _oui_data(text: str, name: str) -> Iterator[tuple[str, str] | None]:
    try:
        raw = msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputProblem(f"{name}: is damaged, or no index.json of npm's oui-data: {error}") from error
    for prefix, record in raw.items():
        yield _entry(prefix, record.partition("\n")[0])
