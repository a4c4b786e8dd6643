"""Scans by number, id, date or `last~1`; their reports as they were; one device through time."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from scanner.errors import UsageProblem
from scanner.model import Action, Device, Level, Recording, Report
from scanner.store import schema
from scanner.store.changes import Facts
from scanner.store.findings import actions
from scanner.store.opening import Store
from scanner.store.packing import unpack, unpack_recording, unpack_verdicts, unzip
from scanner.store.writing import Head

VALUES = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One scan of the list."""

    number: int
    uid: str
    site: str
    started: str
    finished: str | None
    state: str
    devices: int
    findings: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One device in one scan, as far as comparing goes."""

    key: str
    facts: Facts
    actions: Mapping[str, Action]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One line of a device's history."""

    scan: Entry
    seen: Seen


def entries(store: Store, *, site: str | None = None, limit: int | None = None) -> list[Entry]:
    """The scans, newest first."""
    with store.reading() as connection:
        return _entries(connection, site, limit)


def find(store: Store, word: str, *, site: str | None = None) -> Entry:
    """The scan that a word names: a number, `last`, `last~1`, the beginning of an id, or a date (the last scan that
    began on or before that day, UTC).

    Raises `UsageProblem` where there is none, or several.
    """
    table = schema.scans.c
    with store.reading() as connection:
        query = _listing(site)
        back = re.fullmatch(r"last(?:~(\d{1,6}))?", word)
        if back:
            found = _made(connection, query.order_by(table.id.desc()).offset(int(back[1] or 0)).limit(1))
        elif _day(word):
            query = query.where(table.started < word + "T99").order_by(table.started.desc(), table.id.desc())
            found = _made(connection, query.limit(1))
        elif word.isascii() and word.isdigit() and len(word) < 12:
            found = _made(connection, query.where(table.id == int(word)))
        elif re.fullmatch(r"[0-9A-Za-z-]{4,64}", word):
            found = _made(connection, query.where(table.uid.startswith(word, autoescape=True)).limit(2))
        else:
            raise UsageProblem(f"scan {word!r}: name it by number, `last`, `last~1`, a date or the beginning of its id")
        count = connection.execute(sa.select(sa.func.count()).select_from(_listing(site).subquery())).scalar()
    if len(found) == 1:
        return found[0]
    where = f" of site {site}" if site else ""
    if found:
        raise UsageProblem(f"scan {word}: several ids begin like that; write more of it")
    raise UsageProblem(f"scan {word}: there is none{where} in {store.shown}; it holds {count} (`lanveto history`)")


def report(store: Store, number: int) -> Report:
    """The report of a scan as it was: makers and verdicts of that day, every answer."""
    with store.reading() as connection:
        told = _head(connection, number)
        return Report(
            scan=told.scan, devices=tuple(_devices(connection, number)), coverage=told.coverage,
            rules_version=told.rules_version, measures=told.measures, waivers=told.waivers,
        )  # fmt: skip


def head(store: Store, number: int) -> Head:
    """What a scan says about itself: targets, profiles, coverage, versions."""
    with store.reading() as connection:
        return _head(connection, number)


def recordings(store: Store, number: int) -> tuple[Recording, ...]:
    """All that the devices of a scan said."""
    with store.reading() as connection:
        return tuple(device.recording for device in _devices(connection, number))


def snapshot(store: Store, number: int) -> dict[str, Seen]:
    """The devices of a scan by key, without their answers."""
    with store.reading() as connection:
        sight, device, identity = schema.sightings.c, schema.devices.c, schema.identities.c
        rows = connection.execute(
            _sightings(sa.select(device.key, *_FACTS, sight.verdict_id), identity.id)
            .where(sight.scan_id == number)
        ).all()
        asked = _actions(connection, {row.verdict_id for row in rows})
        return {row.key: Seen(row.key, _facts(row), asked[row.verdict_id]) for row in rows}


