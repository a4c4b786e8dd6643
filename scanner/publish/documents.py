"""What the messages hold: JSON objects with schema version, scan id, time, tool and rules (docs/mqtt.md). Pure.

State, finding and summary say what is true now; events say what happened. A scan that was not completed never reads
like one without findings: its `complete` is false and its counts of actions are null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

import scanner
from scanner.model import Action, Device, Level, Report, Verdict
from scanner.store.changes import Facts
from scanner.store.findings import Event, Outcome, actions
from scanner.store.outbox import Draft

SCHEMA_VERSION = 1
SURE = frozenset({Level.LIKELY, Level.CONFIRMED})


def json(content: Mapping[str, Any]) -> bytes:
    """A document as it travels."""
    return msgspec.json.encode(content)


def now() -> str:
    """The present moment, RFC 3339, UTC."""
    return datetime.now(tz=UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def end(report: Report) -> str:
    """How the scan ended: completed, interrupted or failed."""
    if report.scan.interrupted:
        return "interrupted"
    return "failed" if report.scan.failures else "completed"


def head(report: Report) -> dict[str, Any]:
    """What every document begins with."""
    version = report.rules_version
    return {
        "schema": SCHEMA_VERSION,
        "scan": report.scan.id,
        "time": report.scan.finished or now(),
        "site": report.scan.site,
        "tool": "lanveto",
        "version": scanner.__version__,
        "rules": version.rules_as_of,
        "rules_sha256": version.rules_sha256,
    }


def state(device: Device, findings: Mapping[str, Action] | None = None) -> dict[str, Any]:
    """What a device is. `findings`: those that are open, where the store knows more than this scan's verdicts."""
    identity = device.identity
    asked = actions(device.verdicts) if findings is None else findings
    return {
        "device": device.key,
        "present": True,
        "ip": device.recording.ip,
        "mac": device.recording.mac,
        "manufacturer": identity.manufacturer,
        "brand": identity.brand,
        "kind": identity.kind,
        "model": identity.model,
        "firmware": identity.firmware,
        "serial": identity.serial,
        "confidence": round(identity.confidence, 4),
        "level": identity.level,
        "action": strictest(asked),
        "findings": sorted(asked),
        "evidence": [m.fingerprint for m in identity.matches],
    }


def gone(key: str, facts: Facts, findings: Mapping[str, Action]) -> dict[str, Any]:
    """The state of a device that is not there any more: what was known of it; its findings stay open."""
    return {
        "device": key, "present": False, "ip": facts.ip, "mac": facts.mac, "manufacturer": facts.manufacturer,
        "brand": facts.brand, "kind": facts.kind, "model": facts.model, "firmware": facts.firmware,
        "serial": facts.serial, "confidence": None, "level": facts.level, "action": strictest(findings),
        "findings": sorted(findings), "evidence": [],
    }  # fmt: skip


def finding(device: Device, verdict: Verdict) -> dict[str, Any]:
    """One open finding."""
    return {
        "device": device.key,
        "ip": device.recording.ip,
        "mac": device.recording.mac,
        "manufacturer": device.identity.manufacturer,
        "brand": device.identity.brand,
        "level": device.identity.level,
        "policy": verdict.policy,
        "title": verdict.title,
        "effect": verdict.effect,
        "binds_you": verdict.binds_you,
        "action": verdict.action,
        "entity": verdict.entity,
        "path": verdict.path,
        "citation": verdict.citation,
        "because": verdict.because,
    }


