"""`lanveto diff` on a terminal and for machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scanner.cli import main
from scanner.model import Device, Report
from scanner.store import open_store, writing


@pytest.fixture
def where(tmp_path: Path, make_report: Callable[..., Report], make_device: Callable[..., Device]) -> str:
    from msgspec.structs import replace

    path = tmp_path / "h.sqlite"
    new = make_device(mac="aa:bb:cc:00:00:01", ip="192.0.2.7", action=None, manufacturer="axis")
    old = make_device(mac="aa:bb:cc:00:00:02", ip="192.0.2.8")
    with open_store(path) as store:
        for number, devices in enumerate(((make_device(), old), (make_device(ip="192.0.2.50", model="NR\x1b[2J"), new)), 1):
            report = make_report(*devices)
            writing.save(store, replace(report, scan=replace(report.scan, id=f"scan-{number}", targets=("192.0.2.0/24",))))
    return str(path)


def test_for_people(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["diff", "--store", where]) == 0
    text = capsys.readouterr().out
    assert "1 appeared, 0 gone, 1 not found, 0 not asked, 1 changed, 0 as before" in text
    assert "ip 192.0.2.42 → 192.0.2.50" in text
    assert "[remove: us-889-a1b]; missed 1 times" in text
    assert "\x1b" not in text


def test_for_machines(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["diff", "1", "last", "--misses", "1", "--format", "json", "--store", where]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [m["gone"] for m in found["missing"]] == [True]
    assert [a["device"] for a in found["appeared"]] == ["aabbcc000001"]
    assert found["changed"][0]["changes"][0] == {"field": "ip", "before": "192.0.2.42", "after": "192.0.2.50"}


def test_a_scan_that_is_not_there(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["diff", "1", "7", "--store", where]) == 2
    assert "scan 7: there is none" in capsys.readouterr().err
