"""Identity × law × organisation → verdicts. Pure; knows nothing of the network."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scanner.judge.actions import action, asked
from scanner.judge.standing import Maker, Standing, maker, standing
from scanner.judge.words import because
from scanner.model import ACTION_RANK, Identity, Level, Verdict

if TYPE_CHECKING:
    from scanner.knowledge import Knowledge
    from scanner.knowledge.policies import Policy


def judge(
    identity: Identity, knowledge: Knowledge, *, profiles: Sequence[str] = (), as_of: datetime.date
) -> tuple[Verdict, ...]:
    """What every measure that names the device's maker asks on that day, strictest first; empty where none does.

    `profiles`: what the organisation is; none: no measure is known to bind it, every action is at most `note`.
    Raises `UsageProblem` for a profile that does not exist.
    """
    knowledge.profiles.check(profiles)
    made = maker(identity, knowledge)
    if made is None or identity.level is Level.UNKNOWN:
        return ()
    verdicts = []
    for policy in knowledge.policies.values():
        if not policy.begun(as_of):
            continue
        held = standing(policy, made, identity.kind, knowledge, as_of)
        if held is not None and not (held.by_origin and not set(policy.binds) & set(profiles)):
            verdicts.append(_verdict(policy, held, made, identity.level, knowledge, profiles, as_of))
    return tuple(sorted(verdicts, key=lambda v: (-ACTION_RANK[v.action], v.policy)))


def _verdict(
    policy: Policy,
    held: Standing,
    made: Maker,
    level: Level,
    knowledge: Knowledge,
    profiles: Sequence[str],
    on: datetime.date,
) -> Verdict:
    own = next((knowledge.profiles[p] for p in profiles if p in policy.binds), None)
    bound = own is not None if profiles else None
    ahead = policy.in_force is not None and policy.in_force > on
    asks = action(
        policy.effect, level, bound=bound, ahead=ahead, doubt=bool(held.doubts) or policy.in_force is None
    )
    return Verdict(
        policy=policy.id,
        title=policy.title,
        effect=policy.effect,
        binds_you=bound,
        action=asks,
        entity=held.listed,
        path=held.path,
        citation=_citation(policy, held),
        because=because(
            policy,
            held,
            made,
            level,
            action=asks,
            bound=own,
            binding=[knowledge.profiles[p] for p in policy.binds if p in knowledge.profiles],
            asked_profiles=bool(profiles),
            on=on,
            would_follow=asked(policy.effect, ahead=ahead),
        ),
        in_force=policy.in_force.isoformat() if policy.in_force else None,
        as_of=policy.as_of.isoformat(),
        source=policy.sources[0],
    )


def _citation(policy: Policy, held: Standing) -> str | None:
    """Of the measure and of the listing; None where either is from memory."""
    if policy.citation is None or held.from_memory:
        return None
    return f"{policy.citation}; {held.citation}" if held.citation else policy.citation
