"""When the next scan begins: a steady beat with some chance in it, so that many sites do not scan at once. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

JITTER = 0.1
"""Share of the period by which a scan may begin later than the beat."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A period in seconds, and the share of it that chance may add to a beginning."""

    every: float
    jitter: float = JITTER

    def delay(self, chance: random.Random) -> float:
        """Seconds by which this scan begins after its beat."""
        return chance.uniform(0, self.jitter * self.every)

    def following(self, beat: float, now: float) -> tuple[float, int]:
        """The next beat that is not past, and how many a scan that took too long has cost."""
        later = beat + self.every
        if later >= now:
            return later, 0
        missed = int((now - later) // self.every) + 1 if self.every > 0 else 0
        return (later + missed * self.every if self.every > 0 else now), missed

    def first(self, age: float | None) -> float:
        """Seconds until the first beat, by the age of the last scan; None, or a clock that jumped back: at once."""
        if age is None or age < 0:
            return 0.0
        return max(0.0, self.every - age)
