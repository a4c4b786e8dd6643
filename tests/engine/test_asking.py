from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import pytest
from msgspec.structs import replace

from scanner import knowledge
from scanner.config import Plan, Speed
from scanner.discover.book import Entry
from scanner.engine.asking import LEADS, Asker, agenda, bounds, enough
from scanner.knowledge import Knowledge
from scanner.model import Grade, Identity, Level, Match, Observation, Reading, Transport
from scanner.net.streams import Host, Streams
from scanner.protocols import protocols
from scanner.protocols.base import Conversation, Lead, Protocol, Stream


class Web(Protocol):
    name = "http"
    ports: ClassVar[tuple[int, ...]] = (80, 8080)
    tls_ports: ClassVar[tuple[int, ...]] = (443,)
    order = 20

    def converse(self, stream: Stream) -> Conversation:
        return
        yield


class Video(Web):
    name = "rtsp"
    ports: ClassVar[tuple[int, ...]] = (554, 8080)
    tls_ports: ClassVar[tuple[int, ...]] = ()
    order = 10


class Mute(Protocol):
    name = "mute"
    ports = (22,)


class Datagram(Web):
    name = "datagram"
    transport = Transport.UDP


class Secret(Web):
    name = "secret"
    tier = 3


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return knowledge.load(())


def test_the_most_telling_protocol_goes_first_and_every_port_once_each() -> None:
    visits = agenda([Web(), Video(), Mute(), Datagram(), Secret()], (80, 443, 554, 8080, 22, 37777, 12345))

    assert [(v.protocol.name if v.protocol else None, v.port, v.tls) for v in visits] == [
        ("rtsp", 554, False), ("http", 80, False), ("http", 443, True), ("rtsp", 8080, False), ("http", 8080, False),
        (None, 22, False), (None, 37777, False), ("http", 12345, False),
    ]  # fmt: skip


def test_only_wanted_ports_are_visited() -> None:
    assert {visit.port for visit in agenda(protocols().values(), (554,))} == {554}


def test_the_houses_own_protocols_have_an_agenda() -> None:
    visits = agenda(protocols().values(), Plan().ports)

    assert {"http", "rtsp", "onvif"} <= {v.protocol.name for v in visits if v.protocol}
    assert {v.port for v in visits} == set(Plan().ports)
    assert {v.port for v in visits if v.protocol is None} >= {37777, 34567}
    assert {v.port for v in visits if v.tls} >= {443, 8443}


def test_enough_is_a_certain_maker_with_label_kind_model_and_firmware() -> None:
    full = Identity(
        manufacturer="dahua", brand="lorex", kind="nvr", model="N841A8", firmware="4.0", level=Level.CONFIRMED
    )
    against = Match(fingerprint="x", grade=Grade.HINT, family="http", readings=())

    assert enough(full)
    assert not enough(replace(full, firmware=None))
    assert not enough(replace(full, kind=None))
    assert not enough(replace(full, level=Level.LIKELY))
    assert not enough(replace(full, conflicts=(against,)))


def test_bounds_follow_the_speed() -> None:
    assert bounds(Plan()).requests == 5
    assert bounds(Plan(speed=Speed.GENTLE)).requests == 2
    assert bounds(Plan(speed=Speed.FAST)).requests is None


