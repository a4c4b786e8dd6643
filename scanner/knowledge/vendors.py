"""Who is who: corporate groups, their companies, and how they belong together on a given day (`rules/vendors/`)."""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from scanner.errors import RulesProblem
from scanner.knowledge.loader import Place, convert, files, read_yaml
from scanner.knowledge.names import check_id, loose_key, name_key
from scanner.knowledge.periods import Period, last_day

MAX_STEPS = 4
"""Longest chain of relations that is followed from a maker to a listed company."""


class OuiMeans(StrEnum):
    """What a registered prefix of a company says about the device that carries it."""

    WHOLE_DEVICE = "whole-device"
    """The company's prefixes sit in its own whole devices: a prefix alone is `likely`."""
    PART = "part"
    """Modules, phones, network cards or mixed lines: a prefix alone is `possible`."""
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


_UP: Mapping[RelationType, str] = {
    RelationType.PARENT: "subsidiary of",
    RelationType.FORMER_PARENT: "subsidiary of",
    RelationType.OWNED_BY: "owned by",
}
"""The company that states it belongs to the target."""
_DOWN: Mapping[RelationType, str] = {
    RelationType.SUBSIDIARY: "subsidiary of",
    RelationType.FORMER_SUBSIDIARY: "subsidiary of",
    RelationType.OWNS: "owned by",
    RelationType.LOCAL_COMPANY: "local company of",
}
"""The target belongs to the company that states it."""
_SIDEWAYS: Mapping[RelationType, str] = {
    RelationType.AFFILIATE: "affiliate of",
    RelationType.JOINT_VENTURE: "joint venture of",
}
CARRYING = frozenset({*_UP, *_DOWN, *_SIDEWAYS})
"""Relations that carry a law's clause on subsidiaries and affiliates, within their dates."""


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


class Step(msgspec.Struct, frozen=True):
    """One relation on the way from a maker to a listed company."""

    sentence: str
    verified: bool
    sideways: bool = False


class _Edge(msgspec.Struct, frozen=True):
    target: str
    phrase: str
    relation: Relation
    sideways: bool


