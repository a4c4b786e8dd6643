"""The registry of `scanner.protocols`, and what holds for every reader whatever its protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scanner.protocols as registry
from scanner.channels import CHANNELS, find
from scanner.errors import RulesProblem
from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Protocol, Service
from scanner.values import from_bytes, normal_mac

PROTOCOLS = registry.protocols()
READERS = [(p, c.replace("*", "x")) for p in PROTOCOLS.values() for c in p.channels]
ROOMY = {"http", "rtsp", "onvif", "tls"}
"""Protocols that may bring whole bodies, so that the small bounds of a datagram are not theirs."""


class Double(Protocol):
    name = "sadp"


class Stranger(Protocol):
    name = "stranger"
    channels = ("no.such.channel",)


class Rival(Protocol):
    name = "rival"
    channels = ("sadp.response",)


@pytest.fixture
def fresh() -> Iterator[None]:
    yield
    registry.protocols.cache_clear()
    registry._readers.cache_clear()


def test_every_protocol_stands_under_its_name_in_asking_order() -> None:
    assert list(PROTOCOLS) == [p.name for p in sorted(PROTOCOLS.values(), key=lambda p: (p.order, p.name))]
    assert {"sadp", "dhip", "wsdiscovery", "upnp", "mdns", "snmp", "banner"} <= PROTOCOLS.keys()


def test_a_duplicate_name_is_fatal() -> None:
    found = dict(PROTOCOLS)
    with pytest.raises(RulesProblem, match="a second protocol is named 'sadp'"):
        registry._add(found, Double(), "somewhere.py")


def test_a_channel_outside_the_vocabulary_is_fatal() -> None:
    with pytest.raises(RulesProblem, match=r"no\.such\.channel.*vocabulary"):
        registry._add({}, Stranger(), "somewhere.py")


def test_what_is_no_protocol_is_fatal() -> None:
    with pytest.raises(RulesProblem, match="not a Protocol"):
        registry._add({}, "sadp", "somewhere.py")


@pytest.mark.usefixtures("fresh")
def test_two_readers_of_one_channel_are_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    registry._readers.cache_clear()
    monkeypatch.setattr(registry, "protocols", lambda: {**PROTOCOLS, "rival": Rival()})
    with pytest.raises(RulesProblem, match="both read sadp"):
        registry.reader("sadp.response")


@pytest.mark.usefixtures("fresh")
def test_third_parties_come_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        name = "other"

        def load(self) -> Protocol:
            other = Protocol()
            other.name = "other"  # type: ignore[misc]
            return other

    registry.protocols.cache_clear()
    monkeypatch.setattr(registry, "entry_points", lambda group: [Entry()] if group == registry.GROUP else [])
    assert "other" in registry.protocols()


@pytest.mark.parametrize("name", [n for n, channel in CHANNELS.items() if channel.raw])
def test_every_raw_channel_has_one_reader(name: str) -> None:
    assert registry.reader(name.replace("*", "nobody")) is not None


def test_the_most_exact_reader_wins() -> None:
    for channel, name in (("discovery.dahua", "dhip"), ("discovery.tplink", "tplink"), ("discovery.else", "banner")):
        protocol = registry.reader(channel)
        assert protocol is not None
        assert protocol.name == name


def test_silence_has_no_readings_and_the_mac_of_a_device_is_one() -> None:
    device = Recording(
        id="d",
        mac="58-50-ED-11-22-33",
        observations=(
            Observation(channel="sadp.response", value="", silent=True),
            Observation(channel="SADP.Response", value="<MAC>58-50-ed-11-22-33</MAC>"),
        ),
    )
    found = [(r.channel, r.value) for r in registry.read_all(device)]
    assert found[0] == ("mac", "58:50:ed:11:22:33")
    assert ("sadp.mac", "58-50-ed-11-22-33") in found
    assert not any(value == "" for _channel, value in found)


def _check(protocol: Protocol, channel: str, observation: Observation) -> None:
    found = list(protocol.read(observation))
    for name, value in found:
        assert find(name) is not None, (channel, name)
        assert name != "mac" or normal_mac(value) == value
    if protocol.name not in ROOMY:
        assert len(found) <= 200
        assert sum(len(value) for _name, value in found) <= 65_536
    masked = protocol.mask(observation)
    assert masked.channel == observation.channel
    if protocol.name not in ROOMY:
        assert len(masked.value) == len(observation.value)


def test_the_whole_corpus_is_read_within_the_vocabulary(corpus: Iterable[Recording]) -> None:
    count = 0
    for case in corpus:
        for seen in case.observations:
            for reading in registry.read(seen):
                count += 1
                assert find(reading.channel) is not None, (case.id, reading.channel)
            protocol = registry.reader(seen.channel)
            if protocol is not None:
                _check(protocol, seen.channel, seen)
    assert count > 1000


PIECES = (
    '<?xml version="1.0"?>', "<s:Envelope xmlns:s='u'>", "<ProbeMatch>", "</ProbeMatch>", "<Hello>", "<a", ">",
    "<Types>inquiry</Types>", "<Salt>ab", "<d:Scopes>onvif://x/MAC/58:50:ed:11:22:33", "</d:Scopes>", '{"mac":',
    '"58-50-ed-11-22-33"', '"random":1', "params", "{", "}", "[", '"', "\\", "&amp;", "&#x", "HTTP/1.1 200 OK\r\n",
    "USN: uuid:", "SIP/2.0 200 OK\r\n", "\r\n\r\n", "1.3.6.1.2.1.2.2.1.6.1 = ", "Hex-STRING: ", "_x._tcp.local", "=",
    ": ", "\n", "\x00", "\ufffd", "é", "220 ", "SSH-2.0-", 'nonce="', "hex:", "login:", "RTSP/1.0 200 OK\r\n",
    "urn:uuid:ec4914fd-936b-11b5-8467-2857be33e0b0",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=14).map("".join)
BINARY = st.binary(max_size=80) | st.builds(
    lambda head, body: head + body,
    st.sampled_from(
        [
            b"\x20\0\0\0DHIP" + bytes(24),
            b"\xb3\0\x18\0\x58\0\0\0" + bytes(24),
            b"\xff" + bytes(13) + b"\xfb\x05" + bytes(4),
            b"\0\0\x84\0\0\0\0\1\0\0\0\1",
            b"\x80\xf0\x84\0\0\0\0\1\0\0\0\0\xc0\x0c\0\x21\0\1\0\0\0\0\0\x41",
            b"\x01\x01\x06\0" + bytes(232) + b"\x63\x82\x53\x63",
            b"\xff" * 12 + b"\x88\xcc",
            b"\xff" * 14 + b"\xaa\xaa\x03\0\0\x0c\x20\0\x02\xb4\0\0",
            b"\xd0",
            b"\xff\xfd",
        ]
    ),
    st.binary(max_size=120),
)


@pytest.mark.parametrize(("protocol", "channel"), READERS, ids=[c for _p, c in READERS])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=TEXTS | BINARY.map(lambda data: "hex:" + data.hex()) | TEXTS.map(lambda t: "hex:" + t.encode().hex()))
def test_no_reader_ever_raises(protocol: Protocol, channel: str, value: str) -> None:
    _check(protocol, channel, Observation(channel=channel, value=value))


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=[p.name for p in PROTOCOLS.values()])
@settings(max_examples=40, deadline=None)
@given(data=BINARY | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_nothing_heard_on_the_wire_raises(protocol: Protocol, data: bytes) -> None:
    channel = protocol.recognise(data)
    assert channel is None or registry.reader(channel) is protocol
    told = tuple(
        Observation(channel=c, value=v)
        for c, v in (
            ("sadp.devicesn", "S"), ("dhip.vendor", "V"), ("onvif.scopes", "onvif://x"), ("upnp.ssdp", "SERVER: x"),
            ("xm.sn", "1"), ("tplink.model", "m"), (channel or "udp.payload", from_bytes(data)),
        )
    )  # fmt: skip
    device = Recording(id="d", observations=told)
    for service in [*protocol.services(device), Service(Transport.UDP, 37020), Service(Transport.TCP, 80)]:
        protocol.violation(data, service)
        protocol.answer(data, device, service)


def test_no_question_is_taken_for_an_answer_by_anybody() -> None:
    questions = [q for p in PROTOCOLS.values() for q in p.questions()]
    assert len(questions) >= 8
    for question in questions:
        assert find(question.channel) is not None
        assert 0 < question.port < 65_536 or question.ethertype is not None
        for protocol in PROTOCOLS.values():
            assert protocol.recognise(question.payload) is None, (protocol.name, question.request)


def test_every_answer_of_the_corpus_is_recognised_by_its_own_protocol_only(corpus: Iterable[Recording]) -> None:
    seen = 0
    for case in corpus:
        for protocol in PROTOCOLS.values():
            for service in protocol.services(case):
                if service.transport is not Transport.UDP:
                    continue
                for question in protocol.questions():
                    reply = protocol.answer(question.payload, case, service) if question.port == service.port else None
                    if reply is not None:
                        seen += 1
                        owners = {p.name for p in PROTOCOLS.values() if p.recognise(reply.data)}
                        assert owners == {protocol.name}, case.id
    assert seen > 50


def test_our_own_questions_violate_nothing() -> None:
    for protocol in PROTOCOLS.values():
        for question in protocol.questions():
            place = (Transport.UDP, question.port) if question.ethertype is None else (Transport.L2, question.ethertype)
            assert protocol.violation(question.payload, Service(*place)) is None
