"""Which fingerprints are worth trying: a literal that must occur for a fingerprint to fit is looked for first, all of
them in one pass over the text (Aho-Corasick), before any regular expression runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ahocorasick

from scanner.identify.literals import LEAST, literals
from scanner.knowledge.fingerprints import MAX_TEXT
from scanner.model import Reading

Needs = frozenset[tuple[str, str]]
"""(channel, case-folded literal) pairs, one of which must occur; empty: nothing can be said."""


def needs(match: Mapping[str, Any]) -> Needs:
    """What must occur for a condition (as written in YAML) to be met."""
    if "channel" in match:
        return _leaf(match)
    if "all" in match:
        found = [needs(part) for part in match["all"] if isinstance(part, dict) and "not" not in part]
        return max((need for need in found if need), key=_worth, default=frozenset())
    if "any" in match:
        found = [needs(part) for part in match["any"]]
        return frozenset().union(*found) if found and all(found) else frozenset()
    return frozenset()


def _worth(need: Needs) -> int:
    """How rare the most common of its literals is likely to be: the longer, the rarer."""
    return min(len(literal) for _, literal in need)


def _leaf(match: Mapping[str, Any]) -> Needs:
    channel = str(match["channel"]).lower()
    if "regex" in match:
        found = literals(str(match["regex"]))
    else:
        text = str(match.get("exact") or match.get("prefix") or match.get("contains") or "").strip().casefold()
        found = (text,) if len(text) >= LEAST else ()
    return frozenset() if channel.endswith(".*") else frozenset((channel, literal) for literal in found)


class Prefilter:
    """Literals by channel, and whom each of them concerns."""

    def __init__(self, wanted: Iterable[tuple[str, Needs]]) -> None:
        """`wanted`: an id and its needs, each with at least one."""
        concerned: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for identifier, need in wanted:
            for channel, literal in need:
                concerned[channel][literal].append(identifier)
        self._automata: dict[str, Any] = {}
        for channel, texts in concerned.items():
            automaton = ahocorasick.Automaton()
            for literal, identifiers in texts.items():
                automaton.add_word(literal, tuple(identifiers))
            automaton.make_automaton()
            self._automata[channel] = automaton

    def knows(self, channel: str) -> bool:
        """Whether any fingerprint waits for something on this channel."""
        return channel in self._automata

    def worth_trying(self, channel: str, readings: Sequence[Reading]) -> set[str]:
        """The ids whose literals occur in these readings of one channel."""
        automaton = self._automata.get(channel)
        if automaton is None:
            return set()
        found: set[str] = set()
        for reading in readings:
            for _, identifiers in automaton.iter(reading.value[:MAX_TEXT].casefold()):
                found.update(identifiers)
        return found
