from __future__ import annotations

import asyncio
import errno
import time

import pytest

from scanner.net.pace import STALLED, TRIES, Lull, Pace, Patience, Window


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()

    async def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return clock


def test_grants_follow_the_rate(clock: Clock) -> None:
    pace = Pace(500, clock=clock)
    total = pace.grant(1000)
    for _ in range(100):
        clock.now += 0.01
        total += pace.grant(1000)

    assert 490 <= total <= 512


def test_a_pause_earns_no_more_than_the_burst(clock: Clock) -> None:
    pace = Pace(500, burst=20, clock=clock)
    clock.now += 60

    assert pace.grant(1000) == 20
    assert pace.grant(1000) == 0


async def _times(taker: Pace | Window, clock: Clock, count: int) -> list[float]:
    times = []
    for _ in range(count):
        await taker.take()
        times.append(clock.now)
    return times


def test_take_waits_its_turn(clock: Clock) -> None:
    times = asyncio.run(_times(Pace(10, clock=clock), clock, 21))

    assert times[-1] - times[0] == pytest.approx(2.0, abs=0.2)


def test_a_window_holds_in_every_second(clock: Clock) -> None:
    times = asyncio.run(_times(Window(5, clock=clock), clock, 23))

    assert times[4] == times[0]
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[5:], strict=False))


def test_a_window_counts_from_when_it_really_went(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    late = iter([0.4, *[0.0] * 50])

    async def sleep(seconds: float) -> None:
        clock.now += seconds + next(late)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    times = asyncio.run(_times(Window(2, clock=clock), clock, 9))

    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[2:], strict=False))


def test_what_went_another_way_counts(clock: Clock) -> None:
    window = Window(5, clock=clock)
    window.count(4)
    times = asyncio.run(_times(window, clock, 2))

    assert (times[0], times[1] >= 101.0) == (100.0, True)
    Window(None, clock=clock).count(3)


def test_no_limit_no_wait(clock: Clock) -> None:
    assert set(asyncio.run(_times(Window(None, clock=clock), clock, 50))) == {100.0}


def test_a_lull_ends_soon_after_the_last_answer_and_late_at_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    lull = Lull(clock)
    answers = [100.2, 100.3, 100.6]

    async def sleep(seconds: float) -> None:
        clock.now += seconds
        while answers and answers[0] <= clock.now:
            lull._last = answers.pop(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(lull.wait(0.4, 5))
    assert clock.now == pytest.approx(101.0)

    answers[:] = [101.0 + n / 10 for n in range(1, 100)]
    asyncio.run(lull.wait(0.4, 2))
    assert clock.now == pytest.approx(103.0)


def test_a_lull_is_over_at_once_where_nothing_more_can_come() -> None:
    left = [3]

    def over() -> bool:
        left[0] -= 1
        return left[0] < 0

    began = time.monotonic()
    asyncio.run(Lull().wait(30.0, 30.0, over))
    assert time.monotonic() - began < 20


def test_a_queue_that_never_gives_way_is_not_waited_for_for_ever() -> None:
    now = [0.0]
    patience = Patience("interface eth0", clock=lambda: now[0])
    assert patience.went(0, 0) == 0
    for _ in range(TRIES):
        now[0] += STALLED
        assert patience.went(0, 5) == 0  # seldom asked is not stalled
    with pytest.raises(OSError, match=r"interface eth0 has taken no packet for \d+ s") as told:
        patience.went(0, 5)
    assert told.value.errno == errno.ENOBUFS


def test_a_queue_that_gives_way_now_and_then_is_waited_for() -> None:
    now = [0.0]
    patience = Patience("interface eth0", clock=lambda: now[0])
    for turn in range(TRIES * 5):
        now[0] += STALLED / 2
        assert patience.went(turn % 50 == 0, 5) == (turn % 50 == 0)
    busy = Patience("interface eth0", clock=lambda: now[0])
    for _ in range(TRIES * 50):  # asked often, for a short time
        now[0] += STALLED / TRIES / 60
        assert busy.went(0, 5) == 0
