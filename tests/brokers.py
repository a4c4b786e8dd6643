"""A mosquitto of a test's own, on loopback, and a way to it that a test can make slow."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self

import aiomqtt


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
    for _ in range(400):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        if process.poll() is not None:
            break
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


class Broker:
    """A mosquitto that keeps what it holds over a stop, and with `safe` over a kill too; stopped and started at will."""

    def __init__(self, folder: Path, more: str = "", *, safe: bool = False) -> None:
        self.port = free_port()
        self.folder = folder
        self.config = (
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n"
            f"persistence_location {folder}/\n"
        )
        if safe:
            # What a broker keeps in memory only dies with it: this one writes each change down.
            self.config += "autosave_on_changes true\nautosave_interval 1\n"
        if "max_queued_messages" not in more:
            self.config += "max_queued_messages 0\n"
        self.config += more
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.process is None:
            self.process = start(self.config, self.folder, self.port)

    def stop(self) -> None:
        """End it as a service manager does."""
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(subprocess.Popen.kill)

    def _end(self, how: Any) -> None:
        if self.process is not None:
            how(self.process)
            self.process.wait(10)
            self.process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


async def held(port: int, pattern: str = "#", *, qos: int = 1, **client: Any) -> dict[str, Any]:
    """Everything retained, as a fresh subscriber sees it: topic and content."""
    found: dict[str, Any] = {}
    async with aiomqtt.Client("127.0.0.1", port, **client) as one:
        await one.subscribe(pattern, qos=qos)
        stream = aiter(one.messages)
        while True:
            try:
                message = await asyncio.wait_for(anext(stream), 0.7)
            except TimeoutError:
                return found
            assert isinstance(message.payload, bytes)
            if message.payload:
                found[str(message.topic)] = json.loads(message.payload)
            else:
                found.pop(str(message.topic), None)


class Way:
    """A way to the broker, on a port of its own."""

    def __init__(self) -> None:
        self.port = 0
        self.flows = asyncio.Event()
        """Unset it, and nothing that the broker says comes through."""
        self.flows.set()
        self.pace: float | None = None
        """Bytes a second from us to the broker; None: as fast as they come."""
        self.passed = 0
        """Bytes that went to the broker."""


@contextlib.asynccontextmanager
async def between(port: int, *, old: bool = False) -> AsyncIterator[Way]:
    """A way to the broker at `port`. `old`: it answers MQTT 5 like a broker that knows 3.1.1 only (3.1.2.2, 3.2.2.3)."""
    way = Way()

    async def there(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(65536 if way.pace is None else 256):
            if way.pace is not None:
                await asyncio.sleep(len(some) / way.pace)
            writer.write(some)
            await writer.drain()
            way.passed += len(some)
        writer.close()

    async def back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(65536):
            await way.flows.wait()
            writer.write(some)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await reader.readexactly(14)
            level = first[first.index(b"MQTT") + 4]
            if old and level > 4:
                writer.write(b"\x20\x02\x00\x01")
                await writer.drain()
                return
            from_broker, to_broker = await asyncio.open_connection("127.0.0.1", port)
            try:
                to_broker.write(first)
                async with asyncio.TaskGroup() as group:
                    group.create_task(there(reader, to_broker))
                    group.create_task(back(from_broker, writer))
            finally:
                to_broker.close()
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    way.port = server.sockets[0].getsockname()[1]
    try:
        yield way
    finally:
        way.flows.set()
        way.pace = None
        server.close()
