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


def test_a_look_that_asked_nobody_misses_nobody(store: Store, scan_of: Scan, make_device: Make) -> None:
    writing.save(store, scan_of(1, make_device(), make_device(mac="aa:bb:cc:00:00:01", ip="192.0.2.7"), targets=("eth0",)))
    writing.save(store, scan_of(2, make_device(), targets=("eth0",)), asked=False)
    found = _diff(store)
    assert [(m.misses, m.gone, m.asked) for m in found.missing] == [(0, False, False)]
    assert any("scan 2 asked nobody" in note for note in found.notes)
    for number in range(3, 7):
        writing.save(store, scan_of(number, make_device(), targets=("eth0",)), asked=False)
    (missing,) = _diff(store, "1").missing
    assert (missing.misses, missing.gone) == (0, False)


def test_an_address_without_its_mac_may_be_the_device_that_is_missing(store: Store, scan_of: Scan, make_device: Make) -> None:
    from msgspec.structs import replace

    known = make_device()
    writing.save(store, scan_of(1, known))
    bare = replace(known, key="ip-192-0-2-42", recording=replace(known.recording, mac=None))
    writing.save(store, scan_of(2, bare))
    assert any(f"192.0.2.42 answered without its MAC being seen: it may be {known.recording.mac}" in note for note in _diff(store).notes)


def test_what_a_reader_must_know(store: Store, scan_of: Scan, make_device: Make) -> None:
    writing.save(store, scan_of(1, make_device()))
    writing.save(store, scan_of(2, interrupted=True, targets=("192.0.2.0/28",)))
    text = " ".join(_diff(store).notes)
    assert "not completed (interrupted)" in text
    assert "different targets" in text
    writing.save(store, scan_of(3, site="branch"))
    with pytest.raises(UsageProblem, match="site hq and scan 3 of site branch"):
        _diff(store)
