from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scanner import state
from scanner.cli.streaming import Results
from scanner.model import Action, Device, Report
from scanner.report import Streamed, formats, get


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def results(output: Path | None, name: str = "jsonl", wanted: frozenset[Action] = frozenset()) -> Results:
    return Results(get(name), output, wanted, lambda device: device)


def test_each_device_stands_in_the_file_as_soon_as_it_is_told(
    tmp_path: Path, make_device: Callable[..., Device], make_report: Callable[..., Report]
) -> None:
    place = tmp_path / "out.jsonl"
    place.write_text("an older result")
    some = results(place)
    assert place.read_text() == "an older result"
    for number in range(3):
        some.tell(make_device(id_=f"d{number}"))
        assert [json.loads(line)["id"] for line in place.read_text().splitlines()] == [
            f"d{n}" for n in range(number + 1)
        ]  # fmt: skip

    assert some.close(make_report())
    assert [r.id for r in state.load_last()] == ["d0", "d1", "d2"]


def test_nothing_found_is_an_empty_file(tmp_path: Path, make_report: Callable[..., Report]) -> None:
    assert results(tmp_path / "out.jsonl").close(make_report())
    assert (tmp_path / "out.jsonl").read_text() == ""


def test_findings_are_looked_for_on_the_way(make_device: Callable[..., Device]) -> None:
    with results(None, "table", frozenset({Action.REMOVE})) as some:
        some.tell(make_device(action=Action.NOTE))
        assert not some.found
        some.tell(make_device(action=Action.REMOVE))
        assert some.found


def test_a_scan_that_breaks_leaves_the_one_before_remembered(
    make_device: Callable[..., Device], make_report: Callable[..., Report]
) -> None:
    with results(None, "table") as some:
        some.tell(make_device(id_="a"))
        assert some.close(make_report())
    with contextlib.suppress(ZeroDivisionError), results(None, "table") as some:
        some.tell(make_device(id_="b"))
        raise ZeroDivisionError

    assert [r.id for r in state.load_last()] == ["a"]
    assert [path.name for path in state.folder().iterdir()] == [state.NAME]


def test_a_full_disk_is_said_and_the_scan_is_still_remembered(
    make_device: Callable[..., Device], make_report: Callable[..., Report], capsys: pytest.CaptureFixture[str]
) -> None:
    some = results(Path("/dev/full"))
    some.tell(make_device(id_="a"))
    some.tell(make_device(id_="b"))

    assert not some.close(make_report())
    assert some.problem is not None
    assert "/dev/full: cannot be written: No space left on device" in capsys.readouterr().err
    assert len(state.load_last()) == 2


@pytest.mark.parametrize("name", sorted(formats()))
def test_a_streamed_format_gives_what_it_renders(
    name: str, make_device: Callable[..., Device], make_report: Callable[..., Report]
) -> None:
    format_ = get(name)
    report = make_report(make_device(id_="a"), make_device(id_="b"))
    if isinstance(format_, Streamed):
        assert format_.begin() + "".join(map(format_.device, report.devices)) + format_.end(report) == (
            format_.render(report)
        )
    else:
        assert name != "jsonl"
