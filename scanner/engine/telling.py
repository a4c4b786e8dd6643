"""From what a scan knows to its report."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

import msgspec

import scanner
from scanner import assess
from scanner.discover.book import SEVERAL, claimed, shared
from scanner.engine.stages import Stages
from scanner.errors import Code
from scanner.model import Device, Report, Scan
from scanner.net.ledger import now


def report(stages: Stages, *, interrupted: bool, complete: bool = False) -> Report:
    """Everything that is known by now; devices that were not told yet are told first.

    `complete`: nothing was left to ask; then the scan's own record goes. The report's devices are sorted by address;
    it has none where they were not kept.
    """
    stages.ledger.close()
    if stages.ledger.problem:
        stages.fail(Code.WRITE, stages.ledger.problem)
    harvest = stages.harvest
    stages.close(complete=complete)
    for code, problem in harvest.failures:
        stages.fail(code, problem)
    _notices(stages)
    plan = stages.plan
    today = datetime.now(tz=UTC).date()
    methods = [msgspec.structs.replace(m, hosts=harvest.methods[m.name]) for m in stages.methods.values()]
    cover = harvest.tally.coverage(
        addresses=stages.targets.count, quiet=harvest.quiet, unreached=stages.unreached(),
        excluded=stages.targets.excluded + len(stages.book.excluded), methods=methods,
        warnings=[*stages.warnings, *assess.age_warnings(stages.knowledge, today)],
    )  # fmt: skip
    scan = Scan(
        id=stages.id, started=stages.started, finished=now(), site=plan.site, targets=stages.targets.words,
        excluded=plan.exclude, profiles=plan.profiles, law_as_of=plan.as_of.isoformat(), interrupted=interrupted,
        failures=tuple(stages.failures), version=scanner.__version__,
    )  # fmt: skip
    return assess.report(scan, sorted(harvest.devices, key=_order), cover, stages.knowledge)


def _order(device: Device) -> tuple[int, int, str]:
    try:
        address = ipaddress.ip_address((device.recording.ip or "").partition("%")[0])
    except ValueError:
        return (9, 0, device.key)
    return (address.version, int(address), device.key)


def _notices(stages: Stages) -> None:
    book, harvest = stages.book, stages.harvest
    for address, macs in book.conflicts().items():
        stages.warn(Code.SHARED_ADDRESS, claimed(address, macs))
    for mac in harvest.strangers | dict.fromkeys(book.crowded(SEVERAL)):
        stages.warn(Code.SHARED_MAC, shared(mac, list(book.places(mac))))
    if harvest.everywhere:
        stages.warn(
            Code.EVERY_PORT,
            f"{len(harvest.everywhere)} address(es) accept connections on every port, even one drawn at random, and "
            f"say nothing ({', '.join(harvest.everywhere[:4])}{', …' if len(harvest.everywhere) > 4 else ''}): a "
            "firewall or tarpit answers; they are not counted as devices, and what may be behind them was not seen",
        )
    if harvest.foreign:
        stages.warn(
            Code.FOREIGN,
            f"{len(harvest.foreign)} device(s) speak from an address that is not of their network "
            f"({', '.join(harvest.foreign[:4])}): perhaps factory settings; they were heard and not asked",
        )
    left = [*harvest.quiet, *harvest.left]
    if left:
        words = f"{len(left)} device(s) stopped answering and were left alone: {', '.join(left[:8])}"
        stages.warn(Code.QUIET, words)
