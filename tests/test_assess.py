from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from scanner import assess, knowledge
from scanner.model import Device, Level, Observation, Recording, RulesVersion, Scan

DAHUA = Recording(
    id="r",
    ip="192.0.2.7",
    mac="3c:ef:8c:11:22:33",
    observations=(
        Observation(
            channel="rtsp.header.www-authenticate", port=554, value='Digest realm="Login to ND011906001122", nonce="0"'
        ),
    ),
)


def test_keys_are_stable_and_in_order_of_preference() -> None:
    assert assess.key(DAHUA) == "3cef8c112233"
    assert assess.key(replace(DAHUA, mac=None)) == "ip-192-0-2-7"
    assert assess.key(replace(DAHUA, mac=None, ip="fe80::1")) == "ip-fe80--1"
    assert assess.key(Recording(id="r")) == "r"


def test_one_mac_at_two_addresses_has_two_keys(make_device: Callable[..., Device]) -> None:
    one, two, other = make_device(), make_device(ip="192.0.2.43"), make_device(mac="aa:bb:cc:00:00:01")
    keys = [d.key for d in assess.unique([one, two, other])]
    assert keys == ["3cef8c112233-192-0-2-42", "3cef8c112233-192-0-2-43", "aabbcc000001"]


def test_a_recording_becomes_a_judged_device(today: datetime.date) -> None:
    known = knowledge.load()
    (device,) = assess.assess([DAHUA], known, profiles=["us-federal-contractor"], as_of=today)
    assert device.identity.manufacturer == "dahua"
    assert device.identity.level is Level.CONFIRMED
    assert device.action == "remove"
    report_ = assess.coverage([device])
    assert (report_.alive, report_.identified, report_.unknown) == (1, 1, ())


def test_recorders_and_unknowns_are_said(make_device: Callable[..., Device]) -> None:
    recorder = make_device()
    unknown = make_device(ip="192.0.2.9", manufacturer=None, level=Level.UNKNOWN, action=None)
    silent = make_device(ip="192.0.2.8", manufacturer=None, level=Level.UNKNOWN, action=None)
    cover = assess.coverage([recorder, unknown, silent], silent=["192.0.2.8"])
    assert cover.unknown == ("192.0.2.9",)
    assert cover.silent == ("192.0.2.8",)
    assert cover.identified == 1
    assert "recorder" in cover.blind_spots[0]


@pytest.mark.parametrize(("days", "warned"), [(10, False), (181, True)])
def test_old_rules_are_warned_about(days: int, warned: bool) -> None:
    class Old:
        version = RulesVersion(
            rules_as_of="2026-01-01", rules_sha256="", registry_as_of="2026-01-01", registry_sha256=""
        )

    day = datetime.date(2026, 1, 1) + datetime.timedelta(days=days)
    assert bool(assess.age_warnings(Old(), day)) is warned  # type: ignore[arg-type]


def test_a_report_tells_what_it_was_judged_by(today: datetime.date) -> None:
    known = knowledge.load()
    measures = {m.policy: m for m in assess.measures(known, assess.Law(("us-federal-contractor",), today))}
    bound = measures["us-889-a1b"]
    assert (bound.binds_you, bound.in_force) == (True, "2020-08-13")
    assert [clock.citation for clock in bound.clocks] == ["FAR 52.204-25(d)(2)(i)", "FAR 52.204-25(d)(2)(ii)"]
    assert measures["us-889-b"].binds_you is False
    assert measures["us-889-b"].clocks == ()
    assert assess.measures(known, assess.Law((), datetime.date(2010, 1, 1))) != tuple(measures.values())
    assert {m.binds_you for m in assess.measures(known, assess.Law((), today))} == {None}


def test_a_clock_that_went_back_is_said() -> None:
    known = knowledge.load()
    scan = Scan(id="x", started="2026-11-24T02:00:00Z", finished="2026-11-24T01:00:00Z", law_as_of="2026-11-24")
    assert assess.CLOCK_WENT_BACK in assess.report(scan, (), assess.coverage(()), known).coverage.warnings
    fine = replace(scan, finished="2026-11-24T02:00:01Z")
    assert assess.report(fine, (), assess.coverage(()), known).coverage.warnings == ()


def test_verdicts_that_are_remembered_are_those_of_each_device(corpus: tuple[Recording, ...], today: datetime.date) -> None:
    known = knowledge.load()
    law = assess.Law(("us-federal-contractor",), today)
    some = corpus[::9]

    together = assess.assess(some, known, profiles=law.profiles, as_of=law.as_of)
    assert [d.verdicts for d in together] == [assess.device(recording, known, law).verdicts for recording in some]
