"""The record of an inquiry: the page that a Section 889 representation ("reasonable inquiry") is filed with.

Scope, methods, dates, who ran it, exclusions, versions with their digests, findings, what was not covered, the time
limits a confirmed find may start, and room for a signature. Also the last part of the HTML report.
"""

from __future__ import annotations

from scanner.model import Report
from scanner.report import page


class Inquiry:
    """`--format inquiry`."""

    name = "inquiry"
    binary = False

    def render(self, report: Report) -> str:
        """The page, as HTML made for paper."""
        return page.rendered("inquiry.html", report)


FORMAT = Inquiry()
