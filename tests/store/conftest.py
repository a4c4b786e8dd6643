"""Stores to test with: SQLite files, and a real PostgreSQL of the test's own, on a socket in its own folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scanner.model import Device, Report
from scanner.store import Store, open_store


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    assert found, "postgresql is missing: apt-get install postgresql (make test does it as root)"
    return found[-1].parent


class Server:
    """A PostgreSQL server that listens on a Unix socket only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self._bin = _binaries()
        self._databases = 0
        # The server refuses to run as root.
        self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        if self._as:
            shutil.chown(folder, "postgres", "postgres")
        self._run(str(self._bin / "initdb"), "-D", str(folder / "data"), "-U", "lanveto", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")

    def _run(self, *command: str) -> None:
        done = subprocess.run([*self._as, *command], capture_output=True, text=True, cwd=self.folder, check=False)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        # As root in a mount namespace of its own, with a small disk beside the data.
        small = self.folder / "small"
        small.mkdir(exist_ok=True)
        mount = f"mount -t tmpfs -o size=12m,mode=700,uid=$(id -u postgres),gid=$(id -g postgres) none {small} && exec \"$@\""
        apart = ["unshare", "-m", "sh", "-c", mount, "sh"] if self._as else []
        self.process = subprocess.Popen(
            [*apart, *self._as, str(self._bin / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), "-c", "listen_addresses=", "-c", "fsync=off"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder,
        )  # fmt: skip
        for _ in range(200):
            if subprocess.run([str(self._bin / "pg_isready"), "-q", "-h", str(self.folder)], check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError("postgres did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # without waiting for its clients
            self.process.wait(20)
            self.process = None

    def sql(self, text: str, database: str = "postgres") -> None:
        self._run(str(self._bin / "psql"), "-h", str(self.folder), "-U", "lanveto", "-d", database, "-qc", text)

    def database(self, more: str = "") -> str:
        """The URL of a new, empty database."""
        self._databases += 1
        name = f"history{self._databases}"
        self.sql(f"CREATE DATABASE {name} {more}")
        return f"postgresql://lanveto@/{name}?host={self.folder}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A running server; what a test stops, it starts again."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:  # a socket's path must be short
        Path(folder).chmod(0o755)
        server = Server(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a store: in turn a file and a database."""
    if request.param == "sqlite":
        return str(tmp_path / "history.sqlite")
    server = request.getfixturevalue("postgres")
    assert isinstance(server, Server)
    return server.database()


@pytest.fixture
def store(where: str) -> Iterator[Store]:
    """An empty store, in turn of both kinds."""
    with open_store(where) as opened:
        yield opened


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Store]:
    """An empty SQLite store, for what is the same in both."""
    with open_store(tmp_path / "local.sqlite") as opened:
        yield opened


@pytest.fixture
def scan_of(make_report: Callable[..., Report]) -> Callable[..., Report]:
    """Builds the n-th scan of a network: ids and times follow from its number; without devices nothing answered."""
    from msgspec.structs import replace

    def make(number: int, *devices: Device, failures: tuple[str, ...] = (), interrupted: bool = False, site: str = "hq",
             targets: tuple[str, ...] = ("192.0.2.0/24",)) -> Report:  # fmt: skip
        report = make_report(*devices, failures=failures, interrupted=interrupted, site=site)
        day = f"2026-11-{number:02}"
        scan = replace(report.scan, id=f"scan-{site}-{number:04}", started=f"{day}T00:00:00Z", finished=f"{day}T00:01:00Z", targets=targets)
        return replace(report, scan=scan, devices=devices)

    return make
