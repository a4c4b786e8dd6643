from __future__ import annotations

from pathlib import Path

import pytest

from scanner import knowledge
from scanner.config import Plan
from scanner.discover.book import Sighting
from scanner.engine.stages import Stages
from scanner.engine.telling import report
from scanner.model import Level


def test_a_device_that_cannot_be_assessed_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr("scanner.assess.device", broken)
    stages = Stages(Plan(targets=("127.0.0.1",)), knowledge.load(()), None)
    stages.book.sighted(Sighting("127.0.0.1", None, "connect"))
    told = report(stages, interrupted=False)

    assert [(d.key, d.identity.level) for d in told.devices] == [("ip-127-0-0-1", Level.UNKNOWN)]
    assert "internal error while assessing 127.0.0.1: ValueError: a defect" in told.scan.failures[0]


def test_one_mac_with_several_addresses_is_told() -> None:
    stages = Stages(Plan(targets=("127.0.0.0/29",)), knowledge.load(()), None)
    for n in (1, 2):
        stages.book.sighted(Sighting(f"127.0.0.{n}", "3c:ef:8c:00:00:01", "arp"))
    stages.book.sighted(Sighting("127.0.0.2", "3c:ef:8c:00:00:02", "arp"))
    told = report(stages, interrupted=True)

    assert told.scan.interrupted
    assert len(told.devices) == 3
    assert any("stands for 2 addresses" in warning for warning in told.coverage.warnings)
    assert any("127.0.0.2 is claimed by 2 MAC addresses: " in warning for warning in told.coverage.warnings)
    assert set(told.coverage.silent) == {"127.0.0.1", "127.0.0.2"}


def test_an_audit_log_that_ends_early_leaves_the_scan_incomplete() -> None:
    stages = Stages(Plan(targets=("127.0.0.1",), audit_log=Path("/dev/full")), knowledge.load(()), None)
    stages.ledger.write("tcp", "127.0.0.1", 0, "connect", port=80)
    told = report(stages, interrupted=False)

    assert [text for text in told.scan.failures if "the audit log ends early" in text]
