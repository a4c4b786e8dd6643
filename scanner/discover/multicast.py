"""Multicast and broadcast questions on every link: who speaks one of the makers' discovery protocols?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from scanner.model import Transport
from scanner.net.datagrams import Datagrams
from scanner.protocols.base import Protocol, Question

METHOD = "multicast"


def speakers(protocols: Iterable[Protocol]) -> tuple[Protocol, ...]:
    """The protocols of tier 1 and below that speak by datagram."""
    return tuple(p for p in protocols if p.transport is Transport.UDP and p.tier <= 1)


def questions(protocols: Iterable[Protocol], hints: frozenset[str] = frozenset()) -> tuple[Question, ...]:
    """Everything they ask, fresh (message ids differ from call to call)."""
    return tuple(question for protocol in protocols for question in protocol.questions(hints))


async def ask(datagrams: Datagrams, wanted: Sequence[Question], *, patience: float) -> float:
    """Listen where answers arrive, ask on every link, wait so many seconds at most; returns for how many more
    answers may come.
    """
    datagrams.listen(wanted)
    await datagrams.ask_links(wanted)
    seconds = max((q.seconds for q in wanted if q.groups or q.broadcast), default=0.0)
    await asyncio.sleep(min(seconds, patience))
    return max(0.0, seconds - patience)
