"""The MQTT sink when its broker has bad days: killed, slow, old, suspicious; and Home Assistant's birth message."""

from __future__ import annotations

import asyncio
import contextlib
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
from msgspec.structs import replace

from scanner import publish
from scanner.model import Device, Report
from scanner.publish import Unavailable, documents
from scanner.publish.deliver import Delivery
from scanner.store import Store, open_store, outbox, writing
from tests.brokers import Broker, between, free_port, held, running
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
        async with asyncio.timeout(60):
            yield delivery
    finally:
        stop.set()
        await task


def _counter(port: int) -> aiomqtt.Client:
    """A subscriber for whom the broker keeps what comes while it is away."""
    return aiomqtt.Client("127.0.0.1", port, identifier="counter", clean_session=False)


async def _kept(port: int, many: int) -> set[str]:
    """The ids of so many events that the broker has kept for the counter."""
    got: set[str] = set()
    async with _counter(port) as client:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            got.add(json.loads(message.payload)["event"])
            if len(got) == many:
                break
    return got


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - conditions of every kind
        await asyncio.sleep(0.02)


async def _delivered(store: Store) -> None:
    while _waiting(store):  # noqa: ASYNC110 - the store has no event to wait for
        await asyncio.sleep(0.02)


def test_a_broker_that_is_killed_loses_nothing_that_it_had_not_taken(store: Store, tmp_path: Path) -> None:
    log = Log()

    async def main(broker: Broker) -> set[str]:
        async with _delivering(store, _sink(broker.port), log) as delivery:
            async with _counter(broker.port) as first:
                await first.subscribe("p/hq/event/#", qos=1)
            await asyncio.to_thread(outbox.put, store, [event(n) for n in range(50)])
            delivery.wake.set()
            await _delivered(store)
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(outbox.put, store, [event(n) for n in range(50, 100)])
            await _until(lambda: any(line.startswith("broken mqtt:") for line in log.lines))
            assert _waiting(store) == 50
            await asyncio.to_thread(broker.start)
            await _delivered(store)
            return await _kept(broker.port, 100)

    with Broker(tmp_path, safe=True) as broker:
        assert asyncio.run(main(broker)) == {f"e{n}" for n in range(100)}
    assert [line.split(":")[0] for line in log.lines] == ["broken mqtt", "mended mqtt"]


def test_a_broker_that_does_not_answer_in_time_is_waited_for(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanner.publish.mqtt.SETTLE_SECONDS", 0.3)
    monkeypatch.setattr("scanner.publish.mqtt.CONNECT_SECONDS", 0.5)
    port = free_port()
    log = Log()

    async def main() -> None:
        async with between(port) as way, _delivering(store, _sink(way.port), log) as delivery:
            await asyncio.to_thread(outbox.put, store, [event(1)])
            await _delivered(store)
            way.flows.clear()
            await asyncio.to_thread(outbox.put, store, [event(2)])
            delivery.wake.set()
            while not any("in time" in line for line in log.lines):  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.02)
            assert _waiting(store) == 1
            way.flows.set()
            await _delivered(store)

    with running(_open(port), tmp_path, port):
        asyncio.run(main())


def test_a_broker_that_knows_only_3_1_1(store: Store, tmp_path: Path) -> None:
    port = free_port()
    outbox.put(store, [event(1)])
    log = Log()

    async def main() -> publish.Configured:
        async with between(port, old=True) as way:
            with pytest.raises(Unavailable, match=r"[Vv]ersion"):
                await Delivery(store, _sink(way.port, protocol="5"), Log()).drain()
            sink = _sink(way.port)
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


def _scan(report: Report, number: int) -> Report:
    scan = replace(report.scan, id=f"scan-{number}", targets=("192.0.2.0/24",))
    return replace(report, scan=scan)


