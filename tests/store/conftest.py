"""Stores to test with: SQLite files, and databases of a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scanner.model import Device, Report
from scanner.store import Store, open_store
from tests.databases import Server


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a store: in turn a file and a database."""
    if request.param == "sqlite":
        return str(tmp_path / "history.sqlite")
    server = request.getfixturevalue("postgres")
    assert isinstance(server, Server)
    return server.database()


@pytest.fixture
def store(where: str) -> Iterator[Store]:
    """An empty store, in turn of both kinds."""
    with open_store(where) as opened:
        yield opened


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Store]:
    """An empty SQLite store, for what is the same in both."""
    with open_store(tmp_path / "local.sqlite") as opened:
        yield opened


@pytest.fixture
def scan_of(make_report: Callable[..., Report]) -> Callable[..., Report]:
    """Builds the n-th scan of a network: ids and times follow from its number; without devices nothing answered."""
    from msgspec.structs import replace

    def make(number: int, *devices: Device, failures: tuple[str, ...] = (), interrupted: bool = False, site: str = "hq",
             targets: tuple[str, ...] = ("192.0.2.0/24",)) -> Report:  # fmt: skip
        report = make_report(*devices, failures=failures, interrupted=interrupted, site=site)
        day = f"2026-11-{number:02}"
        scan = replace(report.scan, id=f"scan-{site}-{number:04}", started=f"{day}T00:00:00Z", finished=f"{day}T00:01:00Z", targets=targets)
        return replace(report, scan=scan, devices=devices)

    return make
