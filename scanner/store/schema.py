"""The tables of the history, their version, and the numbered steps from one version to the next.

A version is added by appending a step to `STEPS`, never by changing one. A store of a newer version is refused: an
old lanveto would write rows that the new one cannot read.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

META = sa.MetaData()

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""SQLite numbers rows by itself only where the type is exactly INTEGER."""


def _number() -> sa.Column[int]:
    return sa.Column("id", ID, primary_key=True, autoincrement=True)


def _hash() -> sa.Column[bytes]:
    return sa.Column("hash", sa.LargeBinary(16), nullable=False, unique=True)


meta = sa.Table(
    "lanveto",
    META,
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

scans = sa.Table(
    "scans",
    META,
    _number(),
    sa.Column("uid", sa.String(64), nullable=False, unique=True),
    sa.Column("site", sa.String(63), nullable=False),
    sa.Column("started", sa.String(32), nullable=False),
    sa.Column("finished", sa.String(32)),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("device_count", sa.Integer, nullable=False),
    sa.Column("finding_count", sa.Integer, nullable=False),
    sa.Column("head", sa.LargeBinary, nullable=False),
    sa.Index("scans_site", "site", "id"),
)
"""`state` is completed, interrupted or failed; `head` is scan, coverage and rules version as compressed JSON."""

devices = sa.Table(
    "devices",
    META,
    _number(),
    sa.Column("site", sa.String(63), nullable=False),
    sa.Column("key", sa.String(200), nullable=False),
    sa.Column("first_scan", ID, nullable=False),
    sa.Column("last_scan", ID, nullable=False),
    sa.Column("misses", sa.Integer, nullable=False, default=0),
    sa.Column("gone", sa.Boolean, nullable=False, default=False),
    sa.Column("known", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("site", "key"),
)
"""`misses`: completed scans in a row that asked for the device and did not find it.
`known`: what it has told so far, as JSON."""

observations = sa.Table(
    "observations", META, _number(), _hash(),
    sa.Column("channel", sa.String(120), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)  # fmt: skip

recordings = sa.Table(
    "recordings", META, _number(), _hash(),
    sa.Column("ip", sa.String(64)),
    sa.Column("mac", sa.String(17)),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("recordings_ip", "ip"),
)  # fmt: skip

recording_parts = sa.Table(
    "recording_parts",
    META,
    sa.Column("recording_id", ID, sa.ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("observation_id", ID, sa.ForeignKey("observations.id"), nullable=False),
    sqlite_with_rowid=False,
)

identities = sa.Table(
    "identities", META, _number(), _hash(),
    sa.Column("manufacturer", sa.String(120)),
    sa.Column("brand", sa.String(120)),
    sa.Column("kind", sa.Text),
    sa.Column("model", sa.Text),
    sa.Column("firmware", sa.Text),
    sa.Column("serial", sa.Text),
    sa.Column("level", sa.String(16), nullable=False),
    sa.Column("confidence", sa.Float, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("identities_manufacturer", "manufacturer"),
)  # fmt: skip

verdicts = sa.Table(
    "verdicts", META, _number(), _hash(),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)  # fmt: skip
"""All verdicts about one device, as one row: most devices of a maker share it. `action` is the strictest."""

sightings = sa.Table(
    "sightings",
    META,
    sa.Column("scan_id", ID, sa.ForeignKey("scans.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("device_id", ID, sa.ForeignKey("devices.id"), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("recording_id", ID, sa.ForeignKey("recordings.id"), nullable=False),
    sa.Column("identity_id", ID, sa.ForeignKey("identities.id"), nullable=False),
    sa.Column("verdict_id", ID, sa.ForeignKey("verdicts.id"), nullable=False),
    sa.Column("packets", sa.Integer, nullable=False),
    sa.Column("bytes_sent", sa.Integer, nullable=False),
    sa.Column("varying", sa.LargeBinary),
    sa.Index("sightings_device", "device_id", "scan_id"),
    sqlite_with_rowid=False,
)
"""One device in one scan. `varying`: times and numbers that the stored answers leave out."""

findings = sa.Table(
    "findings",
    META,
    sa.Column("device_id", ID, sa.ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("policy", sa.String(120), primary_key=True),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("opened_scan", ID, nullable=False),
    sa.Column("seen_scan", ID, nullable=False),
)
"""What is open now; `seen_scan` is the last scan whose evidence supports it."""

messages = sa.Table(
    "outbox",
    META,
    _number(),
    sa.Column("uid", sa.String(64), nullable=False),
    sa.Column("site", sa.String(63), nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("device", sa.String(200)),
    sa.Column("policy", sa.String(120)),
    sa.Column("slot", sa.String(400), unique=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
"""What waits for the sinks, in order. A message with a `slot` replaces the one that is there; an event has none."""

sinks = sa.Table(
    "sinks",
    META,
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("position", ID, nullable=False),
    sa.Column("lost", ID, nullable=False, default=0),
)
"""How far each sink has been served: the id of the last message it took."""

refused = sa.Table(
    "refused",
    META,
    _number(),
    sa.Column("sink", sa.String(63), nullable=False),
    sa.Column("uid", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
"""Messages that a sink would not take however often: set aside so that they do not hold up the rest."""


def _tables_of_version_1(connection: sa.Connection) -> None:
    META.create_all(connection)


STEPS: tuple[Callable[[sa.Connection], None], ...] = (_tables_of_version_1,)
"""Step n makes a store of version n out of one of version n - 1."""

VERSION = len(STEPS)


def version_of(connection: sa.Connection) -> int:
    """The store's version; 0 for an empty database."""
    if not sa.inspect(connection).has_table(meta.name):
        return 0
    found = connection.execute(sa.select(meta.c.value).where(meta.c.key == "version")).scalar()
    return int(found or 0)


def foreign(connection: sa.Connection) -> str | None:
    """A table that is in our way: any in a file, one of our names on a server; None where there is none."""
    there = set(sa.inspect(connection).get_table_names())
    if connection.dialect.name != "sqlite":
        there &= set(META.tables)
    return min(there, default=None)


def upgrade(connection: sa.Connection, found: int) -> None:
    """Bring a store of version `found` to `VERSION`; inside the caller's transaction."""
    for step in STEPS[found:]:
        step(connection)
    connection.execute(sa.delete(meta).where(meta.c.key == "version"))
    connection.execute(sa.insert(meta).values(key="version", value=str(VERSION)))
