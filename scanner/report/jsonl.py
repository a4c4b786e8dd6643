"""JSON Lines: one object per device, in input order; the device object that every machine-readable output shares.

The fields only grow; `docs/report.schema.json` describes them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from scanner.model import Action, Device, Effect, Grade, Level, Match, Place, Report, Verdict, Waiver
from scanner.values import escaped_json

MAX_VALUE = 4096
"""Characters of one evidence value; longer ones are cut and marked."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One reading that a fingerprint fitted."""

    fingerprint: str
    channel: str
    value: str
    grade: Grade
    family: str
    manufacturer: str | None
    port: int | None
    request: str | None
    at: str | None
    cut: bool


class VerdictObject(msgspec.Struct, frozen=True, kw_only=True):
    """What one measure asks about the device."""

    policy: str
    title: str
    effect: Effect
    binds_you: bool | None
    action: Action
    entity: str
    citation: str | None
    path: tuple[str, ...]
    because: str
    in_force: str | None
    as_of: str | None
    source: str | None
    waiver: Waiver | None
    """A waiver that holds (then `action` does not count) or has expired."""


class DeviceObject(msgspec.Struct, frozen=True, kw_only=True):
    """One device; `id` is the recording's, `key` the stable one."""

    id: str
    key: str
    ip: str | None
    addresses: tuple[str, ...]
    mac: str | None
    manufacturer: str | None
    brand: str | None
    kind: str | None
    model: str | None
    firmware: str | None
    serial: str | None
    confidence: float
    level: Level
    action: Action
    verdicts: tuple[VerdictObject, ...]
    evidence: tuple[Evidence, ...]
    conflicts: tuple[Evidence, ...]
    notes: tuple[str, ...]
    place: Place | None
    """Where it hangs, as a switch, a router or a tagged frame told it."""
    packets: int
    bytes_sent: int
    columns: dict[str, str]
    """The organisation's own (`--join`)."""


def device_object(device: Device) -> DeviceObject:
    """The machine-readable form of one device."""
    identity, recording = device.identity, device.recording
    return DeviceObject(
        id=recording.id,
        key=device.key,
        ip=recording.ip,
        addresses=recording.addresses,
        mac=recording.mac,
        manufacturer=identity.manufacturer,
        brand=identity.brand,
        kind=identity.kind,
        model=identity.model,
        firmware=identity.firmware,
        serial=identity.serial,
        confidence=round(identity.confidence, 4),
        level=identity.level,
        action=device.action,
        verdicts=tuple(_verdict(v) for v in device.verdicts),
        evidence=tuple(e for m in identity.matches for e in _evidence(m)),
        conflicts=tuple(e for m in identity.conflicts for e in _evidence(m)),
        notes=identity.notes,
        place=recording.place,
        packets=device.packets,
        bytes_sent=device.bytes_sent,
        columns=dict(device.columns),
    )


@lru_cache(maxsize=4096)
def _verdict(verdict: Verdict) -> VerdictObject:
    return VerdictObject(**{name: getattr(verdict, name) for name in VerdictObject.__struct_fields__})


def _evidence(match: Match) -> list[Evidence]:
    return [
        Evidence(
            fingerprint=match.fingerprint,
            channel=reading.channel,
            value=reading.value[:MAX_VALUE],
            grade=match.grade,
            family=match.family,
            manufacturer=match.manufacturer,
            port=reading.observation.port,
            request=reading.observation.request,
            at=reading.observation.at,
            cut=len(reading.value) > MAX_VALUE,
        )
        for reading in match.readings
    ]


def line(device: Device) -> str:
    """One device as one line of JSON, without the line end."""
    return escaped_json(encoded(device_object(device)).decode())


def encoded(value: object) -> bytes:
    """JSON of a value; half a character (a lone surrogate), which no UTF-8 can hold, is written as its number."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_whole_characters(msgspec.to_builtins(value)))


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_whole_characters(name): _whole_characters(part) for name, part in value.items()}
    return [_whole_characters(part) for part in value] if isinstance(value, (list, tuple)) else value


class JsonLines:
    """`--format jsonl`."""

    name = "jsonl"
    binary = False

    def render(self, report: Report) -> str:
        """One line per device; nothing about coverage (`--format json` has it)."""
        return "".join(self.device(device) for device in report.devices)

    def begin(self) -> str:
        """Nothing."""
        return ""

    def device(self, device: Device) -> str:
        """One line."""
        return line(device) + "\n"

    def end(self, report: Report) -> str:
        """Nothing."""
        return ""


FORMAT = JsonLines()
