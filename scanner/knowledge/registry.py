"""The IEEE registry of MAC prefixes, packed in one file: longest prefix of 36, 28 and 24 bits wins.

The file (`oui/registry.bin`, built by `oui/build.py`) is mapped, not parsed: a lookup is three binary searches.
Layout, little-endian: magic, three counts and the length of the name block (u32 each); the sorted prefixes of 24 and
28 bits as u32 and of 36 bits as u64, each list followed by the offsets of its names (u32); the names, UTF-8, each
ended by a line feed. What reads YAML is imported only where a prefix stands in a file of overrides, and nothing that is
not needed by every lookup is imported here, not even `__future__`: a lookup costs no more than what it looks up.
"""

import mmap
import os
import sys
from bisect import bisect_left

from scanner.resources import REGISTRY, REGISTRY_OVERRIDES, data_place, user_place

TYPE_CHECKING = False  # as typing has it, without the import
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from scanner.knowledge.registry_files import Override

MAGIC = b"LVOUI\x01\x00\x00"
AGAIN = "build it again with `lanveto oui update` (or `python oui/build.py` in a checkout)"
HEADER_BYTES = len(MAGIC) + 4 * 4
LENGTHS = ((36, 13), (28, 10), (24, 8))
"""Bits of a prefix, and characters as it is spelled; longest first: the order of a lookup."""
BITS = tuple(bits for bits, _ in LENGTHS)
NOWHERE = "00:00:00:00:00:00"
"""What a device without an address says; its prefix is registered to Xerox."""
PARENTS = frozenset({"ieee registration authority"})
"""Registrants of blocks that are only split up further: no owner by themselves."""
WITHHELD = frozenset({"private"})
"""What the registry prints for an owner that is not public."""
_NOBODY = PARENTS | WITHHELD
_GROUP = 1 << 40


class Registration:
    """Whom a prefix belongs to; a value, as a named tuple would be that costs no import."""

    __slots__ = ("bits", "organisation", "override", "prefix")

    def __init__(self, prefix: str, bits: int, organisation: str, override: str | None = None) -> None:
        self.prefix = prefix
        """Lower-case hex pairs, a last single digit where it ends inside a byte: `3c:ef:8c`, `40:2c:76:1`."""
        self.bits = bits
        self.organisation = organisation
        self.override = override
        """Why the registered owner is not the maker, where oui/overrides.yaml says so."""

    def _key(self) -> tuple[str, int, str, str | None]:
        return self.prefix, self.bits, self.organisation, self.override

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Registration) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Registration{self._key()}"


