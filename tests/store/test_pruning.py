"""Old scans leave, and nothing that `diff`, the next scan or an open finding needs."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from scanner.model import Device, Identity, Observation, Report
from scanner.store import Store, open_store, pruning, reading, schema, writing
from scanner.store.diff import diff

Make = Callable[..., Device]
Scan = Callable[..., Report]
TODAY = datetime.date(2026, 11, 30)


def _numbers(store: Store) -> list[int]:
    return [entry.number for entry in reading.entries(store)]


def _counts(store: Store) -> dict[str, int]:
    tables = (schema.recordings, schema.observations, schema.identities, schema.verdicts, schema.sightings, schema.devices)
    with store.reading() as connection:
        return {t.name: connection.execute(sa.select(sa.func.count()).select_from(t)).scalar_one() for t in tables}


def _saying(device: Device, text: str) -> Device:
    seen = Observation(channel="http.title", port=80, value=text)
    return replace(device, recording=replace(device.recording, observations=(seen,)))


def test_what_stays_is_what_was_and_nothing_else_is_left(store: Store, where: str, scan_of: Scan, make_device: Make) -> None:
    quiet = make_device(action=None)
    for number in range(1, 7):
        writing.save(store, scan_of(number, _saying(quiet, f"title {number}")))
    before = {n: reading.report(store, n) for n in (5, 6)}
    chosen = pruning.choose(store, scans=2, days=None, today=TODAY)
    assert ([e.number for e in chosen.going], chosen.staying, chosen.pinned) == ([4, 3, 2, 1], 2, ())
    done = pruning.prune(store, [entry.number for entry in chosen.going])
    assert (done.scans, done.answers, done.devices, done.problem) == (4, 4, 0, None)
    assert _numbers(store) == [6, 5]
    assert {n: reading.report(store, n) for n in (5, 6)} == before
    counts = _counts(store)
    assert (counts["sightings"], counts["recordings"], counts["observations"]) == (2, 2, 2)
    with open_store(where) as fresh, fresh.reading() as connection:
        names = {index["name"] for t in schema.META.tables for index in sa.inspect(connection).get_indexes(t)}
        assert not any(name and name.startswith("pruning") for name in names)
    assert writing.save(store, scan_of(7, _saying(quiet, "title 7"))).number == 7


def test_days_and_scans_keep_each_by_itself_and_sites_apart(local: Store, scan_of: Scan, make_device: Make) -> None:
    quiet = make_device(action=None)
    for number in (1, 10, 20, 28):
        writing.save(local, scan_of(number, quiet))
    writing.save(local, scan_of(1, quiet, site="lab"))
    days = pruning.choose(local, scans=None, days=12, today=TODAY)
    assert [e.started[:10] for e in days.going] == ["2026-11-10", "2026-11-01"]
    assert [e.started[8:10] for e in pruning.choose(local, scans=3, days=12, today=TODAY).going] == ["01"]
    assert pruning.choose(local, scans=None, days=0, today=TODAY, site="lab").going == ()


def test_the_last_completed_scan_stays(local: Store, scan_of: Scan, make_device: Make) -> None:
    writing.save(local, scan_of(1, make_device(action=None)))
    for number in (2, 3, 4):
        writing.save(local, scan_of(number, failures=("the link went down",)))
    assert [e.number for e in pruning.choose(local, scans=1, days=None, today=TODAY).going] == [2]


def test_a_finding_keeps_the_scan_it_rests_on(store: Store, scan_of: Scan, make_device: Make) -> None:
    telling = make_device()
    thin = replace(make_device(action=None), identity=Identity(), recording=replace(telling.recording, observations=()))

    def again(_recording: object) -> Device:
        return telling

    writing.save(store, scan_of(1, telling))
    for number in range(2, 7):
        writing.save(store, scan_of(number, thin), again=again)
    chosen = pruning.choose(store, scans=1, days=None, today=TODAY)
    assert ([e.number for e in chosen.pinned], [e.number for e in chosen.going]) == ([1], [4, 3, 2])
    assert pruning.prune(store, [4, 3, 2, 1]).scans == 3, "whoever asks for it"
    assert _numbers(store) == [6, 5, 1]
    kinds = [e.kind for e in writing.save(store, scan_of(7, thin), again=again).events]
    assert "finding-closed" not in kinds
    found = reading.find(store, "last~1"), reading.find(store, "last")
    assert diff(store, *found).same == 1


def test_a_device_that_is_gone_is_forgotten_with_its_last_scan(store: Store, scan_of: Scan, make_device: Make) -> None:
    camera = make_device(action=None)
    writing.save(store, scan_of(1, camera))
    for number in range(2, 5):
        writing.save(store, scan_of(number))
    assert pruning.prune(store, [1, 2]).devices == 1
    assert _counts(store)["devices"] == 0
    assert writing.save(store, scan_of(5, camera)).events[0].kind == "device-appeared"


def test_a_device_that_may_be_there_is_not_forgotten(local: Store, scan_of: Scan, make_device: Make) -> None:
    writing.save(local, scan_of(1, make_device(action=None)))
    for number in range(2, 5):
        writing.save(local, scan_of(number, targets=("198.51.100.0/24",)))
    pruning.prune(local, [1, 2])
    assert _counts(local)["devices"] == 1


@pytest.mark.timeout(60)
def test_a_file_becomes_smaller(local: Store, scan_of: Scan, make_device: Make) -> None:
    import random

    path = local.lock_name
    assert path is not None
    chance = random.Random(1)
    for number in range(1, 7):
        said = chance.randbytes(200_000).hex()
        writing.save(local, scan_of(number, _saying(make_device(action=None), said)))
    before = path.stat().st_size
    pruning.prune(local, [1, 2, 3, 4])
    assert path.stat().st_size < before / 2
