"""XLSX: a workbook with the answer and its coverage first, then devices, findings, measures and waivers.

XlsxWriter writes row by row and keeps none: memory stays flat however many devices there are. It takes a text between
`<r>` and `</r>` for its own formatted text and writes it as it stands; here no text begins like that.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from itertools import chain, count, islice

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from scanner.model import Report
from scanner.report import cells, view

WIDTHS = {"because": 60, "answer": 20, "evidence": 50, "title": 45, "text": 120, "citation": 40, "notes": 40}
"""Widths of columns that need more than 16 characters."""
MAX_ROWS = 1_048_576
"""Rows of one sheet, its header among them (the format's own bound); the rest stands in further sheets."""


class Xlsx:
    """`--format xlsx`."""

    name = "xlsx"
    binary = True

    def render(self, report: Report) -> bytes:
        """The workbook; every cell is text, so that nothing a device says is calculated."""
        whole = io.BytesIO()
        book = Workbook(whole, {"constant_memory": True})
        # The day of the scan, not of the writing: the same report gives the same file.
        book.set_properties({"created": view.moment(report.scan.started)})
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
                cells.row([m.policy, m.title, m.jurisdiction, m.effect, m.citation, m.confidence,
                 {True: "yes", False: "no", None: "not known"}[m.binds_you], m.in_force, m.as_of, " ".join(m.sources)])
                for m in report.measures
            ),
        )  # fmt: skip
        _sheet(
            book,
            "Waivers",
            ("device", "policy", "reason", "who", "expires", "state", "fits"),
            (
                cells.row([use.waiver.device, use.waiver.policy, use.waiver.reason, use.waiver.who, use.waiver.expires,
                 view.waiver_state(use), " ".join(use.devices)])
                for use in report.waivers
            ),
        )  # fmt: skip
        book.close()
        return whole.getvalue()


def _sheet(book: Workbook, title: str, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    bold = book.add_format({"bold": True})
    wrapped = book.add_format({"text_wrap": True, "valign": "top"}) if title == "Answer" else None
    left = iter(rows)
    for number in count(1):
        first = next(left, None)
        if first is None and number > 1:
            return
        sheet = book.add_worksheet(title if number == 1 else f"{title} {number}")
        sheet.freeze_panes(1, 0)
        for column, name in enumerate(headers):
            sheet.set_column(column, column, WIDTHS.get(name, 16))
        _row(sheet, 0, headers, bold)
        place = 0
        for place, row in enumerate(islice(chain(() if first is None else (first,), left), MAX_ROWS - 1), 1):
            _row(sheet, place, row, wrapped)
        if place:
            sheet.autofilter(0, 0, place, len(headers) - 1)


def _row(sheet: Worksheet, place: int, row: Sequence[str], style: Format | None) -> None:
    for column, text in enumerate(row):
        if text:
            sheet.write_string(place, column, f"'{text}" if text.startswith("<r>") else text, style)


FORMAT = Xlsx()
