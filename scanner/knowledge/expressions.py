"""Finds regular expressions that can run away: by their shape, and by trying them on texts made to slow them down."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

LONGEST = 65_536
"""Characters of the longest text an expression is tried on at run time."""
SECONDS = 0.005
"""What one expression may take on the longest text..."""
ALLOWANCE = 20.0
"""...or this many times what a plain word takes on it here: a slow machine makes no expression run away."""
FEW = 100
"""Ways at one place of a text that need no trial: the time grows with the text, and no faster."""
SIZES = (12, 18, 24, 30, 40, 80, 400, 2_000, LONGEST // 4, LONGEST)
"""Growing, so that an expression whose time doubles with each character is caught before it hangs the check."""

_TOKEN = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\\\]])*\]|\((?:\?(?:P<\w+>|[a-zA-Z-]*:|>|<?[=!]))?|[*+]|\{\d*,?\d*\}|.", re.DOTALL
)


def problem(pattern: str, samples: Sequence[str] = ()) -> str | None:
    """Why `pattern` can run away, or None. `samples`: texts it fits, from which hostile ones are made."""
    if repeats_a_repetition(pattern):
        return "repeats a group that repeats: it can run away"
    if choices(pattern) <= FEW:
        return None
    slow = slowest(pattern, samples)
    if slow > limit():
        return f"takes {slow * 1000:.0f} ms on a hostile text of at most {LONGEST // 1024} kB"
    return None


def repeats_a_repetition(pattern: str) -> bool:
    """Whether a group that is repeated without bound holds something that is repeated without bound."""
    tokens = _TOKEN.findall(pattern)
    holds = [False]
    for item, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if item[0] == "(":
            holds.append(False)
        elif item == ")" and len(holds) > 1:
            inside = holds.pop()
            if inside and _unbounded(following):
                return True
            holds[-1] |= inside
        elif _unbounded(item):
            holds[-1] = True
    return False


def choices(pattern: str) -> float:
    """How many ways its quantifiers leave at one place of a text, at the most; infinite for unbounded ones."""
    ways = 1.0
    for item in _TOKEN.findall(pattern):
        if _unbounded(item):
            return float("inf")
        counted = re.fullmatch(r"\{(\d*),(\d+)\}", item)
        if counted:
            ways *= int(counted[2]) - int(counted[1] or 0) + 1
        elif item == "?":
            ways *= 2
    return ways


def _unbounded(item: str) -> bool:
    return item in {"*", "+"} or re.fullmatch(r"\{\d+,\}", item) is not None


def slowest(pattern: str, samples: Sequence[str] = ()) -> float:
    """Seconds the expression takes on the worst of some hostile texts; ends early once that is too many."""
    compiled = re.compile(pattern, re.IGNORECASE)
    worst = 0.0
    for seed in _seeds(pattern, samples):
        for size in SIZES:
            if size == LONGEST and worst < limit() / 16:
                break  # what is so quick on a quarter of it cannot be too slow on the whole
            # The last character fits nothing, so that every way is tried before the expression gives up.
            text = (seed * (size // len(seed) + 1))[: size - 1] + "\x01"
            taken = _seconds(compiled, text)
            if taken > limit():
                taken = min(taken, _seconds(compiled, text))  # the first may have been another process's turn
            worst = max(worst, taken)
            if worst > limit():
                return worst
    return worst


def _seeds(pattern: str, samples: Sequence[str]) -> Iterator[str]:
    """What hostile texts repeat: common characters, what the pattern itself spells, and texts that nearly fit."""
    yield from ("a", "0", " ", "A1-", "\n", "aa ", "1.")
    words = re.findall(r"[A-Za-z0-9=/ \"'<>:._-]{2,}", re.sub(r"\\.", " ", pattern))
    yield from dict.fromkeys(word[:24] for word in words[:3])
    if words:
        yield "".join(words)[:200]
    for sample in samples[:2]:
        if len(sample) > 1:
            yield sample[:-1][:500]


def _seconds(compiled: re.Pattern[str], text: str) -> float:
    """CPU seconds of one search: what else the machine is doing does not count."""
    began = time.thread_time()
    compiled.search(text)
    return time.thread_time() - began


_LIMIT: list[float] = []


def limit() -> float:
    """Seconds allowed on the longest text; measured once."""
    if not _LIMIT:
        plain = re.compile("qzxvj", re.IGNORECASE)
        _LIMIT.append(max(SECONDS, ALLOWANCE * min(_seconds(plain, "q" * LONGEST) for _ in range(5))))
    return _LIMIT[0]
