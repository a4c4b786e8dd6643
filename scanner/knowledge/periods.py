"""Days as sources give them: a year, a month or a day, and the periods between two of them."""

from __future__ import annotations

import calendar
import datetime
import re

import msgspec


def first_day(value: object) -> datetime.date | None:
    """The first day of `2022`, `2022-11` or `2022-11-24`; None for None. Raises `ValueError`."""
    return _day(value, end=False)


def last_day(value: object) -> datetime.date | None:
    """The last day of `2022`, `2022-11` or `2022-11-24`; None for None. Raises `ValueError`."""
    return _day(value, end=True)


def _day(value: object, *, end: bool) -> datetime.date | None:
    if value is None or type(value) is datetime.date:
        return value
    found = re.fullmatch(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?", str(value), re.ASCII)
    if not found:
        raise ValueError(f"{value!r} is no date; write 2022, 2022-11 or 2022-11-24")
    year, month, day = (int(part) if part else None for part in found.groups())
    if year is None or not 1900 <= year <= 2199 or not 1 <= (month or 1) <= 12:
        raise ValueError(f"{value} is no date of this age")
    month = month or (12 if end else 1)
    return datetime.date(year, month, day or (calendar.monthrange(year, month)[1] if end else 1))


class Period(msgspec.Struct, frozen=True):
    """From `since` to `until`, both included as far as they are known."""

    since: object = None
    until: object = None

    def check(self) -> None:
        """Raises `ValueError` where a date is none, or the end lies before the beginning."""
        first, last = first_day(self.since), last_day(self.until)
        if first and last and first > last:
            raise ValueError(f"since {self.since} lies after until {self.until}")

    def holds(self, on: datetime.date) -> bool:
        """Whether `on` lies within, as far as the dates are known."""
        first, last = first_day(self.since), last_day(self.until)
        return (first is None or first <= on) and (last is None or on <= last)

    def __str__(self) -> str:
        if self.since is not None and self.until is not None:
            return f"{self.since} to {self.until}"
        if self.since is not None:
            return f"since {self.since}"
        return f"until {self.until}" if self.until is not None else "since when is not known"
