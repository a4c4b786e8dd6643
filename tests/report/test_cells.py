from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from scanner.model import Device, Report, Verdict, Waiver
from scanner.report import cells

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r\n=1", " =cmd|' /C calc'!A0", "'=1", "＝1", "|x", "%0A"]


@pytest.mark.parametrize("text", FORMULAS)
def test_nothing_begins_like_a_formula(text: str) -> None:
    assert cells.cell(text).startswith("'")
    assert "\n" not in cells.cell(text)
    assert "\t" not in cells.cell(text)


@pytest.mark.parametrize("text", ["192.0.2.1", "DS-2CD2032", "3c:ef:8c:11:22:33", "", "a=b"])
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert cells.cell(text) == text


def test_none_is_empty_and_control_characters_are_shown() -> None:
    assert cells.cell(None) == ""
    assert cells.cell("\x1b[2J\u202e") == "\\x1b[2J\\u202e"
    assert len(cells.cell("x" * 10_000)) == cells.MAX_CELL


def test_a_row_has_a_cell_for_every_column(make_device: Callable[..., Device]) -> None:
    device = replace(make_device(), columns=(("owner", "=HYPERLINK(1)"), ("model", "mine")))
    own = cells.own_columns([device, make_device()])
    assert own == ("owner", "model")
    assert cells.own_headers(own) == ["owner", "own model"]
    row = dict(zip([*cells.DEVICES, *cells.own_headers(own)], cells.device_row(device, (), own), strict=True))
    assert (row["owner"], row["own model"], row["model"]) == ("'=HYPERLINK(1)", "mine", "NR900")
    assert row["rule"] == "us-889-a1b"
    assert cells.device_row(make_device(), (), own)[-2:] == ["", ""]


def test_a_finding_that_is_waived_says_by_whom(make_device: Callable[..., Device]) -> None:
    waiver = Waiver(device="192.0.2.42", policy="all", reason="moves in May", who="CISO", expires="2027-01-01")
    device = make_device()
    (verdict,) = device.verdicts
    waived: Verdict = replace(verdict, waiver=waiver)
    row = dict(zip(cells.FINDINGS, cells.finding_rows(replace(device, verdicts=(waived,)))[0], strict=True))
    assert (row["waived_by"], row["waiver_reason"]) == ("CISO", "moves in May")
    expired = replace(verdict, waiver=replace(waiver, expired=True))
    row = dict(zip(cells.FINDINGS, cells.finding_rows(replace(device, verdicts=(expired,)))[0], strict=True))
    assert row["waived_by"] == ""


def test_what_stands_beside_the_tables(make_report: Callable[..., Report]) -> None:
    labels = [label for label, _ in cells.about(make_report())]
    assert labels[0] == "answer"
    assert {"coverage", "rules sha256", "registry sha256", "run by"} <= set(labels)
