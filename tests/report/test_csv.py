from __future__ import annotations

import csv
import io
from collections.abc import Callable

from scanner.model import Device, Report
from scanner.report.csv import FORMAT


def test_one_row_per_device_strictest_first(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    calm = make_device(ip="192.0.2.1", mac=None, action=None, manufacturer="axis", id_="calm")
    rows = list(csv.DictReader(io.StringIO(FORMAT.render(make_report(calm, make_device())))))
    assert [row["ip"] for row in rows] == ["192.0.2.42", "192.0.2.1"]
    assert rows[0]["manufacturer"] == "dahua"
    assert rows[0]["action"] == "remove"
    assert rows[0]["citation"].startswith("Pub. L.")


def test_hostile_values_neither_calculate_nor_break_the_row(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    evil = make_device(model='=cmd|"/C calc"!A0', value='",\r\n"=1+1",\x00')
    (row,) = csv.DictReader(io.StringIO(FORMAT.render(make_report(evil))))
    assert row["model"].startswith("'=")
    assert all(not value.startswith(("=", "+", "-", "@", "\t")) for value in row.values())
    assert None not in row