def summary(report: Report, open_: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Coverage and counts. `open_`: devices of the site by their strictest open finding, seen this time or not."""
    cover = report.coverage
    complete = end(report) == "completed"
    counts = {action.value: sum(1 for d in report.devices if d.action is action) for action in Action}
    not_run = [m.name for m in cover.methods if not m.ran]
    return {
        "state": end(report),
        "complete": complete,
        "conclusive": complete and cover.alive > 0 and cover.identified == cover.alive and not not_run,
        "covered": round(cover.identified / cover.alive, 4) if cover.alive else None,
        "started": report.scan.started,
        "finished": report.scan.finished,
        "failures": report.scan.failures,
        "profiles": report.scan.profiles,
        "addresses": cover.addresses,
        "alive": cover.alive,
        "identified": cover.identified,
        "unknown": len(cover.unknown),
        "silent": len(cover.silent),
        "excluded": cover.excluded,
        "methods_not_run": not_run,
        "warnings": cover.warnings,
        "actions": counts if complete else None,
        "open": open_,
    }


def event(report: Report, told: Event) -> dict[str, Any]:
    """Something that happened; `event` is its id, the same however often it is delivered."""
    known = told.known or Facts()
    document: dict[str, Any] = {"event": told.uid, "kind": told.kind}
    if told.device is not None:
        document |= {
            "device": told.device, "ip": known.ip, "mac": known.mac, "manufacturer": known.manufacturer,
            "brand": known.brand, "model": known.model, "firmware": known.firmware, "level": known.level,
        }  # fmt: skip
    if told.policy is not None:
        document |= {"policy": told.policy, "action": told.action, "previous": told.previous}
        verdict = next((v for d in report.devices if d.key == told.device for v in d.verdicts
                        if v.policy == told.policy and v.action is told.action), None)  # fmt: skip
        if verdict is not None:
            document |= {"title": verdict.title, "citation": verdict.citation, "because": verdict.because}
    if told.changes:
        document["changes"] = told.changes
    if told.misses:
        document["misses"] = told.misses
    if told.reason:
        document["reason"] = told.reason
    if told.kind.startswith("scan-"):
        document |= summary(report)
    return head(report) | document


def describe(report: Report, outcome: Outcome) -> Iterator[Draft]:
    """Everything a scan has to tell: what is true now, then what happened, the end of the scan last."""
    base, site = head(report), report.scan.site

    def slot(place: str, kind: str, body: bytes, device: str | None = None, policy: str | None = None) -> Draft:
        return Draft(f"{report.scan.id}/{place}", site, kind, body, device, policy, f"{site}/{place}"[:400])

    for device in report.devices:
        asked = outcome.open.get(device.key, {})
        for verdict in _leading(device):
            if asked.get(verdict.policy) is verdict.action:
                place = f"{device.key}/finding/{verdict.policy}"
                yield slot(place, "finding", json(base | finding(device, verdict)), device.key, verdict.policy)
        yield slot(f"{device.key}/state", "state", json(base | state(device, asked)), device.key)
    for key, facts in outcome.absent.items():
        yield slot(f"{key}/state", "state", json(base | gone(key, facts, outcome.open.get(key, {}))), key)
    for told in outcome.events:
        if told.kind == "finding-closed":
            yield slot(f"{told.device}/finding/{told.policy}", "finding", b"", told.device, told.policy)
    yield slot("summary", "summary", json(base | summary(report, outcome.total)))
    index = {device.key: device for device in report.devices}
    for told in outcome.events:
        one = index.get(told.device or "")
        near = msgspec.structs.replace(report, devices=(one,) if one else ())
        body = event(report if told.device is None else near, told)
        yield Draft(told.uid, site, told.kind, json(body), told.device, told.policy)


def strictest(asked: Mapping[str, Action]) -> Action:
    """The strictest action of some findings; `none` without any."""
    order = list(Action)
    return max(asked.values(), key=order.index, default=Action.NONE)


def _leading(device: Device) -> list[Verdict]:
    """The verdict that stands for each policy: the strictest that is not waived."""
    asked = actions(device.verdicts)
    found: dict[str, Verdict] = {}
    for verdict in device.verdicts:
        if not verdict.waived and asked.get(verdict.policy) is verdict.action:
            found.setdefault(verdict.policy, verdict)
    return list(found.values())
