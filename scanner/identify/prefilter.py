"""Which fingerprints are worth trying: a literal that must occur for a fingerprint to fit is looked for first, all of
them in one pass over the text (Aho-Corasick), before any regular expression runs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ahocorasick

from scanner.knowledge.fingerprints import MAX_TEXT
from scanner.model import Reading

MIN_LITERAL = 3
"""Shorter literals occur everywhere and save nothing."""

Needs = frozenset[tuple[str, str]]
"""(channel, lower-case literal) pairs, one of which must occur; empty: nothing can be said."""


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
        literal = longest_literal(str(match["regex"]))
    else:
        literal = str(match.get("exact") or match.get("prefix") or match.get("contains") or "").strip().lower()
    if len(literal) < MIN_LITERAL or channel.endswith(".*"):
        return frozenset()
    return frozenset({(channel, literal)})


def longest_literal(pattern: str) -> str:
    """The longest text that every match of the expression contains, in lower case; empty where none is certain."""
    try:
        from re import _parser  # type: ignore[attr-defined]  # the only reader of the real syntax

        runs = _runs(_parser.parse(pattern, re.IGNORECASE))
    except (ImportError, re.error, RecursionError):
        return ""
    return max(runs, key=len, default="").lower()


def _runs(parsed: Iterable[tuple[Any, Any]]) -> list[str]:
    """The texts that stand in every match, in order, as far as literals touch each other."""
    runs: list[str] = []
    run = ""
    for operation, argument in parsed:
        name = str(operation)
        if name == "LITERAL":
            run += chr(argument)
            continue
        if name == "AT":
            continue
        if run:
            runs.append(run)
            run = ""
        if name == "SUBPATTERN":
            runs += _runs(argument[3])
        elif name in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"} and argument[0] >= 1:
            runs += _runs(argument[2])
    if run:
        runs.append(run)
    return runs


class Prefilter:
    """Literals by channel, and whom each of them concerns."""

    def __init__(self, wanted: Iterable[tuple[str, Needs]]) -> None:
        """`wanted`: an id and its needs, each with at least one."""
        concerned: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for identifier, need in wanted:
            for channel, literal in need:
                concerned[channel][literal].append(identifier)
        self._automata: dict[str, Any] = {}
        for channel, literals in concerned.items():
            automaton = ahocorasick.Automaton()
            for literal, identifiers in literals.items():
                automaton.add_word(literal, tuple(identifiers))
            automaton.make_automaton()
            self._automata[channel] = automaton

    def worth_trying(self, channel: str, readings: Sequence[Reading]) -> set[str]:
        """The ids whose literals occur in these readings of one channel."""
        automaton = self._automata.get(channel)
        if automaton is None:
            return set()
        found: set[str] = set()
        for reading in readings:
            for _, identifiers in automaton.iter(reading.value[:MAX_TEXT].lower()):
                found.update(identifiers)
        return found
