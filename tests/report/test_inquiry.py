"""The record of an inquiry has what a Section 889 representation is filed with, and says no more than is known."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from scanner import assess, knowledge
from scanner.model import Device, Level, Report
from scanner.report.inquiry import FORMAT


@pytest.fixture
def judged(make_report: Callable[..., Report], today: datetime.date) -> Callable[..., Report]:
    """A report with the real measures of a federal contractor."""
    law = assess.Law(("us-federal-contractor",), today)
    measures = assess.measures(knowledge.load(), law)

    def make(*devices: Device) -> Report:
        report = replace(make_report(*devices), measures=measures)
        scan = replace(report.scan, operator="Grace", targets=("192.0.2.0/24",), excluded=("192.0.2.7",))
        return replace(report, scan=scan)

    return make


def test_scope_methods_dates_versions_and_signature(judged: Callable[..., Report]) -> None:
    page = FORMAT.render(judged())
    for part in (
        "Grace", "192.0.2.0/24", "192.0.2.7", "2026-11-24T00:00:00Z", "2026-11-24T00:01:00Z", "0" * 64, "1" * 64,
        "arp: ran, 3 hosts", "not run", "needs root", "192.0.2.9", "192.0.2.8", "cameras on a recorder", "Signature",
        "Section 889(a)(1)(B)", "not legal advice",
    ):  # fmt: skip
        assert part in page, part


def test_the_clock_is_told_with_citation_and_confidence(
    judged: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    sure = FORMAT.render(judged())
    assert "these limits may have begun" in sure
    for part in ("one business day", "10 business days", "FAR 52.204-25(d)(2)(i)", "confidence: medium"):
        assert part in sure
    likely = FORMAT.render(judged(make_device(level=Level.LIKELY)))
    assert "may have begun" not in likely
    assert "a confirmed find may start these limits" in likely


def test_no_clock_where_nobody_is_bound(judged: Callable[..., Report]) -> None:
    report = judged()
    free = tuple(replace(m, binds_you=False) for m in report.measures)
    assert "business day" not in FORMAT.render(replace(report, measures=free))


def test_no_finding_is_no_clearance(judged: Callable[..., Report], make_device: Callable[..., Device]) -> None:
    page = FORMAT.render(judged(make_device(action=None, manufacturer="axis")))
    assert "not about the network" in page
    for word in ("compliant", "violation", "all clear"):
        assert word not in page.lower()
