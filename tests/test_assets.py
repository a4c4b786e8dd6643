"""The organisation's own columns: every encoding and delimiter that spreadsheets write, and clear words for bad rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scanner import assets
from scanner.errors import InputProblem
from scanner.model import Device, Report

TABLE = "MAC Address;Owner;Place\n3C-EF-8C-11-22-33;Müller;Café\n"


@pytest.fixture
def table(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / "assets.csv"
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encodings_and_delimiters(
    table: Callable[[bytes], Path], make_report: Callable[..., Report], encoding: str, delimiter: str
) -> None:
    found = assets.load(table(TABLE.replace(";", delimiter).encode(encoding)))
    assert found.columns == ("Owner", "Place")
    (device,) = assets.join(make_report(), found).devices
    assert device.columns == (("Owner", "Müller"), ("Place", "Café"))
    assert bool(found.problems) is (encoding == "cp1252")
    assert all("Windows-1252" in problem for problem in found.problems)


def test_a_mac_counts_before_an_address(
    table: Callable[[bytes], Path], make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    found = assets.load(table(b"ip,mac,tag\n192.0.2.42,,by address\n,3c:ef:8c:11:22:33,by mac\n192.0.2.43/24,,other\n"))
    report = assets.join(make_report(make_device(), make_device(ip="192.0.2.43", mac=None, id_="b")), found)
    assert [dict(d.columns)["tag"] for d in report.devices] == ["by mac", "other"]


def test_what_was_not_met_is_a_gap_in_the_coverage(
    table: Callable[[bytes], Path], make_report: Callable[..., Report]
) -> None:
    found = assets.load(table(b"ip,tag\n192.0.2.42,a\n192.0.2.77,b\n"))
    warnings = assets.join(make_report(), found).coverage.warnings
    assert any("1 of its 2 devices were not met: 192.0.2.77" in text for text in warnings)


def test_bad_rows_are_told_by_line_and_the_rest_is_used(table: Callable[[bytes], Path]) -> None:
    found = assets.load(
        table(
            b'ip,tag\n192.0.2.1,a\nnonsense,b\n192.0.2.1,c\n192.0.2.2,d,surplus\n,"two\nlines"\n\n192.0.2.3,"x\ny"\n192.0.2.4\n'
        )
    )
    assert list(found.rows) == ["192.0.2.1", "192.0.2.3", "192.0.2.4"]
    told = " / ".join(found.problems)
    assert "line 3: 'nonsense' is neither" in told
    assert "line 4: 192.0.2.1 stands in line 2 already" in told
    assert "line 5: has 3 cells, the header 2" in told
    assert "line 7: names neither" in told
    assert len(found.problems) == 4


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"name,owner\nx,y\n", "no column is called"),
        (b"ip,owner,owner\n", "two columns"),
        (b"PK\x03\x04rest", "save the table as CSV"),
        (b"\xff\xfeab\x00\xd8", "UTF-16"),
        (b"ip,tag\n192.0.2.1,\x81\xff\n", "neither UTF-8 nor Windows-1252"),
        (b"ip," * 100, "at most 64"),
        (b"ip,tag\n" + b"x" * 300 + b"\x00", "zero bytes"),
        (b'ip,tag\n192.0.2.1,"' + b"x" * 200_000, "field larger"),
    ],
)
def test_what_is_no_table_is_said(table: Callable[[bytes], Path], data: bytes, said: str) -> None:
    with pytest.raises(InputProblem, match=said):
        assets.load(table(data))


def test_a_thousand_bad_rows_are_counted(table: Callable[[bytes], Path]) -> None:
    found = assets.load(table(b"ip,tag\n" + b"x,y\n" * 1000))
    assert len(found.problems) == assets.MAX_TOLD + 1
    assert "980 more" in found.problems[-1]


def test_hostile_cells_are_one_line(table: Callable[[bytes], Path], make_report: Callable[..., Report]) -> None:
    found = assets.load(table('ip,tag\n192.0.2.42,"\x1b[2J\u202e\nx"\n'.encode()))
    assert dict(assets.join(make_report(), found).devices[0].columns)["tag"] == "\\x1b[2J\\u202e x"


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputProblem, match="cannot be read|is a folder"):
            assets.load(path)
