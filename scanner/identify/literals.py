"""The texts one of which every match of a regular expression contains: what lets most expressions go untried.

Read off the pattern's text, and only where that is plain. Never wrong, sometimes empty.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LEAST = 3
"""Characters below which a text is too common to spare anything."""

_TOKEN = re.compile(
    r"""
    [^\\\[\](){}.^$*+?|]+(?![*+?{])                     # plain text, up to a character that is repeated
    | \\.                                               # an escape
    | \[\^?\]?(?:\\.|[^\\\]])*\]                        # a class
    | \(\?(?:P=\w+|[a-zA-Z]+|\#[^)]*)\)                 # a back reference, flags, a remark
    | \((?:\?(?:P<\w+>|[a-zA-Z-]*:|>|<?[=!]|\(\w+\)))?  # what opens a group
    | [*+?][?+]? | \{\d*,?\d*\}[?+]?                    # a quantifier
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_VERBOSE = re.compile(r"\(\?[a-zA-Z]*x")
_WITHOUT_TEXT = frozenset({"(?=", "(?!", "(?<=", "(?<!"})
_ENDS = frozenset({"|", ")"})


def literals(pattern: str) -> tuple[str, ...]:
    """Texts (case folded) of which every match of `pattern`, case ignored, contains one; empty where none are sure."""
    return () if _VERBOSE.search(pattern) else _any_of(_TOKEN.findall(pattern), 0)[0]


def _any_of(tokens: Sequence[str], place: int) -> tuple[tuple[str, ...], int]:
    """What a group from `place` on demands, and the place behind its end."""
    found: list[tuple[str, ...]] = []
    best: tuple[str, ...] = ()
    run = ""
    while place < len(tokens):
        item = tokens[place]
        place += 1
        if item in _ENDS:
            found.append(_better(best, run))
            best, run = (), ""
            if item != "|":
                break
            continue
        inside: tuple[str, ...] = ()
        if item[0] == "(" and (item[-1] != ")" or item.startswith("(?(")):
            inside, place = _any_of(tokens, place)
            if item in _WITHOUT_TEXT or item.startswith("(?("):
                inside = ()
        least = _least(tokens[place]) if place < len(tokens) else None
        if least is not None:
            place += 1
        text = _text(item) if least != 0 else ""
        run += text
        if run and (not text or least is not None):
            best, run = _better(best, run), ""
        if inside and least != 0 and _worth(inside) > _worth(best):
            best = inside
    else:
        found.append(_better(best, run))
    return (tuple(dict.fromkeys(t for texts in found for t in texts)) if all(found) else ()), place


def _better(best: tuple[str, ...], run: str) -> tuple[str, ...]:
    text = run.casefold()
    return (text,) if len(text) >= LEAST and text.isascii() and len(text) > _worth(best) else best


def _worth(texts: tuple[str, ...]) -> int:
    return min(map(len, texts), default=0)


def _text(token: str) -> str:
    """The text a token stands for, "" where it is none."""
    if token[0] == "\\":
        return token[1:] if not token[1:].isalnum() else ""
    return "" if token[0] in ".^$*+?{[(" else token


def _least(token: str) -> int | None:
    """How often the item before this token stands at least; None where the token is no quantifier."""
    if token[0] in "*?":
        return 0
    if token[0] == "+":
        return 1
    if token[0] == "{" and len(token) > 2:
        return int(token[1:].partition(",")[0].rstrip("}?+") or 0)
    return None
