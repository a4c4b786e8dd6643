"""CSV: one row per device, the organisation's own columns last; for spreadsheets and inventories.

Coverage does not fit into rows: read it in another format of the same run.
"""

from __future__ import annotations

import csv
import io

from scanner.model import Report
from scanner.report import cells, view


class Csv:
    """`--format csv`."""

    name = "csv"
    binary = False

    def render(self, report: Report) -> str:
        """A header and a row per device, strictest action first (RFC 4180, with plain line ends)."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        own = cells.own_columns(report.devices)
        writer.writerow([*cells.DEVICES, *cells.own_headers(own)])
        for device in view.by_urgency(report.devices):
            writer.writerow(cells.device_row(device, report.scan.profiles, own))
        return text.getvalue()


FORMAT = Csv()
