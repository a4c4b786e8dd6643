from __future__ import annotations

import pytest

from scanner.errors import RulesProblem
from scanner.resources import data_dir


def test_data_is_found_in_a_checkout() -> None:
    assert (data_dir("rules") / "fingerprints").is_dir()
    assert (data_dir("oui") / "registry.bin").is_file()


def test_a_missing_folder_is_said_so() -> None:
    with pytest.raises(RulesProblem, match="nowhere/ is missing"):
        data_dir("nowhere")