class Recorder(Streams):
    """Streams that only say where they were sent, and with what hints."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, frozenset[str]]] = []
        self.says: dict[int, Observation] = {}

    async def look(self, host: Host, port: int) -> bool:
        self.calls.append(("look", port, frozenset()))
        return False

    async def converse(self, host: Host, protocol: Protocol, stream: Stream, seen: list[Observation]) -> None:
        self.calls.append((protocol.name, stream.port, stream.hints))
        if stream.port == 8080:
            raise RuntimeError("a defect")
        host.open[stream.port] = False
        if stream.port in self.says:
            seen.append(self.says[stream.port])


def ask(known: Knowledge, entry: Entry, streams: Recorder, halted: str | None = None) -> Asker:
    plan = Plan(ports=(554, 8080, 80, 37777))
    asker = Asker(plan, known, [Web(), Video()], streams, lambda _e: halted)
    asyncio.run(asker.ask(entry))
    return asker


def test_a_defect_of_one_protocol_is_told_once_and_the_others_go_on(known: Knowledge) -> None:
    entry, streams = Entry("127.0.0.1"), Recorder()
    asker = ask(known, entry, streams)

    assert [(name, port) for name, port, _ in streams.calls] == [
        ("rtsp", 554), ("http", 80), ("rtsp", 8080), ("look", 37777)
    ]  # fmt: skip
    assert asker.problems == ["protocol rtsp failed: RuntimeError: a defect"]
    assert entry.open == {554, 80}
    assert entry.done


def test_what_was_heard_gives_hints_to_those_who_come_after(known: Knowledge) -> None:
    streams = Recorder()
    streams.says[554] = Observation(
        channel="rtsp.response", port=554, request="OPTIONS",
        value='RTSP/1.0 401 Unauthorized\r\nServer: Dahua Rtsp Server\r\nWWW-Authenticate: Digest '
        'realm="Login to 6J0A2B3PAZ12345", nonce="x"\r\n\r\n',
    )  # fmt: skip
    ask(known, Entry("127.0.0.1"), streams)

    hints = {(name, port): hints for name, port, hints in streams.calls}
    assert hints["rtsp", 554] == frozenset()
    assert "dahua" in hints["http", 80]


class Leader(Datagram):
    """Speaks by datagram; its answers say where to go."""

    name = "leader"

    def leads(self, host: str, heard: Sequence[Reading]) -> Sequence[Lead]:
        said = [r.value for r in heard if r.channel == "upnp.location"]
        if "broken" in said:
            raise ValueError("a defect")
        return [Lead(int(value), tls=value.startswith("4")) for value in said]


def led(known: Knowledge, streams: Recorder, *first: str, later: str | None = None) -> tuple[list[int], list[str]]:
    """The ports that are visited by a device that said so, in order, and what went wrong."""
    entry = Entry("127.0.0.1")
    entry.add(Observation(channel="upnp.location", value=value) for value in first)
    if later is not None:
        streams.says[8080] = streams.says[80] = Observation(channel="upnp.location", value=later, port=80)
    asker = Asker(Plan(ports=(554, 80, 9999)), known, [Web(), Video(), Leader()], streams, lambda _e: None)
    asyncio.run(asker.ask(entry))
    return [port for name, port, _hints in streams.calls if name != "look"], asker.problems


def test_what_an_answer_leads_to_comes_after_the_first_ports_and_before_those_that_are_guessed(
    known: Knowledge,
) -> None:
    assert led(known, Recorder(), "49152", "49152", "49153") == ([554, 80, 49152, 49153, 9999], [])


def test_an_answer_that_comes_late_leads_somewhere_too(known: Knowledge) -> None:
    assert led(known, Recorder(), later="4443") == ([554, 80, 4443, 9999], [])


def test_an_answer_leads_to_a_few_ports_at_the_most(known: Knowledge) -> None:
    assert led(known, Recorder(), *map(str, range(50_000, 50_020)))[0] == [
        554, 80, *range(50_000, 50_000 + LEADS), 9999
    ]  # fmt: skip


def test_a_defect_in_following_an_answer_is_told_once_and_loses_nothing_else(known: Knowledge) -> None:
    ports, problems = led(known, Recorder(), "49152", "broken")
    assert ports == [554, 80, 9999]
    assert problems == ["protocol leader failed on answers: ValueError: a defect"]


def test_a_defect_on_one_device_is_told_and_ends_only_that_device(
    known: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr("scanner.engine.asking.Mind.consider", broken)
    entry = Entry("127.0.0.1")
    asker = ask(known, entry, Recorder())

    assert asker.problems == ["internal error while asking 127.0.0.1: ValueError: a defect"]
    assert entry.done


def test_a_halted_device_is_not_asked(known: Knowledge) -> None:
    entry, streams = Entry("127.0.0.1"), Recorder()
    ask(known, entry, streams, halted="its interface went away")

    assert streams.calls == []
    assert entry.stopped == "its interface went away"
