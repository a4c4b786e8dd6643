"""References between rule files: every company, label and profile that is named must exist, every date make sense."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scanner.knowledge import Knowledge
    from scanner.knowledge.policies import Policy


def problems(knowledge: Knowledge) -> Iterator[tuple[str, str]]:
    """Place and reason of every reference that leads nowhere; nothing where all is well."""
    yield from _companies(knowledge)
    yield from _labels(knowledge)
    for policy in knowledge.policies.values():
        yield from _measure(policy, knowledge)


def _companies(knowledge: Knowledge) -> Iterator[tuple[str, str]]:
    for entity in knowledge.vendors.entities():
        place = f"rules/vendors/{entity.group}.yaml: entry {entity.id!r}"
        for brand in entity.brands:
            if knowledge.brands.get(brand) is None:
                yield place, f"brands: no label is called {brand!r}"
        if entity.recognised_by is None:
            yield place, "recognised_by: say how its hardware is recognised, or that it cannot be and why"


def _labels(knowledge: Knowledge) -> Iterator[tuple[str, str]]:
    for brand in knowledge.brands:
        place = f"rules/brands: entry {brand.id!r}"
        named: dict[str, list[str | None]] = {
            "owner": [brand.owner],
            "makers": [m.vendor for m in brand.makers],
            "model_patterns": [p.maker for p in brand.model_patterns],
        }
        for key, companies in named.items():
            for company in companies:
                if company is not None and knowledge.vendors.entity(company) is None:
                    yield place, f"{key}: no company is called {company!r}"


def _measure(policy: Policy, knowledge: Knowledge) -> Iterator[tuple[str, str]]:
    place = f"rules/policies: entry {policy.id!r}"
    for number, listed in enumerate(policy.entities, 1):
        if listed.entity is not None and knowledge.vendors.entity(listed.entity) is None:
            yield place, f"entities[{number}]: no company is called {listed.entity!r}"
        if listed.vendor is not None and knowledge.vendors.group(listed.vendor) is None:
            yield place, f"entities[{number}]: no group is called {listed.vendor!r}"
        if listed.until is not None and listed.until > policy.as_of:
            yield place, f"entities[{number}]: until {listed.until} lies after as_of {policy.as_of}"
    for profile in policy.binds:
        if profile not in knowledge.profiles:
            yield place, f"binds: no profile is called {profile!r}"
    if not policy.binds:
        yield place, "binds: name at least one profile"
