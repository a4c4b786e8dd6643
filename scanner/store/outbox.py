"""Messages that wait for their sinks: written in the transaction of the scan that made them, taken in order.

Two kinds lie in one queue. An *event* is told once and leaves when every sink has taken it. A *slot* holds what is
true now (the state of a device, an open finding, the summary of a site): a newer one replaces it, and it stays, so that
a new sink, or a broker that has forgotten everything, can be told all of it again. A slot that was emptied leaves once
every sink knows.

Delivery is at least once and in order: a sink's position moves on only after it has taken a message. Events that find
the box full push the oldest ones out, and a message `events-lost` says how many; slots are never lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from scanner.store import schema
from scanner.store.opening import Store
from scanner.values import stamp

BOUND = 100_000
"""Events that may wait."""
KEPT_REFUSED = 1_000
"""Messages that are kept of those a sink would not take."""
LOST = "events-lost"
VALUES = 500


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be sent. An event has no `slot`; an empty `body` empties a slot."""

    uid: str
    site: str
    kind: str
    body: bytes
    device: str | None = None
    policy: str | None = None
    slot: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message and its place in the queue."""

    number: int
    draft: Draft


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a sink has been served."""

    name: str
    waiting: int
    lost: int
    refused: int


def register(store: Store, names: Iterable[str]) -> None:
    """Make sinks known: from now on messages wait for them. A new one begins with everything that is true now."""
    with store.writing() as connection:
        known = set(connection.execute(sa.select(schema.sinks.c.name)).scalars())
        new = sorted(set(names) - known)
        if not new:
            return
        first = connection.execute(
            sa.select(sa.func.min(schema.messages.c.id)).where(schema.messages.c.slot.is_(None))
        ).scalar()
        # Events of before are none of a new sink's business; should one lie between two slots, it hears it too.
        slot = connection.execute(
            sa.select(sa.func.min(schema.messages.c.id)).where(schema.messages.c.slot.is_not(None))
        ).scalar()
        start = min((n for n in (first, slot) if n is not None), default=_last(connection) + 1) - 1
        connection.execute(sa.insert(schema.sinks), [{"name": name, "position": start, "lost": 0} for name in new])


def forget(store: Store, name: str) -> bool:
    """Whether the sink was known; nothing waits for it any more."""
    with store.writing() as connection:
        gone = connection.execute(sa.delete(schema.sinks).where(schema.sinks.c.name == name)).rowcount
        connection.execute(sa.delete(schema.refused).where(schema.refused.c.sink == name))
        _tidy(connection)
        return gone > 0


def enqueue(connection: sa.Connection, drafts: Iterable[Draft], *, bound: int = BOUND) -> int:
    """Put messages at the end of the queue; returns how many old events had to go.

    Where there is no sink yet, what happens is nobody's business; what is true now is kept for a sink to come.
    """
    alone = not connection.execute(sa.select(sa.func.count()).select_from(schema.sinks)).scalar()
    batch: list[Draft] = []
    for draft in drafts:
        if alone and draft.slot is None:
            continue
        batch.append(draft)
        if len(batch) == VALUES:
            _insert(connection, batch)
            batch = []
    if batch:
        _insert(connection, batch)
    if alone:
        _tidy(connection)
        return 0
    return _make_room(connection, bound)


def put(store: Store, drafts: Iterable[Draft], *, bound: int = BOUND) -> int:
    """`enqueue` in a transaction of its own."""
    with store.writing() as connection:
        return enqueue(connection, drafts, bound=bound)


def take(store: Store, sink: str, limit: int) -> list[Waiting]:
    """The next messages of a sink, oldest first; they stay until `advance`."""
    with store.reading() as connection:
        position = connection.execute(sa.select(schema.sinks.c.position).where(schema.sinks.c.name == sink)).scalar()
        if position is None:
            return []
        return _rows(connection, schema.messages.c.id > position, limit)


def current(store: Store, sink: str) -> tuple[list[Waiting], list[Waiting]]:
    """Every slot: those the sink has been told, and those that wait for it.

    The first are what a broker must know that has forgotten everything.
    """
    with store.reading() as connection:
        position = connection.execute(sa.select(schema.sinks.c.position).where(schema.sinks.c.name == sink)).scalar()
        slots = _rows(connection, schema.messages.c.slot.is_not(None), None)
    told = [waiting for waiting in slots if waiting.number <= (position or 0)]
    return told, slots[len(told) :]


def advance(store: Store, sink: str, number: int) -> None:
    """The sink has taken everything up to this message."""
    with store.writing() as connection:
        table = schema.sinks
        connection.execute(
            sa.update(table).where(table.c.name == sink, table.c.position < number).values(position=number)
        )
        _tidy(connection)


def set_aside(store: Store, sink: str, waiting: Waiting, reason: str) -> None:
    """A message that the sink will not take: kept for a person to see, out of the way of the others."""
    draft = waiting.draft
    at = stamp()
    with store.writing() as connection:
        table = schema.refused
        connection.execute(
            sa.insert(table).values(
                sink=sink, uid=draft.uid, kind=draft.kind, at=at, reason=reason[:2000], body=draft.body
            )
        )
        kept = sa.select(table.c.id).where(table.c.sink == sink).order_by(table.c.id.desc()).limit(KEPT_REFUSED)
        connection.execute(sa.delete(table).where(table.c.sink == sink, table.c.id.not_in(kept.scalar_subquery())))


