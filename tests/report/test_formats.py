from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scanner.cli import options
from scanner.errors import UsageProblem
from scanner.model import Device, Report
from scanner.report import formats, get, names, pieces


def test_each_file_is_named_after_its_format() -> None:
    assert tuple(formats()) == names()


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(UsageProblem, match="table"):
        get("docx")


def test_the_help_names_every_format() -> None:
    assert names() == options.FORMATS


def test_a_format_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    monkeypatch.delitem(sys.modules, "scanner.report.xlsx", raising=False)
    with pytest.raises(UsageProblem, match=r"lanveto\[report\]"):
        get("xlsx")


@pytest.mark.parametrize("name", names())
def test_every_format_takes_any_report(name: str, make_report: Callable[..., Report]) -> None:
    rendered = get(name).render(make_report())
    assert isinstance(rendered, bytes) is get(name).binary
    assert rendered


@pytest.mark.parametrize("name", ["json", "jsonl", "table"])
@pytest.mark.parametrize("count", [0, 1, 150])
def test_pieces_are_what_a_format_renders(
    name: str, count: int, make_report: Callable[..., Report], make_device: Callable[..., Device], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from msgspec.structs import replace

    report = replace(make_report(), devices=tuple(make_device(id_=f"d-{n}") for n in range(count)))
    whole = get(name).render(report)
    assert isinstance(whole, str)
    expected = whole if whole.endswith("\n") else whole + "\n"

    options.emit(pieces(get(name), report), None)
    assert capsys.readouterr().out == expected
    options.emit(pieces(get(name), report), tmp_path / "report")
    assert (tmp_path / "report").read_text() == expected


@pytest.mark.parametrize("content", ['"é" + "x" * 2_000_000', "iter(['é'] + ['x' * 200_000] * 10)"])
def test_a_signal_cuts_nothing_off_a_result_that_is_written_unbuffered(content: str) -> None:
    """As in a container with PYTHONUNBUFFERED: the pipe is full and the writer waits in the middle of its result."""
    import fcntl
    import struct
    import termios

    code = (
        "import signal; signal.signal(signal.SIGUSR1, lambda *_: None); from scanner.cli import options; "
        f"options.emit({content}, None)"
    )
    with subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        waiting, before, until = 0, -1, time.monotonic() + 60
        while not waiting or waiting != before:  # until it is full
            assert time.monotonic() < until
            time.sleep(0.05)
            before = waiting
            waiting = struct.unpack("i", fcntl.ioctl(process.stdout, termios.FIONREAD, b"\0" * 4))[0]
        os.kill(process.pid, signal.SIGUSR1)
        time.sleep(0.05)
        assert process.stdout.read().decode() == "é" + "x" * 2_000_000 + "\n"
    assert process.returncode == 0
