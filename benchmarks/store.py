"""How long `diff` takes in a history of a million sightings, how quickly scans are written, and how large it is.

    python benchmarks/store.py [--devices 10000] [--scans 103] [--store FILE|URL] [--plans]

The first two scans and the last two are written as any scan is, and timed; those between them are copied inside the
database, so that a million takes a minute. `--store postgresql://user@host/db` measures an empty database of a server;
`--plans` prints how the database answers each question of `diff`, and which of them walk through a whole table.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from scanner.model import (
    Coverage,
    Device,
    Grade,
    Identity,
    Level,
    Match,
    Observation,
    Reading,
    Recording,
    Report,
    RulesVersion,
    Scan,
)
from scanner.store import Store, open_store, reading, schema, writing
from scanner.store.diff import Difference, diff
from scanner.store.packing import zipped


def device(number: int, scan: int) -> Device:
    """One of the fleet; every hundredth one changes its firmware from scan to scan."""
    ip = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    mac = f"3c:ef:8c:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    at = f"2026-01-01T{scan % 24:02}:{scan % 60:02}:00.{number % 1000:03}Z"
    page = f"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 {scan % 24:02}:00:00 GMT\r\n\r\n" + f"camera {number} " * 40
    seen = tuple(Observation(channel="http.response", port=port, value=page, at=at) for port in (80, 81, 82, 83))
    match = Match(fingerprint="x", grade=Grade.STRONG, family="http", manufacturer="dahua",
                  readings=(Reading("http.response", page, seen[0]),))  # fmt: skip
    identity = Identity(manufacturer="dahua", firmware=f"2.{scan if number % 100 == 0 else 0}", level=Level.LIKELY,
                        confidence=0.9, matches=(match,))  # fmt: skip
    recording = Recording(id=mac, ip=ip, mac=mac, observations=seen)
    return Device(key=mac.replace(":", ""), recording=recording, identity=identity)


VERSION = RulesVersion(rules_as_of="", rules_sha256="", registry_as_of="", registry_sha256="")


def head(scan: int) -> Scan:
    """One look at the whole network."""
    return Scan(id=f"scan-{scan}", started=f"2026-01-01T00:{scan:05}Z", targets=("10.0.0.0/8",))


def written(store: Store, scan: int, devices: int) -> tuple[float, float]:
    """Store one scan as `lanveto scan --store` does; sightings a second, by the clock and by the CPU's time."""
    fleet = tuple(device(n, scan) for n in range(devices) if (n + scan) % 50)
    told = Report(scan=head(scan), devices=fleet, coverage=Coverage(), rules_version=VERSION)
    began, cpu = time.perf_counter(), time.process_time()
    writing.save(store, told)
    return len(fleet) / (time.perf_counter() - began), len(fleet) / (time.process_time() - cpu)


def copied(store: Store, scans: range) -> None:
    """The scans in between: heads of their own, the sightings of the first two in turn."""
    sight = schema.sightings
    with store.writing() as connection:
        counts = list(connection.execute(sa.select(schema.scans.c.device_count).order_by(schema.scans.c.id)).scalars())
        for scan in scans:
            body = zipped(msgspec.json.encode(writing.Head(head(scan), Coverage(), VERSION)))
            made = connection.execute(sa.insert(schema.scans).values(
                uid=f"scan-{scan}", site="default", started=head(scan).started, state="completed", head=body,
                device_count=counts[scan % 2], finding_count=0,
            ))  # fmt: skip
            assert made.inserted_primary_key is not None
            other = [column for column in sight.c if column.name != "scan_id"]
            rows = sa.select(sa.literal(made.inserted_primary_key[0]), *other).where(sight.c.scan_id == scan % 2 + 1)
            connection.execute(sa.insert(sight).from_select(["scan_id", *(c.name for c in other)], rows))


def asked(store: Store, first: str, second: str, *, plans: bool = False) -> None:
    """Time `diff` of two scans; with `plans` show how each of its questions is answered."""
    questions: dict[str, Any] = {}
    if plans:

        @sa.event.listens_for(sa.Engine, "before_cursor_execute")
        def keep(_c: object, _cursor: object, statement: str, parameters: Any, _x: object, _many: bool) -> None:
            questions.setdefault(re.sub(r"\(\?(?:, \?)+\)", "(?, …)", statement), (statement, parameters))

    began = time.perf_counter()
    found: Difference = diff(store, reading.find(store, first), reading.find(store, second))
    took = time.perf_counter() - began
    print(f"diff {first} {second}: {took:.2f} s; {len(found.changed)} changed, {len(found.missing)} missed, "
          f"{len(found.appeared)} appeared, {found.same} the same", flush=True)  # fmt: skip
    if plans:
        sa.event.remove(sa.Engine, "before_cursor_execute", keep)
        with store.reading() as connection:
            explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
            for shown, (statement, parameters) in questions.items():
                if not statement.startswith("SELECT") or "pg_catalog" in statement or "sqlite_master" in statement:
                    continue
                print("  " + " ".join(shown.split())[:150])
                for row in connection.exec_driver_sql(explain + statement, parameters):
                    print("    " + str(row[-1])[:150])


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--devices", type=int, default=10_000)
    options.add_argument("--scans", type=int, default=103)
    options.add_argument("--store", help="a new file or an empty database")
    options.add_argument("--plans", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "h.sqlite"
        with open_store(given.store or str(path)) as store:
            first = written(store, 0, given.devices)
            again = written(store, 1, given.devices)
            began = time.perf_counter()
            copied(store, range(2, given.scans - 2))
            took = time.perf_counter() - began
            late = [written(store, n, given.devices) for n in (given.scans - 2, given.scans - 1)][-1]
            with store.reading() as connection:
                count = connection.execute(sa.select(sa.func.count()).select_from(schema.sightings)).scalar()
            print(f"{count:,} sightings of {given.devices:,} devices in {given.scans} scans (copied in {took:.0f} s)")
            for what, (wall, cpu) in (("first", first), ("second", again), ("last", late)):
                print(f"{what} scan written: {wall:,.0f} sightings/s, {cpu:,.0f} a second of CPU")
            if not given.store:
                raw = len(msgspec.json.encode(device(1, 1))) * given.devices * given.scans
                size = path.stat().st_size
                print(f"{size / 1e6:.0f} MB ({raw / size:.0f} times smaller than as JSON)")
            asked(store, "last~1", "last", plans=given.plans)
            asked(store, "1", "last")
            asked(store, "last~1", "last")
    return 0


if __name__ == "__main__":
    sys.exit(main())
