"""XLSX: a workbook with the answer and its coverage first, then devices, findings, measures and waivers."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from openpyxl import Workbook
from openpyxl.cell import Cell, WriteOnlyCell
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

from scanner.model import Report
from scanner.report import cells, view

WIDTHS = {"because": 60, "answer": 20, "evidence": 50, "title": 45, "text": 120, "citation": 40, "notes": 40}
"""Widths of columns that need more than 16 characters."""


class Xlsx:
    """`--format xlsx`."""

    name = "xlsx"
    binary = True

    def render(self, report: Report) -> bytes:
        """The workbook; every cell is text, so that nothing a device says is calculated."""
        book = Workbook(write_only=True)
        devices, profiles = view.by_urgency(report.devices), report.scan.profiles
        own = cells.own_columns(report.devices)
        _sheet(book, "Answer", ("about", "text"), cells.about(report))
        _sheet(
            book,
            "Devices",
            (*cells.DEVICES, *cells.own_headers(own)),
            (cells.device_row(device, profiles, own) for device in devices),
        )
        _sheet(book, "Findings", cells.FINDINGS, (row for device in devices for row in cells.finding_rows(device)))
        _sheet(
            book,
            "Measures",
            ("policy", "title", "jurisdiction", "effect", "citation", "confidence", "binds you", "in force", "as of",
             "sources"),
            (
                [m.policy, m.title, m.jurisdiction, m.effect, m.citation, m.confidence,
                 {True: "yes", False: "no", None: "not known"}[m.binds_you], m.in_force, m.as_of, " ".join(m.sources)]
                for m in report.measures
            ),
        )  # fmt: skip
        _sheet(
            book,
            "Waivers",
            ("device", "policy", "reason", "who", "expires", "state", "fits"),
            (
                [use.waiver.device, use.waiver.policy, use.waiver.reason, use.waiver.who, use.waiver.expires,
                 view.waiver_state(use), " ".join(use.devices)]
                for use in report.waivers
            ),
        )  # fmt: skip
        whole = io.BytesIO()
        book.save(whole)
        return whole.getvalue()


def _sheet(book: Workbook, title: str, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    for number, name in enumerate(headers, 1):
        sheet.column_dimensions[get_column_letter(number)].width = WIDTHS.get(name, 16)
    bold, wrapped = Font(bold=True), Alignment(wrap_text=True, vertical="top")
    head = []
    for name in headers:
        made = WriteOnlyCell(sheet, value=None)
        made.value, made.font = name, bold
        head.append(made)
    sheet.append(head)
    count = 1
    for row in rows:
        line = [cells.cell(value) for value in row]
        sheet.append([_wrapped(sheet, text, wrapped) for text in line] if title == "Answer" else line)
        count += 1
    if count > 1:
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(headers))}{count}"


def _wrapped(sheet: WriteOnlyWorksheet, text: str, alignment: Alignment) -> Cell:
    made = WriteOnlyCell(sheet)
    made.value, made.alignment = text, alignment
    return made


FORMAT = Xlsx()
