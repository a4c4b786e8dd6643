"""The parts of a vendor file: groups, companies, their numbers and relations (formats: docs/rules.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from scanner.knowledge.names import check_id
from scanner.knowledge.periods import Period, last_day


class OuiMeans(StrEnum):
    """What a registered prefix of a company says about the device that carries it."""

    WHOLE_DEVICE = "whole-device"
    """The company's prefixes sit in its own whole devices: a prefix alone is `likely`."""
    PART = "part"
    """Modules, phones, network cards or mixed lines: a prefix alone is `possible`."""
    COMPUTER = "computer"
    """General computers: a prefix alone is `possible`, and whatever can be relayed may come from a device behind it."""
    NONE = "none"
    """A seller's or a chip maker's prefix: says nothing about who made the device."""


class Business(StrEnum):
    """What a company makes, as far as a network can meet it."""

    HARDWARE = "hardware"
    COMPONENTS = "components"
    SERVICES = "services"
    SOFTWARE = "software"
    NONE = "none"
    """No hardware to recognise."""


class RelationType(StrEnum):
    """How one company stands to another."""

    PARENT = "parent"
    SUBSIDIARY = "subsidiary"
    AFFILIATE = "affiliate"
    JOINT_VENTURE = "joint_venture"
    OWNED_BY = "owned_by"
    OWNS = "owns"
    BRAND = "brand"
    FORMER_PARENT = "former_parent"
    FORMER_SUBSIDIARY = "former_subsidiary"
    RENAMED_TO = "renamed_to"
    SEPARATED_FROM = "separated_from"
    FIRMWARE_LINEAGE = "firmware_lineage"
    SHAREHOLDER = "shareholder"
    LOCAL_COMPANY = "local_company"
    ORIGIN = "origin"


class Confidence(StrEnum):
    """How well a fact is founded."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    UNVERIFIED = "unverified"


class Relation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the entity that states it stands to another company, and when."""

    type: RelationType
    target: str | None = None
    """Id of an entity; or None and a `name`, for a company without an entry of its own."""
    name: str | None = None
    since: Any = None
    """Day, month or year; None: not known."""
    until: Any = None
    """Last day (or month, or year) of it; None: still so, as far as known."""
    source: str
    confidence: Confidence
    verified: bool
    """False: from memory, not seen in a source."""
    note: str | None = None

    def __post_init__(self) -> None:
        if (self.target is None) == (self.name is None):
            raise ValueError("give `target` (the id of an entity) or `name` (a company without one), not both")
        self.period.check()
        if self.type in {RelationType.FORMER_PARENT, RelationType.FORMER_SUBSIDIARY} and last_day(self.until) is None:
            raise ValueError(f"{self.type} needs `until`: when it ended")

    @property
    def period(self) -> Period:
        """When it held."""
        return Period(self.since, self.until)


class Pen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A private enterprise number (SNMP) registered to a company."""

    number: int
    name: str
    """As registered."""
    squatters: tuple[str, ...] = ()
    """Makers whose devices also answer with it."""
    note: str | None = None


class BorrowedPen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number a company's devices answer with although it is somebody else's, or nobody's."""

    number: int
    owner: str | None
    """As registered; None: unassigned."""
    note: str | None = None


class Entity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One company."""

    id: str
    group: str = ""
    """Id of its group, filled in when the file is read."""
    label: str
    """Short name for reports."""
    names: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    country: str | None = None
    """ISO 3166 code of its seat; None: not known."""
    kind: Business = Business.HARDWARE
    oui_orgs: tuple[str, ...] = ()
    """Registrants of the IEEE registry, matched whole (case, blanks and punctuation aside)."""
    oui_means: OuiMeans = OuiMeans.NONE
    pens: tuple[Pen, ...] = ()
    borrowed_pens: tuple[BorrowedPen, ...] = ()
    domains: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    """Names in certificates that its devices show."""
    brands: tuple[str, ...] = ()
    relations: tuple[Relation, ...] = ()
    false_friends: tuple[str, ...] = ()
    notes: str | None = None
    recognised_by: str | None = None
    """How its hardware could be recognised, or that it cannot and why."""

    def __post_init__(self) -> None:
        check_id(self.id)


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A corporate group: what an answer calls the manufacturer."""

    group: str
    entities: tuple[Entity, ...]
    title: str
    """Short name of the group for reports."""
    told_apart: bool = True
    """False: no evidence tells the group's companies apart, so an answer never names one of them."""
    note: str | None = None

    @property
    def head(self) -> Entity:
        """The company that stands for the group."""
        return self.entities[0]
