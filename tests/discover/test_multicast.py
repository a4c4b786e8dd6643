from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from scanner.discover import multicast
from scanner.discover.book import Entry
from scanner.net.datagrams import Datagrams
from scanner.net.ledger import Ledger
from scanner.net.pace import Pace
from scanner.protocols import protocols
from scanner.protocols.base import Alone, Question


def test_the_discovery_protocols_speak() -> None:
    speakers = multicast.speakers(protocols().values())

    assert {"sadp", "dhip", "wsdiscovery"} <= {p.name for p in speakers}
    assert all(p.tier <= 1 for p in speakers)
    asked = multicast.questions(speakers)
    assert {37020, 37810, 3702} <= {q.port for q in asked}
    assert all(q.payload for q in asked)


def test_asking_waits_as_long_as_answers_may_take() -> None:
    async def main(patience: float) -> float:
        async with Datagrams((), (), Ledger(), Pace(100), lambda _h: None) as datagrams:
            quick = Question("sadp.response", "inquiry", b"x", 37020, groups=("239.255.255.250",), seconds=0.1)
            alone = Question("x-a.b", "ask", b"x", 1, seconds=9)
            return await multicast.ask(datagrams, [quick, alone], patience=patience)

    assert asyncio.run(main(1.0)) == 0
    assert asyncio.run(main(0.04)) == pytest.approx(0.06)


def test_what_is_kept_of_a_question_is_shared_by_all_hosts_and_says_what_was_asked() -> None:
    speakers = multicast.speakers(protocols().values())
    first = multicast.remembered(multicast.questions(speakers))
    second = multicast.remembered(multicast.questions(speakers))
    told = [(q.channel, q.request, q.port, q.alone) for q in multicast.questions(speakers)]

    assert [(q.channel, q.request, q.port, q.alone) for q in first] == told
    assert all(one is other for one, other in zip(first, second, strict=True))
    assert not any(q.payload for q in first)


@pytest.mark.parametrize("hints", [frozenset(), frozenset({"hikvision"}), frozenset({"dahua", "foscam", "tp-link"})])
def test_a_single_host_is_asked_everything_that_any_protocol_has_for_one(hints: frozenset[str]) -> None:
    way = multicast.Multicast()
    way._speakers = multicast.speakers(protocols().values())
    whens = [{Alone.FIRST}, {Alone.FIRST, Alone.AWAY}, {Alone.LAST}, {Alone.LAST, Alone.AWAY}]
    for when in whens * 2:
        for known in (set(), {"wsdiscovery.response"}, {"sadp.response", "mdns.response"}):
            asked = way._alone(hints, lambda channel, alone, k=known, w=when: alone in w and channel not in k)  # type: ignore[misc]
            everything = multicast.questions(way._speakers, hints)
            wanted = [q for q in everything if q.alone in when and q.channel not in known]
            assert [(q.channel, q.request, q.port) for q in asked] == [(q.channel, q.request, q.port) for q in wanted]
            assert asked
    first, again = (way._alone(hints, lambda _channel, alone: alone is Alone.FIRST) for _ in range(2))
    ids = [{q.payload for q in asked if q.channel == "wsdiscovery.response"} for asked in (first, again)]
    assert ids[0]
    assert not ids[0] & ids[1]  # each message has an id of its own


def test_who_speaks_ipv6_alone_has_heard_only_what_groups_of_ipv6_were_asked() -> None:
    way = multicast.Multicast()
    asyncio.run(_begun(way))
    asked = multicast.questions(way._speakers)
    both = [Entry("10.77.0.7", link="s0"), Entry("fe80::7%s0", link="s0")]
    scene: Any = SimpleNamespace(asked=list(asked), hints=lambda _entry: frozenset({"tp-link"}))
    four, six = ({q.channel for q in way._left(e, scene, set(), Alone.FIRST)} for e in both)

    assert "tplink.discovery" in six - four
    assert {"upnp.ssdp", "mdns.response"}.isdisjoint(four | six)
    scene.asked.clear()  # --no-multicast
    assert {"upnp.ssdp", "mdns.response"} <= {q.channel for q in way._left(both[1], scene, set(), Alone.FIRST)}


async def _begun(way: multicast.Multicast) -> None:
    async with AsyncExitStack() as stack:
        plan = SimpleNamespace(multicast=False, raw=False, manners=SimpleNamespace(datagrams=100), real_port=None)
        scene: Any = SimpleNamespace(
            protocols=tuple(protocols().values()), plan=plan, links=(), ledger=Ledger(), stack=stack, heard=print,
            warn=print, unable=print, lost=print,
        )  # fmt: skip
        await way.begin(scene)
