from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ([(S, "http"), (H, "rtsp")], Level.LIKELY),
        ([(S, "http"), (SH, "rtsp")], Level.LIKELY),
        ([(E, "http"), (SH, "rtsp")], Level.CONFIRMED),
        ([(S, "http"), (SH, "oui")], Level.CONFIRMED),
        ([(SH, "http"), (SH, "oui")], Level.POSSIBLE),
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
        ],
        suppliers={"flir": frozenset({"dahua"})},
    )
    assert (found.manufacturer, found.brand, found.level) == ("dahua", "lorex", Level.CONFIRMED)
    assert [m.manufacturer for m in found.conflicts] == ["flir"]
    assert any("flir" in note for note in found.notes)


def test_another_maker_vetoes_weak_signals() -> None:
    found = fuse([match("hikvision", SH, "rtsp"), match("anjvision", E, "http")])
    assert found.manufacturer == "anjvision"
    assert found.level is Level.LIKELY


def test_copies_in_many_families_do_not_outweigh_one_positive_identification() -> None:
    families = ("http", "rtsp", "tls", "upnp", "snmp")
    found = fuse([match("anjvision", E, "onvif"), *(match("hikvision", SH, f) for f in families)])
    assert (found.manufacturer, found.level) == ("anjvision", Level.LIKELY)
    assert len(found.conflicts) == len(families)


@pytest.mark.parametrize(
    ("heard", "level"),
    [
        ([(S, "http")], Level.POSSIBLE),  # one strong sign on hardware registered to a company that builds its own
        ([(S, "http"), (S, "rtsp")], Level.LIKELY),
        ([(E, "http")], Level.LIKELY),
        ([(E, "dhip"), (E, "rtsp")], Level.LIKELY),  # never confirmed against the registry
        ([(SH, "http"), (SH, "rtsp")], Level.LIKELY),  # the registry wins
    ],
)
def test_a_strangers_prefix_is_a_contradiction(heard: list[tuple[Grade, str]], level: Level) -> None:
    found = fuse([match("hikvision", g, f) for g, f in heard] + [match("axis", S, "oui")])
    assert found.level is level
    assert found.manufacturer == ("axis" if heard[0][0] is SH else "hikvision")


def test_a_sellers_prefix_is_none() -> None:
    suppliers = {"trendnet": frozenset({"hikvision"})}
    heard = [match("hikvision", S, "http"), match("trendnet", S, "oui")]
    assert fuse(heard, suppliers=suppliers).level is Level.LIKELY
    heard.append(match("hikvision", E, "onvif"))
    assert fuse(heard, suppliers=suppliers).level is Level.CONFIRMED


def test_nobody_is_confirmed_while_another_maker_speaks_too() -> None:
    found = fuse([match("hikvision", E, "sadp"), match("hikvision", E, "onvif"), match("axis", E, "http")])
    assert (found.manufacturer, found.level) == ("hikvision", Level.LIKELY)
    assert [m.manufacturer for m in found.conflicts] == ["axis"]


def test_two_strong_claims_contradict_each_other() -> None:
    found = fuse([match("hikvision", E, "onvif"), match("axis", E, "http")])
    assert found.level not in {Level.LIKELY, Level.CONFIRMED}


def test_software_makes_no_hardware_claim() -> None:
    found = fuse([match("dahua", E, "rtsp"), match(None, S, "http", brand="frigate")], software=True)
    assert found.manufacturer is None
    assert found.level is Level.UNKNOWN
    assert any("behind" in note for note in found.notes)


def test_behind_software_only_the_machines_own_words_count() -> None:
    page, prefix = match("dahua", E, "http"), match("dahua", S, "oui")
    assert fuse([prefix], software=True).level is Level.LIKELY
    assert fuse([prefix, page], software=True).level is Level.LIKELY
    many = [match("dahua", E, f) for f in ("http", "rtsp", "onvif", "tls", "sip")]
    assert fuse(many, software=True).level is Level.UNKNOWN
    assert fuse([match("dahua", E, "dhip")], software=True).level is Level.LIKELY


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(list(Grade)), st.sampled_from("htosx"))))
def test_more_evidence_for_the_leader_never_lowers_it(heard: list[tuple[str, Grade, str]]) -> None:
    before = fuse([match(m, g, f) for m, g, f in heard])
    if before.manufacturer is not None:
        after = fuse([match(m, g, f) for m, g, f in heard] + [match(before.manufacturer, S, "new")])
        assert after.manufacturer == before.manufacturer
        assert after.confidence >= before.confidence


def test_the_best_match_tells_the_fields() -> None:
    found = fuse([match("axis", H, "http", model="worse"), match("axis", E, "upnp", model="M1065-LW", brand="axis")])
    assert (found.model, found.brand) == ("M1065-LW", "axis")
    assert found.matches[0].grade is E


def test_nothing_is_unknown() -> None:
    found = fuse([])
    assert (found.manufacturer, found.level, found.confidence) == (None, Level.UNKNOWN, 0.0)