class VendorGraph:
    """Every group, searchable by id, name, registry organisation and relation."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self.groups: dict[str, Group] = {g.group: g for g in groups}
        self._entities: dict[str, Entity] = {}
        self._group_of: dict[str, Group] = {}
        self._orgs: dict[str, Entity] = {}
        self._names: dict[str, Entity] = {}
        self._loose: dict[str, Entity | None] = {}
        self._edges: dict[str, list[_Edge]] = {}
        self._traces: dict[tuple[str, str, datetime.date], tuple[Step, ...] | None] = {}
        for group in self.groups.values():
            for entity in group.entities:
                self._add(group, entity)
        for entity in self._entities.values():
            self._connect(entity)

    def _add(self, group: Group, entity: Entity) -> None:
        where = f"rules/vendors/{group.group}.yaml, entity {entity.id}"
        if entity.id in self._entities:
            raise RulesProblem(f"{where}: the id is taken by group {self._group_of[entity.id].group}; choose another")
        self._entities[entity.id] = entity
        self._group_of[entity.id] = group
        for org in entity.oui_orgs:
            other = self._orgs.setdefault(name_key(org), entity)
            if other is not entity:
                raise RulesProblem(f"{where}, oui_orgs: {org!r} belongs to {other.id} already; keep it in one place")
        for name in (entity.id, entity.label, *entity.names, *entity.aliases):
            other = self._names.setdefault(name_key(name), entity)
            if other is not entity:
                raise RulesProblem(f"{where}: the name {name!r} belongs to {other.id} already; keep it in one place")
            loose = loose_key(name)
            self._loose[loose] = entity if self._loose.get(loose, entity) is entity else None

    def _connect(self, entity: Entity) -> None:
        where = f"rules/vendors/{self._group_of[entity.id].group}.yaml, entity {entity.id}, relations"
        for relation in entity.relations:
            target = relation.target
            if target is None:
                continue
            if target not in self._entities:
                raise RulesProblem(f"{where}: no entity is called {target!r}; use `name` for a company without entry")
            if relation.type in _UP:
                self._edge(where, entity.id, _Edge(target, _UP[relation.type], relation, sideways=False))
            elif relation.type in _DOWN:
                self._edge(where, target, _Edge(entity.id, _DOWN[relation.type], relation, sideways=False))
            elif relation.type in _SIDEWAYS:
                phrase = _SIDEWAYS[relation.type]
                self._edge(where, entity.id, _Edge(target, phrase, relation, sideways=True))
                self._edge(where, target, _Edge(entity.id, phrase, relation, sideways=True))

    def _edge(self, where: str, start: str, edge: _Edge) -> None:
        edges = self._edges.setdefault(start, [])
        # The same relation stated from both sides would outlive the end date of one of them.
        if any(e.target == edge.target and e.relation.since == edge.relation.since for e in edges):
            raise RulesProblem(f"{where}: {start} and {edge.target} are related twice; state it at one of them only")
        edges.append(edge)

    def __len__(self) -> int:
        return len(self.groups)

    def group(self, group_id: str) -> Group | None:
        """The group of that id (a manufacturer id), or None."""
        return self.groups.get(group_id)

    def entity(self, entity_id: str) -> Entity | None:
        """The company of that id, or None."""
        return self._entities.get(entity_id)

    def entities(self) -> tuple[Entity, ...]:
        """Every company, in the order of the files."""
        return tuple(self._entities.values())

    def group_of(self, entity_id: str) -> Group:
        """The group a company belongs to. Raises `KeyError` for an unknown id."""
        return self._group_of[entity_id]

    def resolve(self, name: str) -> Entity | None:
        """The company of that id, name or alias (case, punctuation and legal form aside), or None."""
        group = self.groups.get(name.strip().lower())
        if group is not None:
            return group.head
        return self._names.get(name_key(name)) or self._loose.get(loose_key(name))

    def by_oui_org(self, organisation: str) -> tuple[Entity, OuiMeans] | None:
        """The company behind a registrant of the IEEE registry and what a prefix of it means, or None."""
        entity = self._orgs.get(name_key(organisation))
        return (entity, entity.oui_means) if entity is not None else None

    def names(self) -> tuple[str, ...]:
        """Every id, label, name and alias, for suggestions."""
        return tuple(n for e in self._entities.values() for n in (e.id, e.label, *e.names, *e.aliases))

    def trace(self, start: str, goal: str, on: datetime.date) -> tuple[Step, ...] | None:
        """The shortest chain by which `start` belonged to `goal` on that day; empty for itself, None without one.

        Ownership is followed upwards only, and at most one step goes sideways: two affiliates of one company are
        not affiliates of each other by that alone.
        """
        key = (start, goal, on)
        if key not in self._traces:
            self._traces[key] = self._search(start, goal, on)
        return self._traces[key]

    def _search(self, start: str, goal: str, on: datetime.date) -> tuple[Step, ...] | None:
        if start == goal:
            return ()
        queue: deque[tuple[str, tuple[Step, ...]]] = deque([(start, ())])
        seen = {(start, False)}
        while queue:
            here, steps = queue.popleft()
            used = any(step.sideways for step in steps)
            for edge in self._edges.get(here, ()):
                if not edge.relation.period.holds(on) or (edge.sideways and used):
                    continue
                state = (edge.target, used or edge.sideways)
                if state in seen or len(steps) >= MAX_STEPS:
                    continue
                seen.add(state)
                chain = (*steps, self._step(here, edge))
                if edge.target == goal:
                    return chain
                queue.append((edge.target, chain))
        return None

    def _step(self, start: str, edge: _Edge) -> Step:
        doubt = "" if edge.relation.verified else ", not verified"
        sentence = (
            f"{self._entities[start].label} → {edge.phrase} {self._entities[edge.target].label} "
            f"({edge.relation.period}{doubt})"
        )
        return Step(sentence, edge.relation.verified, edge.sideways)

    def path(self, start: str, goal: str, on: datetime.date) -> tuple[str, ...] | None:
        """`trace` in words, one relation a sentence: `EZVIZ → subsidiary of Hikvision (since …)`."""
        steps = self.trace(start, goal, on)
        return None if steps is None else tuple(step.sentence for step in steps)


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    group: str
    entities: list[Any]
    title: str | None = None
    told_apart: bool = True
    note: str | None = None

    def __post_init__(self) -> None:
        check_id(self.group)
        if not self.entities:
            raise ValueError("`entities` is empty; a group needs at least one company, its head first")


def load(folders: Sequence[Path]) -> VendorGraph:
    """The graph of all `vendors/*.yaml` below the rule roots; a later root replaces groups of the same id.

    Raises `RulesProblem` naming file, entry, key and reason.
    """
    groups: dict[str, Group] = {}
    for path in (path for folder in folders for path in files(folder, "vendors")):
        file = convert(read_yaml(path), _File, Place(str(path)))
        entities = tuple(_entity(raw, file.group, path) for raw in file.entities)
        groups[file.group] = Group(
            group=file.group,
            entities=entities,
            title=file.title or entities[0].label,
            told_apart=file.told_apart,
            note=file.note,
        )
    return VendorGraph(groups.values())


def _entity(raw: object, group: str, path: Path) -> Entity:
    name = raw.get("id") if isinstance(raw, dict) else None
    entity = convert(raw, Entity, Place(str(path), str(name)))
    return msgspec.structs.replace(entity, group=group)
