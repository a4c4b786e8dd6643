"""Opening a store: what is refused, and in which words. The damage is real: locks, full disks, killed processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from scanner.errors import StoreProblem, UsageProblem
from scanner.model import Device, Report
from scanner.store import Store, open_store, opening, place, reading, schema, writing


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.0.2.0/24", "looks like a target"),
        ("mysql://h/d", "postgresql://"),
        ("postgresql://u:secret@h/d", "process list"),
        ("sqlite:///x", "without sqlite://"),
    ],
)
def test_places_that_cannot_be(text: str, said: str) -> None:
    with pytest.raises(UsageProblem, match=said) as caught:
        place(text)
    assert "secret" not in str(caught.value)


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    open_store(tmp_path / "deep" / "h.sqlite").close()
    assert stat.S_IMODE((tmp_path / "deep" / "h.sqlite").stat().st_mode) == 0o600


def test_a_store_of_a_newer_version_is_refused(where: str) -> None:
    with open_store(where) as store, store.writing() as connection:
        connection.execute(sa.update(schema.meta).values(value="99"))
    with pytest.raises(StoreProblem, match="newer lanveto"):
        open_store(where)


def test_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE invoices (id INTEGER)")
    other.close()
    with pytest.raises(StoreProblem, match="another program's table 'invoices'"):
        open_store(path)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreProblem, match="not a history"):
        open_store(path)
    with pytest.raises(StoreProblem, match="is a folder"):
        open_store(tmp_path)
    with pytest.raises(StoreProblem, match="no such file"):
        open_store(tmp_path / "none", create=False)


def test_a_locked_store_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "WAIT", 0.2)
    with open_store(tmp_path / "h.sqlite") as store:
        holder = sqlite3.connect(tmp_path / "h.sqlite", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreProblem, match=r"h\.sqlite: another process is writing"), store.writing():
            pass
        with store.reading() as connection:  # readers never wait
            assert schema.version_of(connection) == schema.VERSION
        holder.close()


def test_a_locked_database_is_said(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "WAIT", 0.2)
    url = postgres.database()
    with (
        open_store(url) as one, open_store(url) as other, one.writing(),
        pytest.raises(StoreProblem, match="another process is writing"), other.writing(),
    ):  # fmt: skip
        pass


def test_an_unreachable_database_is_said(postgres: Any, tmp_path: Path) -> None:
    with pytest.raises(StoreProblem, match="cannot be reached"):
        open_store(f"postgresql://u@/d?host={tmp_path}")
    with pytest.raises(StoreProblem, match="cannot be reached"):
        open_store("postgresql://u@127.0.0.1:1/d")
    with pytest.raises(StoreProblem, match="does not exist"):
        open_store(f"postgresql://lanveto@/nothing?host={postgres.folder}")


def test_a_database_that_goes_away_and_comes_back(
    postgres: Any, scan_of: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    with open_store(postgres.database()) as store:
        writing.save(store, scan_of(1, make_device()))
        postgres.stop()
        try:
            with pytest.raises(StoreProblem, match="cannot be reached"):
                writing.save(store, scan_of(2, make_device()))
        finally:
            postgres.start()
        assert writing.save(store, scan_of(2, make_device())).events[-1].kind == "scan-completed"
        assert len(reading.entries(store)) == 2


def test_only_one_at_a_job(where: str) -> None:
    with open_store(where) as one, open_store(where) as other, one.alone("mqtt") as first:
        assert first
        with other.alone("mqtt") as second, other.alone("mail") as third:
            assert (second, third) == (False, True)
    with open_store(where) as again, again.alone("mqtt") as free:
        assert free


WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from scanner.model import *
from scanner.store import open_store, writing
def device(n, scan):
    seen = tuple(Observation(channel="http.body", port=p, value=f"{scan}-{n}-{p}-" + "x" * 300) for p in range(6))
    return Device(key=f"ip-{n}", recording=Recording(id=f"r{n}", ip="192.0.2.1", observations=seen), identity=Identity())
with open_store(sys.argv[1]) as store:
    for number in range(10_000):
        scan = Scan(id=f"{sys.argv[2]}-{number}", started=f"2026-11-01T00:00:{number:05}Z", targets=("192.0.2.0/24",))
        devices = tuple(device(n, number) for n in range(60))
        writing.save(store, Report(scan=scan, devices=devices, coverage=Coverage(), rules_version=RulesVersion(rules_as_of="", rules_sha256="", registry_as_of="", registry_sha256="")))
        print(number, flush=True)
"""


