from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scanner.cli import options
from scanner.errors import UsageProblem
from scanner.model import Device, Report
from scanner.report import formats, get, names, pieces


def test_each_file_is_named_after_its_format() -> None:
    assert tuple(formats()) == names()


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(UsageProblem, match="table"):
        get("docx")


def test_the_help_names_every_format() -> None:
    assert names() == options.FORMATS


def test_a_format_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    monkeypatch.delitem(sys.modules, "scanner.report.xlsx", raising=False)
    with pytest.raises(UsageProblem, match=r"lanveto\[report\]"):
        get("xlsx")


@pytest.mark.parametrize("name", names())
def test_every_format_takes_any_report(name: str, make_report: Callable[..., Report]) -> None:
    rendered = get(name).render(make_report())
    assert isinstance(rendered, bytes) is get(name).binary
    assert rendered


@pytest.mark.parametrize("name", ["json", "jsonl", "table"])
@pytest.mark.parametrize("count", [0, 1, 150])
def test_pieces_are_what_a_format_renders(
    name: str, count: int, make_report: Callable[..., Report], make_device: Callable[..., Device], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from msgspec.structs import replace

    report = replace(make_report(), devices=tuple(make_device(id_=f"d-{n}") for n in range(count)))
    whole = get(name).render(report)
    assert isinstance(whole, str)
    expected = whole if whole.endswith("\n") else whole + "\n"

    options.emit(pieces(get(name), report), None)
    assert capsys.readouterr().out == expected
    options.emit(pieces(get(name), report), tmp_path / "report")
    assert (tmp_path / "report").read_text() == expected
