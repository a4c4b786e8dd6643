"""What one look at a network says against another: pure comparison of facts. A thing not heard is not a thing gone."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from scanner.model import SURE, Action, Device, Level

FIELDS = ("ip", "mac", "manufacturer", "brand", "kind", "model", "firmware", "serial")
"""What is compared, and how a change names it."""


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a device; makers and brands are ids."""

    ip: str | None = None
    mac: str | None = None
    manufacturer: str | None = None
    brand: str | None = None
    kind: str | None = None
    model: str | None = None
    firmware: str | None = None
    serial: str | None = None
    level: Level = Level.UNKNOWN


class Change(msgspec.Struct, frozen=True):
    """One fact that differs."""

    field: str
    before: str | None
    after: str | None


def facts(device: Device) -> Facts:
    """The facts of a device of a report."""
    identity = device.identity
    return Facts(
        ip=device.recording.ip, mac=device.recording.mac, manufacturer=identity.manufacturer, brand=identity.brand,
        kind=identity.kind, model=identity.model, firmware=identity.firmware, serial=identity.serial,
        level=identity.level,
    )  # fmt: skip


def compare(before: Facts, after: Facts) -> tuple[Change, ...]:
    """Every field that differs, also one that is no longer told; `level` where it changed."""
    return tuple(
        Change(name, getattr(before, name), getattr(after, name))
        for name in (*FIELDS, "level")
        if getattr(before, name) != getattr(after, name)
    )


def learn(known: Facts, heard: Facts) -> tuple[Facts, tuple[Change, ...]]:
    """What is known after another look, and what changed by it.

    A device that says less this time changes nothing: its firmware is not gone because it kept silent. A maker is
    taken over only where it is likely, so that thin evidence neither accuses nor acquits.
    """
    changed = []
    found: dict[str, str] = {}
    for name in FIELDS:
        old, new = getattr(known, name), getattr(heard, name)
        if name in {"manufacturer", "brand"} and heard.level not in SURE:
            continue
        if new is not None and new != old:
            changed.append(Change(name, old, new))
            found[name] = new
    level = heard.level if heard.level in SURE or known.level not in SURE else known.level
    return msgspec.structs.replace(known, level=level, **found), tuple(changed)


def compare_actions(before: Mapping[str, Action], after: Mapping[str, Action]) -> tuple[Change, ...]:
    """Policies whose action differs; None stands for no verdict."""
    return tuple(
        Change(policy, before.get(policy), after.get(policy))
        for policy in sorted(before.keys() | after.keys())
        if before.get(policy) != after.get(policy)
    )


class Asked:
    """Which addresses a scan asked for: only what was asked for can be missed."""

    def __init__(self, targets: Iterable[str], excluded: Iterable[str] = ()) -> None:
        self._spans, self.opaque = _spans(targets)
        self._left_out, _ = _spans(excluded)

    def covers(self, ip: str | None, opaque: Sequence[str] = ()) -> bool:
        """Whether the device was asked for. `opaque`: the names (interfaces, files) by which it was found before."""
        if ip is not None:
            try:
                number = _number(ip)
            except ValueError:
                return False
            if any(low <= number <= high for low, high in self._left_out):
                return False
            if any(low <= number <= high for low, high in self._spans):
                return True
        return bool(self.opaque) and set(opaque) <= set(self.opaque) and bool(opaque)


def _spans(words: Iterable[str]) -> tuple[list[tuple[int, int]], tuple[str, ...]]:
    spans: list[tuple[int, int]] = []
    opaque: list[str] = []
    for word in words:
        first, _, last = word.partition("-")
        try:
            if last:
                end = last if "." in last or ":" in last else first.rpartition(".")[0] + "." + last
                spans.append((_number(first), _number(end)))
            else:
                network = ipaddress.ip_network(word, strict=False)
                spans.append((_number(str(network[0])), _number(str(network[-1]))))
        except ValueError:
            opaque.append(word)
    return spans, tuple(opaque)


def _number(address: str) -> int:
    """One order for both families: IPv6 lies above IPv4."""
    found = ipaddress.ip_address(address)
    return int(found) + (1 << 32 if found.version == 6 else 0)
