"""Whether and how a measure names the maker of a device on a given day."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scanner.knowledge.companies import Business, Confidence, Entity, Group
from scanner.knowledge.policies import Listed, Policy
from scanner.model import Identity

if TYPE_CHECKING:
    from scanner.knowledge import Knowledge

UNSEEN = frozenset({Business.SERVICES, Business.NONE})
"""Companies that make nothing a network could meet: their listings never match a device."""
UNTOLD_KINDS = frozenset({None, "other", "unknown"})


@dataclass(frozen=True, slots=True)
class Maker:
    """Who made a device, as far as manufacturer and label tell."""

    group: Group
    entity: Entity
    """The company: the label's owner where it belongs to the group, else the group's head."""
    label: str | None
    """The name of a label that is not the group's own, else None."""

    @property
    def name(self) -> str:
        """Short name for a sentence; that of the group where its companies cannot be told apart."""
        if not self.group.told_apart:
            return self.group.title
        if self.entity is self.group.head:
            return self.entity.label
        return f"{self.entity.label} ({self.group.title} group)"


@dataclass(frozen=True, slots=True)
class Standing:
    """One measure's hold on one maker."""

    listed: str
    """The name as the measure lists it."""
    path: tuple[str, ...]
    """From the maker to that name, one step a sentence."""
    citation: str | None = None
    scope: str | None = None
    purpose: str | None = None
    doubts: tuple[str, ...] = ()
    """What is not verified about it; any doubt lowers the action to `investigate`."""
    remarks: tuple[str, ...] = ()
    """What a reader should know and what does not change the action."""
    distance: int = 0
    """Smaller is more direct."""
    from_memory: bool = False
    """The listing was not seen in a source."""
    by_origin: bool = False
    """The measure names nobody: the maker's seat is what it goes by."""


def maker(identity: Identity, knowledge: Knowledge) -> Maker | None:
    """The maker of a device, or None where no known group is named."""
    group = knowledge.vendors.group(identity.manufacturer) if identity.manufacturer else None
    if group is None:
        return None
    brand = knowledge.brands.get(identity.brand) if identity.brand else None
    owner = knowledge.vendors.entity(brand.owner) if brand is not None and brand.owner else None
    if owner is not None and owner.group == group.group:
        return Maker(group, owner if owner.kind not in UNSEEN else group.head, None)
    return Maker(group, group.head, brand.names[0] if brand is not None else None)


def standing(policy: Policy, made: Maker, kind: str | None, knowledge: Knowledge, on: datetime.date) -> Standing | None:
    """The most direct way in which the measure names the maker on that day, or None."""
    doubts: tuple[str, ...] = ()
    if policy.kinds is not None and kind not in policy.kinds:
        if kind not in UNTOLD_KINDS:
            return None
        doubts = (f"the kind of device is not known, and the measure is about {', '.join(policy.kinds)} only",)
    found = [
        held
        for listed in policy.entities
        if policy.lists(listed, on) and (held := _held(policy, listed, made, knowledge, on)) is not None
    ]
    if not found and made.group.head.country in policy.origin and made.group.head.kind not in UNSEEN:
        found = [_by_origin(made)]
    if not found:
        return None
    best = min(found, key=lambda held: (len(held.doubts), held.distance))
    return replace(
        best,
        doubts=(*best.doubts, *doubts),
        scope=best.scope or policy.scope,
        purpose=best.purpose or policy.purpose,
    )


def _by_origin(made: Maker) -> Standing:
    country = made.group.head.country or "?"
    doubts = []
    if made.label:
        doubts.append(f"the measure goes by the origin of the label, and where {made.label} comes from is not known")
    abroad = [e for e in _candidates(made) if e.country not in {None, country}]
    if abroad and made.group.told_apart:
        doubts.append(f"{made.entity.label} itself has its seat in {made.entity.country}")
    elif abroad:
        seats = " or ".join(f"{e.names[0]} ({e.country})" for e in abroad)
        doubts.append(f"no evidence on a network tells {made.group.head.names[0]} ({country}) from {seats}")
    seat = made.name if made.group.told_apart and not abroad else made.group.head.names[0]
    return Standing(
        listed=f"makers with their seat in {country}",
        path=(*_first_step(made), f"{seat} → has its seat in {country}; the measure goes by origin, not by name"),
        doubts=tuple(doubts),
        by_origin=True,
    )


def _candidates(made: Maker) -> tuple[Entity, ...]:
    """The companies that may have made the device: one, or all of a group whose companies cannot be told apart."""
    if made.group.told_apart:
        return (made.entity,)
    return tuple(entity for entity in made.group.entities if entity.kind not in UNSEEN)


def _first_step(made: Maker) -> tuple[str, ...]:
    return (f"{made.label} → label on hardware made by {made.name}",) if made.label else ()


def _held(
    policy: Policy, listed: Listed, made: Maker, knowledge: Knowledge, on: datetime.date
) -> Standing | None:
    if listed.vendor is not None:
        if listed.vendor != made.group.group:
            return None
        return _standing(policy, listed, made, made.group.title, ())
    company = knowledge.vendors.entity(listed.entity) if listed.entity is not None else None
    if company is None or company.kind in UNSEEN:
        return None
    if not made.group.told_apart and company.group == made.group.group:
        return _untold(policy, listed, made, company)
    steps = knowledge.vendors.trace(made.entity.id, company.id, on)
    if steps is None:
        return None
    doubts: list[str] = []
    remarks: list[str] = []
    if steps:
        clause = policy.reaches_affiliates(on)
        inside = company.group == made.group.group
        if clause is None and not inside:
            return None
        if clause is None:
            doubts.append(f"the measure names {company.label}; that it reaches {made.entity.label} was not seen")
        elif clause.note is not None:
            remarks.append(clause.note)
        if clause is not None and not clause.certain:
            doubts.append("that it reaches affiliates today is not verified")
        if not inside and not all(step.verified for step in steps):
            doubts.append(f"the relation of {made.entity.label} to {company.label} is not verified")
    sentences = tuple(step.sentence for step in steps)
    return _standing(
        policy, listed, made, company.label, sentences, tuple(doubts), tuple(remarks), distance=len(steps)
    )


def _untold(policy: Policy, listed: Listed, made: Maker, company: Entity) -> Standing:
    others = [e for e in made.group.entities if e is not company and e.kind not in UNSEEN]
    doubt = (
        f"the measure names {company.names[0]} only, and no evidence on a network tells it from "
        f"{' or '.join(e.names[0] for e in others)}: ask the seller or read the label"
    )
    return _standing(policy, listed, made, company.label, (f"{made.name} → may be {company.label}",), (doubt,))


def _standing(
    policy: Policy,
    listed: Listed,
    made: Maker,
    name: str,
    steps: tuple[str, ...],
    doubts: tuple[str, ...] = (),
    remarks: tuple[str, ...] = (),
    *,
    distance: int = 0,
) -> Standing:
    unverified = not listed.verified or policy.confidence is Confidence.UNVERIFIED
    if unverified:
        doubts = (*doubts, "the listing is from memory and not verified")
    since = f"since {listed.since}" if listed.since else "since when is not known"
    return Standing(
        listed=listed.name,
        path=(*_first_step(made), *steps, f'{name} → listed as "{listed.name}" ({since})'),
        citation=None if unverified else listed.citation,
        from_memory=unverified,
        scope=listed.scope,
        purpose=listed.purpose,
        doubts=doubts,
        remarks=remarks,
        distance=distance,
    )
