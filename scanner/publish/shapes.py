"""The shapes of all documents that sinks send: `documents.py` fills them, docs/mqtt.schema.json is made of them.

In events, what is not known is left out; in everything that is retained, it is null.
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
    path: tuple[str, ...]
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
    failures: tuple[str, ...]
    profiles: tuple[str, ...]
    addresses: int
    alive: int
    identified: int
    unknown: int
    silent: int
    excluded: int
    methods_not_run: list[str]
    warnings: tuple[str, ...]
    actions: dict[str, int] | None
    """Devices by action; null where the scan was not completed: that is not "no findings"."""
    open: dict[str, int] | None
    """Devices of the site by their strictest open finding, seen this time or not; null: not known."""


class Summary(Counted, kw_only=True):
    """`<site>/summary`."""


class ScanEvent(Counted, kw_only=True, omit_defaults=True):
    """`<site>/event/scan-…`."""

    event: str
    kind: Literal["scan-completed", "scan-failed"]
    reason: str | None = None


class DeviceEvent(Head, kw_only=True, omit_defaults=True):
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
    changes: tuple[Change, ...] = ()
    misses: int = 0
    """Completed scans in a row that did not find it."""
    reason: str | None = None


class FindingEvent(Head, kw_only=True, omit_defaults=True):
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
    changes: tuple[Change, ...] = ()
    reason: str | None = None


class Status(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`<prefix>/status`: who publishes, and how it is; the last will is `lost`."""

    schema: Literal[1]
    tool: Literal["lanveto"]
    version: str
    state: Literal["online", "offline", "lost", "delivered", "completed", "interrupted", "failed"]
    """`online`, `offline`: of a service; `delivered`: after a single scan through the outbox; the last three: how the
    scan ended that was published directly."""
    time: str | None = None
    """When this was said; the last will does not know."""
    scans: int | None = None
    """Scans since the service began."""
    last_scan: str | None = None
    """How the last one ended: completed, interrupted, failed."""
    next_scan: str | None = None
    """When the next one begins: RFC 3339, UTC."""
    scan: str | None = None
    """Of a scan that was published directly: its id, site and rules."""
    site: str | None = None
    rules: str | None = None
    rules_sha256: str | None = None


class Origin(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Who announces an entity."""

    name: Literal["lanveto"]
    sw_version: str


class Appliance(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A device as Home Assistant's registry takes it; `connections` merges it with what others say of the same MAC."""

    identifiers: list[str]
    name: str
    connections: list[tuple[Literal["mac"], str]] = []
    manufacturer: str | None = None
    model: str | None = None
    sw_version: str | None = None


class Entity(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`<discovery prefix>/<component>/<device>/<entity>/config`: an entity of Home Assistant (MQTT discovery)."""

    name: str
    unique_id: str
    state_topic: str
    value_template: str
    json_attributes_topic: str
    availability_topic: str
    availability_template: str
    device: Appliance
    origin: Origin
    device_class: Literal["problem"] | None = None


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
    "status": Status, "home-assistant": Entity,
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
