"""How a scan is named, and one device through time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scanner.errors import UsageProblem
from scanner.model import Device, Report
from scanner.store import Store, reading, writing


@pytest.fixture
def three(store: Store, scan_of: Callable[..., Report], make_device: Callable[..., Device]) -> Store:
    writing.save(store, scan_of(1, make_device()))
    writing.save(store, scan_of(3, make_device(ip="192.0.2.77", model="NR901"), site="branch"))
    writing.save(store, scan_of(5, make_device(ip="192.0.2.43"), failures=("the link went down",)))
    return store


@pytest.mark.parametrize(
    ("word", "site", "uid"),
    [
        ("last", None, "scan-hq-0005"),
        ("last~1", None, "scan-branch-0003"),
        ("last~1", "hq", "scan-hq-0001"),
        ("scan-b", None, "scan-branch-0003"),
        ("2026-11-04", None, "scan-branch-0003"),
        ("2026-11-05", None, "scan-hq-0005"),
        ("1", None, "scan-hq-0001"),
    ],
)
def test_a_scan_by_its_name(three: Store, word: str, site: str | None, uid: str) -> None:
    assert reading.find(three, word, site=site).uid == uid


@pytest.mark.parametrize("word", ["last~3", "99", "2026-10-31", "scan-hq", "scan-hq-00", "%%%%", "", "nothing"])
def test_a_scan_that_is_not_there(three: Store, word: str) -> None:
    with pytest.raises(UsageProblem, match="scan "):
        reading.find(three, word)


def test_the_list_is_newest_first(three: Store) -> None:
    found = reading.entries(three)
    assert [(e.uid, e.state, e.devices) for e in found] == [
        ("scan-hq-0005", "failed", 1), ("scan-branch-0003", "completed", 1), ("scan-hq-0001", "completed", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["3cef8c112233", "3C-EF-8C-11-22-33", "192.0.2.43"])
def test_a_device_through_time(three: Store, key: str) -> None:
    found = reading.history(three, key, site="hq")
    assert [(s.scan.uid, s.seen.facts.ip) for s in found] == [("scan-hq-0005", "192.0.2.43"), ("scan-hq-0001", "192.0.2.42")]
    assert found[0].seen.facts.manufacturer == "dahua"
    assert found[0].seen.actions == {"us-889-a1b": "remove"}
