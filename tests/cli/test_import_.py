from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from scanner.cli.main import run
from scanner.store import open_store, schema

NEIGHBOURS = "192.0.2.1 dev eth0 lladdr 3c:ef:8c:11:22:33 REACHABLE\n192.0.2.2 dev eth0 lladdr c4:2f:90:a7:b5:d1 STALE\n"
PORTS = "core-1#show mac address-table\n  10    3cef.8c11.2233    DYNAMIC     Gi1/0/1\n"
PROFILE = ("--profile", "us-federal-contractor", "--as-of", "2026-11-24")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def _file(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_several_files_make_one_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arp, mac = _file(tmp_path, "arp.txt", NEIGHBOURS), _file(tmp_path, "mac.txt", PORTS)

    assert run(["import", arp, mac, "--format", "jsonl", *PROFILE]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["ip"], first["manufacturer"], first["level"]) == ("192.0.2.1", "dahua", "likely")
    assert (first["place"]["switch"], first["place"]["port"], first["place"]["vlan"]) == ("core-1", "Gi1/0/1", 10)
    assert first["columns"] == {"place": "core-1 Gi1/0/1, VLAN 10"}
    assert second["manufacturer"] == "hikvision"


def test_it_is_judged_like_a_scan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arp = _file(tmp_path, "arp.txt", NEIGHBOURS)

    assert run(["import", arp, *PROFILE, "--fail-on", "investigate"]) == 1
    assert "asked of you: 2 investigate" in capsys.readouterr().out


def test_standard_input_and_a_named_format(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(NEIGHBOURS.encode())))

    assert run(["import", "arp", "-", "--format", "jsonl"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_recordings_are_written_and_mean_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arp = _file(tmp_path, "arp.txt", NEIGHBOURS)
    assert run(["import", arp, "--record", str(tmp_path / "kept"), "--format", "jsonl"]) == 0
    first = [json.loads(line)["manufacturer"] for line in capsys.readouterr().out.splitlines()]
    files = sorted(map(str, (tmp_path / "kept").glob("*.yaml")))

    assert run(["identify", *files, "--format", "jsonl"]) == 0
    assert [json.loads(line)["manufacturer"] for line in capsys.readouterr().out.splitlines()] == first == ["dahua", "hikvision"]


def test_unknown_lines_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arp = _file(tmp_path, "arp.txt", NEIGHBOURS + "Lorem \x1b[31mipsum\n")

    assert run(["import", arp]) == 0
    out = capsys.readouterr().out
    assert "1 not understood: line 3: Lorem \\x1b[31mipsum" in out
    assert "\x1b" not in out


def test_one_broken_file_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arp, what = _file(tmp_path, "arp.txt", NEIGHBOURS), _file(tmp_path, "what.txt", "Lorem ipsum\n" * 9)

    assert run(["import", what, str(tmp_path / "none"), _file(tmp_path, "empty", ""), arp, "--format", "jsonl"]) == 2
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 2
    assert "what.txt: is in no format that is known here" in told.err
    assert "none: cannot be read: No such file or directory" in told.err
    assert "empty: is empty" in told.err


@pytest.mark.parametrize("text", ["", "\n  \n", "\ufeff"])
def test_a_file_with_nothing_in_it_is_empty(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "arp.txt").write_bytes(text.encode("utf-16" if text == "" else "utf-8"))

    assert run(["import", str(tmp_path / "arp.txt")]) == 2
    assert "arp.txt: is empty" in capsys.readouterr().err


def test_a_named_format_that_it_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", "--from", "kea", _file(tmp_path, "arp.txt", NEIGHBOURS)]) == 2
    (only,) = capsys.readouterr().err.splitlines()
    assert "arp.txt: has no header line" in only


def test_ctrl_c_keeps_what_was_read_and_says_so(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "scanner.cli.main", "import", "arp", "-", "--format", "jsonl"]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"XDG_STATE_HOME": str(tmp_path)}
    )
    assert process.stdin is not None
    for piece in (NEIGHBOURS, "\n", "\n"):  # when a piece is taken, what came before it was read
        process.stdin.write(piece.encode())
        process.stdin.flush()
        end = time.monotonic() + 60
        while struct.unpack("i", fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)))[0]:
            assert time.monotonic() < end
            time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert [json.loads(line)["ip"] for line in out.splitlines()] == ["192.0.2.1", "192.0.2.2"]
    assert err.decode() == "lanveto: interrupted: what was known by then is reported\n"


def test_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import"]) == 2
    assert run(["import", "--from", "tarot", _file(tmp_path, "arp.txt", NEIGHBOURS)]) == 2
    assert "there are arp" in capsys.readouterr().err
    assert run(["import", "cisco", _file(tmp_path, "arp.txt", NEIGHBOURS)]) == 2
    assert "cisco: is neither a file nor a format; there are arp" in capsys.readouterr().err
    assert run(["import", "--list"]) == 0
    assert "masscan" in capsys.readouterr().out


