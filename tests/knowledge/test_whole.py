from __future__ import annotations

import subprocess
import sys

import pytest

from scanner import knowledge
from scanner.knowledge import Knowledge, shelf, whole
from scanner.resources import data_dir


def test_the_package_names_the_class_and_nothing_else() -> None:
    assert Knowledge is whole.Knowledge
    with pytest.raises(AttributeError, match="no attribute 'Knowlege'"):
        _ = knowledge.Knowlege  # type: ignore[attr-defined]
    with pytest.raises(ImportError):
        from scanner.knowledge import nonsense  # type: ignore[attr-defined] # noqa: F401


def test_each_part_is_loaded_when_first_used_and_once() -> None:
    code = """
import sys
from scanner import knowledge
known = knowledge.load()
loaded = lambda: {name.rpartition(".")[2] for name in sys.modules if name.startswith("scanner.knowledge.")}
assert not loaded() & {"fingerprints", "vendors", "policies", "registry"}, loaded()
assert known.registry is known.registry
assert "registry" in loaded()
assert not loaded() & {"fingerprints", "vendors", "policies"}, loaded()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_makers_behind_labels_are_known_by_group() -> None:
    known = Knowledge([shelf.rules()], data_dir("oui"))
    assert known.group_id("ezviz") == "hikvision"
    assert known.group_id("nobody-at-all") == "nobody-at-all"
    assert "dahua" in known.suppliers["lorex"]
    assert "dahua" in known.builders_for_others
    assert known.overrides == (data_dir("oui") / "overrides.yaml",)
