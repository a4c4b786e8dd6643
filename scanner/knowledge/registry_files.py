"""What lies beside the packed registry: where it came from, and whose prefixes are known not to be the maker's."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import msgspec

from scanner.errors import RulesProblem
from scanner.knowledge.loader import Place, convert, read_yaml
from scanner.knowledge.registry import AGAIN, BITS


class Override(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A prefix whose registered owner is known not to be the maker of what carries it."""

    prefix: str
    organisation: str
    """Who uses it instead."""
    because: str
    source: list[str]


class _Overrides(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    overrides: list[Override]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """oui/registry.json: where the registry came from."""

    as_of: datetime.date
    sha256: str
    blocks: dict[str, int]
    sources: list[dict[str, Any]]


def read_overrides(path: Path) -> dict[tuple[int, int], Override]:
    """The overrides of one file by bits and prefix. Raises `RulesProblem`."""
    found: dict[tuple[int, int], Override] = {}
    for override in convert(read_yaml(path), _Overrides, Place(str(path))).overrides:
        digits = override.prefix.replace(":", "").lower()
        bits = 4 * len(digits)
        if bits not in BITS or not all(c in "0123456789abcdef" for c in digits):
            raise Place(str(path), override.prefix).problem("prefix", "is no prefix of 24, 28 or 36 bits")
        if not override.source:
            raise Place(str(path), override.prefix).problem("source", "is empty")
        found[bits, int(digits, 16)] = override
    return found


def about(folder: Path) -> About:
    """What registry.json says of the registry. Raises `RulesProblem`."""
    path = folder / "registry.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=About)
    except (OSError, msgspec.DecodeError) as error:
        raise RulesProblem(f"{path}: {error}; {AGAIN}") from error
