"""The types that every room of the house shares: frozen, without I/O, importing nothing of ours but a warning's type.

A scan, a recording file, a capture and an import all end as `Recording`; from there on they are the same
thing: readers turn observations into readings, `identify` turns readings into an `Identity`, `judge` turns an
identity into `Verdict`s, and a `Report` carries them to every output.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from scanner.errors import Notice


class Transport(StrEnum):
    """How the bytes travelled."""

    TCP = "tcp"
    UDP = "udp"
    L2 = "l2"


class Via(StrEnum):
    """How a device came to speak: asked alone, asked in a group, or overheard."""

    UNICAST = "unicast"
    MULTICAST = "multicast"
    BROADCAST = "broadcast"
    HEARD = "heard"


class Grade(StrEnum):
    """How much one fingerprint says about the maker."""

    EXCLUSIVE = "exclusive"
    """Seen on this maker's hardware only."""
    STRONG = "strong"
    SHARED = "shared"
    """Also seen on the makers named in `shared_with`."""
    HINT = "hint"


GRADE_RANK: dict[Grade, int] = {grade: rank for rank, grade in enumerate(Grade)}
"""Place of each grade, the most telling first."""


class Level(StrEnum):
    """How sure an identity is; reports print this, the number is for machines."""

    UNKNOWN = "unknown"
    POSSIBLE = "possible"
    LIKELY = "likely"
    CONFIRMED = "confirmed"


class Effect(StrEnum):
    """What a measure asks, from "must not use" to "no legal effect yet"."""

    USE_BANNED = "use_banned"
    REMOVAL_ORDERED = "removal_ordered"
    PROCUREMENT_BANNED = "procurement_banned"
    AUTHORISATION_BANNED = "authorisation_banned"
    IMPORT_MARKETING_BANNED = "import_marketing_banned"
    CERTIFICATION_GATE = "certification_gate"
    BUSINESS_BANNED = "business_banned"
    EXPORT_ONLY = "export_only"
    INVESTMENT_ONLY = "investment_only"
    DESIGNATION_ONLY = "designation_only"
    COMPONENT_PROCUREMENT = "component_procurement"
    PROPOSED = "proposed"
    ADVISORY = "advisory"


SURE: frozenset[Level] = frozenset({Level.LIKELY, Level.CONFIRMED})
"""Levels at which a maker is named; below them is suspicion, or nothing."""


class Action(StrEnum):
    """What a verdict asks of the organisation, mildest first."""

    NONE = "none"
    NOTE = "note"
    INVESTIGATE = "investigate"
    PLAN = "plan"
    DO_NOT_BUY = "do-not-buy"
    REMOVE = "remove"


ACTION_ORDER: tuple[Action, ...] = tuple(Action)
"""Mildest to strictest; reports sort by it."""
ACTION_RANK: dict[Action, int] = {action: rank for rank, action in enumerate(ACTION_ORDER)}
"""Place of each action in `ACTION_ORDER`."""


class Observation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One thing a device said, or one field of it (see docs/recordings.md)."""

    channel: str
    value: str
    """Text, or `hex:` and hexadecimal digits for bytes that are not text."""
    port: int | None = None
    transport: Transport | None = None
    """None: the channel's registered transport."""
    tls: bool = False
    request: str | None = None
    via: Via | None = None
    at: str | None = None
    truncated: bool = False
    silent: bool = False
    """True: the question was asked and nothing came (value is empty)."""
    source: str | None = None
    """Which file, capture or switch told it, where it was not heard by this scan itself."""


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where a device hangs, as a switch, a router or a tagged frame tells it."""

    switch: str | None = None
    """Name or address of the switch; None where only the VLAN is known."""
    port: str | None = None
    vlan: int | None = None
    macs: int | None = None
    """How many addresses the switch sees on that port: many mean a port that leads to another switch."""
    source: str | None = None
    """Who told it."""


class Truth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a device really is; test data only."""

    manufacturer: str
    brand: str | None = None
    kind: str | None = None
    model: str | None = None
    firmware: str | None = None
    serial: str | None = None
    certain: bool = True
    expert: bool = True
    confusable_with: tuple[str, ...] = ()
    why: str | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where a piece of evidence was published; test data only."""

    url: str | None = None
    how: str | None = None


class Recording(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """All that one device said during one look at it."""

    id: str
    ip: str | None = None
    addresses: tuple[str, ...] = ()
    mac: str | None = None
    observations: tuple[Observation, ...] = ()
    place: Place | None = None
    truth: Truth | None = None
    source: Source | None = None
    note: str | None = None
    behaviour: str | None = None
    """How a simulated device misbehaves: silent, tarpit, endless, half, reset or garbage; test data only."""


class Reading(msgspec.Struct, frozen=True):
    """One field, and the observation it was read from: the currency of fingerprints."""

    channel: str
    value: str
    observation: Observation


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """One fingerprint that fits one device, and what it was fitted to."""

    fingerprint: str
    grade: Grade
    family: str
    """Evidence family (`channels.family`): matches of one family count once."""
    readings: tuple[Reading, ...]
    manufacturer: str | None = None
    shared_with: tuple[str, ...] = ()
    brand: str | None = None
    kind: str | None = None
    model: str | None = None
    firmware: str | None = None
    serial: str | None = None


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who made a device, what its label says, and why we think so."""

    manufacturer: str | None = None
    brand: str | None = None
    kind: str | None = None
    model: str | None = None
    firmware: str | None = None
    serial: str | None = None
    confidence: float = 0.0
    """Probability that `manufacturer` is right, 0 to 1; of the best candidate where the level is unknown."""
    level: Level = Level.UNKNOWN
    matches: tuple[Match, ...] = ()
    """What speaks for the manufacturer and for the other fields, strongest first."""
    conflicts: tuple[Match, ...] = ()
    """What speaks for another maker."""
    notes: tuple[str, ...] = ()
    """Sentences a reader needs: a randomised address, a brand with several makers, a contradiction."""


