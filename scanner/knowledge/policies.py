"""The measures (`rules/policies/`): who is named since when, whom it binds, what it asks, and what is not known."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import msgspec

from scanner.errors import RulesProblem
from scanner.knowledge.companies import Confidence
from scanner.knowledge.loader import Place, convert, files, read_yaml
from scanner.knowledge.names import check_id
from scanner.model import Clock, Effect

Day = datetime.date


class Listed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One name as a measure lists it."""

    name: str
    entity: str | None = None
    """Id of the company meant; None (and no `vendor`): a body without an entry in the vendor graph."""
    vendor: str | None = None
    """Id of a group, where the measure names the group or its label and not one company of it."""
    since: Day | None = None
    """First day on the list; None: not known, taken from the measure's `enacted`."""
    until: Day | None = None
    """Day from which it is no longer on the list."""
    citation: str | None = None
    """Of this listing, where it differs from the measure's."""
    verified: bool = True
    """False: the listing is from memory."""
    scope: str | None = None
    """What of this maker is meant, where the measure says so."""
    purpose: str | None = None
    """Purpose limit of this listing; overrides the measure's."""
    note: str | None = None

    def __post_init__(self) -> None:
        if self.entity is not None and self.vendor is not None:
            raise ValueError("give `entity` (one company) or `vendor` (a whole group), not both")
        if self.since and self.until and self.since >= self.until:
            raise ValueError(f"since {self.since} does not lie before until {self.until}")


class AffiliateSpan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time in which a measure reached subsidiaries and affiliates."""

    since: Day | None = None
    until: Day | None = None
    """Day from which the clause no longer applied."""
    certain: bool = True
    """False: that it applied then is not verified."""
    note: str | None = None


class NextDate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A day to warn about."""

    date: Day
    what: str


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One measure."""

    id: str
    title: str
    jurisdiction: str
    authority: str
    citation: str | None
    """None where it could not be verified."""
    effect: Effect
    binds: tuple[str, ...]
    """Profile ids."""
    entities: tuple[Listed, ...] = ()
    """Empty: it names nobody."""
    entities_of: str | None = None
    """Id of another measure whose names it takes over."""
    origin: tuple[str, ...] = ()
    """Countries (ISO 3166) of a maker's seat that it is about, where it goes by origin and not by name."""
    affiliates: bool | tuple[AffiliateSpan, ...] = False
    """Whether (or when) it reaches subsidiaries and affiliates of those it names."""
    kinds: tuple[str, ...] | None = None
    """Kinds of device it is about; None: any."""
    scope: str | None = None
    """What equipment it is about, in words."""
    purpose: str | None = None
    """Purpose limit: `for the purpose of …`."""
    purpose_limited: bool = False
    exemptions: tuple[str, ...] = ()
    asks: str | None = None
    """What it asks of those it binds, after "may": overrides the sentence of its effect."""
    relabelled: str | None = None
    """What holds for hardware that is sold under somebody else's label; printed where that is so."""
    enacted: Day | None = None
    """Day it was adopted: before it, there is nothing to say."""
    in_force: Day | None
    """First day it applies; None: not known."""
    expires: Day | None = None
    """Day from which it no longer applies."""
    next_dates: tuple[NextDate, ...] = ()
    clocks: tuple[Clock, ...] = ()
    """Time limits that a confirmed find may start for those it binds."""
    as_of: Day
    source: str | tuple[str, ...]
    confidence: Confidence
    verified: bool
    """False: from memory; ships without its citation."""
    open_points: tuple[str, ...] = ()
    note: str | None = None

    def __post_init__(self) -> None:
        check_id(self.id)
        if not self.verified and (self.citation is not None or self.confidence is not Confidence.UNVERIFIED):
            raise ValueError("what is from memory has `citation: null` and `confidence: unverified`")
        if self.purpose_limited and not (self.purpose or any(listed.purpose for listed in self.entities)):
            raise ValueError("`purpose_limited` needs the `purpose` that is printed")
        if self.enacted and self.in_force and self.enacted > self.in_force:
            raise ValueError(f"enacted {self.enacted} lies after in_force {self.in_force}")
        if self.in_force and self.expires and self.in_force >= self.expires:
            raise ValueError(f"in_force {self.in_force} does not lie before expires {self.expires}")
        if self.entities and self.entities_of is not None:
            raise ValueError("give `entities`, or `entities_of`, not both")
        if not self.sources:
            raise ValueError("`source` is missing")

    @property
    def sources(self) -> tuple[str, ...]:
        """Where it can be read."""
        return (self.source,) if isinstance(self.source, str) else self.source

    def begun(self, on: Day) -> bool:
        """Whether it existed on that day: adopted, and not yet expired."""
        start = self.enacted or self.in_force
        return (start is None or start <= on) and (self.expires is None or on < self.expires)

    def lists(self, listed: Listed, on: Day) -> bool:
        """Whether that name stood on it on that day."""
        return (listed.since is None or listed.since <= on) and (listed.until is None or on < listed.until)

    def reaches_affiliates(self, on: Day) -> AffiliateSpan | None:
        """The clause on subsidiaries and affiliates that applied on that day, or None."""
        if isinstance(self.affiliates, bool):
            return AffiliateSpan() if self.affiliates else None
        for span in self.affiliates:
            if (span.since is None or span.since <= on) and (span.until is None or on < span.until):
                return span
        return None


class Policies(dict[str, Policy]):
    """Measures by id."""


def load(folders: Sequence[Path]) -> Policies:
    """All measures of `policies/*.yaml` below the rule roots; a later root replaces measures of the same id.

    Raises `RulesProblem` naming file, entry, key and reason.
    """
    found = Policies()
    for folder in folders:
        here: dict[str, Path] = {}
        for path in files(folder, "policies"):
            raw = read_yaml(path)
            name = str(raw.get("id")) if isinstance(raw, dict) else None
            policy = convert(raw, Policy, Place(str(path), name))
            if policy.id in here:
                raise RulesProblem(f"{path}: entry {policy.id!r}: id: is in {here[policy.id]} already")
            here[policy.id] = path
            found[policy.id] = policy
    return Policies((name, _with_names(policy, found)) for name, policy in found.items())


def _with_names(policy: Policy, policies: Policies) -> Policy:
    if policy.entities_of is None:
        return policy
    other = policies.get(policy.entities_of)
    if other is None:
        raise Place("rules/policies", policy.id).problem("entities_of", f"no measure is called {policy.entities_of!r}")
    return msgspec.structs.replace(policy, entities=other.entities, entities_of=None)
