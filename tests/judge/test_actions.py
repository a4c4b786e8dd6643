"""The whole table: effect × bound × date × level × doubt."""

from __future__ import annotations

import itertools

import pytest

from scanner.judge.actions import action, asked
from scanner.model import ACTION_ORDER, Action, Effect, Level

REMOVE, BUY, PLAN, LOOK, NOTE = (
    Action.REMOVE,
    Action.DO_NOT_BUY,
    Action.PLAN,
    Action.INVESTIGATE,
    Action.NOTE,
)
MUST_GO = ("use_banned", "removal_ordered")
NO_MORE = ("procurement_banned", "authorisation_banned", "import_marketing_banned")
NEVER = (
    "certification_gate",
    "business_banned",
    "export_only",
    "investment_only",
    "designation_only",
    "component_procurement",
    "proposed",
    "advisory",
)
# (effects, bound, ahead) -> action at confirmed, likely, possible
TABLE = [
    (MUST_GO, True, False, (REMOVE, LOOK, LOOK)),
    (MUST_GO, True, True, (PLAN, PLAN, LOOK)),
    (NO_MORE, True, False, (BUY, BUY, LOOK)),
    (NO_MORE, True, True, (PLAN, PLAN, LOOK)),
    (NEVER, True, False, (NOTE, NOTE, NOTE)),
    (NEVER, True, True, (NOTE, NOTE, NOTE)),
    *(
        (effects, bound, ahead, (NOTE, NOTE, NOTE))
        for effects in (MUST_GO, NO_MORE, NEVER)
        for bound in (False, None)
        for ahead in (False, True)
    ),
]
CASES = [
    (Effect(effect), bound, ahead, level, wanted)
    for effects, bound, ahead, wanted_by_level in TABLE
    for effect in effects
    for level, wanted in zip((Level.CONFIRMED, Level.LIKELY, Level.POSSIBLE), wanted_by_level, strict=True)
]
LEVELS = (Level.UNKNOWN, Level.POSSIBLE, Level.LIKELY, Level.CONFIRMED)


def test_the_table_covers_every_effect() -> None:
    assert {effect for effect, *_ in CASES} == set(Effect)
    assert len(CASES) == len(Effect) * 3 * 3 * 2


@pytest.mark.parametrize(("effect", "bound", "ahead", "level", "wanted"), CASES)
def test_table(effect: Effect, bound: bool | None, ahead: bool, level: Level, wanted: Action) -> None:
    assert action(effect, level, bound=bound, ahead=ahead, doubt=False) is wanted


@pytest.mark.parametrize("effect", list(Effect))
def test_nobody_known_asks_nothing(effect: Effect) -> None:
    assert action(effect, Level.UNKNOWN, bound=True, ahead=False, doubt=False) is Action.NONE


@pytest.mark.parametrize(("effect", "ahead", "doubt"), [*itertools.product(Effect, (False, True), (False, True))])
def test_a_weaker_identity_never_asks_for_more(effect: Effect, ahead: bool, doubt: bool) -> None:
    ranks = [
        ACTION_ORDER.index(action(effect, level, bound=True, ahead=ahead, doubt=doubt)) for level in LEVELS
    ]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize(("effect", "level"), [*itertools.product(Effect, LEVELS[1:])])
def test_a_doubt_asks_for_a_closer_look_at_most(effect: Effect, level: Level) -> None:
    doubtful = action(effect, level, bound=True, ahead=False, doubt=True)
    assert doubtful in {LOOK, NOTE}
    assert (doubtful is NOTE) == (asked(effect, ahead=False) is NOTE)
