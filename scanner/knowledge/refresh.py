"""A newer registry for this user: read from published copies, checked, packed, and put in place whole or not at all."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from scanner.errors import InputProblem, RulesProblem, UsageProblem
from scanner.knowledge import download, ieee, shelf
from scanner.knowledge.registry import Registry, digest, pack
from scanner.knowledge.registry_files import About, about
from scanner.resources import REGISTRY, data_dir

IEEE = (
    "https://standards-oui.ieee.org/oui/oui.csv",
    "https://standards-oui.ieee.org/oui28/mam.csv",
    "https://standards-oui.ieee.org/oui36/oui36.csv",
    "https://standards-oui.ieee.org/iab/iab.csv",
)
"""The registry's own files: 24, 28, 36 bits, and the 36-bit blocks from before there was a 36-bit registry."""
PUBLISHED = ("oui", "mam", "oui36", "iab")
LEAST = 0.5
"""Share of the prefixes in use (of each length) below which a new registry is taken for a damaged one."""
OLDEST = datetime.date(2000, 1, 1)
"""An earlier date of a file says only that whoever packed it wrote none."""
BITS = (24, 28, 36)
HOLDS = {24: "oui.csv", 28: "mam.csv", 36: "oui36.csv and iab.csv"}
"""Which of the IEEE's files prefixes of a length are in."""


@dataclass(frozen=True, slots=True)
class Source:
    """What one file brought."""

    name: str
    sha256: str
    blocks: ieee.Blocks
    as_of: datetime.date | None
    """None: not known."""


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update did."""

    now: About
    before: About
    folder: Path | None
    """Where the registry lies; None: nothing has changed, and nothing was written."""


def update(
    sources: Sequence[str], today: datetime.date, *, as_of: datetime.date | None = None, force: bool = False
) -> Updated:
    """Make a registry of these files, folders or addresses (none: the IEEE's own) the one in use for this user.

    `as_of`: the day the sources are of, where the user knows it better than their files. `force`: take it however
    small it is. Raises `UsageProblem`, `InputProblem` and `RulesProblem`; then nothing has changed.
    """
    if as_of is not None and as_of > today:
        raise UsageProblem(f"--as-of {as_of}: lies ahead")
    read = [found for text in sources or IEEE for found in _read(text, today)]
    shipped, before = about(data_dir("oui")), about(shelf.registry())
    packed, made = build(read, today, as_of)
    if made.sha256 == before.sha256 and made.as_of <= before.as_of:
        return Updated(before, before, None)
    if made.as_of <= shipped.as_of:
        raise InputProblem(
            f"these files are as of {made.as_of}, the registry that ships with lanveto as of {shipped.as_of}: it stays "
            "in use (if only the dates of the files are wrong, say --as-of)"
        )
    if made.as_of < before.as_of and not force:
        raise InputProblem(f"these files are as of {made.as_of}, older than the registry in use ({before.as_of})")
    if not force:
        plausible(made.blocks, before.blocks)
    with shelf.replacing("oui") as folder:
        (folder / REGISTRY).write_bytes(packed)
        (folder / "registry.json").write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
        if len(Registry(folder / REGISTRY)) != sum(made.blocks.values()):
            raise RulesProblem(f"{folder}: the packed registry does not hold what was read: please report it")
    final = shelf.stored("oui")
    assert final is not None
    return Updated(made, before, final)


def build(sources: Sequence[Source], today: datetime.date, as_of: datetime.date | None = None) -> tuple[bytes, About]:
    """The packed registry and its description; of a prefix in several sources the first one counts.

    It is as old as the oldest of them. Raises `InputProblem` where no date is known.
    """
    merged: ieee.Blocks = {}
    told: list[dict[str, Any]] = []
    for source in sources:
        new = {prefix: owner for prefix, owner in source.blocks.items() if prefix not in merged}
        told.append({"name": source.name, "sha256": source.sha256, "blocks": len(source.blocks), "taken": len(new)})
        merged |= new
        if as_of is None and source.as_of is None:
            raise InputProblem(f"{source.name}: its date is not known: say which day it is of with --as-of DATE")
    day = as_of or min(source.as_of or today for source in sources)
    packed = pack(merged)
    counts = {str(bits): sum(1 for prefix in merged if 4 * len(prefix) == bits) for bits in BITS}
    return packed, About(as_of=min(day, today), sha256=hashlib.sha256(packed).hexdigest(), blocks=counts, sources=told)


def plausible(new: dict[str, int], old: dict[str, int]) -> None:
    """Raises `InputProblem` where a new registry holds far fewer prefixes of some length than the one in use."""
    for bits in BITS:
        count, known = new.get(str(bits), 0), old.get(str(bits), 0)
        if count < LEAST * known:
            raise InputProblem(
                f"these files hold {count:,} prefixes of {bits} bits (they are in {HOLDS[bits]}), the registry in use "
                f"{known:,}: nothing was changed; --force takes them all the same"
            )


def _read(text: str, today: datetime.date) -> list[Source]:
    if download.is_url(text):
        got = download.fetch(text)
        return [_source(text, got.data, got.modified or today)]
    path = Path(text)
    if path.is_dir():
        return _folder(path)
    if path.name in {REGISTRY, "registry.json"}:
        return [_packed(path.parent)]
    return [_file(path)]


def _folder(path: Path) -> list[Source]:
    if (path / REGISTRY).is_file():
        return [_packed(path)]
    if (path / "index.json").is_file():
        return [_file(path / "index.json")]
    both = ([path / f"{name}.csv", path / f"{name}.txt"] for name in PUBLISHED)
    found = [next((file for file in pair if file.is_file()), None) for pair in both]
    files = [file for file in found if file is not None]
    if not files:
        raise InputProblem(
            f"{path}: holds neither {', '.join(f'{name}.csv' for name in PUBLISHED)} (or .txt) nor index.json (npm's "
            "oui-data) nor registry.bin and registry.json"
        )
    return [_file(file) for file in files]


def _file(path: Path) -> Source:
    try:
        status = path.stat()
        if status.st_size > download.MAX_BYTES:
            raise InputProblem(f"{path}: is larger than {download.MAX_BYTES:,} bytes: that is no registry")
        data = path.read_bytes()
    except OSError as error:
        raise InputProblem(f"{path}: cannot be read: {error.strerror or error}") from error
    written = datetime.datetime.fromtimestamp(status.st_mtime, tz=datetime.UTC).date()
    return _source(str(path), data, written if written >= OLDEST else None)


def _source(name: str, data: bytes, as_of: datetime.date | None) -> Source:
    return Source(name, hashlib.sha256(data).hexdigest(), ieee.read(data, name), as_of)


def _packed(folder: Path) -> Source:
    """A registry that lanveto itself packed, checked against its description."""
    file = folder / REGISTRY
    said = about(folder)
    registry = Registry(file)
    found = digest(file)
    if found != said.sha256:
        raise RulesProblem(f"{file}: is not what registry.json describes (sha256 {found}): one of them is damaged")
    blocks = {prefix: name for prefix, text in registry.blocks() if (name := ieee.clean(text))}
    if not ieee.LENGTHS.issuperset(map(len, blocks)):
        raise RulesProblem(f"{file}: holds prefixes that are none: it is damaged")
    return Source(str(file), found, blocks, said.as_of)
