"""Every protocol of the house, found by its file; one raw channel has one reader."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import entry_points

from msgspec.structs import replace

from scanner.channels import find
from scanner.errors import RulesProblem
from scanner.model import Observation, Reading, Recording
from scanner.protocols.base import Field, Protocol
from scanner.values import normal_mac

GROUP = "lanveto.protocols"
"""Entry-point group in which third parties register theirs: `name = package.module:PROTOCOL`."""

SHARED = 512
"""Answers of which is remembered what they say: devices of one kind give the same."""
MAX_SHARED = 16_384
"""Characters above which that is not remembered."""

_ROOMS = frozenset({"base"})  # files here that are not protocols


def _add(found: dict[str, Protocol], protocol: object, where: str) -> None:
    if not isinstance(protocol, Protocol):
        raise RulesProblem(f"{where}: PROTOCOL is {type(protocol).__name__}, not a Protocol")
    if protocol.name in found:
        raise RulesProblem(f"{where}: a second protocol is named {protocol.name!r}; names are unique")
    for channel in protocol.channels:
        entry = find(channel if not channel.endswith(".*") else channel[:-1] + "x")
        if entry is None:
            raise RulesProblem(f"{where}: channel {channel!r} is not in the vocabulary (scanner/channels.py)")
    found[protocol.name] = protocol


@cache
def protocols() -> dict[str, Protocol]:
    """All protocols by name, in asking order. Raises `RulesProblem` for a duplicate name or unknown channel."""
    found: dict[str, Protocol] = {}
    for info in pkgutil.iter_modules(__path__):
        if info.name.startswith("_") or info.name in _ROOMS:
            continue
        module = import_module(f"{__name__}.{info.name}")
        protocol = getattr(module, "PROTOCOL", None)
        if protocol is not None:  # helper files (soap, …) have none
            _add(found, protocol, f"protocols/{info.name}.py")
    for entry in entry_points(group=GROUP):
        _add(found, entry.load(), f"entry point {entry.name}")
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))


@cache
def _readers() -> tuple[dict[str, Protocol], tuple[tuple[str, Protocol], ...]]:
    exact: dict[str, Protocol] = {}
    open_: list[tuple[str, Protocol]] = []
    for protocol in protocols().values():
        for channel in protocol.channels:
            if channel.endswith(".*"):
                open_.append((channel[:-1], protocol))
            elif channel in exact:
                raise RulesProblem(f"{protocol.name} and {exact[channel].name} both read {channel}")
            else:
                exact[channel] = protocol
    return exact, tuple(open_)


def reader(channel: str) -> Protocol | None:
    """The protocol that reads this raw channel, or None (single fields need none)."""
    exact, open_ = _readers()
    hit = exact.get(channel)
    if hit is not None:
        return hit
    return next((protocol for prefix, protocol in open_ if channel.startswith(prefix)), None)


def read(observation: Observation) -> tuple[Reading, ...]:
    """All readings of one observation: itself, and the fields below it where it is a raw exchange."""
    return () if observation.silent else _read(observation)


@lru_cache(maxsize=1024)
def _read(observation: Observation) -> tuple[Reading, ...]:
    """Remembered for a while: a scan thinks of a device again whenever it has said more."""
    fields = _known_fields if len(observation.value) <= MAX_SHARED else _fields
    said = replace(observation, at=None, source=None)
    return tuple(Reading(channel, value, observation) for channel, value in fields(said))


def _fields(observation: Observation) -> tuple[Field, ...]:
    name = observation.channel.lower()
    protocol = reader(name)
    own = (name, observation.value)
    if protocol is None:
        return (own,)
    return (own, *((channel.lower(), value) for channel, value in protocol.read(observation)))


_known_fields = lru_cache(maxsize=SHARED)(_fields)


def read_all(recording: Recording) -> tuple[Reading, ...]:
    """All readings of a device, its MAC included, in the order seen and without repetitions."""
    mac = normal_mac(recording.mac) if recording.mac else None
    found = [Reading("mac", mac, Observation(channel="mac", value=mac))] if mac is not None else []
    for observation in recording.observations:
        if observation.channel != "mac":
            found += read(observation)
        elif observation.value != mac:
            value = normal_mac(observation.value)
            if value is not None and value != mac:
                found.append(Reading("mac", value, observation))
    return _unique(found) if len(found) > 1 else tuple(found)


def _unique(readings: Iterable[Reading]) -> tuple[Reading, ...]:
    seen: set[tuple[str, str, int | None]] = set()
    found = []
    for reading in readings:
        key = (reading.channel, reading.value, reading.observation.port)
        if key not in seen:
            seen.add(key)
            found.append(reading)
    return tuple(found)
