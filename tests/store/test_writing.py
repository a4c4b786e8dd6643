"""A scan goes in whole, comes out as it was, and the same answers cost their place once."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from msgspec.structs import replace

from scanner import assess, knowledge
from scanner.model import Device, Observation, Recording, Report
from scanner.publish import documents
from scanner.store import Store, open_store, outbox, reading, schema, writing


def test_a_report_comes_back_as_it_was(
    store: Store, scan_of: Callable[..., Report], corpus: tuple[Recording, ...], today: datetime.date
) -> None:
    devices = assess.assess(corpus, knowledge.load(), profiles=("us-federal-contractor",), as_of=today)
    columns = replace(devices[0], columns=(("owner", "facilities"),), packets=7)
    report = scan_of(1, columns, *devices[1:])
    saved = writing.save(store, report)
    assert reading.report(store, saved.number) == report


def test_saving_twice_changes_nothing(store: Store, scan_of: Callable[..., Report], make_device: Callable[..., Device]) -> None:
    first = writing.save(store, scan_of(1, make_device()))
    again = writing.save(store, scan_of(1, make_device()))
    assert (again.number, again.events) == (first.number, ())
    assert len(reading.entries(store)) == 1


def test_the_same_answers_are_stored_once(tmp_path: Path, scan_of: Callable[..., Report], make_device: Callable[..., Device]) -> None:
    def device(number: int, day: int) -> Device:
        page = f"HTTP/1.1 200 OK\r\nDate: Sat, {day:02} Nov 2026 01:24:47 GMT\r\n\r\n" + f"device {number} " * 200
        seen = tuple(Observation(channel="http.response", port=p, value=page + str(p), at=f"2026-11-{day:02}T01:24:47.123Z") for p in range(5))
        mac = f"3c:ef:8c:00:{number:02x}:{number:02x}"
        return replace(make_device(), key=mac.replace(":", ""), recording=Recording(id=f"d{number}", ip=f"192.0.2.{number}", mac=mac, observations=seen))

    path = tmp_path / "h.sqlite"
    sizes = []
    with open_store(path) as store:
        for day in range(1, 21):
            devices = tuple(device(number, day) for number in range(50))
            number = writing.save(store, scan_of(day, *devices)).number
            assert reading.report(store, number).devices == devices
            with store.reading() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            sizes.append(path.stat().st_size)
        with store.reading() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(schema.observations)).scalar() == 250
    assert (sizes[-1] - sizes[0]) / (19 * 50) < 400  # bytes a sighting of five answers, its page of some 11 kB each included


def test_whatever_a_device_is_called_it_can_be_stored_and_told(store: Store, scan_of: Callable[..., Report], make_device: Callable[..., Device]) -> None:
    outbox.register(store, ["mqtt"])
    name = "x" * 5000
    seen = Recording(id=name, observations=(Observation(channel="http.body", value=name, port=80),))
    named = replace(make_device().identity, model=name, firmware=name, serial=name, kind=name)
    devices = (make_device(), replace(make_device(), key=assess.key(seen), recording=seen, identity=named))
    number = writing.save(store, scan_of(1, *devices), describe=documents.describe).number
    assert reading.report(store, number).devices == devices
    assert len(outbox.take(store, "mqtt", 100)) > 4
