"""The sentence of a verdict: evidence, rule, limits, what is not known. Words of a careful engineer, not of a judge."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from scanner.judge.standing import Maker, Standing
from scanner.knowledge.policies import Policy
from scanner.knowledge.profiles import Profile
from scanner.model import Action, Effect, Level

_ASKS: dict[Effect, str] = {
    Effect.USE_BANNED: "may not use it",
    Effect.REMOVAL_ORDERED: "is to remove it",
    Effect.PROCUREMENT_BANNED: "may not buy it",
    Effect.AUTHORISATION_BANNED: "gets no authorisation for new equipment of it",
    Effect.IMPORT_MARKETING_BANNED: "may not import or market new units of it",
    Effect.CERTIFICATION_GATE: "needs a certificate to sell it",
    Effect.BUSINESS_BANNED: "is to close its business",
    Effect.EXPORT_ONLY: "needs a licence to ship certain items to the maker",
    Effect.INVESTMENT_ONLY: "may not trade securities of the maker",
    Effect.DESIGNATION_ONLY: "finds the maker on a list that asks nothing by itself; other measures refer to it",
    Effect.COMPONENT_PROCUREMENT: "may not buy equipment with these chips, which no scan sees",
    Effect.PROPOSED: "is asked nothing yet: this is a proposal",
    Effect.ADVISORY: "is given advice without legal force",
}
"""What a measure asks of those it binds, where its file does not say it in its own words."""
_LEAVES: dict[Effect, str] = {
    Effect.PROCUREMENT_BANNED: "this measure does not end the use of what is there",
    Effect.AUTHORISATION_BANNED: "units already bought may be used",
    Effect.IMPORT_MARKETING_BANNED: "units already bought may be used",
    Effect.CERTIFICATION_GATE: "installed units are not affected",
    Effect.BUSINESS_BANNED: "owning or using a device is not affected",
}
"""What an effect does not touch. Said after the rule is closed: a purpose limit must not seem to limit this."""
_FREE = frozenset({Effect.EXPORT_ONLY, Effect.INVESTMENT_ONLY, Effect.DESIGNATION_ONLY})
"""Effects that must never be read as an order about devices."""
_SURE = {
    Level.CONFIRMED: "evidence indicates made by {}",
    Level.LIKELY: "evidence indicates made by {} (likely, not confirmed)",
    Level.POSSIBLE: "some evidence points to {} (possible, no more)",
}


def because(
    policy: Policy,
    held: Standing,
    made: Maker,
    level: Level,
    *,
    action: Action,
    bound: Profile | None,
    binding: Sequence[Profile],
    asked_profiles: bool,
    on: datetime.date,
    would_follow: Action,
) -> str:
    """One verdict in words; parts are joined by semicolons.

    `bound`: the organisation's own profile that the measure binds; `binding`: all that it binds.
    `would_follow`: what a confirmed identity without doubts would ask for.
    """
    parts = [_SURE.get(level, "evidence is open as to {}").format(made.name) + _label(made)]
    parts.append(_rule(policy, held, bound, binding, asked_profiles, on))
    if policy.effect in _LEAVES:
        parts.append(_LEAVES[policy.effect])
    if policy.effect in _FREE:
        parts.append("owning, using or buying its products is not restricted by it")
    if held.scope:
        parts.append(f"it covers {held.scope}")
    if made.label and policy.relabelled:
        parts.append(policy.relabelled)
    if policy.exemptions:
        parts.append("exempt: " + "; ".join(policy.exemptions))
    parts.extend(held.doubts)
    parts.extend(held.remarks)
    if action is Action.INVESTIGATE:
        parts.append(f"find out more: `{would_follow}` would follow if that is confirmed")
    if policy.citation is None:
        parts.append("the measure is stated from memory: its citation is not verified")
    if bound:
        parts.extend(f"next date {day.date}: {day.what}" for day in policy.next_dates if day.date > on)
    if bound or not asked_profiles:
        parts.extend(policy.open_points)
    parts.append(f"not legal advice; law as of {on}")
    return "; ".join(parts)


def _label(made: Maker) -> str:
    return f" under the label {made.label}" if made.label else ""


def _rule(
    policy: Policy,
    held: Standing,
    bound: Profile | None,
    binding: Sequence[Profile],
    asked_profiles: bool,
    on: datetime.date,
) -> str:
    who = bound.title if bound else (" or ".join(p.title for p in binding) or "nobody")
    text = f"{who} {policy.asks or _ASKS[policy.effect]}"
    if held.purpose:
        text += f", {held.purpose}" if policy.purpose_limited else f" {held.purpose}"
    if policy.citation and not held.from_memory:
        text += f" ({policy.citation})"
    if policy.in_force is None:
        text += "; the day it takes effect is not known"
    elif policy.in_force > on:
        text = f"from {policy.in_force} {text}"
    if bound is None:
        text += "; you are not bound by it" if asked_profiles else "; whether you are bound is not known (--profile)"
    return text
