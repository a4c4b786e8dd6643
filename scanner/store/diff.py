"""Two scans of one site against each other: who appeared, who is missing or gone, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from scanner.errors import UsageProblem
from scanner.model import Action
from scanner.store import reading
from scanner.store.changes import Asked, Change, Facts, compare, compare_actions
from scanner.store.findings import MISSES
from scanner.store.opening import Store
from scanner.store.writing import Head

MAX_HALVES = 20
"""Devices that may be known by two keys and are named."""


class Appeared(msgspec.Struct, frozen=True, kw_only=True):
    """A device of the later scan that the earlier one did not have."""

    device: str
    facts: Facts
    actions: dict[str, Action]


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A device of the earlier scan that the later one did not have."""

    device: str
    facts: Facts
    actions: dict[str, Action]
    asked: bool
    """False: the later scan did not ask for it, so nothing can be said."""
    misses: int
    """Completed scans up to the later one that asked for it since it was last seen."""
    gone: bool
    """True after enough misses."""


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A device of both scans that is not the same in both."""

    device: str
    facts: Facts
    """As the later scan has them."""
    changes: tuple[Change, ...]
    verdicts: tuple[Change, ...]
    """Policies whose action differs; `before` or `after` is null where there was no verdict."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What `lanveto diff` tells."""

    before: reading.Entry
    after: reading.Entry
    appeared: tuple[Appeared, ...]
    missing: tuple[Missing, ...]
    changed: tuple[Changed, ...]
    same: int
    notes: tuple[str, ...]
    """What a reader must know before he believes it: an incomplete scan, other rules, another organisation."""


def diff(store: Store, before: reading.Entry, after: reading.Entry, *, misses: int = MISSES) -> Difference:
    """Compare two scans. Raises `UsageProblem` for scans of two sites: their addresses mean different devices."""
    if before.site != after.site:
        raise UsageProblem(
            f"scan {before.number} is of site {before.site} and scan {after.number} of site {after.site}: "
            "the same address is another device there"
        )
    then, now = reading.snapshot(store, before.number), reading.snapshot(store, after.number)
    changed = []
    for key in then.keys() & now.keys():
        facts = compare(then[key].facts, now[key].facts)
        verdicts = compare_actions(then[key].actions, now[key].actions)
        if facts or verdicts:
            changed.append(Changed(device=key, facts=now[key].facts, changes=facts, verdicts=verdicts))
    appeared = tuple(
        Appeared(device=key, facts=now[key].facts, actions=dict(now[key].actions))
        for key in sorted(now.keys() - then.keys())
    )
    missing = _missing(store, {k: then[k] for k in sorted(then.keys() - now.keys())}, after, misses)
    return Difference(
        before=before, after=after, appeared=appeared, missing=missing,
        changed=tuple(sorted(changed, key=lambda c: c.device)), same=len(then.keys() & now.keys()) - len(changed),
        notes=(*_notes(store, before, after), *_halves(appeared, missing)),
    )  # fmt: skip


def _halves(appeared: Sequence[Appeared], missing: Sequence[Missing]) -> list[str]:
    """Devices that are perhaps both: missing with their MAC, there at their address without it."""
    bare = {one.facts.ip for one in appeared if one.facts.mac is None and one.facts.ip is not None}
    found = [
        f"{one.facts.ip} answered without its MAC being seen: it may be {one.facts.mac}"
        for one in missing if one.facts.mac is not None and one.facts.ip in bare
    ]  # fmt: skip
    more = [f"{len(found) - MAX_HALVES} more devices may be there without their MAC being seen"]
    return found[:MAX_HALVES] + more if len(found) > MAX_HALVES else found


def _missing(
    store: Store, lost: dict[str, reading.Seen], after: reading.Entry, misses: int
) -> tuple[Missing, ...]:
    if not lost:
        return ()
    looked = reading.between(store, after.site, list(lost), after.number)
    later = _asked(reading.head(store, after.number))
    asked: dict[str, Asked] = {}
    opaque: dict[int, tuple[str, ...]] = {}
    found = []
    for key, seen in lost.items():
        last, heads = looked[key]
        if last not in opaque:
            opaque[last] = Asked(reading.head(store, last).scan.targets).opaque
        count = 0
        for head in heads:
            scan = head.scan
            if scan.id not in asked:
                asked[scan.id] = _asked(head)
            count += asked[scan.id].covers(seen.facts.ip, opaque[last])
        found.append(
            Missing(
                device=key, facts=seen.facts, actions=dict(seen.actions), misses=count, gone=count >= misses,
                asked=later.covers(seen.facts.ip, opaque[last]),
            )
        )  # fmt: skip
    return tuple(found)


def _asked(head: Head) -> Asked:
    """What a look asked for; one that only listened, or read what others know, asked for nothing."""
    return Asked(head.scan.targets, head.scan.excluded) if head.asked else Asked(())


def _notes(store: Store, before: reading.Entry, after: reading.Entry) -> tuple[str, ...]:
    notes = [
        f"scan {entry.number} was not completed ({entry.state}): a device it lacks may well be there"
        for entry in (before, after)
        if entry.state != "completed"
    ]
    one, other = reading.head(store, before.number), reading.head(store, after.number)
    if one.rules_version.rules_sha256 != other.rules_version.rules_sha256:
        notes.append("the rules differ: makers and verdicts may have changed without the devices (`lanveto rejudge`)")
    if one.scan.profiles != other.scan.profiles:
        notes.append(
            f"judged for different organisations: {', '.join(one.scan.profiles) or 'none'} and "
            f"{', '.join(other.scan.profiles) or 'none'}"
        )
    if one.scan.law_as_of != other.scan.law_as_of:
        notes.append(f"law as of {one.scan.law_as_of} and {other.scan.law_as_of}")
    notes += [
        f"scan {entry.number} asked nobody (it listened, or read what others know): a device it lacks is not missing, "
        "and one that it alone has may be no new one"
        for entry, told in ((before, one), (after, other))
        if not told.asked
    ]
    if set(one.scan.targets) != set(other.scan.targets):
        notes.append("the scans had different targets: what was not asked is not missing")
    return tuple(notes)