class Waiver(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that the organisation has decided to live with until a day: muted, never removed."""

    device: str
    """MAC or IP address as the waiver file has it."""
    policy: str
    """Id of a measure, or `all`."""
    reason: str
    who: str
    """Who answers for it."""
    expires: str
    """First day (ISO 8601) on which it no longer holds."""
    expired: bool = False
    """On the day the report judges by; then it mutes nothing and is only shown."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one measure asks of this organisation about one device."""

    policy: str
    title: str
    effect: Effect
    binds_you: bool | None
    """None: the organisation has not said what it is (`--profile`)."""
    action: Action
    entity: str
    """The name as the measure lists it."""
    path: tuple[str, ...]
    """From the device's maker to the listed entity, one step a sentence."""
    citation: str | None
    """None where it could not be verified; then `because` says so."""
    because: str
    """One sentence of a careful engineer: evidence, rule, purpose limits, exemptions."""
    in_force: str | None = None
    """Date (ISO 8601) from which the measure applies; None: status not known."""
    as_of: str | None = None
    source: str | None = None
    waiver: Waiver | None = None
    """The waiver for this verdict, also one that has expired (`waived` tells)."""

    @property
    def waived(self) -> bool:
        """Whether a waiver that still holds mutes this verdict."""
        return self.waiver is not None and not self.waiver.expired


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One device of a report."""

    key: str
    """MAC without separators, else `ip-…`, else the recording's id: stable while the address changes."""
    recording: Recording
    identity: Identity
    verdicts: tuple[Verdict, ...] = ()
    packets: int = 0
    bytes_sent: int = 0
    columns: tuple[tuple[str, str], ...] = ()
    """The organisation's own columns (`--join`): name and value."""

    @property
    def action(self) -> Action:
        """The strictest action of all verdicts that no waiver mutes, `none` without any."""
        strictest, most = Action.NONE, 0
        for verdict in self.verdicts:
            rank = ACTION_RANK[verdict.action]
            if rank > most and not verdict.waived:
                strictest, most = verdict.action, rank
        return strictest


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One way of finding or asking hosts, and how it went."""

    name: str
    ran: bool
    hosts: int = 0
    """How many hosts it found."""
    note: str | None = None
    """Why it could not run, or what it could not see."""


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at and what was not: stands at the head of every report."""

    addresses: int = 0
    """Addresses asked (recordings read, where nothing was asked)."""
    alive: int = 0
    identified: int = 0
    unknown: tuple[str, ...] = ()
    """Addresses (or keys) that answered but could not be named."""
    silent: tuple[str, ...] = ()
    """Addresses that were known to be there (an ARP or neighbour entry) and answered no question."""
    quiet: tuple[str, ...] = ()
    """Addresses that answered at first and then no more: what they might have told is missing."""
    unreached: tuple[str, ...] = ()
    """Addresses and ranges that could not be asked at all; the warnings and failures say why."""
    excluded: int = 0
    methods: tuple[Method, ...] = ()
    blind_spots: tuple[str, ...] = ()
    warnings: tuple[Notice, ...] = ()
    """Each ends with its code (docs/errors.md)."""

    def warned(self, *more: Notice) -> Coverage:
        """The same with more warnings."""
        return msgspec.structs.replace(self, warnings=(*self.warnings, *more))


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """One run: when, where, how it ended."""

    id: str
    started: str
    """RFC 3339, UTC."""
    finished: str | None = None
    site: str = "default"
    targets: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    law_as_of: str | None = None
    interrupted: bool = False
    failures: tuple[Notice, ...] = ()
    """Why the scan could not be completed, each with its code; empty where it was."""
    operator: str | None = None
    """Who ran it: as they said, or the name of their account."""
    tool: str = "lanveto"
    version: str = ""

    @property
    def end(self) -> Literal["completed", "interrupted", "failed"]:
        """How the scan ended."""
        if self.interrupted:
            return "interrupted"
        return "failed" if self.failures else "completed"


class RulesVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Which knowledge gave the answers, and how old it is."""

    rules_as_of: str
    rules_sha256: str
    registry_as_of: str
    registry_sha256: str


class Clock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time limit that a confirmed find may start."""

    what: str
    """What is to be done: `report the find to the contracting officer`."""
    within: str
    """`one business day`."""
    citation: str | None = None
    confidence: Literal["high", "medium", "low", "unverified"]
    """`unverified`: from memory."""
    note: str | None = None


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One measure that was judged by, whether or not it names a device of the report."""

    policy: str
    title: str
    jurisdiction: str
    effect: Effect
    citation: str | None
    """None where it could not be verified."""
    confidence: str
    binds_you: bool | None
    """None: the organisation has not said what it is."""
    in_force: str | None
    as_of: str
    """Day (ISO 8601) up to which its text was followed."""
    sources: tuple[str, ...] = ()
    clocks: tuple[Clock, ...] = ()


class WaiverUse(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a waiver file, and what became of it."""

    waiver: Waiver
    devices: tuple[str, ...]
    """Keys of the devices it fits; empty: it fits none of this report."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What every output writes."""

    scan: Scan
    devices: tuple[Device, ...]
    coverage: Coverage
    rules_version: RulesVersion
    measures: tuple[Measure, ...] = ()
    """What was judged by, ordered by id."""
    waivers: tuple[WaiverUse, ...] = ()
    """Every entry of the waiver files, in their order."""
