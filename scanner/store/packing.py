"""A device of a report as the pieces that are stored once each, and back. Pure.

    answers      by content, without their times and what varies (varying.py)
    recording    its addresses and the list of its answers
    identity     makers as ids; readings point into the answers instead of repeating them
    verdicts     all of them together: most devices of a maker share them
    varying      what belongs to this sighting alone: times, dates, the order in which the answers came

`unpack(pack(device))` is the device.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from scanner.model import Device, Identity, Match, Observation, Reading, Recording, Verdict
from scanner.store.varying import join, split
from scanner.values import stamp

SMALL = 120
"""Bytes below which compression saves nothing."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Piece:
    """Something stored once, found by its hash."""

    hash: bytes
    plain: bytes

    @property
    def body(self) -> bytes:
        """As it is stored; most pieces are there already and need no compressing."""
        return zipped(self.plain)


@dataclass(frozen=True, slots=True)
class Packed:
    """One device, ready to be stored."""

    key: str
    ip: str | None
    mac: str | None
    answers: tuple[tuple[str, Piece], ...]
    """Channel and answer, in the stored order."""
    recording: Piece
    identity: Piece
    facts: dict[str, Any]
    """The columns of `identities`."""
    verdicts: Piece
    action: str
    varying: bytes | None
    packets: int
    bytes_sent: int


class _Reading(msgspec.Struct, frozen=True, array_like=True):
    channel: str
    value: str | None
    """None: the whole answer."""
    answer: int | Observation
    """Which answer of the recording, in stored order; an observation that is not among them is kept whole."""


class _Varying(msgspec.Struct, frozen=True, omit_defaults=True):
    start: int = 0
    """Milliseconds since 1970 from which `times` count."""
    times: tuple[int | str | None, ...] = ()
    parts: dict[int, tuple[str, ...]] = {}
    columns: tuple[tuple[str, str], ...] = ()
    """The organisation's own columns."""
    order: tuple[int, ...] = ()
    """Place of each answer, as it came, among the stored ones; empty: as stored."""


def pack(device: Device) -> Packed:
    """The pieces of one device."""
    seen = device.recording.observations
    made = [_answer(observation) for observation in seen]
    order = sorted(range(len(seen)), key=lambda n: (seen[n].channel, seen[n].port or 0, made[n][0].hash, n))
    stored_at = {came: place for place, came in enumerate(order)}
    body = msgspec.json.encode(replace(device.recording, observations=()))
    answers = tuple((seen[came].channel, made[came][0]) for came in order)
    recording = _piece(body, *(piece.hash for _, piece in answers))
    identity = _pack_identity(device.identity, {observation: stored_at[n] for n, observation in enumerate(seen)})
    verdicts = _piece(msgspec.json.encode(device.verdicts))
    facts = {name: getattr(device.identity, name) for name in FACTS}
    return Packed(
        key=device.key,
        ip=device.recording.ip,
        mac=device.recording.mac,
        answers=answers,
        recording=recording,
        identity=identity,
        facts=facts | {"level": device.identity.level.value, "confidence": device.identity.confidence},
        verdicts=verdicts,
        action=device.action.value,
        varying=_pack_varying(seen, [parts for _, parts in made], order, device.columns),
        packets=device.packets,
        bytes_sent=device.bytes_sent,
    )


FACTS = ("manufacturer", "brand", "kind", "model", "firmware", "serial")


def unpack(
    key: str, recording: bytes, answers: Sequence[bytes], identity: bytes, verdicts: bytes, varying: bytes | None,
    packets: int = 0, bytes_sent: int = 0,
) -> Device:  # fmt: skip
    """The device of its stored bodies; `answers` in stored order."""
    told = unpack_recording(recording, answers, varying)
    by_place = _by_place(told, varying)
    return Device(
        key=key,
        recording=told,
        identity=_unpack_identity(identity, by_place),
        verdicts=unpack_verdicts(verdicts),
        packets=packets,
        bytes_sent=bytes_sent,
        columns=_varying(varying).columns,
    )


def unpack_verdicts(body: bytes) -> tuple[Verdict, ...]:
    """The verdicts of one row."""
    return msgspec.json.decode(unzip(body), type=tuple[Verdict, ...])


def zipped(body: bytes) -> bytes:
    """The body, compressed where that saves something; `unzip` tells by the first byte, which begins no JSON."""
    return zlib.compress(body, 6) if len(body) > SMALL else body