class Registry:
    """Lookups in one packed file."""

    def __init__(self, path: str | os.PathLike[str], *overrides: str | os.PathLike[str]) -> None:
        """`overrides`: files of them, later ones on top. Raises `RulesProblem` where a file is missing or damaged."""
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - pathlib would cost more than a thousand lookups
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            from scanner.errors import RulesProblem

            raise RulesProblem(f"{path}: the registry cannot be read: {error}; {AGAIN}") from error
        if len(data) < HEADER_BYTES:
            from scanner.errors import RulesProblem

            raise RulesProblem(f"{path}: is no registry file")
        n24, n28, n36, names = (int.from_bytes(data[at : at + 4], "little") for at in range(8, HEADER_BYTES, 4))
        size = HEADER_BYTES + 8 * (n24 + n28) + 12 * n36 + names
        if data[:8] != MAGIC or len(data) != size:
            from scanner.errors import RulesProblem

            raise RulesProblem(f"{path}: is damaged or of another version; {AGAIN}")
        view = memoryview(data)
        place = HEADER_BYTES
        self._tables: dict[int, tuple[Sequence[int], Sequence[int]]] = {}
        for bits, count, wide in ((36, n36, True), (24, n24, False), (28, n28, False)):
            width = 8 if wide else 4
            keys = _numbers(view[place : place + width * count], wide=wide)
            place += width * count
            offsets = _numbers(view[place : place + 4 * count])
            place += 4 * count
            self._tables[bits] = (keys, offsets)
        self._data, self._place = data, place
        self._whole = self._tables[24]
        self._divided: dict[int, tuple[bool, tuple[tuple[int, int], ...]]] | None = None
        self._override_files = overrides
        self._read: dict[tuple[int, int], Override] | None = None
        told = "".join(map(_text, overrides)).lower().replace(":", "")
        self._words = told.replace('"', " ").replace("'", " ").replace(",", " ").split()
        """Of the files of overrides, prefixes among them."""
        ours = f"{data_place('oui')}/{REGISTRY_OVERRIDES}"
        if "\\" in told or any(os.fspath(file) != ours for file in overrides):
            self._overrides()  # whoever wrote a file of their own hears at once what is wrong with it

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._tables.values())

    def lookup(self, mac: str) -> Registration | None:
        """The registration of a MAC address (any spelling); None for multicast, local, unknown and withheld ones."""
        try:
            raw = bytes.fromhex(mac.replace(":", ""))
        except ValueError:
            raw = b""
        if len(raw) != 6:  # another spelling, or none
            address = _normal(mac)
            if address is None:
                return None
            raw = bytes.fromhex(address.replace(":", ""))
        number = int.from_bytes(raw)
        # Local addresses are looked up like others: some prefixes from before the local bit had its meaning are
        # registered all the same. What somebody made up is not in the list.
        if number & _GROUP or not number:
            return None
        first = number >> 24
        divided = self._divided
        if first in (self._divide() if divided is None else divided):
            return self._among(number, raw, first)
        keys, offsets = self._whole  # the usual case, without any detour
        place = bisect_left(keys, first)
        if place == len(keys) or keys[place] != first:
            return None
        start = self._place + offsets[place]
        name = self._data[start : self._data.find(b"\n", start)].decode("utf-8", "replace")
        return None if name.lower() in _NOBODY else Registration(raw.hex(":")[:8], 24, name)

    def _among(self, number: int, raw: bytes, first: int) -> Registration | None:
        """What the longest prefix says that is in a file of overrides or registered."""
        told, lengths = self._divide()[first]
        for bits, length in lengths:
            prefix = number >> (48 - bits)
            if told and (override := self._overrides().get((bits, prefix))) is not None:
                return Registration(raw.hex(":")[:length], bits, override.organisation, override.because)
            name = self._find(bits, prefix)
            if name is not None:
                return None if name.lower() in _NOBODY else Registration(raw.hex(":")[:length], bits, name)
        return None

    def _divide(self) -> dict[int, tuple[bool, tuple[tuple[int, int], ...]]]:
        """The prefixes of 24 bits inside which there is more to see: whether a file of overrides may name them, and the
        lengths (of `LENGTHS`) that may be registered there.
        """
        if self._divided is None:
            found: dict[int, tuple[bool, tuple[tuple[int, int], ...]]] = {}
            for bits, lengths in ((28, LENGTHS[1:]), (36, (LENGTHS[0], LENGTHS[2]))):
                keys, shift, at = self._tables[bits][0], bits - 24, 0
                told, whole, end = (False, lengths), 1 << shift, len(keys)
                while at < end:
                    first = keys[at] >> shift
                    found[first] = (False, LENGTHS) if first in found else told
                    after, last = (first + 1) << shift, at + whole
                    if last > end or keys[last - 1] >= after:  # else all its parts are registered, as is usual
                        last = bisect_left(keys, after, at, min(end, last))
                    at = last
            for first in self._told():
                found[first] = (True, LENGTHS)
            self._divided = found
        return self._divided

    def _told(self) -> "Iterator[int]":
        """The first 24 bits of all prefixes in files of overrides; more than these where nobody has read them yet."""
        if self._read is not None:
            yield from (prefix >> (bits - 24) for bits, prefix in self._read)
            return
        for word in self._words:
            try:
                yield int(word[:6], 16)
            except ValueError:
                continue

    def settle(self) -> None:
        """Read the files of overrides now, so that no lookup has to. Raises `RulesProblem` as that would."""
        self._overrides()

    def describe(self, mac: str) -> str:
        """Why a lookup found nobody, in words."""
        address = _normal(mac)
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

    def blocks(self) -> "Iterator[tuple[str, str]]":
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

    def _overrides(self) -> "dict[tuple[int, int], Override]":
        if self._read is None:
            from pathlib import Path

            from scanner.knowledge.registry_files import read_overrides

            self._read = {}
            for file in self._override_files:
                self._read |= read_overrides(Path(file))
        return self._read


def installed() -> Registry:
    """The registry in use, and nothing else of what lanveto knows. Raises `RulesProblem`."""
    ours, own = data_place("oui"), user_place()
    if own is not None and os.path.isdir(own):  # noqa: PTH112
        from scanner.knowledge import shelf  # which of the two is newer

        return Registry(shelf.registry() / REGISTRY, *shelf.overrides())
    return Registry(f"{ours}/{REGISTRY}", f"{ours}/{REGISTRY_OVERRIDES}")


def _normal(mac: str) -> str | None:
    from scanner.values import normal_mac

    return normal_mac(mac)


def _text(path: str | os.PathLike[str]) -> str:
    """A file of overrides, to see whether a prefix stands in it at all. Raises `RulesProblem`."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read()
    except OSError as error:
        from scanner.errors import RulesProblem

        raise RulesProblem(f"{path}: cannot be read: {error.strerror or error}") from error


def _numbers(view: memoryview, *, wide: bool = False) -> "Sequence[int]":
    """Little-endian numbers of 32 (`wide`: 64) bits, read where they lie."""
    if sys.byteorder == "little":
        return view.cast("Q") if wide else view.cast("I")
    from array import array

    swapped = array("Q" if wide else "I", view.tobytes())
    swapped.byteswap()
    return swapped


def pack(blocks: dict[str, str]) -> bytes:
    """The packed file of prefix (6, 7 or 9 hex digits) → organisation."""
    import struct

    names: dict[str, int] = {}
    block = bytearray()
    for name in sorted(set(blocks.values())):
        names[name] = len(block)
        block += name.encode("utf-8")[:250] + b"\n"
    by_bits: dict[int, list[tuple[int, int]]] = {24: [], 28: [], 36: []}
    for prefix, name in blocks.items():
        by_bits[4 * len(prefix)].append((int(prefix, 16), names[name]))
    out = bytearray(MAGIC + struct.pack("<4I", *(len(by_bits[bits]) for bits in (24, 28, 36)), len(block)))
    for bits, kind in ((36, "Q"), (24, "I"), (28, "I")):
        rows = sorted(by_bits[bits])
        out += struct.pack(f"<{len(rows)}{kind}", *(row[0] for row in rows))
        out += struct.pack(f"<{len(rows)}I", *(row[1] for row in rows))
    return bytes(out + block)


def digest(path: "Path") -> str:
    """SHA-256 of a file, in hex."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
