"""What holds for every maker's own search; each file's test adds its bytes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.model import Observation, Recording, Transport
from scanner.protocols import protocols, read
from scanner.protocols.base import Alone, Service
from scanner.protocols.search import Search, ipv4_at, number_at, text_at
from scanner.values import from_bytes

SEARCHES = [p for p in protocols().values() if isinstance(p, Search)]
MAC = "02:00:5e:00:53:07"


def device(protocol: Search, **fields: str) -> Recording:
    told = [Observation(channel=f"discovery.{protocol.vendor}.{name}", value=value) for name, value in fields.items()]
    return Recording(id="d", mac=MAC, observations=tuple(told))


def test_every_search_of_the_house_is_known_here() -> None:
    assert {p.name for p in SEARCHES} == {
        "tvt", "ubiquiti", "hanwha", "vivotek", "foscam", "bosch", "sony", "panasonic", "reolink",
    }  # fmt: skip


@pytest.mark.parametrize("protocol", SEARCHES, ids=lambda p: p.name)
def test_a_device_of_single_fields_answers_every_search_with_them(protocol: Search) -> None:
    made = device(protocol, name="Gate", ip="192.0.2.7")
    (service,) = protocol.services(made)
    for question in protocol.questions():
        assert (question.port, question.together) == (service.port, True)
        assert protocol.violation(question.payload, service) is None
        reply = protocol.answer(question.payload, made, service)
        assert reply is not None
        assert protocol.recognise(reply.data) == f"discovery.{protocol.vendor}"
        assert protocol.violation(reply.data, service) is None
        found = {r.channel: r.value for r in read(Observation(channel=question.channel, value=from_bytes(reply.data)))}
        if protocol.name != "foscam":  # its answers have none
            assert found["mac"] == MAC
        if protocol.name not in {"panasonic", "hanwha", "reolink"}:
            assert found[f"discovery.{protocol.vendor}.name"] == "Gate"
        again = protocol.answer(
            question.payload,
            Recording(id="r", observations=(Observation(channel=question.channel, value=from_bytes(reply.data)),)),
            service,
        )
        assert again is not None
        assert again.data == reply.data


@pytest.mark.parametrize("protocol", SEARCHES, ids=lambda p: p.name)
def test_what_is_no_search_gets_no_answer_and_is_a_violation(protocol: Search) -> None:
    made = device(protocol, name="Gate")
    service = protocol.services(made)[0]
    for data in (b"", b"x", b"\0" * 300, protocol.searches()[0][:-1], protocol.searches()[0] + b"\1"):
        assert protocol.answer(data, made, service) is None, data
        assert protocol.violation(data, service), data
    assert protocol.services(Recording(id="x")) == ()
    assert protocol.answer(protocol.searches()[0], Recording(id="x"), service) is None


@pytest.mark.parametrize("protocol", SEARCHES, ids=lambda p: p.name)
def test_single_hosts_are_asked_only_after_a_hint(protocol: Search) -> None:
    assert {q.alone for q in protocol.questions()} == {Alone.NEVER}
    expected = Alone.NEVER if protocol.reply_group else Alone.AWAY
    for maker in protocol.makers:
        assert {q.alone for q in protocol.questions(frozenset({maker}))} == {expected}


@pytest.mark.parametrize("protocol", SEARCHES, ids=lambda p: p.name)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_broken_answers_never_raise_and_masks_change_nothing_that_is_read(protocol: Search, data: st.DataObject) -> None:
    reply = protocol.answer(protocol.searches()[0], device(protocol, name="Gate"), Service(Transport.UDP, 1))
    assert reply is not None
    broken = bytearray(reply.data)
    for _ in range(data.draw(st.integers(0, 6))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    value = from_bytes(bytes(broken[: data.draw(st.integers(0, len(broken)))]))
    seen = Observation(channel=f"discovery.{protocol.vendor}", value=value)
    masked = protocol.mask(seen)
    assert len(masked.value) == len(seen.value)
    assert [f for f in protocol.read(masked) if "sessionkey" not in f[0]] == list(protocol.read(seen))
    assert protocol.mask(masked) == masked


def test_pieces_that_somebody_wrote_down_are_read() -> None:
    seen = Observation(channel="discovery.hanwha", value="MAC: 00-09-18-11-22-33\nModel: XNV-6080")
    found = dict(protocols()["hanwha"].read(seen))
    assert found == {
        "discovery.hanwha.mac": "00-09-18-11-22-33", "mac": "00:09:18:11:22:33", "discovery.hanwha.model": "XNV-6080",
    }  # fmt: skip
    only = msgspec.structs.replace(seen, channel="discovery.hanwha.mac", value="00-09-18-11-22-33")
    assert list(protocols()["hanwha"].read(only)) == [("mac", "00:09:18:11:22:33")]


def test_fixed_fields_that_are_missing_are_empty() -> None:
    assert (text_at(b"", 5, 3), ipv4_at(b"\1", 0), ipv4_at(bytes(4), 0), number_at(b"", 0, "!H")) == ("", "", "", "")


def test_on_the_shared_port_the_magic_tells_who_is_meant() -> None:
    foscam, vivotek = protocols()["foscam"], protocols()["vivotek"]
    shared = Service(Transport.UDP, 10000)
    for one, other in ((foscam, vivotek), (vivotek, foscam)):
        assert isinstance(one, Search)
        assert isinstance(other, Search)
        for question in other.questions():
            assert one.violation(question.payload, shared) is None
            assert one.answer(question.payload, device(one, name="x"), shared) is None
            reply = other.answer(question.payload, device(other, name="x"), shared)
            assert reply is not None
            assert one.recognise(reply.data) is None
