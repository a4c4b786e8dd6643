from __future__ import annotations

import datetime

import pytest

from scanner.knowledge.periods import Period, first_day, last_day

D = datetime.date


@pytest.mark.parametrize(
    ("written", "first", "last"),
    [
        (None, None, None),
        (2018, D(2018, 1, 1), D(2018, 12, 31)),
        ("2018", D(2018, 1, 1), D(2018, 12, 31)),
        ("2022-11", D(2022, 11, 1), D(2022, 11, 30)),
        ("2024-02", D(2024, 2, 1), D(2024, 2, 29)),
        ("2022-11-24", D(2022, 11, 24), D(2022, 11, 24)),
        (D(2022, 11, 24), D(2022, 11, 24), D(2022, 11, 24)),
    ],
)
def test_days(written: object, first: datetime.date | None, last: datetime.date | None) -> None:
    assert (first_day(written), last_day(written)) == (first, last)


@pytest.mark.parametrize("written", ["", "18", "2018-13", "2018-02-30", "soon", 1, 1899, True, "٢٠١٨", 3.5])
def test_what_is_no_day(written: object) -> None:
    with pytest.raises(ValueError):
        first_day(written)


@pytest.mark.parametrize(
    ("since", "until", "on", "holds"),
    [
        (None, None, D(1950, 1, 1), True),
        (2018, "2022-11", D(2017, 12, 31), False),
        (2018, "2022-11", D(2018, 1, 1), True),
        (2018, "2022-11", D(2022, 11, 30), True),
        (2018, "2022-11", D(2022, 12, 1), False),
        (None, 2007, D(2007, 12, 31), True),
        (None, 2007, D(2008, 1, 1), False),
    ],
)
def test_periods(since: object, until: object, on: datetime.date, holds: bool) -> None:
    assert Period(since, until).holds(on) is holds


def test_words() -> None:
    assert str(Period(2018, "2022-11")) == "2018 to 2022-11"
    assert str(Period(2018)) == "since 2018"
    assert str(Period(None, 2007)) == "until 2007"
    assert str(Period()) == "since when is not known"


def test_a_period_that_ends_before_it_begins() -> None:
    with pytest.raises(ValueError, match="lies after"):
        Period(2020, 2019).check()
    Period(2020, 2020).check()
