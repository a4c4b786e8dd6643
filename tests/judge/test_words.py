"""The words of verdicts: careful, complete, and never those of a judge."""

from __future__ import annotations

import datetime
import re

import pytest

from scanner import knowledge as knowledge_
from scanner.judge import judge
from scanner.knowledge import Knowledge
from scanner.model import Action, Effect, Identity, Level, Verdict

TODAY = datetime.date(2026, 11, 24)
JUDGEMENT = re.compile(r"\b(violat\w*|illegal\w*|unlawful\w*|(?:non-?)?complian\w*|complies|guilty)\b", re.IGNORECASE)
A_BAN = re.compile(r"\b(ban|bans|banned|prohibited|forbidden|must not|may not use|may not buy|remove)\b", re.IGNORECASE)
HARMLESS = {Effect.EXPORT_ONLY, Effect.INVESTMENT_ONLY, Effect.DESIGNATION_ONLY}


@pytest.fixture(scope="module")
def rules() -> Knowledge:
    return knowledge_.load()


def text(verdict: Verdict) -> str:
    return " ".join([verdict.because, verdict.title, verdict.entity, *verdict.path, verdict.citation or ""])


def of(rules: Knowledge, manufacturer: str, level: Level, *profiles: str, brand: str | None = None) -> list[Verdict]:
    identity = Identity(manufacturer=manufacturer, brand=brand, level=level, confidence=0.9)
    return list(judge(identity, rules, profiles=profiles, as_of=TODAY))


def one(verdicts: list[Verdict], policy: str) -> Verdict:
    return next(v for v in verdicts if v.policy == policy)


@pytest.mark.parametrize("profiles", [(), ("everything",)])
@pytest.mark.parametrize("level", [Level.POSSIBLE, Level.LIKELY, Level.CONFIRMED])
def test_no_word_of_a_judge_anywhere(rules: Knowledge, level: Level, profiles: tuple[str, ...]) -> None:
    chosen = tuple(rules.profiles) if profiles else ()
    seen: set[str] = set()
    for group in rules.vendors.groups:
        for verdict in of(rules, group, level, *chosen):
            seen.add(verdict.policy)
            assert not JUDGEMENT.search(text(verdict)), text(verdict)
            assert "not legal advice; law as of 2026-11-24" in verdict.because
            if verdict.effect in HARMLESS:
                assert not A_BAN.search(text(verdict)), text(verdict)
                assert "owning, using or buying its products is not restricted by it" in verdict.because
                assert verdict.action is Action.NOTE
    assert {"us-889-a1b", "us-bis-entity-list", "us-1260h", "us-ns-cmic", "us-tx-prohibited"} <= seen


def test_the_files_are_free_of_them_too(rules: Knowledge) -> None:
    for policy in rules.policies.values():
        words = [policy.title, policy.asks or "", policy.note or "", *policy.exemptions, *policy.open_points]
        words += [listed.note or "" for listed in policy.entities]
        assert not JUDGEMENT.search(" ".join(words)), policy.id
        if policy.effect in HARMLESS:
            assert not A_BAN.search(" ".join(words)), policy.id
    for entity in rules.vendors.entities():
        assert not JUDGEMENT.search(" ".join([entity.notes or "", entity.recognised_by or ""])), entity.id


def test_bound_and_confirmed(rules: Knowledge) -> None:
    said = one(of(rules, "hikvision", Level.CONFIRMED, "us-federal-contractor"), "us-889-a1b").because
    assert said.startswith("evidence indicates made by Hikvision; a contractor of a US federal agency may not use it")
    for part in ("for the purpose of public safety", "Sec. 889(f)(3)(B)", "exempt: services that connect", "52.240-91"):
        assert part in said
    assert "you are not bound" not in said
    assert "whether you are bound" not in said


def test_likely_names_what_would_follow(rules: Knowledge) -> None:
    verdict = one(of(rules, "dahua", Level.LIKELY, "us-federal-contractor", brand="lorex"), "us-889-a1b")
    assert verdict.action is Action.INVESTIGATE
    assert "made by Dahua (likely, not confirmed) under the label Lorex" in verdict.because
    assert "`remove` would follow" in verdict.because


def test_possible_says_so(rules: Knowledge) -> None:
    verdict = one(of(rules, "zte", Level.POSSIBLE, "us-federal-contractor"), "us-889-a1b")
    assert verdict.because.startswith("some evidence points to ZTE (possible, no more)")


def test_who_is_bound_is_said(rules: Knowledge) -> None:
    unbound = one(of(rules, "huawei", Level.CONFIRMED, "private"), "us-889-a1b").because
    unknown = one(of(rules, "huawei", Level.CONFIRMED), "us-889-a1b").because
    assert "you are not bound by it" in unbound
    assert "whether you are bound is not known (--profile)" in unknown


def test_a_date_ahead_is_said(rules: Knowledge) -> None:
    verdict = one(of(rules, "huawei", Level.CONFIRMED, "germany-5g-operator"), "de-5g-2026-2029")
    assert verdict.action is Action.PLAN
    assert "from 2026-12-31 an operator of a public 5G network in Germany may not use it" in verdict.because


def test_a_day_that_is_not_known_is_said(rules: Knowledge) -> None:
    verdict = one(of(rules, "hikvision", Level.CONFIRMED, "us-importer-seller"), "us-fcc-covered-import")
    assert verdict.action is Action.INVESTIGATE
    assert "the day it takes effect is not known" in verdict.because
    assert "`do-not-buy` would follow" in verdict.because


def test_from_memory_is_said_and_not_cited(rules: Knowledge) -> None:
    verdict = one(of(rules, "hikvision", Level.CONFIRMED, "us-investor"), "us-ns-cmic")
    assert verdict.citation is None
    assert "its citation is not verified" in verdict.because


def test_the_two_companies_are_kept_apart(rules: Knowledge) -> None:
    verdict = one(of(rules, "tp-link", Level.CONFIRMED, "us-dod"), "us-805")
    assert verdict.action is Action.INVESTIGATE
    assert "no evidence on a network tells it from TP-Link Systems Inc." in verdict.because
    assert "made by TP-Link;" in verdict.because


def test_a_foreign_label_brings_its_sentence(rules: Knowledge) -> None:
    labelled = one(of(rules, "dahua", Level.CONFIRMED, "us-federal-contractor", brand="lorex"), "us-889-a1b").because
    own = one(of(rules, "dahua", Level.CONFIRMED, "us-federal-contractor", brand="dahua"), "us-889-a1b").because
    assert "counts relabelled hardware as produced by its maker" in labelled
    assert "relabelled" not in own


def test_dates_ahead_are_told_to_those_who_are_bound(rules: Knowledge) -> None:
    bound = one(of(rules, "hikvision", Level.CONFIRMED, "us-dod"), "us-805").because
    other = one(of(rules, "hikvision", Level.CONFIRMED, "private"), "us-805").because
    assert "next date 2027-06-30: indirect purchases" in bound
    assert "2027-06-30" not in other
