from __future__ import annotations

import pytest

from scanner.errors import UsageProblem
from scanner.report import formats, get, names


def test_each_file_is_named_after_its_format() -> None:
    assert tuple(formats()) == names()


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(UsageProblem, match="table"):
        get("docx")
