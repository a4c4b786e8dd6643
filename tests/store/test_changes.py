"""What a difference is, and what may be missed at all."""

from __future__ import annotations

import pytest

from scanner.model import Level
from scanner.store.changes import Asked, Change, Facts, compare, learn

DAHUA = Facts(ip="192.0.2.1", manufacturer="dahua", firmware="2.8", level=Level.CONFIRMED)


def test_every_field_that_differs_is_named() -> None:
    after = Facts(ip="192.0.2.2", manufacturer="dahua", firmware="3.0", level=Level.CONFIRMED)
    assert compare(DAHUA, after) == (Change("ip", "192.0.2.1", "192.0.2.2"), Change("firmware", "2.8", "3.0"))


def test_a_device_that_says_less_has_not_changed() -> None:
    assert learn(DAHUA, Facts(ip="192.0.2.1")) == (DAHUA, ())


def test_thin_evidence_neither_accuses_nor_acquits() -> None:
    known, changes = learn(DAHUA, Facts(ip="192.0.2.1", manufacturer="hikvision", level=Level.POSSIBLE))
    assert (known.manufacturer, known.level, changes) == ("dahua", Level.CONFIRMED, ())
    known, changes = learn(DAHUA, Facts(ip="192.0.2.1", manufacturer="axis", level=Level.LIKELY))
    assert known.manufacturer == "axis"
    assert changes == (Change("manufacturer", "dahua", "axis"),)


@pytest.mark.parametrize(
    ("targets", "excluded", "ip", "covered"),
    [
        (["192.0.2.0/24"], [], "192.0.2.9", True),
        (["192.0.2.0/28"], [], "192.0.2.99", False),
        (["192.0.2.10-192.0.2.20"], [], "192.0.2.15", True),
        (["192.0.2.10-20"], [], "192.0.2.21", False),
        (["192.0.2.0/24"], ["192.0.2.9"], "192.0.2.9", False),
        (["2001:db8::1"], [], "2001:db8::1", True),
        (["0.0.0.0/0"], [], "::1", False),
        (["192.0.2.0/24"], [], None, False),
        (["192.0.2.0/24"], [], "no address", False),
    ],
)
def test_only_what_was_asked_for_can_be_missed(targets: list[str], excluded: list[str], ip: str | None, covered: bool) -> None:
    assert Asked(targets, excluded).covers(ip) is covered


def test_an_interface_covers_what_was_found_by_it() -> None:
    assert Asked(["eth0", "eth1"]).covers("192.0.2.1", ("eth0",))
    assert not Asked(["eth1"]).covers("192.0.2.1", ("eth0",))
    assert not Asked(["eth1"]).covers("192.0.2.1", ())
