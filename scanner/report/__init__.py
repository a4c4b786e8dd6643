"""Every output format, found by its file: one file holds one format and ends with `FORMAT = ThatClass()`.

A format knows the model and nothing else: it cannot reach the network, the rules or the store. What it needs beyond our
dependencies it imports at its top: only the format that is asked for is imported.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Protocol, runtime_checkable

from scanner.errors import UsageProblem
from scanner.model import Device, Report

_ROOMS = frozenset({"view", "cells", "page"})  # files here that are not formats
_TOGETHER = 64
"""Devices of one piece."""


@runtime_checkable
class Format(Protocol):
    """One output format."""

    name: str
    """What `--format` takes."""

    binary: bool
    """Whether `render` gives bytes: nothing for a terminal."""

    def render(self, report: Report) -> str | bytes:
        """The whole report: text, or bytes where `binary` says so."""
        ...


@runtime_checkable
class Streamed(Protocol):
    """The further side of a format whose devices stand alone: they are written as they come, in any order.

    `begin`, one `device` for each, and `end` together are what `render` gives.
    """

    def begin(self) -> str:
        """What stands before the first device."""
        ...

    def device(self, device: Device) -> str:
        """One device, with its line end."""
        ...

    def end(self, report: Report) -> str:
        """What stands after the last device; the report need hold no devices."""
        ...


@runtime_checkable
class Pieced(Protocol):
    """The further side of a format whose text need not be held as a whole, although devices do not stand alone."""

    def pieces(self, report: Report) -> Iterator[str]:
        """What `render` gives, in pieces."""
        ...


def pieces(renderer: Format, report: Report) -> str | bytes | Iterator[str]:
    """What `render` gives, in pieces where the format can: a big report is never held as one text."""
    if isinstance(renderer, Streamed):
        return _streamed(renderer, report)
    return renderer.pieces(report) if isinstance(renderer, Pieced) else renderer.render(report)


def _streamed(renderer: Streamed, report: Report) -> Iterator[str]:
    if begin := renderer.begin():
        yield begin
    for first in range(0, len(report.devices), _TOGETHER):
        yield "".join(renderer.device(device) for device in report.devices[first : first + _TOGETHER])
    if end := renderer.end(report):
        yield end


@cache
def formats() -> dict[str, Format]:
    """All formats by name. Raises `UsageProblem` where two share a name."""
    found: dict[str, Format] = {}
    for info in pkgutil.iter_modules(__path__):
        if info.name in _ROOMS or info.name.startswith("_"):
            continue
        entry = import_module(f"{__name__}.{info.name}").FORMAT
        assert isinstance(entry, Format)
        if entry.name in found:
            raise UsageProblem(f"report/{info.name}.py: a second format is named {entry.name!r}")
        found[entry.name] = entry
    return dict(sorted(found.items()))


def names() -> tuple[str, ...]:
    """What `--format` may be, without importing any format: each file is named after its format."""
    return tuple(sorted(i.name for i in pkgutil.iter_modules(__path__) if i.name not in _ROOMS and i.name[0] != "_"))


def get(name: str) -> Format:
    """The format of this name, importing only its file.

    Raises `UsageProblem` for an unknown one, and for one whose library is not installed.
    """
    if name not in names():
        raise UsageProblem(f"--format {name}: is no format; there are {', '.join(names())}")
    try:
        entry = import_module(f"{__name__}.{name}").FORMAT
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("scanner"):
            raise
        raise UsageProblem(f"--format {name} needs the extra: pip install 'lanveto[report]'") from error
    assert isinstance(entry, Format)
    return entry
