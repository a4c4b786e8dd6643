"""How names are compared: whole, and without case, blanks, punctuation; never by a part of them.

A substring finds "zte" in Aztech and "dahua" in a scale factory; a name that is compared whole finds neither.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
"""Ids are lower-case ASCII with hyphens."""

_LEGAL_FORMS = frozenset(
    {"co", "company", "corp", "corporation", "inc", "incorporated", "ltd", "limited", "llc", "lcd", "plc", "pte", "pvt"}
    | {"private", "gmbh", "ag", "ab", "bv", "sa", "sau", "srl"}
)


def check_id(text: str) -> None:
    """Raises `ValueError` where `text` is no id."""
    if not ID.fullmatch(text):
        raise ValueError(f"{text!r} is no id; write lower-case letters, digits and hyphens")


@lru_cache(maxsize=4096)
def name_key(text: str) -> str:
    """`text` without case, blanks and punctuation."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if c.isalnum())


def loose_key(text: str) -> str:
    """`name_key` without the legal form at the end (`Co., Ltd.`, `Inc.`, …)."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
    while len(words) > 1 and words[-1] in _LEGAL_FORMS:
        words.pop()
    return "".join(words)


def near(text: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """The known spellings that resemble `text` most, best first; for suggestions only."""
    by_key = {name_key(name): name for name in known}
    found = difflib.get_close_matches(name_key(text), list(by_key), n=count, cutoff=0.6)
    return tuple(by_key[key] for key in found)


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """`; did you mean x, y?`, or nothing where no known spelling is near."""
    found = near(text, known)
    return f"; did you mean {', '.join(found)}?" if found else ""
