"""Ways of finding hosts, one a file, and the book in which what they find becomes devices."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from scanner.discover.base import Way
from scanner.errors import UsageProblem

_ROOMS = frozenset({"base", "book", "kin"})  # files here that are no ways


@cache
def ways() -> tuple[type[Way], ...]:
    """All ways of finding hosts, in their order. Raises `UsageProblem` where two share a name."""
    found: dict[str, type[Way]] = {}
    for info in pkgutil.iter_modules(__path__):
        if info.name in _ROOMS or info.name.startswith("_"):
            continue
        way = import_module(f"{__name__}.{info.name}").WAY
        assert issubclass(way, Way)
        if way.name in found:
            raise UsageProblem(f"discover/{info.name}.py: a second way of finding hosts is named {way.name!r}")
        found[way.name] = way
    return tuple(sorted(found.values(), key=lambda way: (way.order, way.name)))
