"""`lanveto rules show NAME`: who it is, which lists name it since when, how it is recognised or why it cannot be."""

from __future__ import annotations

import re

import pytest

from scanner import knowledge as knowledge_
from scanner.errors import UsageProblem
from scanner.knowledge import Knowledge
from scanner.knowledge.show import WIDTH, listing, show


@pytest.fixture(scope="module")
def rules() -> Knowledge:
    return knowledge_.load()


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (
            "cloudwalk",
            (
                "CloudWalk Technology Co., Ltd.",
                "云从",
                'us-bis-entity-list (export_only) as "CloudWalk Technology" since 2020-06-05',
                "us-tx-prohibited (use_banned)",
                "2C:16:BD:6/28",
                "alone it makes the maker `likely`",
            ),
        ),
        ("云从", ("CloudWalk",)),
        ("IS'Vision", ("cannot be recognised", "us-bis-entity-list")),
        ("Nanjing FiberHome Starrysky Communication Development", ("cannot be recognised", "since 2020-06-05")),
        ("Aksu Huafu Textiles", ("textile mill", "no device is ever judged", "since 2020-06-05")),
        ("institute of forensic science", ("never matches a device", "must be checked")),
        (
            "ezviz",
            (
                "EZVIZ → subsidiary of Hikvision",
                "us-889-a1b (use_banned)",
                "status not known after 2026-11-09",
                "Hangzhou Ezviz Software Co.,Ltd.",
            ),
        ),
        ("hikvision", ("39165", "also answered by microsemi", "Scildon", "hik-connect.com", "Other companies")),
        ("dahua", ("1004849, borrowed from nobody", "Shanghai Dahua Scale Factory", "amcrest", "Fingerprints of the")),
        ("lorex", ("former parent: Dahua (2018 to 2022-11", "A label alone is a hint", "Hardware by", "dahua")),
        ("honor", ("until 2020-11", "no measure that lanveto knows")),
        ("tp-link", ("2 companies", "TP-Link Technologies Co., Ltd. (China)", "TP-Link Systems Inc.")),
        ("amcrest", ("a label", "imou", "ASH Smart-Home line", "amcrest-compatible-finder")),
        ("zoneminder", ("a software",)),
        ("us-889-a1b", ("use_banned", "Purpose limits", "Exemptions", "2020-08-13", "us-federal-contractor", "Names")),
        ("us-fcc-covered-category", ("never gives a verdict", "2027-03-01")),
        ("us-ns-cmic", ("Citation: not verified", "unverified")),
        ("us-federal-contractor", ("a contractor of a US federal agency", "us-889-a1b")),
        ("SMIC", ("us-1260h", "us-bis-entity-list", "no company that lanveto could meet")),
    ],
)
def test_names(rules: Knowledge, name: str, parts: tuple[str, ...]) -> None:
    text = flat(show(rules, name))
    for part in parts:
        assert part in text, text


def test_a_fingerprint(rules: Knowledge) -> None:
    first = rules.fingerprints[0]
    text = show(rules, first.id)
    for part in (first.id, first.grade, "Channels", "Source", first.file):
        assert part in text


def test_everything_can_be_shown(rules: Knowledge) -> None:
    names = [
        *rules.vendors.groups,
        *(e.id for e in rules.vendors.entities()),
        *(b.id for b in rules.brands),
        *rules.policies,
        *rules.profiles,
    ]
    for name in names:
        text = show(rules, name)
        assert text.strip(), name
        assert all(len(line) <= WIDTH or len(max(line.split(), key=len)) > 60 for line in text.splitlines()), name


@pytest.mark.parametrize(("name", "near"), [("hikvsion", "HIKVISION"), ("us-889-a1c", "us-889-a1"), ("dahau", "DAHUA")])
def test_near_names_are_offered(rules: Knowledge, name: str, near: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        show(rules, name)
    assert near.lower() in str(caught.value).lower()


@pytest.mark.parametrize("name", ["", "  ", "''", "zqxj"])
def test_nothing_under_that_name(rules: Knowledge, name: str) -> None:
    with pytest.raises(UsageProblem):
        show(rules, name)


@pytest.mark.parametrize(
    ("what", "part"),
    [
        ("vendors", "EZVIZ"),
        ("brands", "<- dahua"),
        ("fingerprints", "hikvision-"),
        ("policies", "export_only"),
        ("profiles", "us-federal-contractor"),
    ],
)
def test_lists(rules: Knowledge, what: str, part: str) -> None:
    lines = list(listing(rules, what))
    assert any(part in line for line in lines)
    assert all("\n" not in line for line in lines)


def test_what_cannot_be_listed(rules: Knowledge) -> None:
    with pytest.raises(UsageProblem, match="vendors"):
        listing(rules, "secrets")
