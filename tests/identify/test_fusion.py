from __future__ import annotations

import itertools

import pytest

from scanner.identify.fusion import fuse
from scanner.model import Grade, Level, Match

E, S, SH, H = Grade.EXCLUSIVE, Grade.STRONG, Grade.SHARED, Grade.HINT


def match(
    maker: str | None, grade: Grade, family: str, *, brand: str | None = None, model: str | None = None, id_: str = ""
) -> Match:
    return Match(
        fingerprint=id_ or f"{maker}-{family}-{grade}",
        grade=grade,
        family=family,
        readings=(),
        manufacturer=maker,
        brand=brand,
        model=model,
    )


@pytest.mark.parametrize(
    ("evidence", "level"),
    [
        ([(E, "http")], Level.LIKELY),
        ([(S, "http")], Level.LIKELY),
        ([(SH, "http")], Level.POSSIBLE),
        ([(H, "http")], Level.UNKNOWN),
        ([(E, "http"), (E, "http"), (S, "http")], Level.LIKELY),
        ([(E, "http"), (S, "oui")], Level.CONFIRMED),
        ([(S, "http"), (S, "rtsp")], Level.CONFIRMED),
        ([(H, "http"), (H, "rtsp")], Level.UNKNOWN),
    ],
)
def test_grades_and_families_give_levels(evidence: list[tuple[Grade, str]], level: Level) -> None:
    found = fuse([match("dahua", g, f) for g, f in evidence])
    assert found.level is level
    assert found.manufacturer == (None if level is Level.UNKNOWN else "dahua")


def test_copycat_bundles_never_reach_likely() -> None:
    families = ("http", "rtsp", "onvif", "tls", "upnp", "snmp", "favicon", "banner")
    for grades in itertools.product([SH, H], repeat=4):
        many = [match("hikvision", g, f) for g, f in zip(grades * 2, families, strict=True)]
        assert fuse(many).level in {Level.POSSIBLE, Level.UNKNOWN}


def test_a_white_label_keeps_its_maker_and_its_label() -> None:
    found = fuse(
        [
            match("dahua", E, "dhip", brand="lorex"),
            match("dahua", E, "rtsp"),
            match("flir", S, "oui"),
        ]
    )
    assert (found.manufacturer, found.brand, found.level) == ("dahua", "lorex", Level.CONFIRMED)
    assert [m.manufacturer for m in found.conflicts] == ["flir"]
    assert any("flir" in note for note in found.notes)


def test_another_maker_vetoes_weak_signals() -> None:
    found = fuse([match("hikvision", SH, "rtsp"), match("anjvision", E, "http")])
    assert found.manufacturer == "anjvision"
    assert found.level is Level.LIKELY


def test_two_strong_claims_contradict_each_other() -> None:
    found = fuse([match("hikvision", E, "onvif"), match("axis", E, "http")])
    assert found.level not in {Level.LIKELY, Level.CONFIRMED}


def test_software_makes_no_hardware_claim() -> None:
    found = fuse([match("dahua", E, "rtsp"), match(None, S, "http", brand="frigate")], software=True)
    assert found.manufacturer is None
    assert found.level is Level.UNKNOWN
    assert any("behind" in note for note in found.notes)


def test_the_best_match_tells_the_fields() -> None:
    found = fuse([match("axis", H, "http", model="worse"), match("axis", E, "upnp", model="M1065-LW", brand="axis")])
    assert (found.model, found.brand) == ("M1065-LW", "axis")
    assert found.matches[0].grade is E


def test_nothing_is_unknown() -> None:
    found = fuse([])
    assert (found.manufacturer, found.level, found.confidence) == (None, Level.UNKNOWN, 0.0)
