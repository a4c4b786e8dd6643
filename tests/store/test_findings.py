"""When a device is gone and when a finding is closed: never without cause."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from scanner.model import Action, Device, Identity, Level, Recording, Report, Waiver
from scanner.store import Store, writing
from scanner.store.findings import Event
from scanner.values import address_key

Make = Callable[..., Device]
Scan = Callable[..., Report]


def _told(events: tuple[Event, ...]) -> list[str]:
    return [e.kind for e in events if not e.kind.startswith("scan-")]


@pytest.fixture
def thin(make_device: Make) -> Device:
    """The same device, silent this time."""
    device = make_device(action=None)
    return replace(device, identity=Identity(), recording=replace(device.recording, observations=()))


def test_a_new_device_with_a_finding(store: Store, scan_of: Scan, make_device: Make) -> None:
    saved = writing.save(store, scan_of(1, make_device()))
    assert [e.kind for e in saved.events] == ["device-appeared", "finding-opened", "scan-completed"]
    assert writing.save(store, scan_of(2, make_device())).events[0].kind == "scan-completed"


def test_event_ids_are_stable(local: Store, store: Store, scan_of: Scan, make_device: Make) -> None:
    one, other = (writing.save(s, scan_of(1, make_device())).events for s in (local, store))
    assert [e.uid for e in one] == [e.uid for e in other]
    assert len({e.uid for e in one}) == len(one)


def test_changes_are_told_once(store: Store, scan_of: Scan, make_device: Make) -> None:
    writing.save(store, scan_of(1, make_device()))
    assert _told(writing.save(store, scan_of(2, make_device(ip="192.0.2.99", model="NR901"))).events) == ["device-changed"]
    assert _told(writing.save(store, scan_of(3, make_device(ip="192.0.2.99", model="NR901"))).events) == []


def test_gone_after_three_misses_and_back_again(store: Store, scan_of: Scan, make_device: Make) -> None:
    writing.save(store, scan_of(1, make_device()))
    assert _told(writing.save(store, scan_of(2)).events) == []
    assert _told(writing.save(store, scan_of(3, failures=("x",))).events) == []
    assert _told(writing.save(store, scan_of(4, targets=("198.51.100.0/24",))).events) == []
    assert _told(writing.save(store, scan_of(5)).events) == []
    assert _told(writing.save(store, scan_of(6)).events) == ["device-gone"]
    assert _told(writing.save(store, scan_of(7)).events) == []
    back = writing.save(store, scan_of(8, make_device())).events
    assert _told(back) == ["device-appeared"]  # its finding was open all the time


def test_a_device_that_says_less_keeps_its_findings(store: Store, scan_of: Scan, make_device: Make, thin: Device) -> None:
    writing.save(store, scan_of(1, make_device()))
    judged: list[Recording] = []

    def again(recording: Recording) -> Device:
        judged.append(recording)
        return make_device()

    assert _told(writing.save(store, scan_of(2, thin), again=again).events) == []
    assert judged == [make_device().recording]
    # The rules have changed: what it said before leads nowhere any more.
    closed = writing.save(store, scan_of(3, thin), again=lambda _: thin).events
    assert _told(closed) == ["finding-closed"]
    assert closed[0].previous is Action.REMOVE


def test_a_device_that_says_less_keeps_the_strict_action(store: Store, scan_of: Scan, make_device: Make) -> None:
    writing.save(store, scan_of(1, make_device()))
    milder = make_device(action=Action.INVESTIGATE, level=Level.POSSIBLE)
    assert _told(writing.save(store, scan_of(2, milder), again=lambda _: make_device()).events) == []


def test_another_maker_at_the_same_place_closes(store: Store, scan_of: Scan, make_device: Make) -> None:
    writing.save(store, scan_of(1, make_device()))
    axis = make_device(manufacturer="axis", level=Level.LIKELY, action=None)
    assert _told(writing.save(store, scan_of(2, axis), again=lambda _: make_device()).events) == ["device-changed", "finding-closed"]


def test_the_law_closes_and_changes(store: Store, scan_of: Scan, make_device: Make) -> None:
    writing.save(store, scan_of(1, make_device()))
    (opened,) = [e for e in writing.save(store, scan_of(2, make_device(action=Action.NOTE))).events if e.device]
    assert (opened.kind, opened.previous, opened.action) == ("finding-opened", Action.REMOVE, Action.NOTE)
    assert _told(writing.save(store, scan_of(3, make_device(action=None))).events) == ["finding-closed"]


def test_a_waiver_closes_until_it_expires(store: Store, scan_of: Scan, make_device: Make) -> None:
    def waived(expired: bool) -> Device:
        waiver = Waiver(device="3c:ef:8c:11:22:33", policy="all", reason="r", who="w", expires="2026-12-01", expired=expired)
        device = make_device()
        return replace(device, verdicts=(replace(device.verdicts[0], waiver=waiver),))

    writing.save(store, scan_of(1, make_device()))
    assert _told(writing.save(store, scan_of(2, waived(False)), again=lambda _: make_device()).events) == ["finding-closed"]
    assert _told(writing.save(store, scan_of(3, waived(True))).events) == ["finding-opened"]


def test_an_incomplete_scan_closes_nothing(store: Store, scan_of: Scan, make_device: Make) -> None:
    writing.save(store, scan_of(1, make_device()))
    events = writing.save(store, scan_of(2, make_device(action=None), failures=("cable",))).events
    assert [e.kind for e in events] == ["scan-failed"]
    assert events[0].reason == "cable"


def test_a_mac_heard_later_takes_over_what_was_known_by_the_address(store: Store, scan_of: Scan, make_device: Make) -> None:
    known = make_device()
    bare = replace(known, key=address_key(known.recording.ip or ""), recording=replace(known.recording, mac=None))
    writing.save(store, scan_of(1, bare), asked=False)
    told = writing.save(store, scan_of(2, known)).events

    assert [(e.kind, e.device) for e in told if e.kind != "scan-completed"] == [
        ("finding-closed", bare.key), ("device-gone", bare.key),
        ("device-appeared", known.key), ("finding-opened", known.key),
    ]  # fmt: skip
    assert "its MAC is known now" in (told[1].reason or "")
    assert _told(writing.save(store, scan_of(3, known)).events) == []


def test_another_device_at_the_address_is_another_device(store: Store, scan_of: Scan, make_device: Make) -> None:
    known = make_device()
    other = replace(known, key="020000000001", recording=replace(known.recording, mac="02:00:00:00:00:01"))
    writing.save(store, scan_of(1, known))
    assert ("device-appeared", other.key) in [(e.kind, e.device) for e in writing.save(store, scan_of(2, other)).events]


def test_who_was_not_asked_is_not_missed(store: Store, scan_of: Scan, make_device: Make) -> None:
    writing.save(store, scan_of(1, make_device()))
    told = [_told(writing.save(store, scan_of(number), asked=False).events) for number in range(2, 8)]
    assert told == [[]] * 6
