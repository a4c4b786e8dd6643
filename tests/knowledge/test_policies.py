"""Measures: dates, names, what is from memory, and the ones that ship."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from scanner.errors import RulesProblem
from scanner.knowledge import policies
from scanner.knowledge.policies import Policies
from scanner.model import Effect
from scanner.resources import data_dir

D = datetime.date


@pytest.fixture(scope="module")
def measures() -> Policies:
    return policies.load([data_dir("rules")])


BASE = {
    "id": "m",
    "title": "M",
    "jurisdiction": "X",
    "authority": "someone",
    "citation": "c 1",
    "effect": "use_banned",
    "binds": "[private]",
    "in_force": "2020-01-01",
    "as_of": "2026-01-01",
    "source": "https://example.org",
    "confidence": "high",
    "verified": "true",
}


def write(folder: Path, name: str = "m.yaml", **changes: str) -> Path:
    fields = {**BASE, **changes}
    (folder / "policies").mkdir(exist_ok=True)
    text = "".join(f"{key}: {value}\n" for key, value in fields.items() if value != "-")
    (folder / "policies" / name).write_text(text, encoding="utf-8")
    return folder


SHIPPED = {
    "us-889-a1a": Effect.PROCUREMENT_BANNED,
    "us-889-a1b": Effect.USE_BANNED,
    "us-889-b": Effect.PROCUREMENT_BANNED,
    "us-fcc-covered-named": Effect.AUTHORISATION_BANNED,
    "us-fcc-covered-import": Effect.IMPORT_MARKETING_BANNED,
    "us-fcc-covered-subsidy": Effect.PROCUREMENT_BANNED,
    "us-fcc-covered-category": Effect.AUTHORISATION_BANNED,
    "us-bis-entity-list": Effect.EXPORT_ONLY,
    "us-1260h": Effect.DESIGNATION_ONLY,
    "us-805": Effect.PROCUREMENT_BANNED,
    "us-5949": Effect.COMPONENT_PROCUREMENT,
    "us-ns-cmic": Effect.INVESTMENT_ONLY,
    "us-la-39-1753-1": Effect.PROCUREMENT_BANNED,
    "us-tx-prohibited": Effect.USE_BANNED,
    "uk-sensitive-sites": Effect.REMOVAL_ORDERED,
    "uk-huawei-dvd": Effect.USE_BANNED,
    "uk-huawei-dvd-core": Effect.USE_BANNED,
    "ca-hikvision-2025": Effect.USE_BANNED,
    "ca-hikvision-2025-business": Effect.BUSINESS_BANNED,
    "au-commonwealth-2023": Effect.REMOVAL_ORDERED,
    "de-5g-2026-2029": Effect.USE_BANNED,
    "in-stqc": Effect.CERTIFICATION_GATE,
    "tw-prc-ict": Effect.USE_BANNED,
    "eu-csa2": Effect.PROPOSED,
}


def test_what_ships(measures: Policies) -> None:
    assert {name: policy.effect for name, policy in measures.items()} == SHIPPED
    for policy in measures.values():
        assert policy.sources
        assert policy.binds
        assert policy.as_of <= D(2026, 11, 24)
        assert policy.in_force is not None or policy.open_points or policy.effect is Effect.PROPOSED


def test_section_889_names_the_five(measures: Policies) -> None:
    for name in ("us-889-a1a", "us-889-a1b", "us-889-b"):
        policy = measures[name]
        assert {listed.entity for listed in policy.entities} == {"huawei", "zte", "hytera", "hikvision", "dahua"}
        assert policy.affiliates is True
        limited = {listed.entity for listed in policy.entities if listed.purpose}
        assert limited == {"hytera", "hikvision", "dahua"}, "Huawei and ZTE: all telecommunications equipment"
        assert len(policy.exemptions) == 2


BIS = {
    D(2019, 5, 21): {"huawei"},
    D(2019, 10, 9): {"dahua", "hikvision", "iflytek", "megvii", "sensetime", "meiya-pico", "yitu", "yixin"},
    D(2020, 6, 5): {
        *("mps-forensic-institute", "aksu-huafu", "cloudwalk", "fiberhome", "fiberhome-starrysky", "netposa"),
        *("sensenets", "intellifusion", "isvision"),
    },
    D(2020, 12, 22): {"dji"},
    D(2022, 12, 16): {"tiandy"},
    D(2023, 3, 2): {"inspur"},
    D(2023, 3, 28): {
        *("luopu-haishi-dingxin", "moyu-haishi", "pishan-haishi-yongan", "urumqi-haishi-xinan"),
        "yutian-haishi-meitian",
    },
    D(2024, 12, 10): {"uniview"},
}


@pytest.mark.parametrize(("day", "names"), list(BIS.items()))
def test_the_entity_list_by_day(measures: Policies, day: datetime.date, names: set[str]) -> None:
    policy = measures["us-bis-entity-list"]
    new = {listed.entity for listed in policy.entities if listed.since == day}
    assert names <= new
    assert not names & {x.entity for x in policy.entities if policy.lists(x, day - datetime.timedelta(days=1))}


def test_who_is_not_on_a_list(measures: Policies) -> None:
    named = {name: {listed.entity for listed in policy.entities} for name, policy in measures.items()}
    assert not {"zte", "hytera", "tp-link-technologies"} & named["us-bis-entity-list"]
    assert not {"zte", "hytera", "uniview", "tiandy", "fiberhome", "tp-link-systems"} & named["us-1260h"]
    assert not {"uniview", "tiandy"} & (named["us-889-a1b"] | named["us-fcc-covered-named"])


def test_sec_805_goes_by_the_1260h_list(measures: Policies) -> None:
    assert measures["us-805"].entities == measures["us-1260h"].entities
    assert measures["us-805"].next_dates[0].date == D(2027, 6, 30)


def test_dates_to_warn_about(measures: Policies) -> None:
    dates = {d.date for policy in measures.values() for d in policy.next_dates}
    assert {
        *(D(2026, 12, 31), D(2027, 3, 1), D(2027, 6, 30), D(2027, 12, 23), D(2027, 12, 31), D(2028, 1, 1)),
        D(2026, 11, 10),
    } <= dates


@pytest.mark.parametrize(
    ("on", "reaches", "certain"),
    [
        (D(2024, 1, 1), False, None),
        (D(2025, 10, 1), True, True),
        (D(2025, 11, 10), False, None),
        (D(2026, 11, 9), False, None),
        (D(2026, 11, 10), True, False),
    ],
)
def test_the_affiliates_rule(measures: Policies, on: datetime.date, reaches: bool, certain: bool | None) -> None:
    span = measures["us-bis-entity-list"].reaches_affiliates(on)
    assert (span is not None) is reaches
    assert span is None or span.certain is certain


def test_begun_and_listed(tmp_path: Path) -> None:
    names = "[{name: A, entity: axis, since: 2020-02-01, until: 2021-02-01}]"
    policy = policies.load(
        [write(tmp_path, entities=names, enacted="2019-01-01", expires="2022-01-01")]
    )["m"]
    assert [policy.begun(D(y, 1, 1)) for y in (2018, 2019, 2021, 2022)] == [False, True, True, False]
    listed = policy.entities[0]
    days = (D(2020, 1, 31), D(2020, 2, 1), D(2021, 1, 31), D(2021, 2, 1))
    assert [policy.lists(listed, day) for day in days] == [False, True, True, False]


def test_an_overlay_replaces_and_adds(tmp_path: Path) -> None:
    write(tmp_path, id="us-889-b", title="ours")
    write(tmp_path, "n.yaml", id="new")
    found = policies.load([data_dir("rules"), tmp_path])
    assert found["us-889-b"].title == "ours"
    assert len(found) == len(SHIPPED) + 1


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"effect": "sad"}, ("m.yaml", "'m'", "effect")),
        ({"verified": "false"}, ("m.yaml", "'m'", "unverified")),
        ({"verified": "false", "citation": "null"}, ("unverified",)),
        ({"in_force": "-"}, ("in_force",)),
        ({"in_force": "soon"}, ("in_force",)),
        ({"enacted": "2021-01-01"}, ("lies after",)),
        ({"expires": "2019-01-01"}, ("expires",)),
        ({"source": "[]"}, ("source",)),
        ({"purpose_limited": "true"}, ("purpose",)),
        ({"colour": "red"}, ("colour",)),
        ({"id": "M x"}, ("no id",)),
        ({"entities": "[{name: A, entity: a, vendor: b}]"}, ("not both",)),
        ({"entities": "[{name: A, since: 2021-01-01, until: 2020-01-01}]"}, ("does not lie before",)),
        ({"entities": "[{name: A}]", "entities_of": "x"}, ("not both",)),
        ({"entities_of": "nothing"}, ("nothing",)),
    ],
)
def test_broken_files_name_file_entry_key_and_reason(
    tmp_path: Path, changes: dict[str, str], parts: tuple[str, ...]
) -> None:
    with pytest.raises(RulesProblem) as caught:
        policies.load([write(tmp_path, **changes)])
    for part in parts:
        assert part in str(caught.value)


def test_one_id_twice(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(RulesProblem, match="already"):
        policies.load([write(tmp_path, "other.yaml")])
