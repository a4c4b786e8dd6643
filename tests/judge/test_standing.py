"""Whether and how a measure names a maker: itself, through relations by date, by origin, or not at all."""

from __future__ import annotations

import datetime

import pytest

from scanner import knowledge as knowledge_
from scanner.judge.standing import Maker, Standing, maker, standing
from scanner.knowledge import Knowledge
from scanner.knowledge.policies import Policy
from scanner.model import Effect, Identity, Level

TODAY = datetime.date(2026, 11, 24)


@pytest.fixture(scope="module")
def rules() -> Knowledge:
    return knowledge_.load()


def made(rules: Knowledge, manufacturer: str, brand: str | None = None) -> Maker:
    found = maker(Identity(manufacturer=manufacturer, brand=brand, level=Level.CONFIRMED), rules)
    assert found is not None
    return found


def policy(rules: Knowledge, name: str) -> Policy:
    return rules.policies[name]


def hold(
    rules: Knowledge,
    name: str,
    manufacturer: str,
    brand: str | None = None,
    kind: str | None = None,
    on: datetime.date = TODAY,
) -> Standing | None:
    return standing(policy(rules, name), made(rules, manufacturer, brand), kind, rules, on)


def test_the_label_of_a_subsidiary_names_the_subsidiary(rules: Knowledge) -> None:
    assert made(rules, "hikvision", "ezviz").entity.id == "ezviz"
    assert made(rules, "dahua", "imou").entity.id == "imou"
    assert made(rules, "hikvision", "ezviz").label is None


@pytest.mark.parametrize("brand", ["lorex", "amcrest", "honeywell", "bcs"])
def test_a_foreign_label_keeps_the_maker(rules: Knowledge, brand: str) -> None:
    found = made(rules, "dahua", brand)
    assert found.entity.id == "dahua"
    assert found.label


@pytest.mark.parametrize("manufacturer", [None, "nobody-knows", "software"])
def test_an_unknown_maker_has_no_standing(rules: Knowledge, manufacturer: str | None) -> None:
    assert maker(Identity(manufacturer=manufacturer, level=Level.CONFIRMED), rules) is None


def test_itself(rules: Knowledge) -> None:
    held = hold(rules, "us-889-a1b", "hikvision")
    assert held is not None
    assert held.listed == "Hangzhou Hikvision Digital Technology Company"
    assert held.path == ('Hikvision → listed as "Hangzhou Hikvision Digital Technology Company" (since 2018-08-13)',)
    assert not held.doubts
    assert "public safety" in (held.purpose or "")


def test_through_its_parent(rules: Knowledge) -> None:
    held = hold(rules, "us-889-a1b", "hikvision", "ezviz")
    assert held is not None
    assert held.path[0].startswith("EZVIZ → subsidiary of Hikvision (")
    assert not held.doubts


def test_the_label_is_the_first_step(rules: Knowledge) -> None:
    held = hold(rules, "us-889-a1b", "dahua", "lorex")
    assert held is not None
    assert held.path[0] == "Lorex → label on hardware made by Dahua"


@pytest.mark.parametrize(
    ("manufacturer", "on", "is_named"),
    [
        ("sepura", datetime.date(2020, 1, 1), True),
        ("sepura", datetime.date(2023, 1, 1), False),
        ("lorex", datetime.date(2019, 1, 1), True),
        ("lorex", datetime.date(2022, 11, 15), True),
        ("lorex", datetime.date(2023, 1, 1), False),
        ("luminys", datetime.date(2023, 6, 1), True),
        ("luminys", datetime.date(2024, 2, 1), False),
        ("honor", datetime.date(2019, 6, 1), True),
        ("honor", datetime.date(2021, 1, 1), False),
        ("xfusion", TODAY, False),
        ("h3c", TODAY, False),
        ("uniview", TODAY, False),
        ("tiandy", TODAY, False),
    ],
)
def test_affiliates_follow_the_graph_by_date(
    rules: Knowledge, manufacturer: str, on: datetime.date, is_named: bool
) -> None:
    assert (hold(rules, "us-889-a1b", manufacturer, on=on) is not None) is is_named


