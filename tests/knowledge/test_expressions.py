from __future__ import annotations

import pytest

from scanner.knowledge import expressions

RUNAWAYS = [
    "(a+)+$",
    "(?:a*)*b",
    r"(\d+\.?)*x",
    "([a-z]+)*x",
    "(?:(?:a+)b?)+c",
    "(?:a{2,})+b",
    "(a{1,20}){1,20}b",
    "(a|aa)+$",
    r"\w+-\d{5}",
    "^.*0.*0.*x",
    "a{0,9}a{0,9}a{0,9}a{0,9}b",
]
HARMLESS = [
    "^App-webs/?$",
    r'^Digest realm="Login to (?P<serial>\w{5,32})"',
    "(?:DS-)?2CD[0-9]{4}",
    r"(?:[^,]{1,40},){3}x",
    "[+*]+x",
    r"\(a+\)+b",
    "(?:abc|[def]{1,8})x",
]


@pytest.mark.parametrize("pattern", RUNAWAYS)
def test_what_can_run_away_is_caught_before_it_does(pattern: str) -> None:
    reason = expressions.problem(pattern)
    assert reason is not None
    assert "ms" in reason or "run away" in reason


@pytest.mark.parametrize("pattern", HARMLESS)
def test_what_cannot_is_left_alone(pattern: str) -> None:
    assert expressions.problem(pattern, ["a text, that, nearly, fits"]) is None


def test_samples_make_texts_that_nearly_fit() -> None:
    slow_on_its_own_words = r"^(?:<item>[^z]*)\s*[^z]*\s*</end>$"
    assert expressions.slowest(slow_on_its_own_words, ["<item>x</end>"]) > 0


def test_ways_at_one_place() -> None:
    assert expressions.choices("abc") == 1
    assert expressions.choices("a?b{2,4}[?*]{3}") == 6
    assert expressions.choices("a*") == float("inf")
    assert expressions.choices(r"a\*b\+") == 1


def test_a_slow_machine_is_not_held_against_an_expression() -> None:
    assert expressions.limit() >= expressions.SECONDS
