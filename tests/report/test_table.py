from __future__ import annotations

from collections.abc import Callable

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tabulate import tabulate

from scanner.model import Action, Device, Level, Report
from scanner.report.table import _HEADERS, FORMAT, Row, _laid_out


def test_coverage_stands_above_the_table_and_findings_below(make_report: Callable[..., Report]) -> None:
    text = FORMAT.render(make_report())
    lines = text.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("address"))
    above, row = "\n".join(lines[:head]), lines[head + 2]
    assert "254 asked, 1 alive, 1 identified, 1 unknown, 1 silent" in above
    assert "Not run: syn: needs root" in above
    assert "Warning: the registry is 200 days old" in above
    assert "No scan sees" in above
    for word in ("192.0.2.42", "3c:ef:8c:11:22:33", "dahua", "lorex", "NR900", "confirmed", "remove", "us-889-a1b"):
        assert word in row
    assert "evidence indicates made by Dahua" in text


def test_strictest_action_first(make_report: Callable[..., Report], make_device: Callable[..., Device]) -> None:
    calm = make_device(ip="192.0.2.1", mac=None, action=None, manufacturer="axis")
    text = FORMAT.render(make_report(calm, make_device()))
    assert text.index("192.0.2.42") < text.index("192.0.2.1 ")


def test_a_possible_maker_is_not_named_as_sure(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    text = FORMAT.render(make_report(make_device(level=Level.POSSIBLE, action=Action.INVESTIGATE)))
    assert "dahua?" in text


def test_nothing_answered_is_not_all_clear(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    from msgspec.structs import replace

    text = FORMAT.render(replace(make_report(), devices=()))
    assert "Nothing answered" in text
    assert "clear" not in text.replace("not the same as clear", "")


def test_no_profile_asks_for_one(make_report: Callable[..., Report]) -> None:
    from msgspec.structs import replace

    report = make_report()
    assert "--profile" in FORMAT.render(replace(report, scan=replace(report.scan, profiles=())))


def test_interruption_and_failures_are_loud(make_report: Callable[..., Report]) -> None:
    text = FORMAT.render(make_report(interrupted=True, failures=("eth0 went down",)))
    assert "INTERRUPTED" in text
    assert "NOT COMPLETED: eth0 went down" in text


def test_hostile_text_cannot_reach_the_terminal(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    text = FORMAT.render(make_report(make_device(model="\x1b[2J\u202eevil", value="a\r\nb\x07\x1b]0;t\x07")))
    assert not set(text) & set("\x1b\x07\r\u202e")


def test_nothing_was_asked_where_recordings_were_read(make_report: Callable[..., Report]) -> None:
    report = make_report()
    read = msgspec.structs.replace(report, coverage=msgspec.structs.replace(report.coverage, methods=()))
    assert "Coverage: 1 recording(s) read, 1 identified, 1 unknown, 1 silent" in FORMAT.render(read)


MACS = st.sampled_from(["", "3c:ef:8c:11:22:33", "c4:2f:90:00:00:01", "3CEF8C112233", "x", "3c ef 8c 11 22 33"])
WORDS = st.sampled_from(["", "dahua", "True", "12", "a maker", " x", "IPC-HFW1234", "\ue000" * 17, "mac: {}", "{} + {}", "ünï", "カメラ"])


@st.composite
def some_rows(draw: st.DrawFn) -> tuple[list[Row], list[str]]:
    own = draw(st.integers(0, 2))
    names = st.sampled_from(["192.0.2.1", "192.0.2.42", "2001:db8::1", "arp 7", "", "\ue000", "\ue000" * 9, "é", "x" * 30])
    rows = []
    for _ in range(draw(st.integers(1, 12))):
        mac = draw(MACS)
        rows.append((draw(names), mac, *(draw(WORDS).replace("{}", mac) for _ in range(7 + own))))
    return rows, [*_HEADERS, *(f"own {n}" for n in range(own))]


@given(some_rows())
def test_rows_laid_out_by_their_sort_are_the_table_of_all(drawn: tuple[list[Row], list[str]]) -> None:
    rows, headers = drawn
    assert "\n".join(_laid_out(rows, headers)) == tabulate(rows, headers=headers, disable_numparse=True)


def test_every_device_has_its_row_however_many_say_the_same(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    devices = [make_device(id_=f"d-{n}", ip=f"192.0.2.{n}", mac=f"3c:ef:8c:00:00:{n:02x}") for n in range(1, 200)]
    text = FORMAT.render(make_report(*devices))
    rows = [line.split()[:2] for line in text.splitlines() if line.startswith("192.0.2.")]
    assert rows == [[f"192.0.2.{n}", f"3c:ef:8c:00:00:{n:02x}"] for n in range(1, 200)]
    assert "[199 devices]" in text