def test_a_relation_outside_the_group_from_memory_is_a_doubt(rules: Knowledge) -> None:
    held = hold(rules, "us-889-a1b", "pyronix")
    assert held is not None
    assert any("not verified" in doubt for doubt in held.doubts)


def test_a_measure_without_affiliates_clause_stops_at_the_name(rules: Knowledge) -> None:
    assert hold(rules, "au-commonwealth-2023", "pyronix") is None
    held = hold(rules, "au-commonwealth-2023", "hikvision", "ezviz")
    assert held is not None, "the device is by the group that is named"
    assert held.doubts


def test_the_affiliates_rule_of_the_entity_list_by_date(rules: Knowledge) -> None:
    clear = hold(rules, "us-bis-entity-list", "hikvision", "ezviz", on=datetime.date(2025, 10, 15))
    suspended = hold(rules, "us-bis-entity-list", "hikvision", "ezviz", on=datetime.date(2026, 3, 1))
    unsure = hold(rules, "us-bis-entity-list", "hikvision", "ezviz", on=TODAY)
    assert clear is not None
    assert not clear.doubts
    assert suspended is not None
    assert suspended.doubts
    assert unsure is not None
    assert any("status not known after" in text for text in unsure.remarks)


@pytest.mark.parametrize("brand", [None, "tp-link", "tapo", "mercury", "vigi"])
def test_companies_that_cannot_be_told_apart(rules: Knowledge, brand: str | None) -> None:
    held = hold(rules, "us-805", "tp-link", brand)
    assert held is not None
    assert "TP-Link Technologies Co., Ltd. only" in held.doubts[0]
    assert "TP-Link Systems Inc." in held.doubts[0]
    named = hold(rules, "us-tx-prohibited", "tp-link", brand)
    assert named is not None, "Texas names the label, so that both companies are meant"
    assert not named.doubts


@pytest.mark.parametrize("manufacturer", ["aksu-huafu", "mps-forensic-institute", "china-mobile", "pacific-networks"])
def test_who_makes_no_hardware_never_matches(rules: Knowledge, manufacturer: str) -> None:
    assert all(hold(rules, name, manufacturer) is None for name in rules.policies)


@pytest.mark.parametrize(
    ("kind", "is_named", "doubtful"), [("camera", True, False), (None, True, True), ("router", False, False)]
)
def test_kinds(rules: Knowledge, kind: str | None, is_named: bool, doubtful: bool) -> None:
    held = hold(rules, "uk-sensitive-sites", "dahua", kind=kind)
    assert (held is not None) is is_named
    assert held is None or bool(held.doubts) is doubtful


def test_by_origin(rules: Knowledge) -> None:
    held = hold(rules, "tw-prc-ict", "reolink")
    assert held is not None
    assert held.by_origin
    assert hold(rules, "tw-prc-ict", "axis") is None
    assert hold(rules, "tw-prc-ict", "hikvision").by_origin is False  # type: ignore[union-attr]
    labelled = hold(rules, "tw-prc-ict", "dahua", "amcrest")
    assert labelled is not None
    assert labelled.doubts, "where the label comes from is what counts there"


def test_a_listing_from_memory_is_a_doubt_and_has_no_citation(rules: Knowledge) -> None:
    held = hold(rules, "us-tx-prohibited", "hikvision")
    assert held is not None
    assert held.from_memory
    assert held.citation is None
    assert held.doubts


def test_the_end_of_a_listing(rules: Knowledge) -> None:
    assert hold(rules, "us-1260h", "megvii", on=datetime.date(2024, 6, 1)) is not None
    assert hold(rules, "us-1260h", "megvii", on=datetime.date(2025, 1, 7)) is None


def test_a_holding_does_not_stand_in_the_way_of_its_company(rules: Knowledge) -> None:
    held = hold(rules, "us-1260h", "huawei")
    assert held is not None
    assert held.listed == "Huawei Technologies Co., Ltd."


def test_a_measure_that_names_nobody_holds_nobody(rules: Knowledge) -> None:
    for name in ("us-fcc-covered-category", "in-stqc", "eu-csa2", "us-5949"):
        assert all(hold(rules, name, m) is None for m in ("hikvision", "tp-link", "axis", "reolink"))
        assert policy(rules, name).effect in Effect