def history(store: Store, key: str, *, site: str | None = None, limit: int | None = None) -> list[Sighting]:
    """Every sighting of a device (its key, MAC in any spelling, or an address it had), newest first."""
    from scanner.values import normal_mac

    mac = normal_mac(key)
    device, sight, recording = schema.devices.c, schema.sightings.c, schema.recordings.c
    with store.reading() as connection:
        wanted = [device.key == key]
        if mac is not None:
            wanted.append(device.key.startswith(mac.replace(":", "")))
        else:
            by_address = sa.select(sight.device_id).join(
                schema.recordings, recording.id == sight.recording_id
            ).where(recording.ip == key)
            wanted.append(device.id.in_(by_address))
        query = sa.select(device.id).where(sa.or_(*wanted))
        numbers = list(connection.execute(query if site is None else query.where(device.site == site)).scalars())
        columns = sa.select(device.key, sight.scan_id, *_FACTS, sight.verdict_id)
        rows = connection.execute(
            _sightings(columns, schema.identities.c.id).where(sight.device_id.in_(numbers))
            .order_by(sight.scan_id.desc()).limit(limit)
        ).all()
        asked = _actions(connection, {row.verdict_id for row in rows})
        scans = {entry.number: entry for entry in _by_number(connection, sorted({row.scan_id for row in rows}))}
        return [Sighting(scans[row.scan_id], Seen(row.key, _facts(row), asked[row.verdict_id])) for row in rows]


def between(store: Store, site: str, keys: Sequence[str], upto: int) -> dict[str, tuple[int, Sequence[Head]]]:
    """For devices of a site: the last scan up to `upto` that saw each, and what the later completed scans asked."""
    device, sight, scan = schema.devices.c, schema.sightings.c, schema.scans.c
    last: dict[str, int] = {}
    with store.reading() as connection:
        for start in range(0, len(keys), VALUES):
            some = keys[start : start + VALUES]
            query = (
                sa.select(device.key, sa.func.max(sight.scan_id))
                .join(schema.sightings, sight.device_id == device.id)
                .where(device.site == site, device.key.in_(some), sight.scan_id <= upto)
                .group_by(device.key)
            )
            last |= {key: int(number) for key, number in connection.execute(query)}
        first = min(last.values(), default=upto)
        rows = connection.execute(
            sa.select(scan.id, scan.head).where(
                scan.site == site, scan.id > first, scan.id <= upto, scan.state == "completed"
            ).order_by(scan.id)
        ).all()
    heads = [(number, msgspec.json.decode(unzip(bytes(body)), type=Head)) for number, body in rows]
    return {key: (seen, [head for number, head in heads if number > seen]) for key, seen in last.items()}


def recording_of(connection: sa.Connection, scan: int, device: int) -> Recording | None:
    """What one device said in one scan."""
    sight, recording = schema.sightings.c, schema.recordings.c
    row = connection.execute(
        sa.select(recording.id, recording.body, sight.varying)
        .join(schema.recordings, recording.id == sight.recording_id)
        .where(sight.scan_id == scan, sight.device_id == device)
    ).first()
    if row is None:
        return None
    answers = _answers(connection, [row.id])[row.id]
    return unpack_recording(bytes(row.body), answers, row.varying)


_FACTS = (
    schema.recordings.c.ip, schema.recordings.c.mac, schema.identities.c.manufacturer, schema.identities.c.brand,
    schema.identities.c.kind, schema.identities.c.model, schema.identities.c.firmware, schema.identities.c.serial,
    schema.identities.c.level,
)  # fmt: skip


def _facts(row: sa.Row[tuple[object, ...]]) -> Facts:
    return Facts(
        ip=row.ip, mac=row.mac, manufacturer=row.manufacturer, brand=row.brand, kind=row.kind, model=row.model,
        firmware=row.firmware, serial=row.serial, level=Level(row.level),
    )  # fmt: skip


