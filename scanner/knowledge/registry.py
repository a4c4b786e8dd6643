"""The IEEE registry of MAC prefixes, packed in one file: longest prefix of 36, 28 and 24 bits wins.

The file (`oui/registry.bin`, built by `oui/build.py`) is mapped, not parsed: a lookup is three binary searches.
Layout, little-endian: magic, three counts and the length of the name block (u32 each); the sorted prefixes of 24 and
28 bits as u32 and of 36 bits as u64, each list followed by the offsets of its names (u32); the names, UTF-8, each
ended by a line feed. What reads YAML is imported only where a prefix stands in a file of overrides: a lookup costs no
more than what it looks up.
"""

from __future__ import annotations

import mmap
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scanner.errors import RulesProblem
from scanner.resources import data_dir
from scanner.values import normal_mac

if TYPE_CHECKING:
    from scanner.knowledge.registry_files import Override

MAGIC = b"LVOUI\x01\x00\x00"
AGAIN = "build it again with `lanveto oui update` (or `python oui/build.py` in a checkout)"
HEADER = struct.Struct("<8s4I")
LENGTHS = ((36, 13), (28, 10), (24, 8))
"""Bits of a prefix, and characters as it is spelled; longest first: the order of a lookup."""
BITS = tuple(bits for bits, _ in LENGTHS)
NOWHERE = "00:00:00:00:00:00"
"""What a device without an address says; its prefix is registered to Xerox."""
PARENTS = frozenset({"ieee registration authority"})
"""Registrants of blocks that are only split up further: no owner by themselves."""
WITHHELD = frozenset({"private"})
"""What the registry prints for an owner that is not public."""


class Registration(NamedTuple):
    """Whom a prefix belongs to."""

    prefix: str
    """Lower-case hex pairs and a last single digit where the prefix ends inside a byte: `3c:ef:8c`, `40:2c:76:1`."""
    bits: int
    organisation: str
    override: str | None = None
    """Why the registered owner is not the maker, where oui/overrides.yaml says so."""


class Registry:
    """Lookups in one packed file."""

    def __init__(self, path: Path, *overrides: Path) -> None:
        """`overrides`: files of them, later ones on top. Raises `RulesProblem` where a file is missing or damaged."""
        self.path = path
        try:
            with path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise RulesProblem(f"{path}: the registry cannot be read: {error}; {AGAIN}") from error
        try:
            magic, n24, n28, n36, names = HEADER.unpack_from(data)
        except struct.error as error:
            raise RulesProblem(f"{path}: is no registry file") from error
        size = HEADER.size + 8 * (n24 + n28) + 12 * n36 + names
        if magic != MAGIC or len(data) != size:
            raise RulesProblem(f"{path}: is damaged or of another version; {AGAIN}")
        view = memoryview(data)
        place = HEADER.size
        self._tables: dict[int, tuple[Sequence[int], Sequence[int]]] = {}
        for bits, count, wide in ((36, n36, True), (24, n24, False), (28, n28, False)):
            width = 8 if wide else 4
            keys = _numbers(view[place : place + width * count], wide=wide)
            place += width * count
            offsets = _numbers(view[place : place + 4 * count])
            place += 4 * count
            self._tables[bits] = (keys, offsets)
        self._data, self._place = data, place
        self._override_files = overrides
        self._overridden = "".join(map(_text, overrides)).lower().replace(":", "")
        if "\\" in self._overridden or any(file.parent != data_dir("oui") for file in overrides):
            _ = self._overrides  # whoever wrote a file of their own hears at once what is wrong with it

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._tables.values())

    def lookup(self, mac: str) -> Registration | None:
        """The registration of a MAC address (any spelling); None for multicast, local, unknown and withheld ones."""
        address = normal_mac(mac)
        if address is None or address == NOWHERE or int(address[:2], 16) & 1:
            return None
        digits = address.replace(":", "")
        number = int(digits, 16)
        told = digits[:6] in self._overridden
        # Local addresses are looked up like others: some prefixes from before the local bit had its meaning are
        # registered all the same. What somebody made up is not in the list.
        for bits, length in LENGTHS:
            prefix = number >> (48 - bits)
            if told and (override := self._overrides.get((bits, prefix))) is not None:
                return Registration(address[:length], bits, override.organisation, override.because)
            name = self._find(bits, prefix)
            if name is None:
                continue
            lowered = name.lower()
            if lowered in PARENTS or lowered in WITHHELD:
                return None
            return Registration(address[:length], bits, name)
        return None

    def describe(self, mac: str) -> str:
        """Why a lookup found nobody, in words."""
        address = normal_mac(mac)
        if address is None:
            return "not a MAC address"
        if address == NOWHERE:
            return "no address at all"
        first = int(address[:2], 16)
        if first & 1:
            return "a group address, not a device's"
        if first & 2:
            return "a locally administered (often randomised) address: it names no maker"
        number = int(address.replace(":", ""), 16)
        names = {name.lower() for bits in BITS if (name := self._find(bits, number >> (48 - bits))) is not None}
        if names & WITHHELD:
            return "a registered prefix whose owner is withheld"
        if names & PARENTS:
            return "not in the registry: its block is divided among many owners, and this part is nobody's"
        return "not in the registry"

    def blocks(self) -> Iterator[tuple[str, str]]:
        """Every registered prefix (upper-case hex digits) and its owner, overrides aside: what `pack` takes."""
        for bits, (keys, _) in self._tables.items():
            for key in keys:
                yield f"{key:0{bits // 4}X}", self._find(bits, key) or ""

    def _find(self, bits: int, prefix: int) -> str | None:
        keys, offsets = self._tables[bits]
        place = bisect_left(keys, prefix)
        if place == len(keys) or keys[place] != prefix:
            return None
        start = self._place + offsets[place]
        return self._data[start : self._data.find(b"\n", start)].decode("utf-8", "replace")

    @cached_property
    def _overrides(self) -> dict[tuple[int, int], Override]:
        from scanner.knowledge.registry_files import read_overrides

        return {key: override for file in self._override_files for key, override in read_overrides(file).items()}


def _text(path: Path) -> str:
    """A file of overrides, to see whether a prefix stands in it at all. Raises `RulesProblem`."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RulesProblem(f"{path}: cannot be read: {error.strerror or error}") from error


def _numbers(view: memoryview, *, wide: bool = False) -> Sequence[int]:
    """Little-endian numbers of 32 (`wide`: 64) bits, read where they lie."""
    if sys.byteorder == "little":
        return view.cast("Q") if wide else view.cast("I")
    swapped = array("Q" if wide else "I", view.tobytes())
    swapped.byteswap()
    return swapped


def pack(blocks: dict[str, str]) -> bytes:
    """The packed file of prefix (6, 7 or 9 hex digits) → organisation."""
    names: dict[str, int] = {}
    block = bytearray()
    for name in sorted(set(blocks.values())):
        names[name] = len(block)
        block += name.encode("utf-8")[:250] + b"\n"
    by_bits: dict[int, list[tuple[int, int]]] = {24: [], 28: [], 36: []}
    for prefix, name in blocks.items():
        by_bits[4 * len(prefix)].append((int(prefix, 16), names[name]))
    out = bytearray(HEADER.pack(MAGIC, len(by_bits[24]), len(by_bits[28]), len(by_bits[36]), len(block)))
    for bits, kind in ((36, "Q"), (24, "I"), (28, "I")):
        rows = sorted(by_bits[bits])
        out += struct.pack(f"<{len(rows)}{kind}", *(row[0] for row in rows))
        out += struct.pack(f"<{len(rows)}I", *(row[1] for row in rows))
    return bytes(out + block)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