@pytest.mark.parametrize("filler", [b"x", b"\0", b"\xff"], ids=["text", "nul", "no text"])
def test_one_endless_line_is_a_clear_error_in_flat_memory(tmp_path: Path, filler: bytes) -> None:
    """What 2 GB of one line do, as a pipe that would go on for ever."""
    code = (
        f"import sys\nsys.stdout.buffer.write({NEIGHBOURS!r}.encode())\n"
        f"try:\n  for _ in range(2048): sys.stdout.buffer.write({filler!r} * (1 << 20))\nexcept BrokenPipeError: pass\n"
    )
    producer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    # VmHWM, since ru_maxrss of a child begins with its parent's.
    meter = (
        "import re, sys\nfrom scanner.cli.main import run\ncode = run(sys.argv[1:])\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]\n"
        "print(code, int(peak) // 1024, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", meter, "import", "arp", "-", "--format", "jsonl"], stdin=producer.stdout,
        capture_output=True, text=True, check=False, env=os.environ | {"XDG_STATE_HOME": str(tmp_path)}, timeout=60,
    )  # fmt: skip
    assert producer.stdout is not None
    producer.stdout.close()
    producer.wait()

    assert len(done.stdout.splitlines()) == 2
    assert "line 3 is longer than 1024 KiB" in done.stderr
    code_, megabytes = done.stderr.splitlines()[-1].split()
    assert code_ == "2"
    assert int(megabytes) < 200


def _stored(where: Path, site: str = "default") -> list[str]:
    with open_store(where, create=False) as store, store.reading() as connection:
        rows = connection.execute(sa.select(schema.devices.c.key).where(schema.devices.c.site == site))
        return sorted(key for (key,) in rows)


def test_imports_and_recordings_of_a_scan_are_one_device_in_the_history(tmp_path: Path) -> None:
    store, bundle = tmp_path / "h.sqlite", tmp_path / "b.zip"
    keep = ("--store", str(store), "--output", str(tmp_path / "o"))
    leases = _file(tmp_path, "list.csv", "ip,hostname\n192.0.2.1,camera\n192.0.2.9,other\n")
    arp = _file(tmp_path, "arp.txt", NEIGHBOURS)

    # Known by its address alone at first, by its MAC once a table tells it, and by the scan after that.
    assert run(["import", leases, *keep]) == 0
    assert _stored(store) == ["ip-192-0-2-1", "ip-192-0-2-9"]
    assert run(["import", arp, *keep, "--bundle", str(bundle)]) == 0
    assert run(["import", arp, *keep, "--record", str(tmp_path / "kept")]) == 0
    assert run(["identify", *map(str, (tmp_path / "kept").iterdir()), *keep]) == 0
    assert _stored(store) == ["3cef8c112233", "c42f90a7b5d1", "ip-192-0-2-9"]
    assert run(["verify", str(bundle)]) == 0


@pytest.mark.parametrize("command", ["import", "identify"])
def test_an_output_that_cannot_be_written_costs_neither_the_report_nor_the_history(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from scanner.cli import options
    from scanner.errors import UsageProblem

    written = options.emit

    def full(content: object, path: Path | None, what: str = "--output") -> None:
        if path is not None:
            raise UsageProblem(f"{what} {path}: cannot be written: No space left on device")
        written(content, path, what)  # type: ignore[arg-type]

    arp, store = _file(tmp_path, "arp.txt", NEIGHBOURS), tmp_path / "h.sqlite"
    assert run(["import", arp, "--record", str(tmp_path / "kept"), "--output", str(tmp_path / "o")]) == 0
    monkeypatch.setattr(options, "emit", full)
    files = [arp] if command == "import" else sorted(map(str, (tmp_path / "kept").iterdir()))
    assert run([command, *files, "--store", str(store), "--output", str(tmp_path / "o"), "--format", "jsonl"]) == 3
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 2
    assert "No space left on device; the report goes to standard output instead" in told.err
    assert _stored(store) == ["3cef8c112233", "c42f90a7b5d1"]


def test_nobody_is_gone_because_a_file_does_not_name_it(tmp_path: Path) -> None:
    store = tmp_path / "h.sqlite"
    keep = ("--store", str(store), "--output", str(tmp_path / "o"))
    assert run(["import", _file(tmp_path, "arp.txt", NEIGHBOURS), *keep]) == 0
    for _ in range(4):
        assert run(["import", _file(tmp_path, "arp.txt", NEIGHBOURS.splitlines()[0] + "\n"), *keep]) == 0
    with open_store(store, create=False) as history, history.reading() as connection:
        assert [tuple(row) for row in connection.execute(sa.select(schema.devices.c.gone, schema.devices.c.misses))] == [(False, 0)] * 2
