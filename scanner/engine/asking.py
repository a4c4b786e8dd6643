"""One device, asked: the most telling question first, maker-specific ones only after a hint, no more than is needed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from scanner import ports
from scanner.config import Plan
from scanner.discover.book import Entry
from scanner.identify import Mind, identify
from scanner.knowledge import Knowledge
from scanner.model import Identity, Level, Observation, Reading, Recording, Transport
from scanner.net.streams import Bounds, Host, Streams
from scanner.protocols import read_all
from scanner.protocols.base import Protocol, Stream

SUSPICIOUS = 4
"""Open ports without a word on any, and none that refused, after which a port is tried that nobody uses."""
KEPT = 1024
"""Opinions that are kept while devices wait to be asked, and to be told: some 15 kB each."""
LEADS = 4
"""Ports of one device that are visited because an answer led there."""
UNLIKELY = range(49_152, 65_536)
"""Ports that no server uses (RFC 6335): where one of them is open, all are."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One port to go to, and what is spoken there; without a protocol it is only looked at."""

    port: int
    tls: bool = False
    protocol: Protocol | None = None


def agenda(protocols: Iterable[Protocol], wanted: Sequence[int]) -> tuple[Visit, ...]:
    """Every protocol on its ports in asking order, the first ports before the others; then those nobody speaks on.

    A port that the user named and nobody knows is tried as a web server.
    """
    speakers = sorted(
        (p for p in protocols if p.transport is Transport.TCP and p.tier <= 2 and _asks(p)), key=lambda p: p.order
    )
    visits = [
        Visit(port, port in p.tls_ports and port not in p.ports, p)
        for p in speakers for port in wanted if port in p.ports or port in p.tls_ports
    ]  # fmt: skip
    visits.sort(key=lambda visit: visit.port not in ports.FIRST)
    web = next((p for p in speakers if p.name == "http"), None)
    spoken = {visit.port for visit in visits}
    visits += [Visit(port, False, None if port in ports.ASKED else web) for port in wanted if port not in spoken]
    return tuple(visits)


def _asks(protocol: Protocol) -> bool:
    return type(protocol).converse is not Protocol.converse


def enough(identity: Identity) -> bool:
    """Whether nothing more needs to be asked: the maker is certain, and label, model and firmware are known; so is the
    kind of device, which some measures depend on.
    """
    return (
        identity.level is Level.CONFIRMED and not identity.conflicts
        and None not in (identity.manufacturer, identity.brand, identity.kind, identity.model, identity.firmware)
    )  # fmt: skip


def bounds(plan: Plan) -> Bounds:
    """What one device may cost under a plan."""
    return Bounds(
        connect_seconds=plan.timeout, silence_seconds=plan.timeout, device_seconds=plan.device_seconds,
        device_bytes=plan.device_bytes, requests=plan.manners.requests, connects=plan.manners.device_connects,
    )  # fmt: skip