def unzip(body: bytes) -> bytes:
    """What `zipped` was given."""
    return zlib.decompress(body) if body[:1] == b"\x78" else bytes(body)


def _piece(body: bytes, *more: bytes) -> Piece:
    digest = hashlib.sha256(body)
    for part in more:
        digest.update(part)
    return Piece(digest.digest()[:16], body)


def _answer(seen: Observation) -> tuple[Piece, tuple[str, ...]]:
    text, parts = split(seen.value)
    return _piece(msgspec.json.encode(replace(seen, value=text, at=None))), parts


def _pack_identity(identity: Identity, places: dict[Observation, int]) -> Piece:
    def lean(match: Match) -> dict[str, Any]:
        readings = [
            _Reading(r.channel, None if r.value == r.observation.value else r.value,
                     places.get(r.observation, r.observation))
            for r in match.readings
        ]  # fmt: skip
        told: dict[str, Any] = msgspec.to_builtins(replace(match, readings=()))
        return told | {"readings": msgspec.to_builtins(readings)}

    body = msgspec.to_builtins(replace(identity, matches=(), conflicts=())) | {
        "matches": [lean(match) for match in identity.matches],
        "conflicts": [lean(match) for match in identity.conflicts],
    }
    return _piece(msgspec.json.encode(body))


def _unpack_identity(body: bytes, answers: Sequence[Observation]) -> Identity:
    told = msgspec.json.decode(unzip(body))

    def whole(match: dict[str, Any]) -> Match:
        readings = []
        for entry in msgspec.convert(match.pop("readings"), tuple[_Reading, ...]):
            seen = answers[entry.answer] if isinstance(entry.answer, int) else entry.answer
            readings.append(Reading(entry.channel, seen.value if entry.value is None else entry.value, seen))
        return replace(msgspec.convert(match | {"readings": ()}, Match), readings=tuple(readings))

    matches = tuple(whole(match) for match in told.pop("matches"))
    conflicts = tuple(whole(match) for match in told.pop("conflicts"))
    return replace(msgspec.convert(told, Identity), matches=matches, conflicts=conflicts)


def _pack_varying(
    seen: Sequence[Observation], parts: Sequence[tuple[str, ...]], order: Sequence[int],
    columns: tuple[tuple[str, str], ...],
) -> bytes | None:  # fmt: skip
    moments = [_moment(observation.at) for observation in seen]
    known = [moment for moment in moments if isinstance(moment, int)]
    start = min(known, default=0)
    times = tuple(m - start if isinstance(m, int) else m for m in moments) if any(o.at for o in seen) else ()
    places = tuple(order.index(came) for came in range(len(seen)))
    found = _Varying(
        start=start,
        times=times,
        parts={came: part for came, part in enumerate(parts) if part},
        columns=columns,
        order=() if list(places) == list(range(len(seen))) else places,
    )
    return zipped(msgspec.json.encode(found)) if found != _Varying() else None


def _moment(at: str | None) -> int | str | None:
    """Milliseconds since 1970; the text itself where it is written in any other way."""
    if at is None or not _MOMENT.fullmatch(at):
        return at
    try:
        return round((datetime.fromisoformat(at) - _EPOCH) / timedelta(milliseconds=1))
    except ValueError:
        return at


def _at(moment: int | str | None, start: int) -> str | None:
    if not isinstance(moment, int):
        return moment
    when = _EPOCH + timedelta(milliseconds=start + moment)
    return stamp(when, precision="milliseconds")


def _varying(body: bytes | None) -> _Varying:
    return msgspec.json.decode(unzip(body), type=_Varying) if body else _Varying()


def unpack_recording(recording: bytes, answers: Sequence[bytes], varying: bytes | None) -> Recording:
    """What the device said, as it said it; `answers` in stored order."""
    own = _varying(varying)
    stored = [msgspec.json.decode(unzip(body), type=Observation) for body in answers]
    came = [stored[place] for place in own.order] if own.order else stored
    told = []
    for number, seen in enumerate(came):
        at = _at(own.times[number], own.start) if own.times else None
        told.append(replace(seen, value=join(seen.value, own.parts.get(number, ())), at=at))
    return replace(msgspec.json.decode(unzip(recording), type=Recording), observations=tuple(told))


def _by_place(told: Recording, varying: bytes | None) -> list[Observation]:
    """The answers as they came, in stored order."""
    order = _varying(varying).order
    if not order:
        return list(told.observations)
    placed = sorted(zip(order, range(len(order)), strict=True))
    return [told.observations[came] for _, came in placed]
