"""Who is who: corporate groups, their companies, and how they belong together on a given day (`rules/vendors/`)."""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from scanner.errors import RulesProblem
from scanner.knowledge.companies import Entity, Group, OuiMeans, Relation, RelationType
from scanner.knowledge.loader import Place, convert, files, read_yaml, undisturbed
from scanner.knowledge.names import check_id, loose_key, name_key

MAX_STEPS = 4
"""Longest chain of relations that is followed from a maker to a listed company."""


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
        self._pens: dict[int, Entity] = {}
        self._borrowed: set[int] = set()
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
        for pen in entity.pens:
            other = self._pens.setdefault(pen.number, entity)
            if other is not entity:
                raise RulesProblem(f"{where}, pens: {pen.number} belongs to {other.id} already; keep it in one place")
            if pen.squatters:
                self._borrowed.add(pen.number)
        self._borrowed.update(pen.number for pen in entity.borrowed_pens)
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

    def by_pen(self, number: int) -> Entity | None:
        """The company to which an enterprise number is registered; None where others are known to answer with it."""
        return None if number in self._borrowed else self._pens.get(number)

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


@undisturbed()
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
