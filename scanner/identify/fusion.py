"""Fuses matches into one identity: who made it, how sure, and what contradicts.

Grades are log-likelihood weights. Of one evidence family only the strongest match of a maker counts; families add up.
Makers compete with each other and with "somebody else": `p(maker) = e^w / (e^PRIOR + Σ e^w)`. Caps then hold what
no sum may overturn: `shared` and `hint` alone never reach `likely`, one family never reaches `confirmed`, and neither
does a maker whom another maker's own evidence contradicts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from scanner.model import GRADE_RANK, Grade, Identity, Level, Match

WEIGHT = {Grade.EXCLUSIVE: 4.25, Grade.STRONG: 4.0, Grade.SHARED: 2.4, Grade.HINT: 0.6}
"""Calibrated on leave-one-source-out answers (docs/rules.md): one strong match was right in more than nine of ten."""
PRIOR = 1.5
"""Weight of "none of the makers we know", in the same units."""
THRESHOLD = {Level.CONFIRMED: 0.95, Level.LIKELY: 0.8, Level.POSSIBLE: 0.5}
SURE = frozenset({Grade.EXCLUSIVE, Grade.STRONG})
CAP_WEAK = 0.79
"""Only shared and hint matches: at most `possible`."""
CAP_LIKELY = 0.94
"""One evidence family (a hint from a second one adds no family), or a contradiction: at most `likely`."""
CAP_RELAYED = 0.49
"""Only what software may relay from a device behind it: at most `unknown`."""
VETOED = 0.6
"""What all weak evidence for a maker weighs once another maker is positively identified: it is known to be copied."""
BABEL = 3
"""Makers whose own words one address speaks, from which nobody is more than `possible`: a trap for attackers, a gateway
that forwards ports, a page about many. Words that only the machine itself can speak still count."""
LABEL_AGAINST = 1.0
"""Weight of another company's prefix where that company sells this maker's devices, is known for parts, or where the
evidence is this maker's hardware alone: the prefix is the label's or the network chip's."""
STRANGER_AGAINST = 2.5
"""Weight of the prefix of a company that is known to build its own, against evidence that is strong only."""
OWN_WORDS = frozenset({"oui", "sadp", "dhip", "xm", "tplink", "discovery", "dhcp", "lldp", "cdp"})
"""Families that only the machine itself can speak in: no proxy and no recorder relays them."""

Suppliers = Mapping[str, frozenset[str]]
"""Company → makers of hardware that it sells under its own labels."""
Claims = dict[str, dict[str, Grade]]
"""Maker → evidence family → the best grade heard in it."""


def fuse(
    matches: Sequence[Match],
    *,
    software: bool = False,
    notes: Iterable[str] = (),
    suppliers: Suppliers | None = None,
) -> Identity:
    """The identity these matches give.

    `software`: one of them recognised software on a general computer, so what can be relayed counts as a hint only.
    `suppliers`: whose hardware companies are known to sell under their own labels.
    """
    told = list(notes)
    claims = _claims(matches, software=software)
    if not claims:
        return _labelled(Identity(notes=tuple(told)), matches, None)
    sells = suppliers or {}
    ranked = ((_confidence(maker, claims, sells), _cap(maker, claims, sells), maker) for maker in claims)
    confidence, _, leader = max((min(raw, cap), raw, maker) for raw, cap, maker in ranked)
    if software:
        if not any(family in OWN_WORDS and grade is not Grade.HINT for family, grade in claims[leader].items()):
            confidence = min(confidence, CAP_RELAYED)
        if any(m.manufacturer == leader and m.family not in OWN_WORDS for m in matches):
            told.append("software or a general computer answers here; what it relays may come from a device behind it")
    speaking = sorted((m for m in matches if m.manufacturer in {leader, None}), key=_rank)
    against = sorted((m for m in matches if m.manufacturer not in {leader, None}), key=_rank)
    others = sorted({m.manufacturer for m in against if m.manufacturer is not None and m.grade in SURE})
    if others:
        told.append(f"some evidence points to {', '.join(others)}")
    if len(_speakers(claims)) >= BABEL:
        told.append("it speaks as devices of several makers: a gateway with devices behind it, or a trap for attackers")
    level = _level(confidence)
    identity = Identity(
        manufacturer=leader if level is not Level.UNKNOWN else None,
        confidence=confidence,
        level=level,
        matches=tuple(speaking),
        conflicts=tuple(against),
        notes=tuple(told),
    )
    return _labelled(identity, speaking, leader)


