"""Tries fingerprints on readings: which fit, what they say, and what the MAC address adds."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from scanner.identify.declared import CHANNELS, declared, unrecognised
from scanner.identify.prefilter import Needs, Prefilter, needs
from scanner.knowledge.companies import OuiMeans
from scanner.knowledge.fingerprints import FILLED, Fingerprint, Hit
from scanner.model import Grade, Match, Observation, Reading
from scanner.values import normal_mac

if TYPE_CHECKING:
    from scanner.knowledge import Knowledge

MAX_FIELD = 200
"""Characters of one field that a group may fill."""
REMEMBERED = 1024
"""What was said on one channel, so often: devices of one kind say the same, and it is tried once for all of them."""
MAX_REMEMBERED = 8192
"""Characters above which that is not remembered."""

_SLOT = re.compile(r"\{(\w+)\}")


class Matcher:
    """Fingerprints by channel: only those that a device's channels and texts can meet are tried."""

    def __init__(self, fingerprints: Sequence[Fingerprint]) -> None:
        self._by_id = {fingerprint.id: fingerprint for fingerprint in fingerprints}
        self._exact: dict[str, list[Fingerprint]] = defaultdict(list)
        self._open: list[tuple[str, Fingerprint]] = []
        known: list[tuple[str, Needs]] = []
        for fingerprint in fingerprints:
            need = needs(fingerprint.match)
            if need:
                known.append((fingerprint.id, need))
                continue
            for channel in fingerprint.channels:
                if channel.endswith(".*"):
                    self._open.append((channel[:-1], fingerprint))
                else:
                    self._exact[channel].append(fingerprint)
        self._prefilter = Prefilter(known)
        self._mentioned: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {}
        self._always = lru_cache(maxsize=4096)(self._tried)
        self._known = lru_cache(maxsize=REMEMBERED)(self._told)

    def worth_trying(self, index: Mapping[str, Sequence[Reading]]) -> bool:
        """Whether `fitting` would try any fingerprint at all."""
        for channel, readings in index.items():
            if self._always(channel) or self._prefilter.worth_trying(channel, readings):
                return True
        return False

    def _tried(self, channel: str) -> tuple[Fingerprint, ...]:
        """What is tried on whatever is said on a channel."""
        return (*self._exact.get(channel, ()), *(f for prefix, f in self._open if channel.startswith(prefix)))

    def fitting(self, index: Mapping[str, Sequence[Reading]]) -> Iterator[tuple[Fingerprint, Hit]]:
        """Every fingerprint whose condition the readings meet, each once."""
        return iter(self.listening().fitting(index))

    def listening(self) -> Fitting:
        """What tells the same again and again of a device that says more and more."""
        return Fitting(self)

    def candidates(self, channel: str, readings: Sequence[Reading]) -> Sequence[Candidate]:
        """The fingerprints that are worth trying for what was said on one channel, in the order they are tried."""
        if not self._always(channel) and not self._prefilter.knows(channel):
            return ()
        values = tuple(reading.value for reading in readings)
        told = self._known if sum(map(len, values)) <= MAX_REMEMBERED else self._told
        return told(channel, values)

    def _told(self, channel: str, values: tuple[str, ...]) -> tuple[Candidate, ...]:
        """The candidates for these values; of conditions on this channel alone, those that are met."""
        readings = [Reading(channel, value, _NOBODY) for value in values]
        worth = [*self._always(channel)]
        worth += [self._by_id[i] for i in sorted(self._prefilter.worth_trying(channel, readings))]
        found = []
        for fingerprint in worth:
            exact, open_ = self._mentions(fingerprint)
            if open_ or len(exact) > 1:
                found.append(Candidate(fingerprint.id, fingerprint, exact, open_))
            elif (hit := fingerprint.test({channel: readings})) is not None:
                places = tuple(place for r in hit.readings for place, own in enumerate(readings) if own is r)
                found.append(Candidate(fingerprint.id, fingerprint, exact, open_, places, hit.caught))
        return tuple(found)

    def _mentions(self, fingerprint: Fingerprint) -> tuple[frozenset[str], tuple[str, ...]]:
        """The channels that a condition mentions, and the beginnings of its open families."""
        known = self._mentioned.get(fingerprint.id)
        if known is None:
            named = set(_mentioned(fingerprint.match))
            open_ = tuple(sorted(name[:-1] for name in named if name.endswith(".*")))
            known = (frozenset(name for name in named if not name.endswith(".*")), open_)
            self._mentioned[fingerprint.id] = known
        return known


