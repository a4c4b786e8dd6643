"""docs/rules.md names every key that a rule file may have, and none of its lists has gone stale."""

from __future__ import annotations

import re
from enum import EnumType
from pathlib import Path

import msgspec
import pytest

from scanner.knowledge.brands import Brand, BrandMaker, ModelPattern
from scanner.knowledge.check import Ids
from scanner.knowledge.companies import BorrowedPen, Business, Entity, OuiMeans, Pen, Relation, RelationType
from scanner.knowledge.fingerprints import MAX_TEXT, OPERATIONS, Entry, Says
from scanner.knowledge.policies import AffiliateSpan, Listed, NextDate, Policy
from scanner.knowledge.profiles import Profile
from scanner.knowledge.registry_files import Override
from scanner.model import Grade


@pytest.fixture(scope="module")
def words(root: Path) -> set[str]:
    return set(re.findall(r"[\w-]+", (root / "docs" / "rules.md").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "struct",
    [Entry, Says, Entity, Relation, Pen, BorrowedPen, Brand, BrandMaker, ModelPattern, Policy, Listed, AffiliateSpan,
     NextDate, Profile, Ids, Override],
)  # fmt: skip
def test_every_key_is_named(struct: type[msgspec.Struct], words: set[str]) -> None:
    # The group of a company is stated once a file, and filled in.
    assert {field.encode_name for field in msgspec.structs.fields(struct)} <= words


@pytest.mark.parametrize("choices", [Grade, OuiMeans, Business, RelationType])
def test_every_choice_is_named(choices: EnumType, words: set[str]) -> None:
    assert set(map(str, choices)) <= words


def test_operations_and_bounds(words: set[str], root: Path) -> None:
    assert set(OPERATIONS) <= words
    assert f"{MAX_TEXT:,}" in (root / "docs" / "rules.md").read_text(encoding="utf-8")
