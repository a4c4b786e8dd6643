"""A mosquitto of a test's own, on loopback."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(config: str, folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a broker of this configuration that listens on `port`; whoever starts it ends it."""
    command = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    assert command, "mosquitto is missing: apt-get install mosquitto (make test does it as root)"
    path = folder / "mosquitto.conf"
    path.write_text(config)
    process = subprocess.Popen([command, "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.05)
    process.kill()
    raise AssertionError("mosquitto did not start")


@contextlib.contextmanager
def running(config: str, folder: Path, port: int) -> Iterator[None]:
    """A broker of this configuration while the block runs."""
    process = start(config, folder, port)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)
