"""Two scans against each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scanner.errors import UsageProblem
from scanner.model import Action, Device, Report
from scanner.store import Store, reading, writing
from scanner.store.changes import Change
from scanner.store.diff import Difference, diff

Make = Callable[..., Device]
Scan = Callable[..., Report]


def _diff(store: Store, before: str = "last~1", after: str = "last") -> Difference:
    return diff(store, reading.find(store, before), reading.find(store, after))


def test_who_appeared_and_what_changed(store: Store, scan_of: Scan, make_device: Make) -> None:
    other = make_device(mac="aa:bb:cc:00:00:01", ip="192.0.2.7")
    writing.save(store, scan_of(1, make_device(), other))
    writing.save(store, scan_of(2, make_device(ip="192.0.2.43", model="NR901", action=Action.PLAN), other, make_device(mac="aa:bb:cc:00:00:02")))
    found = _diff(store)
    assert [a.device for a in found.appeared] == ["aabbcc000002"]
    assert found.same == 1
    (changed,) = found.changed
    assert changed.changes == (Change("ip", "192.0.2.42", "192.0.2.43"), Change("model", "NR900", "NR901"))
    assert changed.verdicts == (Change("us-889-a1b", "remove", "plan"),)


def test_gone_after_enough_misses_of_scans_that_asked(store: Store, scan_of: Scan, make_device: Make) -> None:
    writing.save(store, scan_of(1, make_device()))
    writing.save(store, scan_of(2))
    assert [(m.misses, m.gone, m.asked) for m in _diff(store, "1").missing] == [(1, False, True)]
    writing.save(store, scan_of(3, failures=("cable",)))
    writing.save(store, scan_of(4, targets=("192.0.2.128/25",)))
    (missing,) = _diff(store, "1").missing
    assert (missing.misses, missing.gone, missing.asked) == (1, False, False)
    writing.save(store, scan_of(5))
    writing.save(store, scan_of(6))
    (missing,) = _diff(store, "1").missing
    assert (missing.misses, missing.gone, missing.asked) == (3, True, True)


def test_what_a_reader_must_know(store: Store, scan_of: Scan, make_device: Make) -> None:
    writing.save(store, scan_of(1, make_device()))
    writing.save(store, scan_of(2, interrupted=True, targets=("192.0.2.0/28",)))
    text = " ".join(_diff(store).notes)
    assert "not completed (interrupted)" in text
    assert "different targets" in text
    writing.save(store, scan_of(3, site="branch"))
    with pytest.raises(UsageProblem, match="site hq and scan 3 of site branch"):
        _diff(store)
