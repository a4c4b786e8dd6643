"""Who made a device: readings against fingerprints and registry, fused into one identity. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from operator import is_
from typing import TYPE_CHECKING

from msgspec.structs import replace

from scanner.identify.fusion import fuse
from scanner.identify.matcher import Matching, matches, relays
from scanner.knowledge.registry import LENGTHS, NOWHERE
from scanner.model import SURE, Grade, Identity, Level, Match, Reading, Recording
from scanner.protocols import read_all

if TYPE_CHECKING:
    from scanner.knowledge import Knowledge

BLOCK = LENGTHS[0][1]
"""Characters of an address that its registration depends on: the longest prefix of the registry."""
MAX_BLOCKS = 65_536
"""Prefixes of that length of which is remembered whose they are."""


def identify(recording: Recording, knowledge: Knowledge, mind: Mind | None = None) -> Identity:
    """The identity of the device that said all this. `mind`: where it has been thought of before."""
    readings = read_all(recording)
    if len(readings) == 1 and readings[0].channel == "mac":
        return _bare(readings[0], knowledge)
    identity = (mind or Mind(knowledge)).consider(readings)[0]
    if identity.level is not Level.CONFIRMED and (why := tuple(_unheard(recording))):
        return replace(identity, notes=(*identity.notes, *why))
    return identity


def _unheard(recording: Recording) -> Iterator[str]:
    """Why less was heard of a device than a scan hears, where whoever heard it can tell."""
    seen = [one for one in recording.observations if not one.silent]
    told = {one.port for one in seen if one.channel == "tls.sha256"}
    hidden = {one.port for one in seen if one.channel == "tls.version" and one.value == "1.3"} - told
    if hidden:
        yield f"its certificate on {_ports(hidden)} is encrypted (TLS 1.3): a capture cannot read it, a scan can"
    cut = {
        one.port for one in seen
        if one.truncated and one.source is not None and not one.value.endswith("\r\n\r\n")  # of pictures only the head
    }  # fmt: skip
    if cut:
        yield f"its answer on {_ports(cut)} is cut off: another scan, or a capture with tcpdump -s 0, may hear more"


def _ports(ports: Collection[int | None]) -> str:
    numbers = sorted(port for port in ports if port is not None)
    return f"port {', '.join(map(str, numbers))}" if numbers else "the link"


class Mind:
    """What is thought of one device while it says more and more: each thing it says is looked at once.

    The answers depend on the readings alone, not on what was thought before.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._matching = Matching(knowledge)
        self._found: list[Match] = []
        self._macs: list[Reading] = []
        self._thought: tuple[Identity, frozenset[str]] | None = None

    def consider(self, readings: Sequence[Reading]) -> tuple[Identity, frozenset[str]]:
        """The identity, and whom maker-specific questions may be put to."""
        found = self._matching.matches(readings)
        macs = [reading for reading in readings if reading.channel == "mac"]
        same = len(found) == len(self._found) and all(map(is_, found, self._found)) and macs == self._macs
        if self._thought is None or not same:
            self._thought = (_identity(readings, found, self._knowledge), _suspects(found))
            self._found, self._macs = found, macs
        return self._thought


def _bare(reading: Reading, knowledge: Knowledge) -> Identity:
    """The identity of a device of which nothing but its MAC is known: thought once for each registered prefix.

    Unless a fingerprint fits this very address, all that counts is who owns the prefix, or why nobody does.
    """
    alone = {"mac": [reading]}
    if knowledge.matcher.worth_trying(alone) and next(knowledge.matcher.fitting(alone), None) is not None:
        return _identity((reading,), matches((reading,), knowledge), knowledge)
    block = reading.value[:BLOCK]
    known = knowledge.by_block.get(block) if reading.value != NOWHERE else None
    if known is None:
        owner = knowledge.registry.lookup(reading.value) or knowledge.registry.describe(reading.value)
        known = knowledge.by_owner.get(owner)
        if known is None:
            known = _identity((reading,), matches((reading,), knowledge), knowledge)
            knowledge.by_owner[owner] = known
        if len(knowledge.by_block) < MAX_BLOCKS and reading.value != NOWHERE:
            knowledge.by_block[block] = known
    if not known.matches and not known.conflicts:
        return known
    return replace(
        known,
        matches=tuple(replace(m, readings=(reading,)) for m in known.matches),
        conflicts=tuple(replace(m, readings=(reading,)) for m in known.conflicts),
    )


def _identity(readings: Sequence[Reading], found: list[Match], knowledge: Knowledge) -> Identity:
    software = any(m.fingerprint in knowledge.software for m in found) or relays(readings, knowledge)
    notes = [
        knowledge.registry.describe(r.value)
        for r in readings
        if r.channel == "mac" and knowledge.registry.lookup(r.value) is None
    ]
    identity = fuse(found, software=software, notes=notes, suppliers=knowledge.suppliers)
    if identity.brand is None and identity.level in SURE and identity.manufacturer not in knowledge.builders_for_others:
        # Nobody else is known to put a label on this maker's devices.
        return replace(identity, brand=identity.manufacturer)
    label = knowledge.brands.get(identity.brand) if identity.brand and identity.level not in SURE else None
    hint = label.hint(identity.model) if label is not None else None
    return replace(identity, notes=(*identity.notes, hint)) if hint else identity


def _suspects(found: Sequence[Match]) -> frozenset[str]:
    return frozenset(m.manufacturer for m in found if m.manufacturer is not None and m.grade is not Grade.HINT)
