"""Discovery datagrams: who speaks one of the makers' discovery protocols? Asked of everybody on every link together,
then, alone, of each host that has not answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from scanner.config import Plan, Speed
from scanner.discover.base import Expected, Ground, Scene, Unable, Way
from scanner.discover.book import Entry
from scanner.errors import Code
from scanner.model import Transport
from scanner.net.datagrams import Datagrams, Heard
from scanner.net.interfaces import Link, Reach
from scanner.net.pace import Lull, Pace
from scanner.protocols import protocols as all_protocols
from scanner.protocols.base import Alone, Protocol, Question

METHOD = "multicast"
FRAMES = "frames"
"""Bare Ethernet frames, and datagrams from addresses that are not of the link's network, as reports name them."""
FIRST_ANSWERS = 1.0
"""Seconds after a question to everybody, before those who answered are asked more; late answers count too."""
ANSWERS = 1.0
"""Seconds that answers to questions to single hosts may take."""
QUIET = 0.4
"""Seconds without any answer after which hosts are asked more; a later answer counts as long as one is being asked."""
MAX_HINTS = 256
"""Sets of makers pointed to, of which is remembered who has questions for single hosts."""
SWITCHED_OFF = "switched off: hosts were asked one by one"


def speakers(protocols: Iterable[Protocol]) -> tuple[Protocol, ...]:
    """The protocols of tier 1 and below that speak by datagram."""
    return tuple(p for p in protocols if p.transport is Transport.UDP and p.tier <= 1)


def questions(protocols: Iterable[Protocol], hints: frozenset[str] = frozenset()) -> tuple[Question, ...]:
    """Everything they ask, fresh (message ids differ from call to call)."""
    return tuple(question for protocol in protocols for question in protocol.questions(hints))


def remembered(asked: Iterable[Question]) -> list[Question]:
    """What is kept of questions that were asked: no payload, so that all hosts can share them."""
    return [_bare(question.channel, question.request, question.port, question.alone) for question in asked]


@lru_cache(maxsize=256)
def _bare(channel: str, request: str, port: int, alone: Alone) -> Question:
    return Question(channel=channel, request=request, payload=b"", port=port, alone=alone)


async def ask(
    datagrams: Datagrams, wanted: Sequence[Question], *, patience: float, links: Sequence[Link] | None = None,
    lull: Lull | None = None,
) -> float:  # fmt: skip
    """Listen where answers arrive, ask on the links (None: every link), wait so many seconds at most, with a `lull`
    only until no answer has come for `QUIET` seconds; returns for how many more answers may come.
    """
    datagrams.listen(wanted)
    await datagrams.ask_links(wanted, links)
    seconds = max((q.seconds for q in wanted if q.together), default=0.0)
    if lull is None:
        await asyncio.sleep(min(seconds, patience))
        return max(0.0, seconds - patience)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await lull.wait(QUIET, min(seconds, patience))
    return max(0.0, began + seconds - loop.time())


