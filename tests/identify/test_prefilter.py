from __future__ import annotations

from typing import Any

import pytest

from scanner import knowledge
from scanner.identify.matcher import index_of
from scanner.identify.prefilter import Prefilter, needs
from scanner.model import Observation, Reading, Recording
from scanner.protocols import read_all


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"channel": "http.title", "exact": "WEB SERVICE"}, {("http.title", "web service")}),
        ({"channel": "http.title", "regex": "^(?:One|Two) x$"}, {("http.title", "one"), ("http.title", "two")}),
        ({"channel": "http.title", "exact": "ab"}, set()),
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
