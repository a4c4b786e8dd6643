"""Old scans leave the history, with all that nothing else needs: how a store that is kept for years stays small.

A scan stays while it is young or recent enough, and whatever its age:

* the last two scans of its site and the last completed one: what `diff` compares, and the next scan with it;
* one whose answers keep a finding open: a later scan of a device that says less looks at them again.

Answers, recordings, identities and verdicts that no scan points to any more leave with it, and so does a device that is
gone, has no finding open and is in no scan that stays: if it comes back, it appears. All of it is one transaction.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from scanner.store import schema
from scanner.store.opening import Store
from scanner.store.reading import Entry, entries

LEAST = 2
"""Scans of a site that always stay."""
VALUES = 500


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a pruning would take away, and what it leaves although it is old."""

    going: tuple[Entry, ...]
    """Newest first."""
    staying: int
    pinned: tuple[Entry, ...]
    """Of those that stay, the ones that only an open finding keeps."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What has left the store."""

    scans: int
    devices: int
    answers: int
    problem: str | None = None
    """Why a SQLite file could not be made smaller; its free room is used again all the same."""


def choose(
    store: Store, *, scans: int | None, days: int | None, today: datetime.date, site: str | None = None
) -> Chosen:
    """Which scans go: those that are neither among the last `scans` of their site nor at most `days` days old.

    Raises `StoreProblem`.
    """
    findings = schema.findings.c
    with store.reading() as connection:
        needed = set(connection.execute(sa.select(findings.seen_scan).distinct()).scalars())
    first = (today - datetime.timedelta(days=days)).isoformat() if days is not None else None
    by_site: dict[str, list[Entry]] = {}
    for entry in entries(store, site=site):
        by_site.setdefault(entry.site, []).append(entry)
    going: list[Entry] = []
    pinned: list[Entry] = []
    staying = 0
    for found in by_site.values():
        completed = next((entry.number for entry in found if entry.state == "completed"), None)
        for place, entry in enumerate(found):
            recent = place < max(LEAST, scans or 0) or (first is not None and entry.started >= first)
            if recent or entry.number == completed:
                staying += 1
            elif entry.number in needed:
                staying += 1
                pinned.append(entry)
            else:
                going.append(entry)
    return Chosen(tuple(sorted(going, key=lambda e: -e.number)), staying, tuple(pinned))


def prune(store: Store, numbers: Sequence[int]) -> Pruned:
    """Take these scans out of the store, and what only they needed. A scan that a finding has come to need meanwhile
    stays.

    Raises `StoreProblem`; then nothing has left.
    """
    scans, sight, findings = schema.scans.c, schema.sightings.c, schema.findings.c
    with store.writing() as connection:
        needed = set(connection.execute(sa.select(findings.seen_scan).distinct()).scalars())
        doomed = [number for number in numbers if number not in needed]
        count = 0
        for start in range(0, len(doomed), VALUES):
            some = doomed[start : start + VALUES]
            connection.execute(sa.delete(schema.sightings).where(sight.scan_id.in_(some)))
            count += connection.execute(sa.delete(schema.scans).where(scans.id.in_(some))).rowcount
        answers = _sweep(connection) if count else 0
        devices = _forget(connection) if count else 0
    return Pruned(count, devices, answers, store.compact() if count else None)


def _sweep(connection: sa.Connection) -> int:
    """Rows that no sighting points to; how many of them were answers."""
    # Without an index a database reads the whole child table for each parent row that goes; a scan needs none of them.
    columns = (
        schema.recording_parts.c.observation_id, schema.sightings.c.recording_id, schema.sightings.c.identity_id,
        schema.sightings.c.verdict_id,
    )  # fmt: skip
    indexes = [sa.Index(f"pruning_{column.name}", column) for column in columns]
    try:
        for index in indexes:
            index.create(connection)
        gone = 0
        for table, pointing in (
            (schema.recordings, schema.sightings.c.recording_id), (schema.identities, schema.sightings.c.identity_id),
            (schema.verdicts, schema.sightings.c.verdict_id),
            (schema.observations, schema.recording_parts.c.observation_id),
        ):  # fmt: skip
            there = sa.exists().where(pointing == table.c.id)
            gone = connection.execute(sa.delete(table).where(~there)).rowcount
        for index in indexes:
            index.drop(connection)
    finally:
        for index in indexes:  # they are no part of the tables that a new store gets
            assert index.table is not None
            index.table.indexes.discard(index)
    return gone


def _forget(connection: sa.Connection) -> int:
    """Devices that are gone, ask for nothing, and were in none of the scans that stay."""
    device = schema.devices.c
    seen = sa.exists().where(schema.sightings.c.device_id == device.id)
    asks = sa.exists().where(schema.findings.c.device_id == device.id)
    return connection.execute(sa.delete(schema.devices).where(device.gone.is_(True), ~seen, ~asks)).rowcount
