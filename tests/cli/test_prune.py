"""`lanveto prune`: nothing leaves without being said and agreed to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scanner.cli import main
from scanner.model import Device, Report
from scanner.store import open_store, writing


@pytest.fixture
def history(tmp_path: Path, make_device: Callable[..., Device], make_report: Callable[..., Report]) -> str:
    from msgspec.structs import replace

    path = tmp_path / "h.sqlite"
    with open_store(path) as store:
        for number in range(1, 6):
            report = make_report(make_device(action=None))
            scan = replace(report.scan, id=f"scan-{number}", started=f"2024-01-0{number}T00:00:00Z")
            writing.save(store, replace(report, scan=scan))
    return str(path)


def _run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main.run(["prune", *words])
    return code, *capsys.readouterr()


def test_it_is_said_first_and_done_when_agreed(history: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "--store", history, "--keep-days", "30", "--dry-run")
    assert code == 0
    assert "to leave: scan 3 of 2024-01-03 00:00 UTC (hq, completed), 1 devices" in out
    assert "3 scan(s) to leave, 2 to stay" in out
    code, _, err = _run(capsys, "--store", history, "--keep-days", "30")
    assert code == 2
    assert "agree with --yes" in err
    code, out, _ = _run(capsys, "--store", history, "--keep-days", "30", "--yes")
    assert code == 0
    assert f"3 scans have left {history}" in out
    code, out, _ = _run(capsys, "--store", history, "--keep-days", "30", "--yes")
    assert (code, out) == (0, "0 scan(s) to leave, 2 to stay\n")


def test_what_stays_must_be_said(history: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = _run(capsys, "--store", history, "--yes")
    assert code == 2
    assert "say what stays" in err
    assert _run(capsys, "--store", history + ".no", "--keep-scans", "1")[0] == 2
