"""Reads zip files that strangers made: bounded in files and bytes, without links, devices or odd names."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from scanner.errors import InputProblem


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a file may hold at most."""

    files: int
    file: int
    """Bytes of one file inside, unpacked."""
    why: str
    """Ends the sentence of a refusal: `those are no rules`."""


def members(
    source: IO[bytes], name: str, bounds: Bounds, path: Callable[[str], str]
) -> Iterator[tuple[str, bytes]]:
    """Path and content of every file of a zip, each read within its bound.

    `path` gives the path that a name inside stands for, or raises. Raises `InputProblem`.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
            if len(entries) > bounds.files:
                raise InputProblem(f"{name}: holds more than {bounds.files:,} files: {bounds.why}")
            for entry in entries:
                kind = stat.S_IFMT(entry.external_attr >> 16)
                if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                    raise InputProblem(f"{name}: {entry.filename!r} is a link or a device; only files may be in it")
                if entry.is_dir():
                    continue
                place = path(entry.filename)
                with archive.open(entry) as member:
                    content = member.read(bounds.file + 1)
                if len(content) > bounds.file:
                    raise InputProblem(f"{name}: {place!r} is larger than {bounds.file:,} bytes")
                yield place, content
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError, OSError) as error:
        raise InputProblem(f"{name}: is damaged, or no .zip that is read here: {error}") from error
