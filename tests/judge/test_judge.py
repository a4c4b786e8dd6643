"""From identity to verdicts, as a user meets them."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from scanner import knowledge as knowledge_
from scanner.errors import UsageProblem
from scanner.judge import judge
from scanner.knowledge import Knowledge
from scanner.model import ACTION_ORDER, Action, Identity, Level, Verdict

TODAY = datetime.date(2026, 11, 24)
CONTRACTOR = ("us-federal-contractor",)


@pytest.fixture(scope="module")
def rules() -> Knowledge:
    return knowledge_.load()


def run(
    rules: Knowledge,
    manufacturer: str | None,
    level: Level = Level.CONFIRMED,
    *,
    brand: str | None = None,
    kind: str | None = None,
    profiles: tuple[str, ...] = CONTRACTOR,
    on: datetime.date = TODAY,
) -> dict[str, Verdict]:
    identity = Identity(manufacturer=manufacturer, brand=brand, kind=kind, level=level, confidence=0.9)
    return {v.policy: v for v in judge(identity, rules, profiles=profiles, as_of=on)}


NAMED_BY_889 = ["hikvision", "dahua", "huawei", "zte", "hytera"]


@pytest.mark.parametrize("manufacturer", NAMED_BY_889)
def test_section_889_for_a_contractor(rules: Knowledge, manufacturer: str) -> None:
    confirmed = run(rules, manufacturer)["us-889-a1b"]
    assert (confirmed.action, confirmed.binds_you) == (Action.REMOVE, True)
    assert confirmed.citation is not None
    assert "Sec. 889(a)(1)(B)" in confirmed.citation
    assert run(rules, manufacturer, Level.LIKELY)["us-889-a1b"].action is Action.INVESTIGATE
    assert run(rules, manufacturer, Level.POSSIBLE)["us-889-a1b"].action is Action.INVESTIGATE
    assert run(rules, manufacturer, Level.UNKNOWN) == {}


@pytest.mark.parametrize(
    ("on", "part_a", "part_b"),
    [
        (datetime.date(2018, 8, 12), None, None),
        (datetime.date(2018, 8, 13), Action.PLAN, Action.PLAN),
        (datetime.date(2019, 8, 13), Action.DO_NOT_BUY, Action.PLAN),
        (datetime.date(2020, 8, 12), Action.DO_NOT_BUY, Action.PLAN),
        (datetime.date(2020, 8, 13), Action.DO_NOT_BUY, Action.REMOVE),
    ],
)
def test_the_law_of_a_day(
    rules: Knowledge, on: datetime.date, part_a: Action | None, part_b: Action | None
) -> None:
    found = run(rules, "dahua", profiles=("us-federal-agency", "us-federal-contractor"), on=on)
    assert (found["us-889-a1a"].action if "us-889-a1a" in found else None) is part_a
    assert (found["us-889-a1b"].action if "us-889-a1b" in found else None) is part_b


def test_nothing_is_listed_before_its_day(rules: Knowledge) -> None:
    assert "us-bis-entity-list" not in run(rules, "uniview", on=datetime.date(2024, 12, 9))
    assert "us-bis-entity-list" in run(rules, "uniview", on=datetime.date(2024, 12, 10))
    before = run(rules, "tp-link", profiles=("us-dod",), on=datetime.date(2026, 6, 7))
    assert before.keys() == {"us-tx-prohibited", "tw-prc-ict"}


@pytest.mark.parametrize("manufacturer", ["uniview", "tiandy", "fiberhome", "cloudwalk", "iflytek", "intellifusion"])
def test_an_export_list_is_a_note_for_everybody(rules: Knowledge, manufacturer: str) -> None:
    for profiles in ((), CONTRACTOR, ("us-exporter",), tuple(rules.profiles)):
        verdict = run(rules, manufacturer, profiles=profiles)["us-bis-entity-list"]
        assert verdict.action is Action.NOTE


def test_without_a_profile_every_action_is_a_note(rules: Knowledge) -> None:
    for group in rules.vendors.groups:
        for verdict in run(rules, group, profiles=()).values():
            assert verdict.action is Action.NOTE
            assert verdict.binds_you is None


def test_a_private_owner_is_asked_for_nothing(rules: Knowledge) -> None:
    for group in rules.vendors.groups:
        for verdict in run(rules, group, profiles=("private",)).values():
            assert verdict.action is Action.NOTE
            assert verdict.binds_you is False


INNOCENT = [
    *("axis", "hanwha", "bosch", "vivotek", "reolink", "ubiquiti", "tvt", "xiongmai", "kedacom", "h3c", "honor"),
    *("xfusion", "sepura", "shanghai-dahua-scale", "beijing-huawoo", "zhejiang-hikailink", "hikeen", "zildjian"),
    *("ztec-instruments", "jorex-lorex-india", "hikari-trading", "hochiki", "aztech", "microsemi", "raysharp"),
    *("lenovo", "hisilicon"),
]


@pytest.mark.parametrize("manufacturer", INNOCENT)
def test_makers_that_no_measure_names(rules: Knowledge, manufacturer: str) -> None:
    assert rules.vendors.group(manufacturer) is not None
    found = run(rules, manufacturer)
    if manufacturer == "hisilicon":  # a subsidiary of Huawei, from memory: never more than a closer look
        assert all(v.action in {Action.NOTE, Action.INVESTIGATE} for v in found.values())
    else:
        assert found == {}


@pytest.mark.parametrize("manufacturer", [None, "software", "no-such-maker", "unknown"])
def test_nobody_gets_no_verdict(rules: Knowledge, manufacturer: str | None) -> None:
    assert run(rules, manufacturer) == {}


def test_a_label_alone_is_no_maker(rules: Knowledge) -> None:
    assert run(rules, None, brand="lorex") == {}
    assert run(rules, "axis", brand="lorex") == {}


@pytest.mark.parametrize(
    ("profile", "manufacturer", "policy", "action"),
    [
        ("us-federal-agency", "huawei", "us-889-a1a", Action.DO_NOT_BUY),
        ("us-grant-recipient", "zte", "us-889-b", Action.DO_NOT_BUY),
        ("us-fcc-carrier", "huawei", "us-fcc-covered-subsidy", Action.DO_NOT_BUY),
        ("us-importer-seller", "hytera", "us-fcc-covered-named", Action.DO_NOT_BUY),
        ("us-importer-seller", "dji", "us-fcc-covered-named", Action.DO_NOT_BUY),
        ("us-dod", "hikvision", "us-805", Action.DO_NOT_BUY),
        ("us-dod", "hikvision", "us-1260h", Action.NOTE),
        ("us-dod", "tp-link", "us-805", Action.INVESTIGATE),
        ("us-texas-state", "uniview", "us-tx-prohibited", Action.REMOVE),
        ("us-texas-state", "tp-link", "us-tx-prohibited", Action.REMOVE),
        ("us-texas-state", "hikvision", "us-tx-prohibited", Action.INVESTIGATE),
        ("us-louisiana-public", "dahua", "us-la-39-1753-1", Action.DO_NOT_BUY),
        ("canada-federal", "hikvision", "ca-hikvision-2025", Action.REMOVE),
        ("canada-business", "hikvision", "ca-hikvision-2025-business", Action.NOTE),
        ("australia-commonwealth", "dahua", "au-commonwealth-2023", Action.REMOVE),
        ("germany-5g-operator", "zte", "de-5g-2026-2029", Action.PLAN),
        ("uk-5g-operator", "huawei", "uk-huawei-dvd", Action.PLAN),
        ("uk-5g-operator", "huawei", "uk-huawei-dvd-core", Action.REMOVE),
        ("taiwan-public", "tp-link", "tw-prc-ict", Action.REMOVE),
        ("us-investor", "hikvision", "us-ns-cmic", Action.NOTE),
    ],
)
def test_each_measure_binds_its_own(
    rules: Knowledge, profile: str, manufacturer: str, policy: str, action: Action
) -> None:
    verdict = run(rules, manufacturer, profiles=(profile,))[policy]
    assert (verdict.action, verdict.binds_you) == (action, True)
    other = run(rules, manufacturer, profiles=("private",)).get(policy)
    assert other is None or other.action is Action.NOTE


def test_surveillance_on_british_sites(rules: Knowledge) -> None:
    camera = run(rules, "hikvision", kind="camera", profiles=("uk-government",))
    assert camera["uk-sensitive-sites"].action is Action.REMOVE
    assert "uk-sensitive-sites" not in run(rules, "axis", kind="camera", profiles=("uk-government",))
    assert "uk-sensitive-sites" not in run(rules, "huawei", kind="router", profiles=("uk-government",))
    assert "uk-sensitive-sites" not in run(rules, "hikvision", kind="camera"), "names nobody: only for those it binds"


def test_several_profiles(rules: Knowledge) -> None:
    found = run(rules, "dahua", profiles=("us-louisiana-public", "us-federal-contractor"))
    assert found["us-889-a1b"].action is Action.REMOVE
    assert found["us-la-39-1753-1"].action is Action.DO_NOT_BUY


def test_strictest_first(rules: Knowledge) -> None:
    identity = Identity(manufacturer="hikvision", level=Level.CONFIRMED)
    actions = [v.action for v in judge(identity, rules, profiles=tuple(rules.profiles), as_of=TODAY)]
    ranks = [ACTION_ORDER.index(a) for a in actions]
    assert ranks == sorted(ranks, reverse=True)
    assert actions[0] is Action.REMOVE


def test_an_unknown_profile_names_near_ones(rules: Knowledge) -> None:
    with pytest.raises(UsageProblem, match="us-federal-contractor"):
        run(rules, "axis", profiles=("us-federal-contracter",))


def test_every_verdict_can_be_followed(rules: Knowledge) -> None:
    for group in rules.vendors.groups:
        for verdict in run(rules, group).values():
            assert verdict.path[-1].startswith(rules.vendors.groups[group].title) or "→" in verdict.path[-1]
            assert verdict.entity
            assert verdict.source
            assert verdict.as_of == "2026-11-22"
            assert verdict.in_force is None or datetime.date.fromisoformat(verdict.in_force)


def test_an_overlay_replaces_a_measure(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "mine.yaml").write_text(
        "id: us-889-a1b\ntitle: ours\njurisdiction: X\nauthority: us\ncitation: house rule 1\neffect: removal_ordered\n"
        "binds: [private]\nentities: [{name: Axis, entity: axis}]\nin_force: 2020-01-01\nas_of: 2026-01-01\n"
        "source: https://example.org\nconfidence: high\nverified: true\n"
    )
    rules = knowledge_.load([tmp_path])
    assert run(rules, "axis", profiles=("private",))["us-889-a1b"].action is Action.REMOVE
    assert "us-889-a1b" not in run(rules, "hikvision")


def test_origin_is_doubted_where_companies_of_two_countries_cannot_be_told_apart(rules: Knowledge) -> None:
    """TP-Link Systems Inc. has its seat in the USA, and the statement goes by the law of the maker's seat."""
    verdict = run(rules, "tp-link", brand="tapo", kind="camera", profiles=("uk-government",))["uk-sensitive-sites"]
    assert verdict.action is Action.INVESTIGATE
    assert "TP-Link Systems Inc. (US)" in verdict.because
    assert any("TP-Link Technologies Co., Ltd. → has its seat in CN" in step for step in verdict.path)
    sure = run(rules, "hikvision", brand="ezviz", kind="camera", profiles=("uk-government",))["uk-sensitive-sites"]
    assert sure.action is Action.REMOVE


def test_the_department_of_defense_is_bound_as_an_executive_agency(rules: Knowledge) -> None:
    for maker in NAMED_BY_889:
        assert run(rules, maker, profiles=("us-dod",))["us-889-a1a"].action is Action.DO_NOT_BUY


@pytest.mark.parametrize("maker", ["hikvision", "dahua", "hytera"])
def test_a_purpose_limits_the_rule_and_not_what_the_rule_leaves_free(rules: Knowledge, maker: str) -> None:
    for policy, verdict in run(rules, maker, kind="camera", profiles=tuple(rules.profiles)).items():
        parts = verdict.because.split("; ")
        for part in parts:
            assert "for the purpose of" not in part or "may be used" not in part, (policy, verdict.because)
    said = run(rules, maker, kind="camera", profiles=("us-importer-seller",))["us-fcc-covered-named"].because
    assert "; units already bought may be used; " in said
    assert "gets no authorisation for new equipment of it, for the purpose of public safety" in said
