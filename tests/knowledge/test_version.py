from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import pytest

from scanner import knowledge
from scanner.errors import RulesProblem
from scanner.knowledge import version
from scanner.resources import data_dir


def test_reports_can_say_which_rules_they_used() -> None:
    said = knowledge.load().version
    assert datetime.date.fromisoformat(said.rules_as_of) >= datetime.date(2026, 11, 22)
    assert datetime.date.fromisoformat(said.registry_as_of) >= datetime.date(2026, 8, 26)
    assert len(said.rules_sha256) == len(said.registry_sha256) == 64


def test_an_overlay_changes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "brands.yaml").write_text("brands: []\n")
    rules, oui = data_dir("rules"), data_dir("oui")
    assert version.read([rules], oui).rules_sha256 != version.read([rules, tmp_path], oui).rules_sha256


def test_a_missing_date_is_said_so(tmp_path: Path) -> None:
    shutil.copytree(data_dir("rules") / "policies", tmp_path / "policies")
    with pytest.raises(RulesProblem, match=r"version\.yaml"):
        version.read([tmp_path], data_dir("oui"))