class Candidate(NamedTuple):
    """A fingerprint that is worth trying; one that concerns a single channel has been tried on what is said there."""

    name: str
    fingerprint: Fingerprint
    exact: frozenset[str]
    """The channels that its condition mentions …"""
    open_: tuple[str, ...]
    """… and the beginnings of its open families."""
    places: tuple[int, ...] | None = None
    """Which of the channel's readings it fits; None: not tried yet."""
    caught: Mapping[str, str] | None = None

    def concerned(self, changed: AbstractSet[str]) -> bool:
        """Whether anything on these channels can change its answer."""
        open_ = self.open_
        return not self.exact.isdisjoint(changed) or (bool(open_) and any(name.startswith(open_) for name in changed))

    def test(self, channel: Sequence[Reading], index: Mapping[str, Sequence[Reading]]) -> Hit | None:
        """What the fingerprint catches, of the readings of its channel or of all."""
        if self.places is None:
            return self.fingerprint.test(index)
        return Hit(tuple(channel[place] for place in self.places), dict(self.caught or ()))


_NOBODY = Observation(channel="", value="")


def _mentioned(match: Mapping[str, Any]) -> Iterator[str]:
    """Every channel of a condition as written, also those below a `not`."""
    if "channel" in match:
        yield str(match["channel"]).lower()
    for part in (*(match.get("all") or ()), *(match.get("any") or ()), match.get("not")):
        if isinstance(part, dict):
            yield from _mentioned(part)


class Fitting:
    """Which fingerprints fit one device, told again whenever it has said more: a condition is tried anew only where
    something was said on a channel that it mentions. What it tells depends on the readings alone, not on those before.
    """

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._index: Mapping[str, Sequence[Reading]] = {}
        self._candidates: dict[str, Sequence[Candidate]] = {}
        self._hits: dict[str, Hit | None] = {}

    def fitting(self, index: Mapping[str, Sequence[Reading]]) -> list[tuple[Fingerprint, Hit]]:
        """Every fingerprint whose condition the readings meet, each once, in the order of their channels.

        Keeps `index`, which does not change afterwards.
        """
        before = self._index
        changed = {channel for channel, readings in index.items() if before.get(channel) != readings}
        changed |= before.keys() - index.keys()
        if [c for c in before if c in index] != [c for c in index if c in before]:  # a family is tried in this order
            changed |= index.keys()
        self._index = index
        hits: dict[str, Hit | None] = {}
        found = []
        before_hits, known = self._hits, self._candidates
        for channel, readings in index.items():
            fresh = channel in changed
            candidates = None if fresh else known.get(channel)
            if candidates is None:
                candidates = known[channel] = self._matcher.candidates(channel, readings)
            for candidate in candidates:
                name = candidate.name
                if name in hits:
                    continue
                anew = fresh if candidate.places is not None else candidate.concerned(changed)
                hit = candidate.test(readings, index) if anew or name not in before_hits else before_hits[name]
                hits[name] = hit
                if hit is not None:
                    found.append((candidate.fingerprint, hit))
        self._hits = hits
        return found


def index_of(readings: Sequence[Reading]) -> dict[str, list[Reading]]:
    """Readings by channel, in the order heard."""
    index: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        index[reading.channel].append(reading)
    return index


def matches(readings: Sequence[Reading], knowledge: Knowledge) -> list[Match]:
    """Everything that fits these readings: fingerprints, and what the registry says of the MAC addresses."""
    return Matching(knowledge).matches(readings)


