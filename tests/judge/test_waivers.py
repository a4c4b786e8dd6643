"""Waivers mute with a trace, end on their day, and say exactly what is wrong with their file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from scanner import knowledge as knowledge_
from scanner.errors import InputProblem
from scanner.judge import waivers
from scanner.knowledge import Knowledge
from scanner.model import Action, Device, Report

ENTRY = "{device: '%s', policy: %s, reason: replaced in May, who: CISO, expires: %s}"


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return knowledge_.load()


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(*entries: tuple[str, str, str]) -> Path:
        path = tmp_path / "waivers.yaml"
        path.write_text("waivers:\n" + "".join(f"  - {ENTRY % entry}\n" for entry in entries))
        return path

    return write


@pytest.mark.parametrize("device", ["3C-EF-8C-11-22-33", "3cef.8c11.2233", "192.0.2.42"])
@pytest.mark.parametrize("policy", ["all", "us-889-a1b"])
def test_a_waiver_mutes_and_leaves_a_trace(
    device: str, policy: str, written: Callable[..., Path], known: Knowledge, make_report: Callable[..., Report]
) -> None:
    report = waivers.apply(make_report(), waivers.load([written((device, policy, "2027-01-01"))], known))
    (muted,) = report.devices
    assert muted.action is Action.NONE
    assert muted.verdicts[0].action is Action.REMOVE, "the verdict stays"
    assert muted.verdicts[0].waived
    assert report.waivers[0].devices == (muted.key,)


def test_other_devices_and_other_measures_are_untouched(
    written: Callable[..., Path], known: Knowledge, make_report: Callable[..., Report]
) -> None:
    path = written(("192.0.2.43", "all", "2027-01-01"), ("192.0.2.42", "us-805", "2027-01-01"))
    report = waivers.apply(make_report(), waivers.load([path], known))
    assert report.devices[0].action is Action.REMOVE
    assert [use.devices for use in report.waivers] == [(), ()]


@pytest.mark.parametrize(("day", "muted"), [("2026-11-25", True), ("2026-11-24", False), ("2026-11-23", False)])
def test_it_holds_until_the_day_before_it_expires(
    day: str, muted: bool, written: Callable[..., Path], known: Knowledge, make_report: Callable[..., Report]
) -> None:
    report = waivers.apply(make_report(), waivers.load([written(("192.0.2.42", "all", day))], known))
    assert (report.devices[0].action is Action.NONE) is muted
    assert report.waivers[0].waiver.expired is not muted
    assert report.devices[0].verdicts[0].waiver is not None, "an expired one is shown"


def test_one_that_holds_beats_an_expired_one(
    written: Callable[..., Path], known: Knowledge, make_report: Callable[..., Report]
) -> None:
    path = written(("192.0.2.42", "us-889-a1b", "2020-01-01"), ("3c:ef:8c:11:22:33", "all", "2027-01-01"))
    report = waivers.apply(make_report(), waivers.load([path], known))
    assert report.devices[0].action is Action.NONE


def test_a_device_that_takes_over_the_address_of_a_mac_is_not_muted(
    written: Callable[..., Path], known: Knowledge, make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    path = written(("3c:ef:8c:11:22:33", "all", "2027-01-01"))
    other = make_device(mac="3c:ef:8c:11:22:34")
    assert waivers.apply(make_report(other), waivers.load([path], known)).devices[0].action is Action.REMOVE


def test_without_waivers_nothing_changes(make_report: Callable[..., Report]) -> None:
    report = make_report()
    assert waivers.apply(report, ()) is report


def test_an_empty_file_holds_none(tmp_path: Path, known: Knowledge) -> None:
    (tmp_path / "w.yaml").write_text("# nothing yet\n")
    assert waivers.load([tmp_path / "w.yaml"], known) == ()


GOOD = ENTRY % ("192.0.2.1", "all", "2027-01-01")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[", "is not YAML (line 2"),
        ("- x\n", "holds no mapping"),
        ("waivers: none\n", "waivers: Expected `array`"),
        ("waiver: []\n", "unknown field `waiver`"),
        ("waivers: [7]\n", "entry '1'"),
        (f"waivers: [{GOOD.replace('who', 'whom')}]", "entry '1 (192.0.2.1)'"),
        (f"waivers: [{GOOD.replace('192.0.2.1', 'camera 3')}]", "device: 'camera 3' is neither"),
        (f"waivers: [{GOOD}, {GOOD}]", "192.0.2.1, all: stands twice"),
        (f"waivers: [{GOOD.replace('all', 'us-889-a1')}]", "us-889-a1a"),
        (f"waivers: [{GOOD.replace('2027-01-01', 'never')}]", "expires"),
        (f"waivers: [{GOOD.replace('CISO', chr(34) * 2)}]", "who: is empty"),
        ("waivers: [{device: 44:19:46:11:22:33}]", "device: is read as a number: put it in quotes"),
        ("waivers: [{device: \xff", "is not UTF-8"),
    ],
)
def test_a_broken_file_is_named_with_entry_key_and_reason(
    tmp_path: Path, known: Knowledge, content: str, said: str
) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputProblem) as problem:
        waivers.load([path], known)
    assert said in str(problem.value)
    assert problem.value.code == "E-INPUT"
    assert str(problem.value).startswith(str(path))


def test_a_missing_file(tmp_path: Path, known: Knowledge) -> None:
    with pytest.raises(InputProblem, match="cannot be read"):
        waivers.load([tmp_path / "none.yaml"], known)


def test_two_files_add_up(tmp_path: Path, known: Knowledge, make_report: Callable[..., Report]) -> None:
    for name, device in (("a.yaml", "192.0.2.42"), ("b.yaml", "192.0.2.1")):
        (tmp_path / name).write_text(f"waivers: [{ENTRY % (device, 'all', '2027-01-01')}]")
    found = waivers.load([tmp_path / "a.yaml", tmp_path / "b.yaml"], known)
    assert len(waivers.apply(replace(make_report()), found).waivers) == 2
