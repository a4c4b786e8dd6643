"""The MQTT sink when its broker has bad days: killed, slow, old, suspicious; and Home Assistant's birth message."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from scanner import publish
from scanner.model import Device, Report
from scanner.publish import Unavailable, documents
from scanner.publish.deliver import Delivery
from scanner.store import Store, open_store, outbox, writing
from tests.brokers import free_port, running, start
from tests.publish.doubles import Log, certificates, event

pytestmark = pytest.mark.xdist_group("mosquitto")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "h.sqlite") as opened:
        outbox.register(opened, ["mqtt"])
        yield opened


def _sink(port: int, **more: object) -> publish.Configured:
    return publish.configured("mqtt", {"url": f"mqtt://127.0.0.1:{port}/p", **more})


def _open(port: int) -> str:
    return f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"


def _waiting(store: Store) -> int:
    return outbox.standing(store)[0].waiting


@asynccontextmanager
async def _delivering(store: Store, sink: publish.Configured, log: Log) -> AsyncIterator[Delivery]:
    stop = asyncio.Event()
    delivery = Delivery(store, sink, log, first_wait=0.02, longest_wait=0.1)
    task = asyncio.create_task(delivery.run(stop))
    try:
        async with asyncio.timeout(15):
            yield delivery
    finally:
        stop.set()
        await task


async def _delivered(store: Store) -> None:
    while _waiting(store):  # noqa: ASYNC110 - the store has no event to wait for
        await asyncio.sleep(0.02)


@asynccontextmanager
async def _between(port: int, *, old: bool = False) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A way to the broker on another port. Unset its event and the broker answers nothing any more.

    `old`: it answers MQTT 5 like a broker that knows 3.1.1 only (MQTT 3.1.1, §3.1.2.2 and §3.2.2.3).
    """
    flows = asyncio.Event()
    flows.set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, wait: bool) -> None:
        while some := await reader.read(65536):
            if wait:
                await flows.wait()
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
            there, back = await asyncio.open_connection("127.0.0.1", port)
            back.write(first)
            async with asyncio.TaskGroup() as group:
                group.create_task(pass_on(reader, back, wait=False))
                group.create_task(pass_on(there, writer, wait=True))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], flows
    finally:
        flows.set()
        server.close()


def test_a_broker_that_is_killed_loses_nothing_that_it_had_not_taken(store: Store, tmp_path: Path) -> None:
    port = free_port()
    # What a broker keeps in memory only dies with it: this one writes each message down.
    config = f"{_open(port)}persistence true\npersistence_location {tmp_path}/\nautosave_on_changes true\nautosave_interval 1\n"
    process = start(config, tmp_path, port)
    log = Log()

    async def main() -> set[str]:
        nonlocal process
        got: set[str] = set()
        async with _delivering(store, _sink(port), log) as delivery:
            async with aiomqtt.Client("127.0.0.1", port, identifier="counter", clean_session=False) as first:
                await first.subscribe("p/hq/event/#", qos=1)
            await asyncio.to_thread(outbox.put, store, [event(n) for n in range(50)])
            delivery.wake.set()
            await _delivered(store)
            process.kill()
            await asyncio.to_thread(process.wait)
            await asyncio.to_thread(outbox.put, store, [event(n) for n in range(50, 100)])
            await asyncio.sleep(0.2)
            assert _waiting(store) == 50
            process = await asyncio.to_thread(start, config, tmp_path, port)
            await _delivered(store)
            async with aiomqtt.Client("127.0.0.1", port, identifier="counter", clean_session=False) as again:
                async for message in again.messages:
                    assert isinstance(message.payload, bytes)
                    got.add(json.loads(message.payload)["event"])
                    if len(got) == 100:
                        return got
        raise AssertionError

    try:
        assert asyncio.run(main()) == {f"e{n}" for n in range(100)}
    finally:
        process.kill()
        process.wait(10)
    assert any(line.startswith("broken mqtt:") for line in log.lines)
    assert log.lines[-1].startswith("mended")


