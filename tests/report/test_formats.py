from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from scanner.cli import options
from scanner.errors import UsageProblem
from scanner.model import Report
from scanner.report import formats, get, names


def test_each_file_is_named_after_its_format() -> None:
    assert tuple(formats()) == names()


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(UsageProblem, match="table"):
        get("docx")


def test_the_help_names_every_format() -> None:
    assert names() == options.FORMATS


def test_a_format_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    monkeypatch.delitem(sys.modules, "scanner.report.xlsx", raising=False)
    with pytest.raises(UsageProblem, match=r"lanveto\[report\]"):
        get("xlsx")


@pytest.mark.parametrize("name", names())
def test_every_format_takes_any_report(name: str, make_report: Callable[..., Report]) -> None:
    rendered = get(name).render(make_report())
    assert isinstance(rendered, bytes) is get(name).binary
    assert rendered
