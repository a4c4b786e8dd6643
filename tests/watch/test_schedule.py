"""When the next scan begins."""

from __future__ import annotations

import random

import pytest

from scanner.watch.schedule import Schedule


@pytest.mark.parametrize(("beat", "now", "expected"), [
    (100, 130, (160, 0)), (100, 160, (160, 0)), (100, 161, (220, 1)), (100, 345, (400, 4)),
])  # fmt: skip
def test_the_beat_is_steady_and_leaves_out_what_is_past(beat: float, now: float, expected: tuple[float, int]) -> None:
    assert Schedule(60).following(beat, now) == expected


def test_chance_stays_within_its_share() -> None:
    chance = random.Random(7)
    delays = [Schedule(100, 0.1).delay(chance) for _ in range(500)]
    assert 0 <= min(delays) < 1
    assert 9 < max(delays) <= 10
    assert Schedule(100, 0).delay(chance) == 0


@pytest.mark.parametrize(("age", "first"), [(None, 0), (10, 50), (60, 0), (1e6, 0), (-5, 0)])
def test_the_first_scan_looks_at_the_one_before(age: float | None, first: float) -> None:
    assert Schedule(60).first(age) == first
