"""What the messages say, above all about a scan that says nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from scanner.model import Device, Level, Report
from scanner.publish import documents
from scanner.store import open_store, outbox, writing
from scanner.values import address_key

Make = Callable[..., Device]
Scan = Callable[..., Report]


def test_a_scan_that_failed_never_reads_like_one_without_findings(make_report: Scan, make_device: Make) -> None:
    good = documents.summary(make_report(make_device()))
    assert good.complete
    assert good.actions is not None
    assert good.actions["remove"] == 1
    assert not good.conclusive  # one way of finding hosts could not run
    for bad in (make_report(make_device(action=None), failures=("x",)), make_report(interrupted=True)):
        told = documents.summary(bad)
        assert (told.complete, told.conclusive, told.actions) == (False, False, None)


def test_a_scan_describes_itself_in_order(tmp_path: Path, make_report: Scan, make_device: Make) -> None:
    with open_store(tmp_path / "h.sqlite") as store:
        outbox.register(store, ["a"])
        writing.save(store, make_report(make_device()), describe=documents.describe)
        drafts = [w.draft for w in outbox.take(store, "a", 99)]
    assert [d.kind for d in drafts] == [
        "finding", "state", "summary", "device-appeared", "finding-opened", "scan-completed",
    ]  # fmt: skip
    told = {d.kind: json.loads(d.body) for d in drafts}
    assert told["state"]["findings"] == ["us-889-a1b"]
    assert told["finding-opened"]["event"] == drafts[4].uid
    assert told["finding-opened"]["because"]
    assert told["summary"]["open"]["remove"] == 1
    assert all(d["schema"] == 1 and d["scan"] == "scan-1" for d in told.values())


def test_a_finding_that_earlier_evidence_keeps_open_moves_with_its_device(
    tmp_path: Path, make_report: Scan, make_device: Make
) -> None:
    full = make_device()
    bare = replace(full, key=address_key(full.recording.ip or ""), recording=replace(full.recording, mac=None))
    thin = make_device(manufacturer=None, level=Level.UNKNOWN, action=None)
    with open_store(tmp_path / "h.sqlite") as store:
        outbox.register(store, ["a"])
        for number, device in enumerate((bare, thin)):
            report = make_report(device)
            report = replace(report, scan=replace(report.scan, id=f"scan-{number}", targets=("192.0.2.0/24",)))
            writing.save(store, report, describe=documents.describe, again=lambda recording: replace(full, recording=recording))
        slots = {w.draft.slot: w.draft.body for w in outbox.take(store, "a", 99) if w.draft.slot}
    assert slots[f"hq/{bare.key}/finding/us-889-a1b"] == b""
    told = json.loads(slots[f"hq/{full.key}/finding/us-889-a1b"])
    assert (told["action"], told["device"], told["scan"]) == ("remove", full.key, "scan-1")
    assert json.loads(slots[f"hq/{full.key}/state"])["findings"] == ["us-889-a1b"]