def _sightings(columns: sa.Select[tuple[object, ...]], identity: sa.Column[int]) -> sa.Select[tuple[object, ...]]:
    sight = schema.sightings.c
    return (
        columns.select_from(schema.sightings)
        .join(schema.devices, schema.devices.c.id == sight.device_id)
        .join(schema.recordings, schema.recordings.c.id == sight.recording_id)
        .join(schema.identities, identity == sight.identity_id)
    )


def _actions(connection: sa.Connection, numbers: set[int]) -> dict[int, Mapping[str, Action]]:
    table = schema.verdicts.c
    found: dict[int, Mapping[str, Action]] = {}
    wanted = sorted(numbers)
    for start in range(0, len(wanted), VALUES):
        query = sa.select(table.id, table.body).where(table.id.in_(wanted[start : start + VALUES]))
        for number, body in connection.execute(query):
            found[number] = actions(unpack_verdicts(bytes(body)))
    return found


def _devices(connection: sa.Connection, number: int) -> list[Device]:
    sight = schema.sightings.c
    columns = sa.select(
        schema.devices.c.key, sight.recording_id, schema.recordings.c.body.label("recording"),
        schema.identities.c.body.label("identity"), schema.verdicts.c.body.label("verdicts"), sight.varying,
        sight.packets, sight.bytes_sent,
    )  # fmt: skip
    rows = connection.execute(
        _sightings(columns, schema.identities.c.id)
        .join(schema.verdicts, schema.verdicts.c.id == sight.verdict_id)
        .where(sight.scan_id == number)
        .order_by(sight.position)
    ).all()
    answers = _answers(connection, sorted({row.recording_id for row in rows}))
    return [
        unpack(
            row.key, bytes(row.recording), answers[row.recording_id], bytes(row.identity), bytes(row.verdicts),
            row.varying, row.packets, row.bytes_sent,
        )
        for row in rows
    ]  # fmt: skip


def _answers(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, list[bytes]]:
    part, answer = schema.recording_parts.c, schema.observations.c
    found: dict[int, list[bytes]] = {number: [] for number in numbers}
    for start in range(0, len(numbers), VALUES):
        query = (
            sa.select(part.recording_id, answer.body)
            .join(schema.observations, answer.id == part.observation_id)
            .where(part.recording_id.in_(numbers[start : start + VALUES]))
            .order_by(part.recording_id, part.position)
        )
        for number, body in connection.execute(query):
            found[number].append(bytes(body))
    return found


def _head(connection: sa.Connection, number: int) -> Head:
    body = connection.execute(sa.select(schema.scans.c.head).where(schema.scans.c.id == number)).scalar()
    if body is None:
        raise UsageProblem(f"scan {number}: there is none")
    return msgspec.json.decode(unzip(bytes(body)), type=Head)


def _listing(site: str | None) -> sa.Select[tuple[object, ...]]:
    table = schema.scans.c
    query = sa.select(
        table.id, table.uid, table.site, table.started, table.finished, table.state, table.device_count,
        table.finding_count,
    )  # fmt: skip
    return query if site is None else query.where(table.site == site)


def _entries(connection: sa.Connection, site: str | None, limit: int | None) -> list[Entry]:
    return _made(connection, _listing(site).order_by(schema.scans.c.id.desc()).limit(limit))


def _by_number(connection: sa.Connection, numbers: Sequence[int]) -> list[Entry]:
    found: list[Entry] = []
    for start in range(0, len(numbers), VALUES):
        some = numbers[start : start + VALUES]
        found += _made(connection, _listing(None).where(schema.scans.c.id.in_(some)))
    return found


def _made(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[Entry]:
    return [
        Entry(row.id, row.uid, row.site, row.started, row.finished, row.state, row.device_count, row.finding_count)
        for row in connection.execute(query)
    ]


def _day(word: str) -> bool:
    try:
        return datetime.date.fromisoformat(word).isoformat() == word
    except ValueError:
        return False
