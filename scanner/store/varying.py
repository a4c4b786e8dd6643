"""An answer without what differs every time it is given, so that a thousand looks at one device store it once.

Dates of HTTP and RTSP answers, clocks, message numbers: each is taken out and kept with the sighting. Nothing is lost:
`join(*split(value)) == value`, always.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MARK = "\ue000"
"""Stands where something was taken out: a character of Unicode's private area; a text that holds it is left alone."""

_VARYING = re.compile(
    r"(?im)(?=[de<mtwfs])(?:"  # no match begins with anything else: most of a page is passed over at once
    r"^(?:date|expires):[ \t]*([^\r\n]{1,80})"
    r"|<(?:[\w.-]{1,20}:)?(?:MessageID|RelatesTo|uuid)\b[^<>]{0,200}>([^<>]{1,200})<"
    r"|<(?:[\w.-]{1,20}:)?(?:Hour|Minute|Second|Day|Month|Year)>(\d{1,4})<"
    r"|\b((?:mon|tue|wed|thu|fri|sat|sun),? \d{1,2}[ -][a-z]{3}[ -]\d{2,4} \d\d:\d\d:\d\d)\b)"
)


def split(value: str) -> tuple[str, tuple[str, ...]]:
    """The text with `MARK` where something varies, and what stood there, in order."""
    if MARK in value or value.startswith("hex:"):
        return value, ()
    parts: list[str] = []
    pieces: list[str] = []
    end = 0
    for found in _VARYING.finditer(value):
        group = found.lastindex or 0
        start, stop = found.span(group)
        pieces += (value[end:start], MARK)
        parts.append(value[start:stop])
        end = stop
    return ("".join(pieces) + value[end:], tuple(parts)) if parts else (value, ())


def join(text: str, parts: Sequence[str]) -> str:
    """The value that `split` took apart."""
    if not parts:
        return text
    pieces = text.split(MARK)
    return pieces[0] + "".join(part + piece for part, piece in zip(parts, pieces[1:], strict=True))
