from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from openpyxl import load_workbook

from scanner.model import Device, Report
from scanner.report import cells, xlsx
from scanner.report.xlsx import FORMAT


def test_the_workbook_reads_back(make_report: Callable[..., Report], make_device: Callable[..., Device]) -> None:
    book = load_workbook(io.BytesIO(FORMAT.render(make_report(make_device(), make_device(ip="192.0.2.43", id_="b")))))
    assert book.sheetnames == ["Answer", "Devices", "Findings", "Measures", "Waivers"]
    devices = list(book["Devices"].iter_rows(values_only=True))
    assert devices[0] == cells.DEVICES
    assert [row[1] for row in devices[1:]] == ["192.0.2.42", "192.0.2.43"]
    assert book["Devices"].freeze_panes == "A2"
    assert book["Devices"].auto_filter.ref == "A1:S3"
    answer = [text for _, text in book["Answer"].iter_rows(values_only=True)]
    assert any("No scan sees" in str(text) for text in answer)


def test_every_cell_is_text_and_none_a_formula(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    evil = make_device(model="=1+1", value="\x00\x0b\ufffe=2", id_="=3")
    book = load_workbook(io.BytesIO(FORMAT.render(make_report(evil))))
    for sheet in book:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f", cell.value
                assert not str(cell.value or "").startswith(("=", "+", "-", "@")), cell.value


def test_a_device_cannot_write_the_workbooks_own_markup(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    """XlsxWriter writes a text between these tags as it stands: one that a device says must never be taken so."""
    evil = "<r></r></is></c><c r='Z2'><f>1+1</f></c><c><is><r></r>"
    book = load_workbook(io.BytesIO(FORMAT.render(make_report(make_device(model=evil)))))
    devices = list(book["Devices"].iter_rows(values_only=True))
    assert devices[1][cells.DEVICES.index("model")] == "'" + evil
    assert not any(cell.data_type == "f" for row in book["Devices"].iter_rows() for cell in row)


def test_no_row_is_lost_where_a_sheet_ends(
    make_report: Callable[..., Report], make_device: Callable[..., Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "MAX_ROWS", 3)
    report = make_report(*(make_device(ip=f"192.0.2.{n}", id_=f"d{n}") for n in range(5)))
    book = load_workbook(io.BytesIO(FORMAT.render(report)))
    names = [name for name in book.sheetnames if name.startswith("Devices")]
    assert names == ["Devices", "Devices 2", "Devices 3"]
    rows = [row[1] for name in names for row in list(book[name].iter_rows(values_only=True))[1:]]
    assert rows == [f"192.0.2.{n}" for n in range(5)]


def test_the_same_report_gives_the_same_file(make_report: Callable[..., Report]) -> None:
    assert FORMAT.render(make_report()) == FORMAT.render(make_report())


def test_what_is_no_formula_is_marked_once(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    book = load_workbook(io.BytesIO(FORMAT.render(make_report(make_device(model="=1+1")))))
    assert list(book["Devices"].iter_rows(values_only=True))[1][cells.DEVICES.index("model")] == "'=1+1"


def test_nothing_answered_still_gives_a_workbook(make_report: Callable[..., Report]) -> None:
    from msgspec.structs import replace

    book = load_workbook(io.BytesIO(FORMAT.render(replace(make_report(), devices=()))))
    assert "Nothing answered" in str(book["Answer"]["B2"].value)
