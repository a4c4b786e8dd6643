"""Which rules and which registry gave an answer: dates and digests for every report."""

from __future__ import annotations

import datetime
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from scanner.knowledge.loader import Place, convert, read_yaml
from scanner.knowledge.registry_files import about
from scanner.model import RulesVersion


class _Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    as_of: datetime.date


def dated(folder: Path) -> datetime.date:
    """The day that the rules of a folder are as of. Raises `RulesProblem`."""
    path = folder / "version.yaml"
    return convert(read_yaml(path), _Version, Place(str(path))).as_of


def read(folders: Sequence[Path], registry: Path) -> RulesVersion:
    """The version of these rule folders (the first one's `version.yaml` gives the date) and of the registry.

    The digest covers every YAML file below the folders, by its path inside them. Raises `RulesProblem`.
    """
    stated = dated(folders[0])
    whole = hashlib.sha256()
    for folder in folders:
        for inside in _files(str(folder)):
            with open(f"{folder}/{inside}", "rb", buffering=0) as file:  # noqa: PTH123 - paths would cost more than the digest
                whole.update(inside.encode() + b"\0" + file.read() + b"\0")
    known = about(registry)
    return RulesVersion(
        rules_as_of=stated.isoformat(),
        rules_sha256=whole.hexdigest(),
        registry_as_of=known.as_of.isoformat(),
        registry_sha256=known.sha256,
    )


def _files(folder: str) -> list[str]:
    """Every YAML file below a folder, by its path inside, folder by folder as paths are sorted."""
    found = [
        f"{where[len(folder) + 1 :]}/{name}".lstrip("/") for where, _, names in os.walk(folder) for name in names
        if name.endswith(".yaml")
    ]  # fmt: skip
    return sorted(found, key=lambda inside: inside.split("/"))
