from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner import knowledge
from scanner.identify.matcher import index_of
from scanner.identify.prefilter import Prefilter, longest_literal, needs
from scanner.model import Observation, Reading, Recording
from scanner.protocols import read_all


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        ("^App-webs/$", "app-webs/"),
        (r"realm=\"Login to (?P<x>\w+)\"", 'realm="login to '),
        ("(?:cat|dog)s?", ""),
        ("(?:abc)+def", "abc"),
        ("(?:abc)?defg", "defg"),
        ("(?!nope)yes", "yes"),
        ("[ab]", ""),
    ],
)
def test_only_what_every_match_contains(pattern: str, literal: str) -> None:
    assert longest_literal(pattern) == literal


@given(st.from_regex(r"(?:abc|[x-z]{2})?Dahua(?P<n>\d+)[ -](?:Rtsp)+", fullmatch=True))
def test_a_match_always_contains_the_literal(text: str) -> None:
    pattern = r"(?:abc|[x-z]{2})?Dahua(?P<n>\d+)[ -](?:Rtsp)+"
    assert re.search(pattern, text)
    assert longest_literal(pattern) in text.lower()


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"channel": "http.title", "exact": "WEB SERVICE"}, {("http.title", "web service")}),
        ({"channel": "http.header.*", "contains": "dahua"}, set()),
        ({"any": [{"channel": "a", "exact": "long"}, {"channel": "b", "regex": "[x]"}]}, set()),
        (
            {"any": [{"channel": "a", "exact": "long"}, {"channel": "b", "exact": "other"}]},
            {("a", "long"), ("b", "other")},
        ),
        ({"all": [{"channel": "a", "exact": "abc"}, {"channel": "b", "exact": "longer"}]}, {("b", "longer")}),
        ({"all": [{"not": {"channel": "a", "exact": "absent"}}, {"channel": "b", "exact": "here"}]}, {("b", "here")}),
    ],
)
def test_needs_of_conditions(match: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    assert needs(match) == expected


def test_texts_are_searched_without_case() -> None:
    chosen = Prefilter([("one", frozenset({("http.title", "web service")}))])
    readings = [Reading("http.title", "A WEB SERVICE", Observation(channel="http.title", value="A WEB SERVICE"))]
    assert chosen.worth_trying("http.title", readings) == {"one"}
    assert chosen.worth_trying("http.body", readings) == set()


def test_nothing_that_fits_is_filtered_away(corpus: tuple[Recording, ...]) -> None:
    """Against every fingerprint tried one by one, on the whole corpus."""
    known = knowledge.load()
    for recording in corpus:
        index = index_of(read_all(recording))
        quick = {fingerprint.id for fingerprint, _ in known.matcher.fitting(index)}
        slow = {f.id for f in known.fingerprints if f.test(index) is not None}
        assert quick == slow, recording.id
