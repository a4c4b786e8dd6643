"""Other tools' files become recordings: one importer, one file, `IMPORTER = ThatClass()`.

An importer says of the beginning of a file how sure it is that this is its format, and turns the file into `Heard`s:
one thing said about one device, named by its MAC, its address or both. Who hears what about whom becomes devices in
`scanner/picture.py`; everything after that is the same as for a scan.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from scanner.errors import InputProblem, UsageProblem
from scanner.imports.base import Head, Importer

_ROOMS = frozenset({"base", "dissect", "learned", "opening", "reassembly", "tables"})
"""Files here that are not importers."""


def names() -> tuple[str, ...]:
    """What `--from` may be, without importing any importer: a file is named after its format, `_` for `-`."""
    return tuple(
        sorted(
            info.name.replace("_", "-")
            for info in pkgutil.iter_modules(__path__)
            if info.name not in _ROOMS and not info.name.startswith("_")
        )
    )


@cache
def get(name: str) -> Importer:
    """The importer of this name, importing only its file. Raises `UsageProblem` for an unknown one."""
    if name not in names():
        raise UsageProblem(f"--from {name}: is no format; there are {', '.join(names())}")
    entry = import_module(f"{__name__}.{name.replace('-', '_')}").IMPORTER
    assert isinstance(entry, Importer)
    assert entry.name == name
    return entry


def known(head: Head) -> Importer | None:
    """The importer that is surest of a file's beginning, None where none knows it."""
    best: Importer | None = None
    most = 0.0
    for candidate in names():
        importer = get(candidate)
        score = importer.score(head)
        if score > most:
            best, most = importer, score
    return best


def recognise(head: Head, name: str) -> Importer:
    """The importer that is surest of a file's beginning. Raises `InputProblem` where none knows it."""
    best = known(head)
    if best is None:
        raise InputProblem(
            f"{name}: is in no format that is known here; name it with --from, there are {', '.join(names())}"
        )
    return best
