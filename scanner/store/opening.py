"""A file name or a URL becomes a store that is ready for use, or a sentence that says what is wrong with it.

SQLite keeps a write-ahead log, so readers never wait for a writer, and a process that is killed leaves the last whole
scan. One writer at a time: a second one waits `WAIT` seconds for its turn (SQLite's lock; an advisory lock in
PostgreSQL), so that two scans that end together are stored one after the other.
"""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from scanner.errors import StoreProblem, UsageProblem

if TYPE_CHECKING:
    import sqlalchemy as sa

WAIT = 20.0
"""Seconds a writer waits for another one."""
CONNECT_SECONDS = 10
WRITER = 0x6C616E76
"""Number of the advisory lock that PostgreSQL writers of one database share."""
PASSWORD_VARIABLE = "LANVETO_STORE_PASSWORD"  # noqa: S105 - the name of the variable, not a password

_URL = re.compile(r"^[a-z][a-z0-9+.-]*://", re.I)
_PASSWORD = re.compile(r"(//[^:@/]*):[^@/]*@")


class Store:
    """An open history. Every method that touches the database raises `StoreProblem` with a sentence."""

    def __init__(self, engine: sa.Engine, shown: str) -> None:
        self._engine = engine
        self.shown = shown
        """How messages name this store: a file or a URL without its password."""

    @property
    def lock_name(self) -> Path | None:
        """The SQLite file, beside which locks may lie; None for a server."""
        return Path(self._engine.url.database or "") if self._engine.dialect.name == "sqlite" else None

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A consistent view: what is committed while it is read is not seen."""
        with self._told(), self._engine.connect() as connection:
            if self._engine.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """The only writer: everything inside is stored, or nothing."""
        with self._told(), self._engine.connect() as connection:
            connection = connection.execution_options(lanveto_writes=True)
            with connection.begin():
                if self._engine.dialect.name == "postgresql":
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{int(WAIT * 1000)}ms'")
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER})")
                yield connection

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Whether this process is the only one at the job `name`; ends with the process, however that ends."""
        beside = self.lock_name
        if beside is None:
            with self._told(), self._engine.connect() as connection:
                number = zlib.crc32(name.encode()) & 0x7FFFFFFF
                query = f"SELECT pg_try_advisory_lock({WRITER}, {number})"
                got = bool(connection.exec_driver_sql(query).scalar())
                connection.commit()
                try:
                    yield got
                finally:
                    if got:
                        with contextlib.suppress(Exception):
                            connection.exec_driver_sql(f"SELECT pg_advisory_unlock({WRITER}, {number})")
                            connection.commit()
            return
        try:
            import fcntl
        except ImportError:  # not on Windows, where nothing but `identify` runs
            yield True
            return
        with beside.with_name(f"{beside.name}.{name}.lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True

    def compact(self) -> str | None:
        """Give a file's free room back to the disk; a server does that by itself. Returns why it could not be done."""
        if self.lock_name is None:
            return None
        import sqlite3

        from sqlalchemy.exc import SQLAlchemyError

        try:
            with contextlib.closing(self._engine.raw_connection()) as raw:
                raw.cursor().execute("VACUUM")
                raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (SQLAlchemyError, OSError, sqlite3.Error) as error:
            return reason(error)
        return None

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except SQLAlchemyError as error:
            raise StoreProblem(f"store {self.shown}: {reason(error)}") from error


def place(text: str) -> str:
    """What the user wrote after `--store`, checked: a URL of PostgreSQL, or the name of a file.

    Raises `UsageProblem` for another database, a password that everybody could read in the process list, and a word
    that looks like a target.
    """
    import ipaddress

    if not _URL.match(text):
        with contextlib.suppress(ValueError):
            ipaddress.ip_network(text, strict=False)
            raise UsageProblem(f"--store {text}: looks like a target; --store takes a file or a postgresql:// URL")
        return text
    scheme = text.partition("://")[0].lower()
    if scheme == "sqlite":
        raise UsageProblem(f"--store {text}: name the file itself, without sqlite://")
    if scheme not in {"postgresql", "postgres"}:
        raise UsageProblem(f"--store {hide(text)}: the history is kept in a SQLite file or at postgresql://user@host/db")
    if _PASSWORD.search(text):
        raise UsageProblem(
            f"--store {hide(text)}: the password would stand in the process list; put it into the environment variable "
            f"{PASSWORD_VARIABLE} or into ~/.pgpass"
        )
    return text


def hide(url: str) -> str:
    """The URL without its password."""
    return _PASSWORD.sub(r"\1:…@", url)


def open_store(where: str | Path, *, create: bool = True) -> Store:
    """The store of a file name or URL, brought up to this version's tables.

    Raises `StoreProblem` where it cannot be reached, is no history, is locked for too long, or was written by a newer
    lanveto; with `create` false also where there is none yet.
    """
    from sqlalchemy.exc import SQLAlchemyError

    text = str(where)
    store = _server(text) if _URL.match(text) else _file(Path(text), create=create)
    try:
        _bring_up(store, create=create)
    except SQLAlchemyError as error:
        store.close()
        raise StoreProblem(f"store {store.shown}: {reason(error)}") from error
    except BaseException:
        store.close()
        raise
    return store


def _bring_up(store: Store, *, create: bool) -> None:
    from scanner.store import schema

    with store.reading() as connection:
        found = schema.version_of(connection)
    if found == schema.VERSION:
        return
    if found > schema.VERSION:
        raise StoreProblem(
            f"store {store.shown}: was written by a newer lanveto (its tables are version {found}, this one knows "
            f"{schema.VERSION}); update lanveto, or name another store"
        )
    if found == 0 and not create:
        raise StoreProblem(f"store {store.shown}: holds no history; `lanveto scan --store {store.shown} …` begins one")
    with store.writing() as connection:
        found = schema.version_of(connection)  # somebody else may have been quicker
        if found == 0 and (foreign := schema.foreign(connection)):
            raise StoreProblem(
                f"store {store.shown}: holds another program's table {foreign!r}; name a file or database of its own"
            )
        if found < schema.VERSION:
            schema.upgrade(connection, found)


def _file(path: Path, *, create: bool) -> Store:
    import sqlalchemy as sa

    shown = str(path)
    if not create and not path.exists():
        raise StoreProblem(f"store {shown}: there is no such file; `lanveto scan --store {shown} …` makes it")
    if path.is_dir():
        raise StoreProblem(f"store {shown}: is a folder; name a file in it")
    try:
        if create and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreProblem(f"store {shown}: cannot be written: {error.strerror or error}") from error
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path.absolute())), connect_args={"timeout": WAIT},
        poolclass=sa.pool.NullPool,
    )  # fmt: skip

    @sa.event.listens_for(engine, "connect")
    def prepare(raw: Any, _record: object) -> None:
        raw.isolation_level = None  # transactions begin where we say so
        for pragma in (f"busy_timeout = {WAIT * 1000:.0f}", "journal_mode = WAL", "synchronous = FULL",
                       "foreign_keys = ON", "cache_size = -65536"):  # fmt: skip
            raw.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("lanveto_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return Store(engine, shown)


def _server(url: str) -> Store:
    import sqlalchemy as sa

    try:
        import psycopg  # noqa: F401 - said in a sentence rather than by SQLAlchemy
    except ImportError as error:
        raise StoreProblem(f"store {hide(url)}: PostgreSQL needs the extra: pip install 'lanveto[postgres]'") from error
    try:
        parts = sa.make_url(url).set(drivername="postgresql+psycopg")
    except (sa.exc.ArgumentError, ValueError) as error:
        raise StoreProblem(f"store {hide(url)}: is no URL; write postgresql://user@host/database") from error
    password = os.environ.get(PASSWORD_VARIABLE)
    if password and parts.password is None:
        parts = parts.set(password=password)
    engine = sa.create_engine(
        parts, connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "lanveto"}, pool_size=2,
        pool_pre_ping=True,
    )  # fmt: skip
    return Store(engine, hide(url))


