"""From the outbox to a real mosquitto that stops, forgets and refuses; and to a receiver that has bad days."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from msgspec.structs import replace

from scanner import publish
from scanner.model import Device, Report
from scanner.publish import Configured, Doubtful, Unavailable, documents
from scanner.publish.choice import Choice
from scanner.publish.deliver import Delivery
from scanner.store import Store, open_store, outbox, writing
from scanner.store.outbox import Draft
from tests.brokers import Broker, held
from tests.publish.doubles import Log

pytestmark = pytest.mark.xdist_group("mosquitto")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    with contextlib.ExitStack() as stack:
        yield lambda more="": stack.enter_context(Broker(tmp_path, more))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "h.sqlite") as opened:
        outbox.register(opened, ["mqtt"])
        yield opened


def _mqtt(port: int, **more: object) -> Configured:
    return publish.configured("mqtt", {"url": f"mqtt://127.0.0.1:{port}/p", **more})


def _event(number: int) -> Draft:
    body = {"kind": "device-changed", "event": f"e{number}", "level": "likely"}
    return Draft(uid=f"e{number}", site="hq", kind="device-changed", body=json.dumps(body).encode())


def test_retained_topics_follow_the_store(
    broker: Callable[..., Broker], store: Store, make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    port = broker().port
    sink = _mqtt(port, **{"home-assistant": "homeassistant"})
    writing.save(store, make_report(make_device()), describe=documents.describe)
    assert asyncio.run(Delivery(store, sink, Log()).drain()) == 6
    found = asyncio.run(held(port))
    place = "p/hq/3cef8c112233"
    assert found[f"{place}/finding/us-889-a1b"]["action"] == "remove"
    assert found[f"{place}/state"]["findings"] == ["us-889-a1b"]
    assert found["p/hq/summary"]["open"]["remove"] == 1
    entity = found["homeassistant/binary_sensor/lanveto_hq_3cef8c112233/finding/config"]
    assert entity["device"]["connections"] == [["mac", "3c:ef:8c:11:22:33"]]
    assert not [topic for topic in found if "/event/" in topic]
    report = make_report(make_device(action=None))
    writing.save(store, replace(report, scan=replace(report.scan, id="scan-2")), describe=documents.describe)
    asyncio.run(Delivery(store, sink, Log()).drain())
    found = asyncio.run(held(port))
    assert f"{place}/finding/us-889-a1b" not in found
    assert found[f"{place}/state"]["findings"] == []


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_every_event_arrives_although_the_broker_comes_and_goes(
    broker: Callable[..., Broker], store: Store, protocol: str
) -> None:
    server = broker()
    log = Log()

    async def main() -> set[str]:
        got: set[str] = set()
        stop = asyncio.Event()
        delivery = Delivery(store, _mqtt(server.port, protocol=protocol), log, first_wait=0.05, longest_wait=0.2)
        async with aiomqtt.Client("127.0.0.1", server.port, identifier="counter", clean_session=False) as first:
            await first.subscribe("p/hq/event/#", qos=1)
        task = asyncio.create_task(delivery.run(stop))
        for round_ in range(3):
            await asyncio.to_thread(outbox.put, store, [_event(n) for n in range(round_ * 400, round_ * 400 + 400)])
            delivery.wake.set()
            await asyncio.sleep(0.05)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(outbox.put, store, [_event(10_000 + round_)])
            await asyncio.sleep(0.1)
            await asyncio.to_thread(server.start)
        async with asyncio.timeout(20):
            while outbox.standing(store)[0].waiting:  # noqa: ASYNC110 - the store has no event to wait for
                await asyncio.sleep(0.05)
        async with aiomqtt.Client("127.0.0.1", server.port, identifier="counter", clean_session=False) as again:
            try:
                async with asyncio.timeout(10):
                    async for message in again.messages:
                        assert isinstance(message.payload, bytes)
                        got.add(json.loads(message.payload)["event"])
                        if len(got) == 1203:
                            break
            except TimeoutError:
                pass
        stop.set()
        await task
        return got

    got = asyncio.run(main())
    assert got == {f"e{n}" for n in [*range(1200), 10_000, 10_001, 10_002]}
    assert any(line.startswith("broken mqtt") for line in log.lines)


def test_a_refused_topic_does_not_hold_up_the_rest(broker: Callable[..., Broker], store: Store, tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite p/hq/event/device-changed\n")
    acl.chmod(0o644)
    server = broker(f"acl_file {acl}\n")
    body = json.dumps({"kind": "finding-opened", "event": "bad", "action": "remove"}).encode()
    outbox.put(store, [_event(1), Draft(uid="bad", site="hq", kind="finding-opened", body=body), _event(2)])
    log = Log()
    assert asyncio.run(Delivery(store, _mqtt(server.port), log).drain()) == 3
    ((_, _, _, uid, reason),) = outbox.refusals(store)
    assert uid == "bad"
    assert "Not authorized" in reason
    assert any("set aside" in line for line in log.lines)


class Moody:
    """A receiver that cannot take one message, and is away altogether at first."""

    Settings = Choice
    slots = False
    kinds = ()
    parallel = 10

    def __init__(self, poison: str, away: int) -> None:
        self.poison, self.away = poison, away
        self.got: list[str] = []
        self.again = asyncio.Event()

    def __str__(self) -> str:
        return "moody"

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Moody]:
        if self.away > 0:
            self.away -= 1
            raise Unavailable("away")
        yield self

    async def send(self, messages: Sequence[Draft]) -> Sequence[str | None]:
        for number, draft in enumerate(messages):
            if draft.uid == self.poison:
                raise Doubtful(number, "answers 500")
            self.got.append(draft.uid)
        return [None] * len(messages)

    async def beat(self, status: Mapping[str, Any]) -> None:
        pass


def test_a_poison_message_is_set_aside_and_the_order_stays(store: Store) -> None:
    outbox.put(store, [_event(n) for n in range(6)])
    log = Log()

    async def main() -> Moody:
        sink: Any = Moody("e2", away=2)
        delivery = Delivery(store, Configured("mqtt", "moody", sink, Choice()), log, first_wait=0.01, longest_wait=0.02)
        stop = asyncio.Event()
        task = asyncio.create_task(delivery.run(stop))
        async with asyncio.timeout(10):
            while outbox.standing(store)[0].waiting:  # noqa: ASYNC110 - the store has no event to wait for
                await asyncio.sleep(0.02)
        stop.set()
        await task
        assert isinstance(sink, Moody)
        return sink

    assert asyncio.run(main()).got == ["e0", "e1", "e3", "e4", "e5"]
    assert [uid for _, _, _, uid, _ in outbox.refusals(store)] == ["e2"]
