"""The shapes of all documents that sinks send, as types: docs/mqtt.schema.json is made of them, and a test holds both.

`documents.py` fills them; the tests read everything it writes back into these, and nothing else passes.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from scanner.model import Action, Effect, Level
from scanner.store.changes import Change


class Head(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What every document of a scan begins with."""

    schema: Literal[1]
    scan: str
    """The scan's id."""
    time: str
    """RFC 3339, UTC: when the scan ended."""
    site: str
    tool: Literal["lanveto"]
    version: str
    rules: str
    """Date of the rules."""
    rules_sha256: str


class State(Head, kw_only=True):
    """`<site>/<device>/state`: what a device is. Makers and brands are ids; null: not known."""

    device: str
    present: bool
    """False: gone. Its findings stay open."""
    ip: str | None
    mac: str | None
    manufacturer: str | None
    brand: str | None
    kind: str | None
    model: str | None
    firmware: str | None
    serial: str | None
    confidence: float | None
    level: Level
    action: Action
    """The strictest of its open findings."""
    findings: list[str]
    """Policies with an open finding."""
    evidence: list[str]
    """Ids of the fingerprints that fit."""


class Finding(Head, kw_only=True):
    """`<site>/<device>/finding/<policy>`: one open finding; the topic is emptied when it closes."""

    device: str
    ip: str | None
    mac: str | None
    manufacturer: str | None
    brand: str | None
    level: Level
    policy: str
    title: str
    effect: Effect
    binds_you: bool | None
    action: Action
    entity: str
    path: list[str]
    citation: str | None
    because: str


class Counted(Head, kw_only=True):
    """How a scan ended, and what it covered."""

    state: Literal["completed", "interrupted", "failed"]
    complete: bool
    conclusive: bool
    """Completed, every way of finding hosts ran, and every live device was named."""
    covered: float | None
    """Share of live devices that were named, 0 to 1."""
    started: str
    finished: str | None
    failures: list[str]
    profiles: list[str]
    addresses: int
    alive: int
    identified: int
    unknown: int
    silent: int
    excluded: int
    methods_not_run: list[str]
    warnings: list[str]
    actions: dict[str, int] | None
    """Devices by action; null where the scan was not completed: that is not "no findings"."""
    open: dict[str, int] | None
    """Devices of the site by their strictest open finding, seen this time or not; null: not known."""


class Summary(Counted, kw_only=True):
    """`<site>/summary`."""


class ScanEvent(Counted, kw_only=True):
    """`<site>/event/scan-…`."""

    event: str
    kind: Literal["scan-completed", "scan-failed"]
    open: dict[str, int] | None
    reason: str | None = None


class DeviceEvent(Head, kw_only=True):
    """`<site>/event/device-…`."""

    event: str
    kind: Literal["device-appeared", "device-changed", "device-gone"]
    device: str
    ip: str | None
    mac: str | None
    manufacturer: str | None
    brand: str | None
    model: str | None
    firmware: str | None
    level: Level
    changes: list[Change] = []
    misses: int = 0
    """Completed scans in a row that did not find it."""
    reason: str | None = None


class FindingEvent(Head, kw_only=True):
    """`<site>/event/finding-…`."""

    event: str
    kind: Literal["finding-opened", "finding-closed"]
    device: str
    ip: str | None
    mac: str | None
    manufacturer: str | None
    brand: str | None
    model: str | None
    firmware: str | None
    level: Level
    policy: str
    action: Action | None
    """What it asks now; null: nothing any more."""
    previous: Action | None
    title: str | None = None
    citation: str | None = None
    because: str | None = None
    changes: list[Change] = []
    reason: str | None = None


class Lost(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`event/events-lost`: the outbox was full, and its oldest events had to go."""

    schema: Literal[1]
    kind: Literal["events-lost"]
    event: str
    time: str
    tool: Literal["lanveto"]
    lost: int
    """How many so far."""


OF: dict[str, type[msgspec.Struct]] = {
    "state": State, "finding": Finding, "summary": Summary, "scan-completed": ScanEvent, "scan-failed": ScanEvent,
    "device-appeared": DeviceEvent, "device-changed": DeviceEvent, "device-gone": DeviceEvent,
    "finding-opened": FindingEvent, "finding-closed": FindingEvent, "events-lost": Lost,
}  # fmt: skip
"""Kind of message → its shape."""


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of all documents: each kind under `properties`."""
    (references, components) = msgspec.json.schema_components(OF.values(), ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lanveto messages",
        "description": "Under `properties`, each kind of message that MQTT, webhooks and commands get.",
        "type": "object",
        "properties": dict(zip(OF, references, strict=True)),
        "$defs": components,
    }