def reason(error: Exception) -> str:
    """What went wrong, in a sentence with what to do; without the statement and its values."""
    original = getattr(error, "orig", None) or error
    text = " ".join(str(original).split())
    low = text.lower()
    for words, sentence in _REASONS:
        if any(word in low for word in words):
            return f"{sentence} ({text[:300]})"
    return text[:500]


_REASONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("database is locked", "lock timeout", "lock_timeout"),
     "another process is writing to it and did not finish in time; try again, or look for a scan that hangs"),
    (("disk is full", "no space left", "disk full", "could not extend", "could not write",
      "check free disk space"),
     "the disk is full; nothing of this was stored. Make room and try again"),
    (("not a database", "malformed", "disk image"),
     "the file is not a history of lanveto, or it is damaged; name another one or restore a copy"),
    (("readonly", "read-only", "unable to open", "permission denied"),
     "it cannot be opened for writing; check its folder and permissions"),
    (("password authentication", "no password supplied", "authentication failed"),
     f"the database refuses this user; set {PASSWORD_VARIABLE}, or check the user"),
    (("does not exist",), "the database, user or table does not exist"),
    (("connection refused", "could not connect", "connection failed", "timeout expired", "failed to resolve",
      "no such file or directory", "server closed the connection", "terminating connection", "connection is closed"),
     "the database cannot be reached; check that it runs and that the address is right"),
    (("disk i/o error",), "the disk fails or is full; nothing of this was stored"),
)  # fmt: skip