def standing(store: Store) -> list[Standing]:
    """How far each sink is."""
    box, sinks, refused = schema.messages.c, schema.sinks.c, schema.refused.c
    with store.reading() as connection:
        found = []
        for name, position, lost in connection.execute(
            sa.select(sinks.name, sinks.position, sinks.lost).order_by(sinks.name)
        ).all():
            waiting = connection.execute(
                sa.select(sa.func.count()).select_from(schema.messages).where(box.id > position)
            ).scalar()
            aside = connection.execute(
                sa.select(sa.func.count()).select_from(schema.refused).where(refused.sink == name)
            ).scalar()
            found.append(Standing(name, int(waiting or 0), int(lost), int(aside or 0)))
        return found


def refusals(store: Store, sink: str | None = None) -> list[tuple[str, str, str, str, str]]:
    """Sink, time, kind, event id and reason of what was set aside, newest first."""
    table = schema.refused.c
    query = sa.select(table.sink, table.at, table.kind, table.uid, table.reason).order_by(table.id.desc())
    with store.reading() as connection:
        rows = connection.execute(query if sink is None else query.where(table.sink == sink)).all()
        return [(str(a), str(b), str(c), str(d), str(e)) for a, b, c, d, e in rows]


def _rows(connection: sa.Connection, condition: sa.ColumnElement[bool], limit: int | None) -> list[Waiting]:
    table = schema.messages.c
    columns = (table.id, table.uid, table.site, table.kind, table.device, table.policy, table.slot, table.body)
    query = sa.select(*columns).where(condition).order_by(table.id)
    return [
        Waiting(number, Draft(uid, site, kind, bytes(body), device, policy, slot))
        for number, uid, site, kind, device, policy, slot, body in connection.execute(query.limit(limit))
    ]


def _insert(connection: sa.Connection, drafts: Sequence[Draft]) -> None:
    table = schema.messages
    last = {draft.slot: draft for draft in drafts if draft.slot is not None}
    if last:
        connection.execute(sa.delete(table).where(table.c.slot.in_(list(last))))
    rows = [
        {
            "uid": d.uid, "site": d.site, "kind": d.kind, "device": d.device, "policy": d.policy, "slot": d.slot,
            "body": d.body,
        }
        for d in drafts
        if d.slot is None or last[d.slot] is d
    ]  # fmt: skip
    if rows:
        connection.execute(sa.insert(table), rows)


def _make_room(connection: sa.Connection, bound: int) -> int:
    table, sinks = schema.messages, schema.sinks
    events = sa.and_(table.c.slot.is_(None))
    count = connection.execute(sa.select(sa.func.count()).select_from(table).where(events)).scalar() or 0
    if count <= bound:
        return 0
    limit = connection.execute(
        sa.select(table.c.id).where(events).order_by(table.c.id).offset(count - bound - 1).limit(1)
    ).scalar()
    assert limit is not None
    oldest = sa.and_(events, table.c.id <= limit)
    worst = 0
    for name, position, lost in connection.execute(sa.select(sinks.c.name, sinks.c.position, sinks.c.lost)).all():
        missed = connection.execute(
            sa.select(sa.func.count()).select_from(table).where(oldest, table.c.id > position)
        ).scalar()
        if missed:
            worst = max(worst, int(missed))
            connection.execute(sa.update(sinks).where(sinks.c.name == name).values(lost=lost + missed))
    connection.execute(sa.delete(table).where(oldest))
    if worst:
        _insert(connection, [_lost(connection, worst)])
    return worst


def _lost(connection: sa.Connection, count: int) -> Draft:
    table = schema.messages.c
    before = connection.execute(sa.select(table.body).where(table.slot == LOST)).scalar()
    told = msgspec.json.decode(bytes(before)) if before else {"lost": 0}
    now = stamp()
    total = int(told["lost"]) + count
    body = {"schema": 1, "kind": LOST, "event": f"{LOST}-{total}", "time": now, "tool": "lanveto", "lost": total}
    return Draft(uid=f"{LOST}-{total}", site="", kind=LOST, body=msgspec.json.encode(body), slot=LOST)


def _last(connection: sa.Connection) -> int:
    found = connection.execute(sa.select(sa.func.max(schema.messages.c.id))).scalar()
    reached = connection.execute(sa.select(sa.func.max(schema.sinks.c.position))).scalar()
    return max(int(found or 0), int(reached or 0))


def _tidy(connection: sa.Connection) -> None:
    """What every sink has taken leaves: events, and slots that were emptied."""
    table = schema.messages
    reached = connection.execute(sa.select(sa.func.min(schema.sinks.c.position))).scalar()
    done = sa.or_(table.c.slot.is_(None), sa.func.length(table.c.body) == 0)
    connection.execute(sa.delete(table).where(done, *(() if reached is None else (table.c.id <= reached,))))
