"""Versions of the tables."""

from __future__ import annotations

import sqlalchemy as sa

from scanner.store import Store, schema


def test_a_fresh_store_has_this_version(store: Store) -> None:
    with store.reading() as connection:
        assert schema.version_of(connection) == schema.VERSION
        assert {"scans", "devices", "observations", "identities", "verdicts", "outbox"} <= set(sa.inspect(connection).get_table_names())


def test_an_upgrade_runs_only_the_steps_that_are_missing(local: Store) -> None:
    ran: list[int] = []
    steps = schema.STEPS
    schema.STEPS = (*steps, lambda _: ran.append(2), lambda _: ran.append(3))
    try:
        with local.writing() as connection:
            schema.upgrade(connection, schema.VERSION)
    finally:
        schema.STEPS = steps
    assert ran == [2, 3]