def test_a_broker_that_does_not_answer_in_time_is_waited_for(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanner.publish.mqtt.SETTLE_SECONDS", 0.3)
    monkeypatch.setattr("scanner.publish.mqtt.CONNECT_SECONDS", 0.5)
    port = free_port()
    log = Log()

    async def main() -> None:
        async with _between(port) as (way, flows), _delivering(store, _sink(way), log) as delivery:
            await asyncio.to_thread(outbox.put, store, [event(1)])
            await _delivered(store)
            flows.clear()
            await asyncio.to_thread(outbox.put, store, [event(2)])
            delivery.wake.set()
            while not any("in time" in line for line in log.lines):  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.02)
            assert _waiting(store) == 1
            flows.set()
            await _delivered(store)

    with running(_open(port), tmp_path, port):
        asyncio.run(main())


def test_a_broker_that_knows_only_3_1_1(store: Store, tmp_path: Path) -> None:
    port = free_port()
    outbox.put(store, [event(1)])
    log = Log()

    async def main() -> publish.Configured:
        async with _between(port, old=True) as (way, _):
            with pytest.raises(Unavailable, match=r"[Vv]ersion"):
                await Delivery(store, _sink(way, protocol="5"), Log()).drain()
            sink = _sink(way)
            async with _delivering(store, sink, log):
                await _delivered(store)
            return sink

    with running(_open(port), tmp_path, port):
        sink: Any = asyncio.run(main()).sink
    assert sink.five is False


def test_a_wrong_password_is_named_and_nothing_is_lost(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    passwords = tmp_path / "passwords"
    command = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
    subprocess.run([command, "-b", "-c", str(passwords), "probe", "right"], check=True, capture_output=True)
    passwords.chmod(0o600)
    outbox.put(store, [event(1)])
    with running(f"listener {port} 127.0.0.1\npassword_file {passwords}\nuser root\n", tmp_path, port):
        for password, taken in (("wrong", False), ("right", True)):
            monkeypatch.setenv("LANVETO_MQTT_PASSWORD", password)
            sink = publish.configured("mqtt", {"url": f"mqtt://probe@127.0.0.1:{port}/p"})
            if not taken:
                with pytest.raises(Unavailable, match=r"[Nn]ot authori[sz]ed|[Bb]ad user"):
                    asyncio.run(Delivery(store, sink, Log()).drain())
                assert _waiting(store) == 1
            else:
                assert asyncio.run(Delivery(store, sink, Log()).drain()) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_wrong_certificate_is_refused_and_nothing_is_lost(store: Store, tmp_path: Path) -> None:
    certificates(tmp_path, "server")
    other = tmp_path / "other"
    other.mkdir()
    certificates(other)
    port = free_port()
    outbox.put(store, [event(1)])
    tls = f"cafile {tmp_path}/ca.pem\ncertfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\n"
    url = f"mqtts://127.0.0.1:{port}/p"
    with running(_open(port) + tls, tmp_path, port):
        bad = publish.configured("mqtt", {"url": url, "ca": str(other / "ca.pem")})
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            asyncio.run(Delivery(store, bad, Log()).drain())
        assert _waiting(store) == 1
        good = publish.configured("mqtt", {"url": url, "ca": str(tmp_path / "ca.pem")})
        assert asyncio.run(Delivery(store, good, Log()).drain()) == 1
    gc.collect()  # the MQTT library leaves the sockets of refused handshakes to the collector


def test_home_assistant_is_told_again_when_it_is_born(
    store: Store, tmp_path: Path, make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    port = free_port()
    writing.save(store, make_report(make_device()), describe=documents.describe)

    async def main() -> list[str]:
        sink = _sink(port, **{"home-assistant": "homeassistant"})
        heard: list[str] = []
        async with _delivering(store, sink, Log()):
            await _delivered(store)
            async with aiomqtt.Client("127.0.0.1", port) as client:
                await client.subscribe("homeassistant/+/+/+/config", qos=1)
                stream = aiter(client.messages)
                for _ in range(3):  # what the broker holds
                    assert (await anext(stream)).retain
                await client.publish("homeassistant/status", b"offline", qos=1)
                await client.publish("homeassistant/status", b"online", qos=1)
                for _ in range(3):
                    message = await anext(stream)
                    assert not message.retain
                    heard.append(str(message.topic).rsplit("/", 2)[1])
        return heard

    with running(_open(port), tmp_path, port):
        assert sorted(asyncio.run(main())) == ["action", "finding", "maker"]
