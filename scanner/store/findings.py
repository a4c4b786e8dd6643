"""Which devices are there and which findings are open: what a scan changes in that, as events.

The careful rules behind it:

* A device that a scan did not ask for is not missed. One that it asked for and did not find is missed once; after
  `misses` completed scans in a row it is gone. Its findings stay open: switched off is not removed.
* A scan that was not completed misses nobody and closes nothing.
* A finding closes when the device is seen again and what is known of it asks for nothing any more: another maker is
  recognised, the rules or the law have changed, or a waiver mutes it. A device that merely says less than before keeps
  its findings, as long as what it said before still leads to them by the rules of today.

All of it lives in the transaction of the scan, so that store, events and retained topics cannot drift apart.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import sqlalchemy as sa

from scanner.model import ACTION_RANK, SURE, Action, Device, Level, Recording, Scan, Verdict
from scanner.store import schema
from scanner.store.changes import Asked, Change, Facts, facts, learn
from scanner.values import address_key

MISSES = 3
"""Completed scans in a row that must miss a device before it counts as gone."""
NAMESPACE = uuid.UUID("6c616e76-6574-5f65-9076-656e74730001")
"""Under which event ids are made: the same scan gives the same ids."""
VALUES = 500

_LEVELS = tuple(Level)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened; `uid` stays the same however often it is told."""

    uid: str
    kind: str
    device: str | None = None
    policy: str | None = None
    action: Action | None = None
    previous: Action | None = None
    """What the same policy asked before."""
    changes: tuple[Change, ...] = ()
    known: Facts | None = None
    misses: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a scan changed, and how things stand after it."""

    events: tuple[Event, ...]
    open: Mapping[str, Mapping[str, Action]]
    """The open findings of each device that was seen or is newly gone: key → policy → action."""
    total: Mapping[str, int]
    """Devices of the site by their strictest open finding, seen or not."""
    absent: Mapping[str, Facts] = field(default_factory=dict)
    """Devices that are newly gone, and what was known of them."""
    number: int = 0
    kept: Mapping[str, Mapping[str, Verdict]] = field(default_factory=dict)
    """Findings that what a device said earlier keeps open: key → policy → its verdict by the rules of today."""


def event_id(scan: str, kind: str, *more: str | None) -> str:
    """The id of an event: the same for the same scan, kind and thing."""
    return str(uuid.uuid5(NAMESPACE, "\n".join((scan, kind, *(part or "" for part in more)))))


class _Known(msgspec.Struct, frozen=True, omit_defaults=True):
    """The column `devices.known`."""

    facts: Facts = Facts()
    names: tuple[str, ...] = ()
    """Interfaces or files by which the device was last found."""


@dataclass
class _State:
    number: int
    known: _Known
    misses: int
    gone: bool
    first_scan: int


class Tracker:
    """Follows one scan, inside its transaction: `see` for each batch of devices, then `finish` once."""

    def __init__(
        self, connection: sa.Connection, scan: Scan, number: int, *,
        again: Callable[[Recording], Device] | None, misses: int, asked: bool = True,
    ) -> None:  # fmt: skip
        """`asked`: False where nobody was asked (a file, listening), so that nobody can be missed."""
        self._connection = connection
        self._scan = scan
        self._number = number
        self._again = again
        self._misses = misses
        self._anybody = asked
        self._moved: dict[str, Facts] = {}
        self._adopted: dict[int, str] = {}
        self._kept: dict[str, dict[str, Verdict]] = {}
        self._complete = scan.end == "completed"
        self._asked = Asked(scan.targets, scan.excluded)
        self._events: list[Event] = []
        self._open: dict[str, dict[str, Action]] = {}
        self._seen: set[int] = set()

    def see(self, devices: Sequence[Device]) -> dict[str, int]:
        """Enter devices that the scan found; returns their numbers by key."""
        states = self._states([device.key for device in devices])
        self._adopt(devices, states)
        fresh = [device for device in devices if device.key not in states]
        if fresh:
            self._connection.execute(sa.insert(schema.devices), [self._new(device) for device in fresh])
            states |= self._states([device.key for device in fresh])
        new = {device.key for device in fresh}
        findings = self._findings([state.number for state in states.values()])
        updates, opened, touched, closed = [], [], [], []
        for device in devices:
            state = states[device.key]
            self._seen.add(state.number)
            heard = facts(device)
            known, changes = (heard, ()) if device.key in new else learn(state.known.facts, heard)
            if device.key in new:
                self._tell("device-appeared", device.key, known=known)
            elif state.gone:
                self._tell("device-appeared", device.key, known=known, changes=changes, reason="it is back")
            elif state.number in self._adopted:
                self._tell("device-appeared", device.key, known=known, changes=changes,
                           reason=f"it was known as {self._adopted[state.number]}")  # fmt: skip
            elif changes:
                self._tell("device-changed", device.key, known=known, changes=changes)
            body = msgspec.json.encode(_Known(known, self._asked.opaque))
            updates.append({"b_id": state.number, "last_scan": self._number, "misses": 0, "gone": False, "known": body})
            before = findings.get(state.number, {})
            after, supported = self._findings_of(device, state, before)
            self._open[device.key] = after
            for policy, action in after.items():
                row = {"b_device": state.number, "b_policy": policy, "action": action.value, "seen_scan": self._number}
                if policy not in before:
                    opened.append({
                        "device_id": state.number, "policy": policy, "action": action.value,
                        "opened_scan": self._number, "seen_scan": self._number,
                    })  # fmt: skip
                elif policy in supported:
                    touched.append(row)
                elif before[policy][0] is not action:
                    touched.append(row | {"seen_scan": before[policy][1]})
                told = policy in before and state.number not in self._adopted
                if not told or before[policy][0] is not action:
                    previous = before[policy][0] if told else None
                    self._tell("finding-opened", device.key, policy, action=action, previous=previous, known=known)
            for policy in before.keys() - after.keys():
                closed.append({"b_device": state.number, "b_policy": policy})
                self._tell("finding-closed", device.key, policy, previous=before[policy][0], known=known)
        self._write(updates, opened, touched, closed)
        return {key: state.number for key, state in states.items()}

    def finish(self) -> Outcome:
        """What the whole scan changed; devices that it asked for and did not find are counted as missed."""
        absent = self._missing() if self._complete and self._anybody else {}
        absent |= self._moved
        scan = self._scan
        if self._complete:
            self._tell("scan-completed", None)
        else:
            why = "; ".join(scan.failures) or "interrupted"
            self._tell("scan-failed", None, reason=why[:2000])
        return Outcome(tuple(self._events), self._open, self._standing(), absent, self._number, self._kept)

    # -- findings ------------------------------------------------------------------------------------------------

    def _findings_of(
        self, device: Device, state: _State, before: Mapping[str, tuple[Action, int]]
    ) -> tuple[dict[str, Action], set[str]]:
        """The device's open findings after this scan, and those that its evidence supports."""
        now = actions(device.verdicts)
        if not before:
            return now, set(now)
        waived = {verdict.policy for verdict in device.verdicts if verdict.waived}
        milder = [p for p, (action, _) in before.items() if _order(now.get(p)) < _order(action) and p not in waived]
        if not milder:
            return now, set(now)
        if not self._complete:
            if state.number in self._adopted:  # its messages begin anew
                for policy in milder:
                    self._keep(device, policy, before[policy][0], self._earlier(before[policy][1], state.number))
            return now | {p: before[p][0] for p in milder}, set(now) - set(milder)
        identity, known = device.identity, state.known.facts
        another = identity.level in SURE and identity.manufacturer != known.manufacturer
        if another or _LEVELS.index(identity.level) >= _LEVELS.index(known.level):
            return now, set(now)
        after, supported = dict(now), set(now)
        judged: dict[int, Sequence[Verdict]] = {}
        for policy in milder:
            scan = before[policy][1]
            if scan not in judged:
                judged[scan] = self._earlier(scan, state.number)
            # Without a judge what was found then still holds.
            action = before[policy][0] if self._again is None else actions(judged[scan]).get(policy)
            if action is not None and _order(action) > _order(now.get(policy)):
                after[policy] = action
                supported.discard(policy)
                self._keep(device, policy, action, judged[scan])
        return after, supported

    def _keep(self, device: Device, policy: str, action: Action, judged: Sequence[Verdict]) -> None:
        verdict = next((v for v in judged if v.policy == policy and v.action is action and not v.waived), None)
        if verdict is not None:
            self._kept.setdefault(device.key, {})[policy] = verdict

    def _earlier(self, scan: int, device: int) -> Sequence[Verdict]:
        """What an earlier look at the device leads to by the rules of today."""
        from scanner.store.reading import recording_of

        if self._again is None:
            return ()
        found = recording_of(self._connection, scan, device)
        return self._again(found).verdicts if found is not None else ()

    def _findings(self, numbers: Sequence[int]) -> dict[int, dict[str, tuple[Action, int]]]:
        table = schema.findings.c
        found: dict[int, dict[str, tuple[Action, int]]] = {}
        for start in range(0, len(numbers), VALUES):
            some = numbers[start : start + VALUES]
            query = sa.select(table.device_id, table.policy, table.action, table.seen_scan)
            for device, policy, action, seen in self._connection.execute(query.where(table.device_id.in_(some))):
                found.setdefault(device, {})[policy] = (Action(action), seen)
        return found

    def _standing(self) -> dict[str, int]:
        table, devices = schema.findings.c, schema.devices.c
        rows = self._connection.execute(
            sa.select(table.device_id, table.action)
            .join(schema.devices, devices.id == table.device_id)
            .where(devices.site == self._scan.site)
        )
        strictest: dict[int, Action] = {}
        for device, action in rows:
            strictest[device] = max(Action(action), strictest.get(device, Action.NONE), key=ACTION_RANK.__getitem__)
        counts = dict.fromkeys((action.value for action in Action if action is not Action.NONE), 0)
        for action in strictest.values():
            counts[action.value] += 1
        return counts

    # -- devices -------------------------------------------------------------------------------------------------

    def _new(self, device: Device) -> dict[str, object]:
        return {
            "site": self._scan.site, "key": device.key, "first_scan": self._number, "last_scan": self._number,
            "misses": 0, "gone": False, "known": msgspec.json.encode(_Known()),
        }  # fmt: skip

    def _adopt(self, devices: Sequence[Device], states: dict[str, _State]) -> None:
        """A device known by its address alone whose MAC is heard now is the same device: it takes the MAC's key."""
        wanted = {
            address_key(device.recording.ip): device for device in devices
            if device.recording.mac and device.recording.ip and device.key not in states
        }  # fmt: skip
        for old, state in self._states([key for key in wanted if key not in states]).items():
            if state.gone or state.number in self._seen or state.known.facts.mac is not None:
                continue
            key = wanted[old].key
            table = schema.devices
            self._connection.execute(sa.update(table).where(table.c.id == state.number).values(key=key))
            states[key] = state
            self._moved[old] = state.known.facts
            self._adopted[state.number] = old
            for policy, (action, _) in self._findings([state.number]).get(state.number, {}).items():
                self._tell("finding-closed", old, policy, previous=action, known=state.known.facts)
            self._tell("device-gone", old, known=state.known.facts, reason=f"its MAC is known now: it is {key}")

    def _states(self, keys: Sequence[str]) -> dict[str, _State]:
        table = schema.devices.c
        found: dict[str, _State] = {}
        for start in range(0, len(keys), VALUES):
            some = keys[start : start + VALUES]
            query = sa.select(table.key, table.id, table.known, table.misses, table.gone, table.first_scan)
            rows = self._connection.execute(query.where(table.site == self._scan.site, table.key.in_(some)))
            for key, number, known, misses, gone, first in rows:
                found[key] = _State(number, msgspec.json.decode(known, type=_Known), misses, bool(gone), first)
        return found

    def _missing(self) -> dict[str, Facts]:
        table = schema.devices.c
        rows = self._connection.execute(
            sa.select(table.id, table.key, table.known, table.misses).where(
                table.site == self._scan.site, table.gone.is_(False), table.last_scan != self._number
            )
        ).all()
        absent: dict[str, Facts] = {}
        missed: dict[tuple[int, bool], list[int]] = {}
        for number, key, body, misses in rows:
            known = msgspec.json.decode(body, type=_Known)
            if not self._asked.covers(known.facts.ip, known.names):
                continue
            gone = misses + 1 >= self._misses
            missed.setdefault((misses + 1, gone), []).append(number)
            if gone:
                absent[key] = known.facts
                self._tell("device-gone", key, known=known.facts, misses=misses + 1)
                self._open[key] = {p: a for p, (a, _) in self._findings([number]).get(number, {}).items()}
        for (misses, gone), numbers in missed.items():
            for start in range(0, len(numbers), VALUES):
                some = numbers[start : start + VALUES]
                self._connection.execute(
                    sa.update(schema.devices).where(table.id.in_(some)).values(misses=misses, gone=gone)
                )
        return absent

    def _write(
        self, updates: list[dict[str, object]], opened: list[dict[str, object]], touched: list[dict[str, object]],
        closed: list[dict[str, object]],
    ) -> None:  # fmt: skip
        devices, findings = schema.devices, schema.findings
        which = sa.and_(findings.c.device_id == sa.bindparam("b_device"), findings.c.policy == sa.bindparam("b_policy"))
        for rows, statement in (
            (updates, sa.update(devices).where(devices.c.id == sa.bindparam("b_id")).values(
                last_scan=sa.bindparam("last_scan"), misses=sa.bindparam("misses"), gone=sa.bindparam("gone"),
                known=sa.bindparam("known"))),
            (opened, sa.insert(findings)),
            (touched, sa.update(findings).where(which).values(
                action=sa.bindparam("action"), seen_scan=sa.bindparam("seen_scan"))),
            (closed, sa.delete(findings).where(which)),
        ):  # fmt: skip
            if rows:
                self._connection.execute(statement, rows)

    def _tell(
        self, kind: str, device: str | None, policy: str | None = None, *, action: Action | None = None,
        previous: Action | None = None, changes: tuple[Change, ...] = (), known: Facts | None = None, misses: int = 0,
        reason: str | None = None,
    ) -> None:  # fmt: skip
        self._events.append(
            Event(
                uid=event_id(self._scan.id, kind, device, policy), kind=kind, device=device, policy=policy,
                action=action, previous=previous, changes=changes, known=known, misses=misses, reason=reason,
            )
        )  # fmt: skip


def actions(verdicts: Iterable[Verdict]) -> dict[str, Action]:
    """What each policy asks, `none` and waived ones left out; the strictest where one policy says several things."""
    found: dict[str, Action] = {}
    for verdict in verdicts:
        asks = verdict.action is not Action.NONE and not verdict.waived
        if asks and _order(verdict.action) > _order(found.get(verdict.policy)):
            found[verdict.policy] = verdict.action
    return found


def _order(action: Action | None) -> int:
    return -1 if action is None else ACTION_RANK[action]
