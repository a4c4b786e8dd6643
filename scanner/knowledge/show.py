"""Knowledge in words (`lanveto rules show NAME`, `lanveto rules list WHAT`): any id, name or alias, in plain text."""

from __future__ import annotations

import datetime
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from scanner.errors import UsageProblem
from scanner.knowledge.brands import Brand, BrandMaker
from scanner.knowledge.companies import Business, Entity, Group, OuiMeans, Relation
from scanner.knowledge.fingerprints import Fingerprint
from scanner.knowledge.names import did_you_mean, name_key
from scanner.knowledge.policies import Listed, Policy
from scanner.knowledge.profiles import Profile

if TYPE_CHECKING:
    from scanner.knowledge import Knowledge

WIDTH = 110
SHOWN = 20
"""Fingerprint ids that are named one by one."""
UNSEEN = frozenset({Business.SERVICES, Business.NONE})

_OUI = {
    OuiMeans.WHOLE_DEVICE: "sits in its own whole devices: alone it makes the maker `likely`",
    OuiMeans.PART: "may sit in modules, phones, cards or mixed lines: alone it makes the maker `possible`",
    OuiMeans.COMPUTER: "sits in general computers, which may relay what another device says",
    OuiMeans.NONE: "says nothing about who made the device",
}


def show(knowledge: Knowledge, name: str) -> str:
    """All that is known under that name: company, label, measure, profile or fingerprint.

    Raises `UsageProblem` where nothing is called so, naming what is near.
    """
    lines: list[str] = []
    policy = knowledge.policies.get(name)
    profile = knowledge.profiles.get(name)
    company = knowledge.vendors.resolve(name)
    label = knowledge.brands.resolve(name)
    fingerprint = next((f for f in knowledge.fingerprints if f.id == name), None)
    if policy is not None:
        lines += _policy(policy)
    if profile is not None:
        lines += _profile(profile, knowledge)
    if fingerprint is not None:
        lines += _fingerprint(fingerprint)
    if company is not None:
        group = knowledge.vendors.group_of(company.id)
        lines += _group(group, knowledge) if name.strip().lower() == group.group else _company(company, knowledge)
    if label is not None and (company is None or label.makers or label.id != company.id):
        lines += [*([""] if lines else []), *_label(label, knowledge)]
    lines = lines or list(_only_listed(knowledge, name))
    if not lines:
        raise UsageProblem(f"{name}: nothing is known under that name{did_you_mean(name, _all_names(knowledge))}")
    return "\n".join(lines)


def listing(knowledge: Knowledge, what: str) -> Iterator[str]:
    """One line each of `vendors`, `brands`, `fingerprints`, `policies` or `profiles`. Raises `UsageProblem`."""
    lines: dict[str, Callable[[], Iterator[str]]] = {
        "vendors": lambda: (
            f"{g.group:24} {g.title}: {', '.join(e.label for e in g.entities)}" for g in _sorted(knowledge)
        ),
        "brands": lambda: (
            f"{b.id:24} {', '.join(b.names)}" + (f" <- {', '.join(m.vendor for m in b.makers)}" if b.makers else "")
            for b in sorted(knowledge.brands, key=lambda b: b.id)
        ),
        "fingerprints": lambda: (
            f"{f.id:48} {f.grade:9} {f.manufacturer or '-'}" for f in sorted(knowledge.fingerprints, key=lambda f: f.id)
        ),
        "policies": lambda: (
            f"{p.id:28} {p.effect:24} in force {p.in_force or 'not known'}  {p.title}"
            for p in sorted(knowledge.policies.values(), key=lambda p: p.id)
        ),
        "profiles": lambda: (f"{p.id:24} {p.title}" for p in knowledge.profiles.values()),
    }
    if what not in lines:
        raise UsageProblem(f"{what}: cannot be listed; choose {', '.join(lines)}")
    return lines[what]()


def law_day(knowledge: Knowledge) -> datetime.date:
    """The day up to which the measures were read: the latest `as_of`."""
    return max((p.as_of for p in knowledge.policies.values()), default=datetime.date.min)


def _sorted(knowledge: Knowledge) -> list[Group]:
    return sorted(knowledge.vendors.groups.values(), key=lambda g: g.group)


def _all_names(knowledge: Knowledge) -> Iterator[str]:
    yield from knowledge.vendors.names()
    for brand in knowledge.brands:
        yield from (brand.id, *brand.names)
    yield from knowledge.policies
    yield from knowledge.profiles
    yield from (f.id for f in knowledge.fingerprints)