class Multicast(Way):
    """Discovery datagrams as a way of finding hosts."""

    name = METHOD
    order = 30

    def __init__(self) -> None:
        self._datagrams: Datagrams | None = None
        self._askers: dict[frozenset[str], tuple[tuple[Protocol, frozenset[tuple[str, Alone]]], ...]] = {}
        self._speakers: tuple[Protocol, ...] = ()
        self._together: frozenset[str] = frozenset()
        self._groups6: frozenset[str] = frozenset()
        self._lull = Lull()

    def suits(self, ground: Ground, plan: Plan) -> bool:
        """On links."""
        return ground.reach is Reach.LINK

    def expect(self, ground: Ground, plan: Plan) -> Expected | None:
        """Every question to everybody, once a link."""
        if not plan.multicast:
            raise Unable(SWITCHED_OFF)
        wanted = questions(speakers(all_protocols().values()))
        said = dict.fromkeys(
            f"{q.request} to {_destination(q)} × {q.repeat}" for q in wanted if q.together
        )  # fmt: skip
        if not said or ground.portion:
            return None
        assert ground.link is not None
        return Expected(
            f"{ground.link.name}: questions to everybody: {'; '.join(said)}", max(q.seconds for q in wanted) + 0.3
        )

    async def begin(self, scene: Scene) -> None:
        """Open the sockets: single hosts are asked through them too."""
        self._speakers = speakers(scene.protocols)
        together = [question for question in questions(self._speakers) if question.together]
        self._together = frozenset(question.channel for question in together)
        self._groups6 = frozenset(q.channel for q in together if any(":" in group for group in q.groups))

        def heard(answer: Heard) -> None:
            self._lull.heard()
            scene.heard(answer)

        self._datagrams = Datagrams(
            scene.links if scene.plan.multicast else (), self._speakers, scene.ledger,
            Pace(scene.plan.manners.datagrams), heard, real_port=scene.plan.real_port, raw=scene.plan.raw,
        )  # fmt: skip
        scene.stack.callback(self._told, scene)  # once all sockets are closed, and every loss is counted
        await scene.stack.enter_async_context(self._datagrams)

    async def search(self, ground: Ground, scene: Scene) -> str | None:
        """Every question to everybody, once a link."""
        if not scene.plan.multicast:
            raise Unable(SWITCHED_OFF)
        if ground.portion:
            return None
        assert self._datagrams is not None
        assert ground.link is not None
        wanted = questions(self._speakers)
        scene.asked.extend(wanted)
        lull = self._lull if scene.plan.speed is Speed.FAST else None
        scene.expect(await ask(self._datagrams, wanted, patience=FIRST_ANSWERS, links=[ground.link], lull=lull))
        if scene.book.excluding:
            return "questions to everybody on a link reach excluded hosts too; their answers were dropped"
        return None

    async def survey(self, entries: Sequence[Entry], scene: Scene) -> None:
        """The questions to every host that has not answered them yet."""
        assert self._datagrams is not None
        sent = False
        for entry in entries:
            if scene.halted(entry) is None:
                known = {seen.channel for seen in entry.observations}
                alone = self._left(entry, scene, known, Alone.FIRST)
                entry.asked = remembered(await self._datagrams.ask_host(entry.address, alone))
                sent = sent or bool(entry.asked)
        if sent:
            await self._lull.wait(QUIET, ANSWERS)

    async def finish(self, entries: Sequence[Entry], scene: Scene) -> None:
        """The last questions, and those of makers to which an answer over TCP pointed."""
        assert self._datagrams is not None
        sent = False
        for entry in entries:
            if scene.halted(entry) is None and entry.stopped is None:
                known = {seen.channel for seen in entry.observations} | {q.channel for q in entry.asked}
                alone = self._left(entry, scene, known, Alone.LAST)
                asked = await self._datagrams.ask_host(entry.address, alone)
                entry.asked = [*entry.asked, *remembered(asked)]
                sent = sent or bool(asked)
        if sent:
            await asyncio.sleep(ANSWERS)

    def _alone(self, hints: frozenset[str], fits: Callable[[str, Alone], bool]) -> list[Question]:
        """What may be put to a single host now (`fits`: by channel and turn), fresh; who has nothing for it is not made
        to write questions.
        """
        askers = self._askers.get(hints)
        if askers is None:
            kinds = ((s, frozenset((q.channel, q.alone) for q in s.questions(hints))) for s in self._speakers)
            askers = tuple(kinds)
            if len(self._askers) < MAX_HINTS:
                self._askers[hints] = askers
        wanted = [speaker for speaker, asked in askers if any(fits(*kind) for kind in asked)]
        return [q for q in questions(wanted, hints) if fits(q.channel, q.alone)]

    def _left(self, entry: Entry, scene: Scene, known: set[str], turn: Alone) -> list[Question]:
        """What may be put to a host at this turn, without the channels that are known, or were asked of everybody."""
        reached = self._reached(entry, scene)

        def fits(channel: str, alone: Alone) -> bool:
            return channel not in known and (alone is turn or (alone is Alone.AWAY and channel not in reached))

        return self._alone(scene.hints(entry), fits)

    def _reached(self, entry: Entry, scene: Scene) -> frozenset[str]:
        """The channels on which a question to everybody has reached this host: who speaks IPv6 alone is in none of the
        groups of IPv4, and hears no broadcast.
        """
        if entry.link is None or not scene.asked:
            return frozenset()
        return self._groups6 if ":" in entry.address else self._together

    def _told(self, scene: Scene) -> None:
        assert self._datagrams is not None
        for problem in self._datagrams.problems:
            scene.warn(Code.UNASKED, problem)
        if self._datagrams.missing is not None:
            scene.unable(FRAMES, self._datagrams.missing)
        scene.lost("answers to discovery questions", self._datagrams.lost)


def _destination(question: Question) -> str:
    if question.ethertype is not None:
        return f"everybody, EtherType {question.ethertype:#06x}"
    return f"{', '.join(question.groups or ('everybody',))}:{question.port}"


WAY = Multicast