def _claims(matches: Sequence[Match], *, software: bool) -> Claims:
    claims: Claims = {}
    for match in matches:
        if match.manufacturer is None:
            continue
        grade = Grade.HINT if software and match.family not in OWN_WORDS else match.grade
        families = claims.setdefault(match.manufacturer, {})
        if match.family not in families or WEIGHT[grade] > WEIGHT[families[match.family]]:
            families[match.family] = grade
    return claims


def _sum(families: Mapping[str, Grade]) -> float:
    return sum(WEIGHT[grade] for grade in families.values())


def _sure(families: Mapping[str, Grade]) -> bool:
    return any(grade in SURE for grade in families.values())


def _said(families: Mapping[str, Grade]) -> dict[str, Grade]:
    """What the device said itself, its registered prefix aside."""
    return {family: grade for family, grade in families.items() if family != "oui"}


def _speakers(claims: Claims) -> list[str]:
    """The makers whose own words were heard, registered prefixes aside."""
    return [maker for maker, families in claims.items() if _sure(_said(families))]


def _confidence(leader: str, claims: Claims, suppliers: Suppliers) -> float:
    own = _sum(claims[leader])
    rivals = (_against(leader, rival, claims, suppliers) for rival in claims if rival != leader)
    return math.exp(own) / (math.exp(PRIOR) + math.exp(own) + sum(math.exp(weight) for weight in rivals))


def _against(leader: str, rival: str, claims: Claims, suppliers: Suppliers) -> float:
    """What a rival weighs beside the leader."""
    weight = _sum(claims[rival])
    said = _said(claims[leader])
    if not _sure(claims[leader]):
        return weight
    if not _sure(claims[rival]):
        return min(weight, VETOED if claims[rival].keys() != {"oui"} else LABEL_AGAINST)
    if _sure(_said(claims[rival])) or not _sure(said):
        return weight
    stranger = leader not in suppliers.get(rival, frozenset()) and Grade.EXCLUSIVE not in said.values()
    return min(weight, STRANGER_AGAINST if stranger else LABEL_AGAINST)


def _cap(leader: str, claims: Claims, suppliers: Suppliers) -> float:
    """What no sum may overturn."""
    grades = [grade for grade in claims[leader].values() if grade is not Grade.HINT]
    if not any(grade in SURE for grade in grades):
        return CAP_WEAK
    if len(_speakers(claims)) >= BABEL and not any(claims[leader].get(family) in SURE for family in OWN_WORDS):
        return CAP_WEAK
    for rival, families in claims.items():
        if rival != leader and _sure(families):
            foreign_label = not _sure(_said(families)) and leader in suppliers.get(rival, frozenset())
            if not foreign_label:
                return CAP_LIKELY
    # A second family that others also speak confirms what only this maker's hardware says, or its own prefix.
    firm = sum(grade in SURE for grade in grades) > 1 or Grade.EXCLUSIVE in grades or "oui" in claims[leader]
    return 1.0 if len(grades) > 1 and firm else CAP_LIKELY


def _level(confidence: float) -> Level:
    for level, threshold in THRESHOLD.items():
        if confidence >= threshold:
            return level
    return Level.UNKNOWN


def _rank(match: Match) -> tuple[int, int, str]:
    return (GRADE_RANK[match.grade], match.manufacturer is None, match.fingerprint)


def _labelled(identity: Identity, speaking: Sequence[Match], leader: str | None) -> Identity:
    """The identity with brand, kind, model, firmware and serial of the best matches that tell them."""
    ranked = sorted(speaking, key=_rank)
    brands = [(m.brand == leader, GRADE_RANK[m.grade], m.brand) for m in ranked if m.brand]
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
