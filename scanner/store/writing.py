"""A whole scan goes into the store in one transaction, or not at all; what it changes is found out in the same one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from scanner.model import Action, Coverage, Device, Measure, Recording, Report, RulesVersion, Scan, WaiverUse
from scanner.store import schema
from scanner.store.findings import MISSES, Event, Outcome, Tracker
from scanner.store.opening import Store
from scanner.store.outbox import BOUND, Draft, enqueue
from scanner.store.packing import Packed, Piece, pack, zipped

AT_ONCE = 400
"""Devices that are packed and written together: memory stays flat however large the scan."""
VALUES = 500
"""Values in one question to the database."""

Again = Callable[[Recording], Device]
"""Judges an earlier recording by the rules and the law of today."""
Describe = Callable[[Report, Outcome], Iterable[Draft]]
"""The messages that a scan's outcome makes for the sinks."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of a scan in the store."""

    number: int
    """The scan's number: what `lanveto history` shows and `diff` takes."""
    events: tuple[Event, ...]
    dropped: int = 0
    """Older messages that had to leave the outbox because it was full."""


class Head(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a scan says about itself."""

    scan: Scan
    coverage: Coverage
    rules_version: RulesVersion
    measures: tuple[Measure, ...] = ()
    waivers: tuple[WaiverUse, ...] = ()
    asked: bool = True
    """False where nobody was asked: what it lacks is not missing."""


def save(
    store: Store, report: Report, *, misses: int = MISSES, again: Again | None = None, describe: Describe | None = None,
    bound: int = BOUND, asked: bool = True,
) -> Saved:  # fmt: skip
    """Store a scan. `misses`: looks that must miss a device before it counts as gone. `asked`: False where
    nobody was asked (what a file says, what was overheard): then nobody is missed.

    Raises `StoreProblem`; then nothing of it is stored. A scan that is there already is left as it is.
    """
    with store.writing() as connection:
        there = connection.execute(sa.select(schema.scans.c.id).where(schema.scans.c.uid == report.scan.id)).scalar()
        if there is not None:
            return Saved(int(there), ())
        number = _insert_scan(connection, report, asked=asked)
        tracker = Tracker(connection, report.scan, number, again=again, misses=misses, asked=asked)
        for devices in _batches(report.devices):
            _insert_devices(connection, number, devices, tracker)
        outcome = tracker.finish()
        dropped = 0
        if describe is not None:
            dropped = enqueue(connection, describe(report, outcome), bound=bound)
        return Saved(number, outcome.events, dropped)


def _batches(devices: Sequence[Device]) -> Iterator[list[tuple[int, Device]]]:
    for start in range(0, len(devices), AT_ONCE):
        yield list(enumerate(devices[start : start + AT_ONCE], start))


def _insert_scan(connection: sa.Connection, report: Report, *, asked: bool) -> int:
    scan = report.scan
    head = Head(scan, report.coverage, report.rules_version, report.measures, report.waivers, asked)
    body = zipped(msgspec.json.encode(head))
    found = connection.execute(
        sa.insert(schema.scans).values(
            uid=scan.id, site=scan.site, started=scan.started, finished=scan.finished, state=scan.end,
            device_count=len(report.devices),
            finding_count=sum(v.action is not Action.NONE for d in report.devices for v in d.verdicts), head=body,
        )
    )  # fmt: skip
    assert found.inserted_primary_key is not None
    return int(found.inserted_primary_key[0])


def _insert_devices(
    connection: sa.Connection, number: int, devices: Sequence[tuple[int, Device]], tracker: Tracker
) -> None:
    packed = [pack(device) for _, device in devices]
    recordings = _recordings(connection, packed)
    identities = _ensure(
        connection, schema.identities, {p.identity.hash: (p.identity, p.facts) for p in packed}
    )
    verdicts = _ensure(
        connection, schema.verdicts, {p.verdicts.hash: (p.verdicts, {"action": p.action}) for p in packed}
    )
    ids = tracker.see([device for _, device in devices])
    connection.execute(
        sa.insert(schema.sightings),
        [
            {
                "scan_id": number, "device_id": ids[p.key], "position": position,
                "recording_id": recordings[p.recording.hash], "identity_id": identities[p.identity.hash],
                "verdict_id": verdicts[p.verdicts.hash], "packets": p.packets, "bytes_sent": p.bytes_sent,
                "varying": p.varying,
            }
            for (position, _), p in zip(devices, packed, strict=True)
        ],
    )  # fmt: skip


def _recordings(connection: sa.Connection, packed: Sequence[Packed]) -> dict[bytes, int]:
    """The recordings' numbers; answers are looked at only for recordings that are new."""
    known = _known(connection, schema.recordings, {p.recording.hash for p in packed})
    new = {p.recording.hash: p for p in packed if p.recording.hash not in known}
    if not new:
        return known
    answers = _ensure(
        connection,
        schema.observations,
        {piece.hash: (piece, {"channel": channel}) for p in new.values() for channel, piece in p.answers},
    )
    rows = {h: (p.recording, {"ip": p.ip, "mac": p.mac}) for h, p in new.items()}
    known |= _ensure(connection, schema.recordings, rows)
    parts = [
        {"recording_id": known[digest], "position": place, "observation_id": answers[piece.hash]}
        for digest, p in new.items()
        for place, (_, piece) in enumerate(p.answers)
    ]
    if parts:
        connection.execute(sa.insert(schema.recording_parts), parts)
    return known


def _ensure(
    connection: sa.Connection, table: sa.Table, rows: Mapping[bytes, tuple[Piece, Mapping[str, Any]]]
) -> dict[bytes, int]:
    """The number of each row, by its hash; what is not there yet is inserted. There is one writer at a time."""
    known = _known(connection, table, rows.keys())
    new = [
        {"hash": digest, "body": piece.body, **row} for digest, (piece, row) in rows.items() if digest not in known
    ]
    if new:
        connection.execute(sa.insert(table), new)
        known |= _known(connection, table, [row["hash"] for row in new])
    return known


def _known(connection: sa.Connection, table: sa.Table, hashes: Iterable[bytes]) -> dict[bytes, int]:
    wanted = list(hashes)
    found: dict[bytes, int] = {}
    for start in range(0, len(wanted), VALUES):
        some = wanted[start : start + VALUES]
        rows = connection.execute(sa.select(table.c.hash, table.c.id).where(table.c.hash.in_(some)))
        found |= {bytes(digest): number for digest, number in rows}
    return found
