"""Keeping to a rate: so many a second in the long run (`Pace`), and never more in any one second (`Window`).

And knowing when it is over: a sweep ends once answers have ceased (`Lull`), and where nothing goes out (`Patience`).
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections import deque
from collections.abc import Callable

Clock = Callable[[], float]
_LOOK = 0.005  # seconds between two looks whether it is over


LATE = 0.02
"""Seconds that may pass between a permission and the packet: a second of a `Window` is longer by that."""


STALLED, TRIES = 10.0, 100
"""Seconds, and attempts, without room for a single packet, after which a queue is not waited for any longer."""


class Patience:
    """Waits for room in a full queue as long as it gives way at all: some never do (a filter, a broken driver)."""

    def __init__(self, who: str, clock: Clock = time.monotonic) -> None:
        self._who = who
        self._clock = clock
        self._since = 0.0
        self._tries = 0

    def went(self, count: int, wanted: int) -> int:
        """`count`, of so many packets that were to go. Raises `OSError` where none has gone for too long."""
        if count or not wanted:
            self._tries = 0
            return count
        now = self._clock()
        self._since = self._since if self._tries else now
        self._tries += 1
        if self._tries > TRIES and now - self._since > STALLED:
            raise OSError(errno.ENOBUFS, f"{self._who} has taken no packet for {now - self._since:.0f} s")
        return count


class Pace:
    """At most `rate` a second for all users together, `burst` of them at once (default: a fiftieth of a second)."""

    def __init__(self, rate: float, burst: float | None = None, clock: Clock = time.monotonic) -> None:
        self.rate = rate
        self._burst = max(1.0, rate / 50 if burst is None else burst)
        self._clock = clock
        self._next = clock() - 1 / rate

    def grant(self, wanted: int) -> int:
        """How many of `wanted` may go now; they count as gone."""
        now = self._clock()
        self._next = max(self._next, now - self._burst / self.rate)
        granted = min(wanted, int((now - self._next) * self.rate + 1e-6))
        self._next += granted / self.rate
        return granted

    async def take(self) -> None:
        """Return when one more may go."""
        now = self._clock()
        self._next = max(self._next, now - self._burst / self.rate) + 1 / self.rate
        if self._next > now:
            await asyncio.sleep(self._next - now)


class Window:
    """At most `limit` in any one second, whenever that second begins; None: no limit."""

    def __init__(self, limit: int | None, seconds: float = 1.0 + LATE, clock: Clock = time.monotonic) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._taken: deque[float] = deque(maxlen=limit)

    async def take(self) -> None:
        """Return when one more may go."""
        if self._limit is None:
            return
        now = self._clock()
        at = now if len(self._taken) < self._limit else max(now, self._taken[0] + self._seconds)
        self._taken.append(at)
        if at > now:
            await asyncio.sleep(at - now)
            # A busy loop wakes us late: the next second begins when this one really went, not when it should have.
            self._taken[-1] = max(self._taken[-1], self._clock())

    def count(self, number: int) -> None:
        """So many have gone by another way just now."""
        self._taken.extend([self._clock()] * (number if self._limit is not None else 0))


class Lull:
    """Tells when answers have ceased: a quick network is not waited for as long as a slow one."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def heard(self) -> None:
        """An answer came."""
        self._last = self._clock()

    async def wait(self, quiet: float, most: float, over: Callable[[], bool] | None = None) -> None:
        """Return when nothing was heard for `quiet` seconds, counted from now at the earliest; after `most` anyway, and
        as soon as `over` says that nothing more can come.
        """
        now = self._clock()
        end = now + most
        self._last = now
        while (left := min(end, self._last + quiet) - self._clock()) > 0:
            if over is not None and over():
                return
            await asyncio.sleep(left if over is None else min(left, _LOOK))
