"""Fixtures every test may use; test files never import each other. In CI a skipped test is a failure."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scanner.model import (
    Action,
    Coverage,
    Device,
    Effect,
    Grade,
    Identity,
    Level,
    Match,
    Method,
    Observation,
    Reading,
    Recording,
    Report,
    RulesVersion,
    Scan,
    Verdict,
)
from scanner.recordings import load

CORPUS = Path(__file__).parent / "corpus"
ROOT = Path(__file__).resolve().parent.parent


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A skip hides a missing dependency: in CI it fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def corpus() -> tuple[Recording, ...]:
    """Every case of the evidence corpus, each with its truth."""
    cases: list[Recording] = []
    for file in sorted(CORPUS.glob("*.yaml")):
        loaded = load(file)
        assert not loaded.problems, loaded.problems
        cases.extend(loaded.recordings)
    return tuple(cases)


@pytest.fixture
def make_device() -> Callable[..., Device]:
    """Builds a device by hand: a Dahua-made recorder with a Lorex label, unless told otherwise."""

    def make(
        *,
        ip: str | None = "192.0.2.42",
        mac: str | None = "3c:ef:8c:11:22:33",
        manufacturer: str | None = "dahua",
        level: Level = Level.CONFIRMED,
        action: Action | None = Action.REMOVE,
        model: str = "NR900",
        value: str = 'Digest realm="Login to ND011111111111"',
        policy: str = "us-889-a1b",
        id_: str = "dev-1",
    ) -> Device:
        seen = Observation(channel="rtsp.header.www-authenticate", value=value, port=554, request="OPTIONS")
        match = Match(
            fingerprint="dahua-rtsp-realm",
            grade=Grade.EXCLUSIVE,
            family="rtsp",
            manufacturer=manufacturer,
            readings=(Reading(seen.channel, seen.value, seen),),
        )
        verdict = Verdict(
            policy=policy,
            title="Section 889(a)(1)(B)",
            effect=Effect.USE_BANNED,
            binds_you=True,
            action=action or Action.NONE,
            entity="Dahua Technology Company",
            path=("dahua is Dahua Technology Company",),
            citation="Pub. L. 115-232, Sec. 889(a)(1)(B)",
            because="evidence indicates made by Dahua; a federal contractor may not use it",
            in_force="2020-08-13",
        )
        return Device(
            key=mac.replace(":", "") if mac else "ip-192-0-2-42",
            recording=Recording(id=id_, ip=ip, mac=mac, observations=(seen,)),
            identity=Identity(
                manufacturer=manufacturer,
                brand="lorex",
                kind="nvr",
                model=model,
                confidence=0.97,
                level=level,
                matches=(match,) if manufacturer else (),
            ),
            verdicts=(verdict,) if action is not None else (),
        )

    return make


@pytest.fixture
def make_report(make_device: Callable[..., Device]) -> Callable[..., Report]:
    """Builds a report of the given devices."""

    def make(*devices: Device, interrupted: bool = False, failures: tuple[str, ...] = (), site: str = "hq") -> Report:
        shown = devices or (make_device(),)
        return Report(
            scan=Scan(
                id="scan-1",
                started="2026-11-24T00:00:00Z",
                finished="2026-11-24T00:01:00Z",
                site=site,
                profiles=("us-federal-contractor",),
                law_as_of="2026-11-24",
                interrupted=interrupted,
                failures=failures,
                version="0.1.0",
            ),
            devices=shown,
            coverage=Coverage(
                addresses=254,
                alive=len(shown),
                identified=1,
                unknown=("192.0.2.9",),
                silent=("192.0.2.8",),
                methods=(Method(name="arp", ran=True, hosts=3), Method(name="syn", ran=False, note="needs root")),
                blind_spots=("cameras on a recorder's own ports",),
                warnings=("the registry is 200 days old",),
            ),
            rules_version=RulesVersion(
                rules_as_of="2026-11-22", rules_sha256="0" * 64, registry_as_of="2026-11-20", registry_sha256="1" * 64
            ),
        )

    return make


@pytest.fixture
def today() -> datetime.date:
    """The day the tests judge by: results must not change with the calendar."""
    return datetime.date(2026, 11, 24)
