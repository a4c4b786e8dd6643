"""What the messages hold: the shapes of `shapes.py`, filled (docs/mqtt.md). Pure.

State, finding and summary say what is true now; events say what happened. A scan that was not completed never reads
like one without findings: its `complete` is false and its counts of actions are null.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

import scanner
from scanner.model import ACTION_RANK, Action, Device, Report, Verdict
from scanner.publish import shapes
from scanner.store.changes import Facts
from scanner.store.findings import Event, Outcome, actions, event_id
from scanner.store.outbox import Draft
from scanner.values import stamp

SCHEMA_VERSION: Literal[1] = 1


def json(document: msgspec.Struct) -> bytes:
    """A document as it travels."""
    return msgspec.json.encode(document)


def _head(report: Report) -> dict[str, Any]:
    version = report.rules_version
    return {
        "schema": SCHEMA_VERSION,
        "scan": report.scan.id,
        "time": report.scan.finished or stamp(),
        "site": report.scan.site,
        "tool": "lanveto",
        "version": scanner.__version__,
        "rules": version.rules_as_of,
        "rules_sha256": version.rules_sha256,
    }


def status(state: str, **more: Any) -> shapes.Status:
    """Who publishes, and how it is. `more`: further keys."""
    about = {"schema": SCHEMA_VERSION, "tool": "lanveto", "version": scanner.__version__}
    return msgspec.convert(about | {"time": stamp(), "state": state} | more, shapes.Status)


def ended(report: Report) -> shapes.Status:
    """The status after a report was published directly."""
    return status(**_head(report), state=report.scan.end)


def state(report: Report, device: Device, findings: Mapping[str, Action]) -> shapes.State:
    """What a device is. `findings`: those that are open, also where the store knows more than this scan's verdicts."""
    identity = device.identity
    return shapes.State(
        **_head(report),
        device=device.key,
        present=True,
        ip=device.recording.ip,
        mac=device.recording.mac,
        manufacturer=identity.manufacturer,
        brand=identity.brand,
        kind=identity.kind,
        model=identity.model,
        firmware=identity.firmware,
        serial=identity.serial,
        confidence=round(identity.confidence, 4),
        level=identity.level,
        action=strictest(findings),
        findings=sorted(findings),
        evidence=[m.fingerprint for m in identity.matches],
    )


def gone(report: Report, key: str, facts: Facts, findings: Mapping[str, Action]) -> shapes.State:
    """The state of a device that is not there any more: what was known of it; its findings stay open."""
    return shapes.State(
        **_head(report), device=key, present=False, ip=facts.ip, mac=facts.mac, manufacturer=facts.manufacturer,
        brand=facts.brand, kind=facts.kind, model=facts.model, firmware=facts.firmware, serial=facts.serial,
        confidence=None, level=facts.level, action=strictest(findings), findings=sorted(findings), evidence=[],
    )  # fmt: skip


def finding(report: Report, device: Device, verdict: Verdict) -> shapes.Finding:
    """One open finding."""
    return shapes.Finding(
        **_head(report),
        device=device.key,
        ip=device.recording.ip,
        mac=device.recording.mac,
        manufacturer=device.identity.manufacturer,
        brand=device.identity.brand,
        level=device.identity.level,
        policy=verdict.policy,
        title=verdict.title,
        effect=verdict.effect,
        binds_you=verdict.binds_you,
        action=verdict.action,
        entity=verdict.entity,
        path=verdict.path,
        citation=verdict.citation,
        because=verdict.because,
    )


def summary(report: Report, open_: Mapping[str, int] | None = None) -> shapes.Summary:
    """Coverage and counts. `open_`: devices of the site by their strictest open finding, seen this time or not."""
    return shapes.Summary(**_counted(report, open_))


def _counted(report: Report, open_: Mapping[str, int] | None) -> dict[str, Any]:
    cover = report.coverage
    complete = report.scan.end == "completed"
    counts = {action.value: sum(1 for d in report.devices if d.action is action) for action in Action}
    not_run = [m.name for m in cover.methods if not m.ran]
    return _head(report) | {
        "state": report.scan.end,
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
        "open": dict(open_) if open_ is not None else None,
    }


def event(report: Report, told: Event, device: Device | None = None) -> msgspec.Struct:
    """Something that happened; `event` is its id, the same however often it is delivered. `device`: where it was."""
    base: dict[str, Any] = {"event": told.uid, "kind": told.kind, "reason": told.reason or None}
    if told.kind.startswith("scan-"):
        return shapes.ScanEvent(**_counted(report, None), **base)
    known = told.known or Facts()
    base |= _head(report) | {
        "device": told.device, "ip": known.ip, "mac": known.mac, "manufacturer": known.manufacturer,
        "brand": known.brand, "model": known.model, "firmware": known.firmware, "level": known.level,
        "changes": told.changes,
    }  # fmt: skip
    if told.policy is None:
        return shapes.DeviceEvent(**base, misses=told.misses)
    verdict = next((v for v in (device.verdicts if device else ())
                    if v.policy == told.policy and v.action is told.action), None)  # fmt: skip
    if verdict is not None:
        base |= {"title": verdict.title, "citation": verdict.citation, "because": verdict.because}
    return shapes.FindingEvent(**base, policy=told.policy, action=told.action, previous=told.previous)


