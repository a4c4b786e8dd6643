from __future__ import annotations

from pathlib import Path

import pytest

from scanner.errors import UsageProblem
from scanner.net.ledger import Ledger


def test_counts_per_host() -> None:
    ledger = Ledger()
    ledger.sent("udp", "10.0.0.1", 120, "inquiry", port=37020)
    ledger.sent("udp", "10.0.0.1", 80, "search", port=37810)
    ledger.count("10.0.0.1", 4, 0)
    ledger.write("arp", "10.0.0.2", 42, "who-has")

    assert (ledger.packets, ledger.bytes) == ({"10.0.0.1": 6}, {"10.0.0.1": 200})
    assert ledger.total == 3


def test_one_line_per_thing_sent_and_nobody_else_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with Ledger(path) as ledger:
        ledger.sent("tcp", "fe80::1", 50, "GET /\x1b[31m", port=80)
        ledger.write("arp", "10.0.0.2", 42, "who-has")

    lines = path.read_text().splitlines()
    assert len(lines) == 2
    assert lines[0].split("\t")[1:] == ["tcp", "[fe80::1]:80", "50", "GET /\\x1b[31m"]
    assert lines[1].split("\t")[1:3] == ["arp", "10.0.0.2"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_log_that_cannot_be_opened_is_a_usage_problem(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="--audit-log"):
        Ledger(tmp_path)


def test_a_full_disk_is_said_and_stops_nothing() -> None:
    ledger = Ledger(Path("/dev/full"))
    for _ in range(5000):
        ledger.write("arp", "10.0.0.2", 42, "who-has")
    ledger.close()

    assert ledger.problem is not None
    assert ledger.total == 5000
