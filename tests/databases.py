"""A PostgreSQL of a test's own, on a socket in its own folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path


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