class Matching:
    """What `matches` tells, of one device that says more and more: as `Fitting`, whatever does not change is kept."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._fitting = knowledge.matcher.listening()
        self._macs: list[Reading] = []
        self._owners: set[str | None] = set()
        self._registered: list[Match] = []
        self._fields: dict[str, list[Reading]] = {}
        self._declared: list[Match] = []
        self._made: dict[str, tuple[Hit, Match | None]] = {}

    def matches(self, readings: Sequence[Reading]) -> list[Match]:
        """Everything that fits these readings, the same objects for what fitted before."""
        index = index_of(readings)
        macs = index.get("mac", [])
        if macs != self._macs:
            self._macs = macs
            self._owners = _owners(macs, self._knowledge)
            self._registered = list(_registry(macs, self._knowledge))
            self._made = {}
        made: dict[str, tuple[Hit, Match | None]] = {}
        for fingerprint, hit in self._fitting.fitting(index):
            known = self._made.get(fingerprint.id)
            if known is None or known[0] is not hit:
                known = (hit, _match(fingerprint, hit, self._owners, self._knowledge))
            made[fingerprint.id] = known
        self._made = made
        told = [match for _, match in made.values() if match is not None]
        fields = {channel: index[channel] for channel in index.keys() & CHANNELS}
        if fields != self._fields:
            self._fields = fields
            self._declared = list(declared(fields, self._knowledge))
        told += [*unrecognised(self._declared, told)]
        return [*told, *self._registered]


def relays(readings: Sequence[Reading], knowledge: Knowledge) -> bool:
    """Whether the address belongs to a general computer or a virtual machine, which may relay what others say."""
    for reading in readings:
        registration = knowledge.registry.lookup(reading.value) if reading.channel == "mac" else None
        if registration is None:
            continue
        owner = knowledge.vendors.by_oui_org(registration.organisation)
        label = knowledge.brands.by_oui_org(registration.organisation)
        if (owner is not None and owner[1] is OuiMeans.COMPUTER) or (label is not None and label.software):
            return True
    return False


def _owners(macs: Sequence[Reading], knowledge: Knowledge) -> set[str | None]:
    """The makers (groups) that the device's prefixes are registered to; None stands for an unlisted owner."""
    owners: set[str | None] = set()
    for reading in macs:
        registration = knowledge.registry.lookup(reading.value)
        if registration is not None:
            owner = knowledge.vendors.by_oui_org(registration.organisation)
            owners.add(knowledge.vendors.group_of(owner[0].id).group if owner is not None else None)
    return owners


def _match(fingerprint: Fingerprint, hit: Hit, owners: set[str | None], knowledge: Knowledge) -> Match | None:
    maker = fingerprint.manufacturer
    if fingerprint.oui == "maker" and maker not in owners:
        return None
    if fingerprint.oui == "other" and not owners - {maker}:
        return None
    mac = hit.caught.get("mac")
    if mac is not None and maker is not None and not _belongs(mac, maker, knowledge):
        return None
    fields = {name: _field(name, fingerprint, hit.caught) for name in FILLED}
    if fields["brand"] is not None:
        fields["brand"] = knowledge.brands.id_of(fields["brand"])
    return Match(
        fingerprint=fingerprint.id,
        grade=fingerprint.grade,
        family=fingerprint.family,
        readings=hit.readings,
        manufacturer=maker,
        shared_with=fingerprint.shared_with,
        **fields,
    )


def _belongs(mac: str, maker: str, knowledge: Knowledge) -> bool:
    address = normal_mac(mac)
    registration = knowledge.registry.lookup(address) if address else None
    owner = knowledge.vendors.by_oui_org(registration.organisation) if registration is not None else None
    return owner is not None and knowledge.vendors.group_of(owner[0].id).group == maker


def _field(name: str, fingerprint: Fingerprint, caught: Mapping[str, str]) -> str | None:
    said: str | None = getattr(fingerprint.says, name)
    if said is None:
        text = caught.get(name)
    elif "{" in said:
        text = _SLOT.sub(lambda m: caught.get(m[1], ""), said)
    else:
        text = said
    text = " ".join(text.split())[:MAX_FIELD] if text else None
    return text or None


def _registry(macs: Sequence[Reading], knowledge: Knowledge) -> Iterator[Match]:
    """What the registered owner of a prefix says: a maker, a label, or nothing."""
    for reading in macs:
        registration = knowledge.registry.lookup(reading.value)
        if registration is None:
            continue
        name = f"oui-{registration.prefix.replace(':', '')}"
        owner = knowledge.vendors.by_oui_org(registration.organisation)
        label = knowledge.brands.by_oui_org(registration.organisation)
        if owner is not None and owner[1] is not OuiMeans.NONE:
            entity, means = owner
            whole = means is OuiMeans.WHOLE_DEVICE
            yield Match(
                fingerprint=name,
                grade=Grade.STRONG if whole else Grade.SHARED,
                family="oui",
                readings=(reading,),
                manufacturer=knowledge.vendors.group_of(entity.id).group,
                shared_with=() if whole else ("unknown",),
                brand=label.id if label is not None else None,
            )
        elif label is not None:
            yield Match(fingerprint=name, grade=Grade.HINT, family="oui", readings=(reading,), brand=label.id)