def _field(name: str, text: str | None) -> list[str]:
    if not text:
        return []
    first = f"{name}: "
    return textwrap.wrap(first + text, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _items(name: str, items: Iterable[str]) -> list[str]:
    found = list(items)
    if not found:
        return []
    lines = [f"{name}:"]
    for item in found:
        lines += textwrap.wrap(
            item, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
    return lines


def _group(group: Group, knowledge: Knowledge) -> list[str]:
    if len(group.entities) == 1:
        return _company(group.head, knowledge)
    lines = [f"{group.title} (group {group.group}): {len(group.entities)} companies"]
    lines += _field("Note", group.note)
    if group.told_apart:
        others = (f"{e.label} ({e.id}): {e.names[0]}" for e in group.entities[1:])
        return [*lines, *_company(group.head, knowledge), *_items("Other companies of the group", others)]
    for entity in group.entities:
        lines += ["", *_company(entity, knowledge)]
    return lines


def _company(entity: Entity, knowledge: Knowledge) -> list[str]:
    seat = entity.country or "not known"
    group = knowledge.vendors.group_of(entity.id)
    lines = [f"{entity.label} ({entity.id}, group {group.group}): makes {entity.kind}; seat {seat}"]
    lines += _field("Legal names", "; ".join(entity.names))
    lines += _field("Also called", "; ".join(entity.aliases))
    lines += _items("Named by", _listings(entity, group, knowledge) or ["no measure that lanveto knows"])
    lines += _field("Recognised by", entity.recognised_by or "nothing that is known")
    if entity.kind in UNSEEN:
        lines.append("It makes no hardware that a network could meet: no device is ever judged by its listing.")
    if entity.oui_orgs:
        lines += _items("Registered prefixes", (f'"{org}"' for org in entity.oui_orgs))
        lines.append(f"    A prefix of it {_OUI[entity.oui_means]}.")
    pens = [f"{p.number} ({p.name})" + _squatted(p.squatters) for p in entity.pens]
    pens += [f"{p.number}, borrowed from {p.owner or 'nobody (unassigned)'}" for p in entity.borrowed_pens]
    lines += _items("SNMP numbers", pens)
    lines += _field("Domains", ", ".join(entity.domains))
    lines += _items("Certificates", entity.certificates)
    lines += _items("Relations", (_relation(entity, r, knowledge) for r in entity.relations))
    lines += _items("Labels that (also) sell its hardware; hints, each scope counts", _hints(entity, knowledge))
    fingerprints = sorted(f.id for f in knowledge.fingerprints if f.manufacturer == group.group)
    more = f" and {len(fingerprints) - SHOWN} more" if len(fingerprints) > SHOWN else ""
    lines += _field(f"Fingerprints of the group ({len(fingerprints)})", ", ".join(fingerprints[:SHOWN]) + more)
    lines += _items("Not to be confused", entity.false_friends)
    lines += _field("Note", entity.notes)
    lines.append(f"Not legal advice; law as of {law_day(knowledge)}.")
    return lines


def _squatted(squatters: tuple[str, ...]) -> str:
    return f"; also answered by {', '.join(squatters)}" if squatters else ""


def _relation(entity: Entity, relation: Relation, knowledge: Knowledge) -> str:
    target = knowledge.vendors.entity(relation.target) if relation.target else None
    other = target.label if target is not None else relation.name or ""
    doubt = "" if relation.verified else ", not verified"
    note = f"; {relation.note}" if relation.note else ""
    return (
        f"{relation.type.replace('_', ' ')}: {other} ({relation.period}; {relation.confidence}{doubt}){note}"
        f" [{relation.source}]"
    )


def _hints(entity: Entity, knowledge: Knowledge) -> list[str]:
    return [
        f"{brand.id}: {made.scope} ({made.confidence}{'' if made.verified else ', not verified'})"
        for brand in knowledge.brands.made_by(entity.id)
        for made in brand.makers
        if made.vendor == entity.id
    ]


def _listings(entity: Entity, group: Group, knowledge: Knowledge) -> list[str]:
    """Which measures name the company, itself, as one of its group, or through a company it belongs to."""
    on = law_day(knowledge)
    found: list[str] = []
    for policy in sorted(knowledge.policies.values(), key=lambda p: p.id):
        best: tuple[int, str] | None = None
        for listed in policy.entities:
            way = _way(listed, entity, group, policy, knowledge, on)
            if way is not None and (best is None or len(way) < best[0]):
                best = (len(way), _listed(policy, listed) + (f"; through {'; '.join(way)}" if way else ""))
        if best is not None:
            found.append(best[1])
    return found


def _way(
    listed: Listed, entity: Entity, group: Group, policy: Policy, knowledge: Knowledge, on: datetime.date
) -> tuple[str, ...] | None:
    if listed.vendor is not None:
        return () if listed.vendor == group.group else None
    if listed.entity is None:
        return None
    if listed.entity == entity.id:
        return ()
    path = knowledge.vendors.path(entity.id, listed.entity, on)
    clause = policy.reaches_affiliates(on)
    if path is None or clause is None:
        return None
    return path if clause.certain else (*path, clause.note or "not verified")


def _listed(policy: Policy, listed: Listed) -> str:
    when = f"since {listed.since}" if listed.since else "since when is not known"
    if listed.until:
        when += f" until {listed.until}"
    doubt = "" if listed.verified and policy.verified else "; from memory, not verified"
    cited = f", {listed.citation}" if listed.citation else ""
    return f'{policy.id} ({policy.effect}) as "{listed.name}" {when}{cited}{doubt}'


def _dates(made: BrandMaker) -> str:
    return "" if made.since is None and made.until is None else f"{made.period}; "


def _label(brand: Brand, knowledge: Knowledge) -> list[str]:
    owner = knowledge.vendors.entity(brand.owner) if brand.owner else None
    what = "software" if brand.software else "label"
    lines = [f"{brand.names[0]} ({brand.id}): a {what}" + (f" of {owner.label} ({owner.group})" if owner else "")]
    lines += _field("Names", ", ".join(brand.names))
    lines += _items("Registered prefixes", (f'"{org}"' for org in brand.oui_orgs))
    lines += _items(
        "Hardware by",
        (
            f"{m.vendor}: {m.scope} ({_dates(m)}{m.confidence}{'' if m.verified else ', not verified'})"
            f" [{'; '.join(m.sources)}]"
            for m in brand.makers
        ),
    )
    lines += _items(
        "Models",
        (f"{p.regex} -> {p.maker or 'somebody else'}{f' ({p.note})' if p.note else ''}" for p in brand.model_patterns),
    )
    lines += _field("Note", brand.note)
    lines.append("A label alone is a hint to look closer, never a maker.")
    return lines


def _policy(policy: Policy) -> list[str]:
    lines = textwrap.wrap(f"{policy.title} ({policy.id})", WIDTH)
    lines += _field("Authority", f"{policy.authority} ({policy.jurisdiction})")
    lines += _field("Citation", policy.citation or "not verified")
    lines += _field("Effect", policy.effect)
    lines += _field("Binds", ", ".join(policy.binds))
    lines += _field("Asks", policy.asks)
    lines += _field("Covers", policy.scope)
    lines += _field("Kinds of device", ", ".join(policy.kinds) if policy.kinds else None)
    purposes = dict.fromkeys(filter(None, [policy.purpose, *(listed.purpose for listed in policy.entities)]))
    lines += _items("Purpose limits", purposes)
    lines += _items("Exemptions", policy.exemptions)
    lines += _field("Other labels", policy.relabelled)
    dates = f"adopted {policy.enacted or 'not known'}; in force {policy.in_force or 'not known'}"
    lines += _field("Dates", dates + (f"; expires {policy.expires}" if policy.expires else ""))
    lines += _items("Next dates", (f"{d.date}: {d.what}" for d in policy.next_dates))
    lines += _items("Names", (_name(listed) for listed in policy.entities))
    if policy.origin:
        lines += _field("Goes by the seat of the maker", ", ".join(policy.origin))
    lines += _field("Subsidiaries and affiliates", _affiliates(policy))
    lines += _items("Open points", policy.open_points)
    lines += _field("Note", policy.note)
    lines += _items("Source", policy.sources)
    lines.append(f"Confidence {policy.confidence}; as of {policy.as_of}. Not legal advice.")
    return lines


def _name(listed: Listed) -> str:
    when = f"since {listed.since}" if listed.since else "since when is not known"
    if listed.until:
        when += f" until {listed.until}"
    known = listed.entity or listed.vendor
    parts = [when, f"= {known}" if known else "no company that lanveto could meet", listed.scope, listed.note]
    return f"{listed.name} ({'; '.join(part for part in parts if part)})" + ("" if listed.verified else " not verified")


def _affiliates(policy: Policy) -> str:
    if isinstance(policy.affiliates, bool):
        return "yes" if policy.affiliates else "not named, or not seen"
    return "; ".join(
        f"{span.since or '…'} to {span.until or '…'}{'' if span.certain else ' (not verified)'}: {span.note or 'yes'}"
        for span in policy.affiliates
    )


def _profile(profile: Profile, knowledge: Knowledge) -> list[str]:
    lines = [f"{profile.id}: {profile.title}", *_field("Note", profile.note)]
    bound = [f"{p.id}: {p.title}" for p in knowledge.policies.values() if profile.id in p.binds]
    return [*lines, *_items("Bound by", sorted(bound) or ["no measure that lanveto knows"])]


def _fingerprint(fingerprint: Fingerprint) -> list[str]:
    lines = [f"{fingerprint.id}: {fingerprint.grade}, says {fingerprint.manufacturer or 'no maker'}"]
    lines += _field("Channels", ", ".join(sorted(fingerprint.channels)))
    lines += _items("Patterns", fingerprint.patterns)
    lines += _field("Also sent by", ", ".join(fingerprint.shared_with))
    lines += _field("Last seen", str(fingerprint.seen))
    lines += _items("Examples", (str(example) for example in fingerprint.examples[:5]))
    lines += _field("Note", fingerprint.note)
    return [*lines, *_items("Source", fingerprint.source), f"File: {fingerprint.file}"]


def _only_listed(knowledge: Knowledge, name: str) -> Iterator[str]:
    """Names that stand in a measure and belong to no company lanveto could meet."""
    wanted = name_key(name)
    for policy in knowledge.policies.values():
        for listed in policy.entities:
            spellings = {name_key(part) for part in (listed.name, *re.split(r"[()]", listed.name))}
            if wanted and wanted in spellings:
                yield f"{_listed(policy, listed)}; no company that lanveto could meet on a network"
