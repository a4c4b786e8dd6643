from __future__ import annotations

import asyncio

import pytest

from scanner.discover import multicast
from scanner.net.datagrams import Datagrams
from scanner.net.ledger import Ledger
from scanner.net.pace import Pace
from scanner.protocols import protocols
from scanner.protocols.base import Question


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
