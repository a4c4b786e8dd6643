from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner import knowledge
from scanner.identify.literals import literals


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("^App-webs/?$", ["app-webs"]),
        ("abc+d", ["abc"]),
        ("abcd*e", ["abc"]),
        ("ab{2}cdef", ["cdef"]),
        ("abcde{0,3}x", ["abcd"]),
        (r"Rtsp Server/\d\.0", ["rtsp server/"]),
        (r"AXIS_(?P<mac>[0-9A-F]{12})", ["axis_"]),
        ("one|two", ["one", "two"]),
        ("one|t.o", []),
        ("(one|two)th.ee", ["one", "two"]),
        ("(?P<n>one|fourteen)th.ee", ["one", "fourteen"]),
        ("(one|two)three", ["three"]),
        ("(?:longest)?abc", ["abc"]),
        ("(?:longest){2}abc", ["longest"]),
        ("[a-z]]xyz[]]", ["]xyz"]),
        (r"a\.b\.c", ["a.b.c"]),
        (r"\bWord\b", ["word"]),
        (r"(?x) a b c ", []),
        ("Ünïcode text", []),
        ("(?!never)always", ["always"]),
        ("(?<!never)(?=soon)x", []),
        ("(?s)some.thing", ["thing"]),
        ("(?i:some)", ["some"]),
        ("abc??def", ["def"]),
        (r"a(\)nothere)bcd", [")nothere"]),
        ("ab", []),
        ("", []),
        ("(a|)|bcd", []),
    ],
)
def test_what_every_match_contains(pattern: str, expected: list[str]) -> None:
    assert list(literals(pattern)) == expected


PIECES = st.sampled_from([
    "a", "bcd", r"\.", r"\d", "[xy]", "[^]a]", "(ef|g)", "(?:hij|klm)", "(nop|qr{2}s)+", "(tuv)?", "x?", "yz*", "q{2}",
    "r{0,2}", ".", "s+", "t+?", "|", "(?=abc)", "(?!bcd)", "(?:(xyz|abcd)|hij)",
])  # fmt: skip


@given(st.lists(PIECES, max_size=8), st.text(alphabet="abcdefghijklmnopqrstuvxyz0.]", max_size=30))
def test_no_match_is_ever_without_one(pieces: list[str], text: str) -> None:
    needed = literals("".join(pieces))
    if needed and re.search("".join(pieces), text, re.IGNORECASE):
        assert any(literal in text.casefold() for literal in needed)


def test_most_of_our_expressions_are_spared() -> None:
    patterns = [p for f in knowledge.load().fingerprints for p in f.patterns]
    assert sum(bool(literals(p)) for p in patterns) > 0.8 * len(patterns)