class Asker:
    """Asks devices; one `ask` at a time for one device, any number for several."""

    def __init__(
        self, plan: Plan, knowledge: Knowledge, protocols: Iterable[Protocol], streams: Streams,
        halted: Callable[[Entry], str | None] = lambda _entry: None, minds: Minds | None = None,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._minds = minds or Minds(knowledge)
        protocols = tuple(protocols)
        self._agenda = agenda(protocols, plan.ports)
        self._leading = [p for p in protocols if p.follows()]
        self._first = ports.FIRST & set(plan.ports) or set(plan.ports[:3])
        self._streams = streams
        self._halted = halted
        self._bounds = bounds(plan)
        self.problems: list[str] = []
        """Protocols that failed on a device: our defects, told once each."""

    async def ask(self, entry: Entry, *, again: bool = False) -> bool:
        """Everything on the agenda, until enough is known, the device stops answering or its budget is spent.

        Whether its maker is certain now.
        `again`: a second look at a host that answered nothing; the other ports only if one of the first answers now.
        """
        certain = False
        try:
            certain = await self._ask(entry, again=again)
        except Exception as error:  # noqa: BLE001 - a defect of ours on one device must not end the scan
            self._problem(f"internal error while asking {entry.address}: {type(error).__name__}: {error}")
        entry.done = True
        return certain

    async def _ask(self, entry: Entry, *, again: bool) -> bool:
        host = Host(
            entry.address, self._bounds, partial(self._plan.real_port, entry.address), near=entry.link is not None,
            closed=dict.fromkeys(entry.closed, "refused"),
        )
        host.connects.count(len(entry.open | entry.closed))  # what a sweep tried a moment ago counts too
        mind = self._minds.of(entry)
        for visit in self._visits(mind):
            host.stopped = host.stopped or self._halted(entry)
            if host.stopped is not None or mind.enough():
                break
            if visit.port in host.closed or visit.port in host.mute:
                continue
            cautious = again or entry.through is not None
            if cautious and visit.port not in self._first and not entry.answered:
                break
            await self._visit(host, visit, entry, mind)
        entry.stopped = host.stopped
        if self._too_open(host, entry):
            host.stopped = None
            for port in random.sample(UNLIKELY, 2):  # a packet may be lost
                entry.everywhere = entry.everywhere or await self._streams.look(host, port)
            if entry.everywhere:
                host.open.clear()
        entry.refuse(*sorted(port for port, why in host.closed.items() if why == "refused"))
        return mind.certain()

    def _visits(self, mind: Opinion) -> Iterator[Visit]:
        """The agenda; what the device itself points to comes before the ports that are only guessed, and last again,
        for answers that came late.
        """
        followed: dict[Visit, None] = {}
        for visit in self._agenda:
            if visit.port not in self._first:
                yield from self._led(mind, followed)
            yield visit
        yield from self._led(mind, followed)

    def _led(self, mind: Opinion, followed: dict[Visit, None]) -> Iterator[Visit]:
        """Where answers lead, as far as nobody has been there for them."""
        for protocol in self._leading:
            try:
                found = [Visit(lead.port, lead.tls, protocol) for lead in protocol.leads(mind.address, mind.heard())]
            except Exception as error:  # noqa: BLE001 - a broken plug-in must not lose the others' answers
                self._problem(f"protocol {protocol.name} failed on answers: {type(error).__name__}: {error}")
                continue
            for visit in found:
                if visit not in followed and len(followed) < LEADS:
                    followed[visit] = None
                    yield visit

    @staticmethod
    def _too_open(host: Host, entry: Entry) -> bool:
        """Whether no port refused, and nothing was said on any that is open: as where a tarpit answers.

        A port that did not answer in time tells nothing: a tarpit, too, loses a packet now and then.
        """
        refused = any(why == "refused" for why in host.closed.values())
        return len(host.open) >= SUSPICIOUS and not refused and not host.answered

    async def _visit(self, host: Host, visit: Visit, entry: Entry, mind: Opinion) -> None:
        if visit.protocol is None:
            if visit.port in entry.open:
                return  # a SYN sweep has seen it
            await self._streams.look(host, visit.port)
            entry.open.update(host.open)
            return
        stream = Stream(entry.address, visit.port, visit.tls, mind.heard(), mind.hints())
        seen: list[Observation] = []
        try:
            await self._streams.converse(host, visit.protocol, stream, seen)
        except Exception as error:  # noqa: BLE001 - one broken protocol must not lose the others' answers
            self._problem(f"protocol {visit.protocol.name} failed: {type(error).__name__}: {error}")
            host.mute.add(visit.port)
        finally:
            entry.add(seen)
            entry.open.update(host.open)

    def _problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)


class Opinion:
    """What is thought of a device, thought anew only when it has said more."""

    def __init__(self, entry: Entry, knowledge: Knowledge) -> None:
        self.address = entry.address
        self._entry = entry
        self._knowledge = knowledge
        self._mind = Mind(knowledge)
        self._age = self._length = -1
        self._heard: tuple[Reading, ...] = ()
        self._hints: frozenset[str] = frozenset()
        self._certain = self._enough = False

    def _think(self) -> None:
        if len(self._entry.observations) == self._length:
            return
        age = sum(not seen.silent for seen in self._entry.observations)
        if age != self._age:
            self._heard = read_all(self._entry.recording())
            identity, self._hints = self._mind.consider(self._heard)
            self._certain = identity.level is Level.CONFIRMED
            self._enough = enough(identity)
            self._age = age
        self._length = len(self._entry.observations)

    def heard(self) -> tuple[Reading, ...]:
        """Everything it has said so far."""
        self._think()
        return self._heard

    def hints(self) -> frozenset[str]:
        """Whom maker-specific questions may be put to."""
        self._think()
        return self._hints

    def enough(self) -> bool:
        """Whether nothing more needs to be asked."""
        self._think()
        return self._enough

    def certain(self) -> bool:
        """Whether the maker is confirmed."""
        self._think()
        return self._certain

    def final(self, recording: Recording) -> Identity:
        """The identity by all that it said in the end (`identify`)."""
        return identify(recording, self._knowledge, self._mind)


class Minds:
    """The opinions of all devices that are being asked, shared by those who ask, and by those who tell in the end.

    Only so many are kept, for memory's sake; the others are formed anew where they are needed, and are the same.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._kept: dict[int, tuple[Entry, Opinion]] = {}

    def of(self, entry: Entry) -> Opinion:
        """What is thought of a device."""
        kept = self._kept.get(id(entry))
        if kept is not None:
            return kept[1]
        opinion = Opinion(entry, self._knowledge)
        if len(self._kept) < KEPT:
            self._kept[id(entry)] = (entry, opinion)
        return opinion

    def part(self, entry: Entry) -> Opinion | None:
        """What is thought of a device that leaves, where that was kept; it is kept no longer."""
        kept = self._kept.pop(id(entry), None)
        return kept[1] if kept is not None else None
