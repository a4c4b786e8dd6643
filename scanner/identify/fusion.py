"""Fuses matches into one identity: who made it, how sure, and what contradicts.

Grades are log-likelihood weights. Of one evidence family only the strongest match of a maker counts; families add up.
Makers compete with each other and with "somebody else": `p(maker) = e^w / (e^PRIOR + Σ e^w)`. Caps then hold what
no sum may overturn: `shared` and `hint` alone never reach `likely`, one family never reaches `confirmed`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from scanner.model import Grade, Identity, Level, Match

WEIGHT = {Grade.EXCLUSIVE: 4.25, Grade.STRONG: 4.0, Grade.SHARED: 2.4, Grade.HINT: 0.6}
"""Calibrated on leave-one-source-out answers (docs/rules.md): one strong match was right in more than nine of ten."""
PRIOR = 1.5
"""Weight of "none of the makers we know", in the same units."""
THRESHOLD = {Level.CONFIRMED: 0.95, Level.LIKELY: 0.8, Level.POSSIBLE: 0.5}
SURE = frozenset({Grade.EXCLUSIVE, Grade.STRONG})
CAP_WEAK = 0.79
"""Only shared and hint matches: at most `possible`."""
CAP_FAMILY = 0.94
"""One evidence family (a hint from a second one adds no family): at most `likely`."""
CAP_SOFTWARE = 0.49
"""Software that relays others' answers: what it says may be true of something behind it."""
PREFIX_AGAINST = 1.0
"""Weight of another owner's prefix against strong evidence: the prefix is the network chip's or the label's."""

_ORDER = {Grade.EXCLUSIVE: 0, Grade.STRONG: 1, Grade.SHARED: 2, Grade.HINT: 3}


def fuse(matches: Sequence[Match], *, software: bool = False, notes: Iterable[str] = ()) -> Identity:
    """The identity these matches give.

    `software`: one of them recognised software on a general computer.
    """
    told = list(notes)
    families = _families(matches)
    weights = {maker: sum(WEIGHT[m.grade] for m in best.values()) for maker, best in families.items()}
    if not weights:
        return _labelled(Identity(notes=tuple(told)), matches, None)
    leader = max(weights, key=lambda maker: (weights[maker], maker))
    confidence = _confidence(leader, weights, families)
    best = families[leader].values()
    if not any(m.grade in SURE for m in best):
        confidence = min(confidence, CAP_WEAK)
    if sum(m.grade is not Grade.HINT for m in best) < 2:
        confidence = min(confidence, CAP_FAMILY)
    if software and set(families[leader]) != {"oui"}:
        confidence = min(confidence, CAP_SOFTWARE)
        told.append("software answers here; what it relays may come from a device behind it")
    level = _level(confidence)
    speaking = sorted((m for m in matches if m.manufacturer in {leader, None}), key=_rank)
    against = sorted((m for m in matches if m.manufacturer not in {leader, None}), key=_rank)
    if any(m.grade in SURE for m in against):
        others = sorted({m.manufacturer or "" for m in against if m.grade in SURE})
        told.append(f"some evidence points to {', '.join(others)}")
    identity = Identity(
        manufacturer=leader if level is not Level.UNKNOWN else None,
        confidence=confidence,
        level=level,
        matches=tuple(speaking),
        conflicts=tuple(against),
        notes=tuple(told),
    )
    return _labelled(identity, speaking, leader)


def _families(matches: Sequence[Match]) -> dict[str, dict[str, Match]]:
    """Maker → evidence family → its strongest match."""
    best: dict[str, dict[str, Match]] = defaultdict(dict)
    for match in matches:
        if match.manufacturer is None:
            continue
        held = best[match.manufacturer].get(match.family)
        if held is None or WEIGHT[match.grade] > WEIGHT[held.grade]:
            best[match.manufacturer][match.family] = match
    return dict(best)


def _confidence(leader: str, weights: dict[str, float], families: dict[str, dict[str, Match]]) -> float:
    firm = any(m.grade in SURE for family, m in families[leader].items() if family != "oui")
    total = math.exp(PRIOR) + math.exp(weights[leader])
    for maker, weight in weights.items():
        if maker == leader:
            continue
        if firm and not any(m.grade in SURE for m in families[maker].values()):
            continue  # strong evidence for one maker vetoes what is only shared or a hint for others
        only_prefix = set(families[maker]) == {"oui"}
        total += math.exp(min(weight, PREFIX_AGAINST) if only_prefix and firm else weight)
    return math.exp(weights[leader]) / total


def _level(confidence: float) -> Level:
    for level, threshold in THRESHOLD.items():
        if confidence >= threshold:
            return level
    return Level.UNKNOWN


def _rank(match: Match) -> tuple[int, int, str]:
    return (_ORDER[match.grade], match.manufacturer is None, match.fingerprint)


def _labelled(identity: Identity, speaking: Sequence[Match], leader: str | None) -> Identity:
    """The identity with brand, kind, model, firmware and serial of the best matches that tell them."""
    from msgspec.structs import replace

    ranked = sorted(speaking, key=_rank)
    brands = [(m.brand == leader, _ORDER[m.grade], m.brand) for m in ranked if m.brand]
    fields = {
        name: next((getattr(m, name) for m in ranked if getattr(m, name)), None)
        for name in ("kind", "model", "firmware", "serial")
    }
    return replace(
        identity,
        # A foreign label is told by somebody who chose it; the maker's own name may be left over in the firmware.
        brand=min(brands)[2] if brands else None,
        matches=identity.matches or tuple(ranked),
        **fields,
    )