def test_a_broker_that_forgot_is_told_again_what_is_true_now(
    store: Store, tmp_path: Path, make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    """Killed, it comes back as it was when it last wrote to its disk: one finding too many, one too few."""
    other = make_device(mac="aa:bb:cc:00:00:01", ip="192.0.2.50", id_="other")
    one, two = "p/hq/3cef8c112233/finding/us-889-a1b", "p/hq/aabbcc000001/finding/us-889-a1b"

    async def findings(port: int) -> set[str]:
        return set(await held(port, "p/+/+/finding/+"))

    async def main(broker: Broker) -> None:
        async with _delivering(store, _sink(broker.port), Log()) as delivery:

            async def scanned(number: int, *devices: Device) -> None:
                report = _scan(make_report(*devices), number)
                await asyncio.to_thread(writing.save, store, report, describe=documents.describe)
                delivery.wake.set()
                await _delivered(store)

            await scanned(1, make_device())
            await asyncio.to_thread(broker.stop)  # writes
            await asyncio.to_thread(broker.start)
            await scanned(2, make_device(manufacturer="axis", action=None), other)
            assert await findings(broker.port) == {two}
            assert broker.process is not None
            await asyncio.to_thread(broker.kill)  # does not
            await asyncio.to_thread(broker.start)
            while await findings(broker.port) != {two}:
                pass
            states = await held(broker.port, "p/+/+/state")
            assert states["p/hq/3cef8c112233/state"]["manufacturer"] == "axis"
            assert (await held(broker.port, one)) == {}

    with Broker(tmp_path) as broker:
        asyncio.run(main(broker))


@pytest.mark.parametrize(("limit", "protocol", "reason"), [
    ("max_packet_size", "5", "the broker takes 2000"), ("max_packet_size", "3.1.1", "closed the connection"),
    ("message_size_limit", "5", "closed the connection"),
])  # fmt: skip
def test_a_message_that_a_broker_will_not_have_does_not_hold_up_the_rest(
    store: Store, tmp_path: Path, limit: str, protocol: str, reason: str
) -> None:
    """An oversized one closes the connection, each time again; MQTT 5 says beforehand how large it may be."""
    outbox.put(store, [event(1), event(2, because="x" * 3000), event(3), event(4)])

    async def main(port: int) -> None:
        async with _delivering(store, _sink(port, protocol=protocol), Log()):
            await _delivered(store)

    with Broker(tmp_path, f"{limit} 2000\n") as broker:
        asyncio.run(main(broker.port))
    ((_, _, _, uid, why),) = outbox.refusals(store)
    assert uid == "e2"
    assert reason in why


def test_a_broker_that_becomes_slow_in_the_middle_has_its_time(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slower than anybody would wait for in one go, but it goes on: nothing is sent twice."""
    monkeypatch.setattr("scanner.publish.mqtt.SETTLE_SECONDS", 2.5)
    log = Log()

    async def main(port: int) -> tuple[int, list[str]]:
        got: list[str] = []
        async with between(port) as way, _counter(port) as counter:
            await counter.subscribe("p/hq/event/#", qos=1)
            async with _delivering(store, _sink(way.port), log) as delivery:
                await asyncio.to_thread(outbox.put, store, [event(n) for n in range(20)])
                await _delivered(store)
                before, way.pace = way.passed, 40_000.0
                await asyncio.to_thread(outbox.put, store, [event(n, because="x" * 350) for n in range(20, 320)])
                delivery.wake.set()
                await _delivered(store)
            async for message in counter.messages:
                assert isinstance(message.payload, bytes)
                got.append(json.loads(message.payload)["event"])
                if len(got) == 320:
                    return way.passed - before, got
        raise AssertionError

    with Broker(tmp_path) as broker:
        passed, got = asyncio.run(main(broker.port))
    assert not log.lines
    assert passed > 2.5 * 40_000  # it took longer than one answer may
    assert got == [f"e{n}" for n in range(320)]


def test_what_a_full_queue_of_the_broker_drops_is_still_retained(
    store: Store, tmp_path: Path, make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    """A subscriber that is away finds its queue short of events; the findings stand all the same."""
    devices = [make_device(mac=f"3c:ef:8c:00:00:{n:02x}", ip=f"192.0.2.{n}", id_=f"d{n}") for n in range(1, 101)]

    async def main(port: int) -> tuple[int, set[str]]:
        async with _counter(port) as first:
            await first.subscribe("p/hq/event/#", qos=1)
        writing.save(store, _scan(make_report(*devices), 1), describe=documents.describe)
        async with _delivering(store, _sink(port), Log()):
            await _delivered(store)
        events = 0
        async with _counter(port) as again:
            stream = aiter(again.messages)
            with contextlib.suppress(TimeoutError):
                while await asyncio.wait_for(anext(stream), 0.7):
                    events += 1
        return events, set(await held(port, "p/+/+/finding/+", qos=0))

    with Broker(tmp_path, "max_queued_messages 30\n") as broker:
        events, findings = asyncio.run(main(broker.port))
    assert 0 < events < 100  # of 201
    assert len(findings) == 100
    assert not outbox.refusals(store)


def test_a_broker_without_memory_loses_nothing_that_it_had_not_taken(store: Store, tmp_path: Path) -> None:
    log, limit = Log(), 900_000

    async def main(broker: Broker) -> set[str]:
        async with _counter(broker.port) as first:
            await first.subscribe("p/hq/event/#", qos=1)
        outbox.put(store, [event(n, because="x" * 1000) for n in range(1000)])
        async with _delivering(store, _sink(broker.port), log):
            await _until(lambda: any(line.startswith("broken mqtt") for line in log.lines))
            assert _waiting(store)
            await asyncio.to_thread(broker.stop)
            broker.config = broker.config.replace(f"memory_limit {limit}\n", "")
            await asyncio.to_thread(broker.start)
            await _delivered(store)
        return await _kept(broker.port, 1000)

    with Broker(tmp_path, f"memory_limit {limit}\n") as broker:
        assert asyncio.run(main(broker)) == {f"e{n}" for n in range(1000)}
    assert not outbox.refusals(store)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_wrong_client_certificate_is_said_once_and_its_end_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanner.publish.mqtt.CONNECT_SECONDS", 1.0)  # TLS 1.3 refuses a client by silence
    certificates(tmp_path, "server", "client")
    other = tmp_path / "other"
    other.mkdir()
    certificates(other, "client")
    outbox.put(store, [event(1)])
    log = Log()
    tls = f"cafile {tmp_path}/ca.pem\ncertfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\nrequire_certificate true\n"

    def table(folder: Path, port: int) -> dict[str, str]:
        return {"url": f"mqtts://127.0.0.1:{port}/p", "ca": str(tmp_path / "ca.pem"),
                "cert": str(folder / "client.pem"), "key": str(folder / "client.key")}  # fmt: skip

    async def main(broker: Broker) -> int:
        wrong = publish.configured("mqtt", table(other, broker.port))
        opened, session = 0, wrong.sink.session

        def counted() -> Any:
            nonlocal opened
            opened += 1
            return session()

        monkeypatch.setattr(wrong.sink, "session", counted)
        async with _delivering(store, wrong, log):
            await _until(lambda: opened >= 3)
            assert _waiting(store) == 1
            await asyncio.to_thread(broker.stop)  # whoever runs it mends it: both authorities are trusted
            (tmp_path / "ca.pem.both").write_text((tmp_path / "ca.pem").read_text() + (other / "ca.pem").read_text())
            broker.config = broker.config.replace("/ca.pem\n", "/ca.pem.both\n")
            await asyncio.to_thread(broker.start)
            await _delivered(store)
        return opened

    with Broker(tmp_path, tls) as broker:
        assert asyncio.run(main(broker)) >= 4
        outbox.put(store, [event(2)])
        right = publish.configured("mqtt", table(tmp_path, broker.port))
        assert asyncio.run(Delivery(store, right, Log()).drain()) == 1
    assert [line.split(":")[0] for line in log.lines] == ["broken mqtt", "mended mqtt"]
    assert "unknown ca" in log.lines[0].lower()
    gc.collect()  # the MQTT library leaves the sockets of refused handshakes to the collector