def describe(report: Report, outcome: Outcome) -> Iterator[Draft]:
    """Everything a scan has to tell: what is true now, then what happened, the end of the scan last."""
    yield from standing(report, outcome)
    index = {device.key: device for device in report.devices}
    for told in outcome.events:
        body = json(event(report, told, index.get(told.device or "")))
        yield Draft(told.uid, report.scan.site, told.kind, body, told.device, told.policy)


def standing(report: Report, outcome: Outcome | None = None) -> Iterator[Draft]:
    """What is true now, by the history's outcome, else by this report alone."""
    site = report.scan.site

    def slot(place: str, kind: str, body: bytes, device: str | None = None, policy: str | None = None) -> Draft:
        return Draft(event_id(report.scan.id, place), site, kind, body, device, policy, f"{site}/{place}"[:400])

    for device in report.devices:
        asked = actions(device.verdicts) if outcome is None else outcome.open.get(device.key, {})
        for verdict in _leading(device, outcome):
            if asked.get(verdict.policy) is verdict.action:
                place = f"{device.key}/finding/{verdict.policy}"
                yield slot(place, "finding", json(finding(report, device, verdict)), device.key, verdict.policy)
        yield slot(f"{device.key}/state", "state", json(state(report, device, asked)), device.key)
    if outcome is None:
        yield slot("summary", "summary", json(summary(report)))
        return
    for key, facts in outcome.absent.items():
        yield slot(f"{key}/state", "state", json(gone(report, key, facts, outcome.open.get(key, {}))), key)
    for told in outcome.events:
        if told.kind == "finding-closed":
            yield slot(f"{told.device}/finding/{told.policy}", "finding", b"", told.device, told.policy)
    yield slot("summary", "summary", json(summary(report, outcome.total)))


def entities(told: Mapping[str, Any], state_topic: str, status_topic: str) -> Iterator[tuple[str, str, shapes.Entity]]:
    """Home Assistant's entities of a device's state: component, name, payload; it merges them by `connections`."""
    unique = unique_id(str(told["site"]), str(told["device"]))
    maker = told.get("brand") or told.get("manufacturer")
    name = " ".join(str(part) for part in (maker, told.get("model")) if part) or str(told.get("ip") or told["device"])

    def words(key: str) -> str | None:
        return str(told[key])[:100] if told.get(key) else None

    about = shapes.Appliance(
        identifiers=[unique], name=name[:80], connections=[("mac", str(told["mac"]))] if told.get("mac") else [],
        manufacturer=words("manufacturer"), model=words("model"), sw_version=words("firmware"),
    )  # fmt: skip
    for component, entity, shown, template, what in _ENTITIES:
        yield component, entity, shapes.Entity(
            name=shown, unique_id=f"{unique}_{entity}", state_topic=state_topic, value_template=template,
            json_attributes_topic=state_topic, availability_topic=status_topic, availability_template=_AVAILABLE,
            device=about, origin=shapes.Origin(name="lanveto", sw_version=scanner.__version__), device_class=what,
        )  # fmt: skip


def unique_id(site: str, device: str) -> str:
    """How Home Assistant knows a device."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", f"lanveto_{site[:64] or '_'}_{device[:64] or '_'}")


_AVAILABLE = "{{ 'online' if value_json.state == 'online' else 'offline' }}"
_PROBLEM = (
    # Of a device that could not be named nothing is said: "no finding" would read as "clear".
    "{% if value_json.findings | length > 0 %}ON{% elif value_json.level in ['likely', 'confirmed'] %}OFF"
    "{% else %}None{% endif %}"
)
_ENTITIES: tuple[tuple[str, str, str, str, Literal["problem"] | None], ...] = (
    ("binary_sensor", "finding", "Finding", _PROBLEM, "problem"),
    ("sensor", "action", "Asked action", "{{ value_json.action }}", None),
    ("sensor", "maker", "Maker", "{{ value_json.manufacturer or 'unknown' }}", None),
)
ENTITIES = tuple((component, entity) for component, entity, *_ in _ENTITIES)
"""Component and name of every entity that a device has."""


def strictest(asked: Mapping[str, Action]) -> Action:
    """The strictest action of some findings; `none` without any."""
    return max(asked.values(), key=ACTION_RANK.__getitem__, default=Action.NONE)


def _leading(device: Device, outcome: Outcome | None) -> Iterable[Verdict]:
    """The verdict of each policy: the strictest that is not waived, or what keeps its finding open from before."""
    asked = actions(device.verdicts)
    found: dict[str, Verdict] = {}
    for verdict in device.verdicts:
        if not verdict.waived and asked.get(verdict.policy) is verdict.action:
            found.setdefault(verdict.policy, verdict)
    return {**found, **(outcome.kept.get(device.key, {}) if outcome else {})}.values()