def _writer(where: str, name: str, root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, where, name, str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _whole(store: Store) -> int:
    """Every scan that is there is there whole; returns how many."""
    scans = reading.entries(store)
    for entry in scans:
        report = reading.report(store, entry.number)
        assert len(report.devices) == entry.devices == 60
        assert all(len(device.recording.observations) == 6 for device in report.devices)
    return len(scans)


def test_two_writers_at_once_and_kill_9_leave_whole_scans(where: str, root: Path) -> None:
    open_store(where).close()
    writers = [_writer(where, name, root) for name in ("a", "b")]
    told = 0
    try:
        for writer in writers:
            assert writer.stdout is not None
            told += 2
            for _ in range(2):
                assert writer.stdout.readline(), writer.communicate()[1].decode()
        time.sleep(0.07)  # somewhere in the middle of a transaction
    finally:
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
    with open_store(where) as store:
        assert _whole(store) >= told
        if store.lock_name is not None:
            with store.reading() as connection:
                assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    later = _writer(where, "c", root)  # and others can go on
    assert later.stdout is not None
    assert later.stdout.readline()
    later.kill()
    later.communicate()


FULL = """
set -e
mount -t tmpfs -o size=1500k,mode=777 none "$2"
exec "$1" -c "$3" "$2/h.sqlite" full "$4"
"""


def test_a_full_disk_stores_nothing_by_halves(tmp_path: Path, root: Path) -> None:
    """A file system of 1.5 MB in a mount namespace of its own."""
    small = tmp_path / "small"
    small.mkdir()
    code = WRITER.replace("for number in range(10_000)", "for number in range(2_000)") + "\n"
    code = code.replace("        print(number, flush=True)", "        pass")
    check = f"""
import sys
sys.path.insert(0, {str(root)!r})
from scanner.errors import StoreProblem
try:
    exec({code!r})
except StoreProblem as problem:
    print(problem)
import shutil
for end in ("", "-wal"):
    shutil.copy(sys.argv[1] + end, {str(tmp_path)!r} + "/copy.sqlite" + end)
"""
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", FULL, "sh", sys.executable, str(small), check, str(root)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the disk is full; nothing of this was stored" in done.stdout
    with open_store(tmp_path / "copy.sqlite") as store:
        assert _whole(store) > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a small disk is mounted for the server")
def test_a_full_disk_of_a_server(postgres: Any, root: Path) -> None:
    """The tables lie on a file system of 12 MB; afterwards there is room again."""
    filler = Path(f"/proc/{postgres.process.pid}/root{postgres.folder}/small/filler")
    postgres.sql(f"CREATE TABLESPACE small LOCATION '{postgres.folder}/small'")
    url = postgres.database("TABLESPACE small")
    filler.write_bytes(bytes(2_000_000))
    code = WRITER.replace("        print(number, flush=True)", "        pass")
    done = subprocess.run([sys.executable, "-c", code, url, "full", str(root)], capture_output=True, text=True, timeout=100, check=False)
    assert "the disk is full; nothing of this was stored" in done.stderr
    filler.unlink()
    with open_store(url) as store:
        assert _whole(store) > 0
    postgres.sql(f"DROP DATABASE {url.partition('@/')[2].partition('?')[0]} WITH (FORCE)")
