"""From recordings to a report: identify, judge, count coverage. Pure, and the same for a scan, a file and an import."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from msgspec.structs import replace

from scanner.errors import Code, Notice, notice
from scanner.identify import identify
from scanner.judge import judge
from scanner.knowledge import Knowledge
from scanner.model import Coverage, Device, Identity, Level, Measure, Method, Place, Recording, Report, Scan, Verdict
from scanner.values import address_key, normal_mac

STALE_DAYS = 180
"""Rules and registry older than this are warned about."""
RECORDER_KINDS = frozenset({"nvr", "dvr", "recorder"})

CLOCK_WENT_BACK = notice(
    Code.CLOCK, "the clock of this machine went back during the scan: its times are not to be relied on"
)

BLIND_SPOTS: tuple[str, ...] = (
    "cameras behind a recorder's own PoE ports",
    "other VLANs and networks that were not named",
    "devices that were switched off or asleep",
    "cellular devices and isolated Wi-Fi clients",
    "chips and modules inside devices of other makers",
)
"""What no network scan sees; printed with every report."""


@dataclass(frozen=True, slots=True)
class Law:
    """For whom and for which day a report judges."""

    profiles: tuple[str, ...] = ()
    as_of: datetime.date = datetime.date.min


LONGEST_NAME = 80
"""Characters of a recording's id that its device's key has at most."""


def key(recording: Recording) -> str:
    """The device's stable key: its MAC without separators, else `ip-…`, else the recording's id."""
    mac = normal_mac(recording.mac) if recording.mac else None
    if mac is not None:
        return mac.replace(":", "")
    if recording.ip:
        return address_key(recording.ip)
    return _short(recording.id)


def _short(name: str) -> str:
    """The name itself, or its beginning and a digest: a key has its place in stores and topics."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 17]}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:16]}"


MAX_JUDGED = 10_000
"""Sorts of devices whose verdicts are remembered: what a device calls its label may be anything."""
Judged = dict[tuple[str | None, str | None, str | None, Level], tuple[Verdict, ...]]
"""Verdicts by maker, brand, kind and level: nothing else of an identity decides them."""


def device(
    recording: Recording, knowledge: Knowledge, law: Law, judged: Judged | None = None, identity: Identity | None = None
) -> Device:
    """One recording, identified (unless its identity is known) and judged.

    `judged` remembers verdicts from one device of a report to the next.
    """
    identity = identity or identify(recording, knowledge)
    known = (identity.manufacturer, identity.brand, identity.kind, identity.level)
    verdicts = judged.get(known) if judged is not None else None
    if verdicts is None:
        verdicts = judge(identity, knowledge, profiles=law.profiles, as_of=law.as_of)
        if judged is not None and len(judged) < MAX_JUDGED:
            judged[known] = verdicts
    where = shown_place(recording.place) if recording.place is not None else ""
    columns = (("place", where),) if where else ()
    return Device(key=key(recording), recording=recording, identity=identity, verdicts=verdicts, columns=columns)


@lru_cache(maxsize=4096)
def shown_place(place: Place) -> str:
    """Where a device hangs, in words: `core-1 Gi1/0/1, VLAN 10`; a port with many devices is said to be one."""
    parts = [" ".join(part for part in (place.switch, place.port) if part)]
    if place.vlan is not None:
        parts.append(f"VLAN {place.vlan}")
    if place.macs is not None and place.macs > 1:
        parts.append(f"with {place.macs - 1} more on that port")
    return ", ".join(part for part in parts if part)


def assess(
    recordings: Iterable[Recording], knowledge: Knowledge, *, profiles: Sequence[str], as_of: datetime.date
) -> tuple[Device, ...]:
    """All recordings, identified and judged, in input order."""
    law = Law(tuple(profiles), as_of)
    judged: Judged = {}
    return unique(device(recording, knowledge, law, judged) for recording in recordings)


def unique(devices: Iterable[Device]) -> tuple[Device, ...]:
    """The devices, each with a key of its own: one MAC at several addresses (a router) is told apart by them."""
    made = tuple(devices)
    shared = {key for key, count in Counter(d.key for d in made).items() if count > 1}
    return tuple(apart(d) if d.key in shared else d for d in made)


def apart(device: Device) -> Device:
    """The device with its address in its key: its MAC alone would not tell it from others."""
    place = device.recording.ip or _short(device.recording.id)
    return replace(device, key=f"{device.key}-{re.sub('[.:%]', '-', place)}")


def named(identity: Identity) -> bool:
    """Whether a report may say who made the device."""
    return identity.manufacturer is not None and identity.level in {Level.LIKELY, Level.CONFIRMED}


class Tally:
    """Counts devices one by one, so that none has to be kept for the coverage block."""

    def __init__(self) -> None:
        self.devices = 0
        self.identified = 0
        self.unknown: list[str] = []
        self.silent: list[str] = []
        self.recorders = 0

    def add(self, device: Device, *, silent: bool = False) -> None:
        """Count one more; `silent`: it is known to be there and answered no question."""
        self.devices += 1
        if silent:
            self.silent.append(shown(device))
        if named(device.identity):
            self.identified += 1
        elif not silent:
            self.unknown.append(shown(device))
        self.recorders += device.identity.kind in RECORDER_KINDS

    def coverage(
        self, *, addresses: int | None = None, quiet: Sequence[str] = (), unreached: Sequence[str] = (),
        excluded: int = 0, methods: Sequence[Method] = (), warnings: Sequence[Notice] = (),
    ) -> Coverage:  # fmt: skip
        """The coverage block: what was asked, who answered, who could be named, and what nobody sees."""
        spots = list(BLIND_SPOTS)
        if self.recorders:
            words = "recorder(s) found: cameras on their own ports or behind them answer no scan"
            spots.insert(0, f"{self.recorders} {words}")
        return Coverage(
            addresses=self.devices if addresses is None else addresses,
            alive=self.devices,
            identified=self.identified,
            unknown=tuple(self.unknown),
            silent=tuple(self.silent),
            quiet=tuple(quiet),
            unreached=tuple(unreached),
            excluded=excluded,
            methods=tuple(methods),
            blind_spots=tuple(spots),
            warnings=tuple(warnings),
        )


def coverage(
    devices: Sequence[Device], *, addresses: int | None = None, silent: Sequence[str] = (), excluded: int = 0,
    methods: Sequence[Method] = (), warnings: Sequence[Notice] = (),
) -> Coverage:  # fmt: skip
    """The coverage block of devices that are all at hand."""
    tally, mute = Tally(), set(silent)
    for one in devices:
        tally.add(one, silent=shown(one) in mute)
    return tally.coverage(addresses=addresses, excluded=excluded, methods=methods, warnings=warnings)


def shown(device: Device) -> str:
    """How a list names a device: address, else MAC, else the recording's id."""
    return device.recording.ip or device.recording.mac or device.recording.id


def age_warnings(knowledge: Knowledge, today: datetime.date) -> tuple[Notice, ...]:
    """Warnings about rules or a registry older than `STALE_DAYS` days."""
    found = []
    for what, text in (("rules", knowledge.version.rules_as_of), ("registry", knowledge.version.registry_as_of)):
        try:
            days = (today - datetime.date.fromisoformat(text)).days
        except ValueError:
            found.append(notice(Code.STALE, f"the age of the {what} is not known"))
            continue
        if days > STALE_DAYS:
            words = f"the {what} are as of {text}, {days} days old: update before you rely on them"
            found.append(notice(Code.STALE, words))
    return tuple(found)


def report(scan: Scan, devices: Sequence[Device], cover: Coverage, knowledge: Knowledge) -> Report:
    """Everything an output needs."""
    today = datetime.datetime.now(tz=datetime.UTC).date()
    law = Law(scan.profiles, datetime.date.fromisoformat(scan.law_as_of) if scan.law_as_of else today)
    if scan.finished and scan.finished < scan.started:
        cover = cover.warned(CLOCK_WENT_BACK)
    return Report(
        scan=scan,
        devices=tuple(devices),
        coverage=cover,
        rules_version=knowledge.version,
        measures=measures(knowledge, law),
    )


def measures(knowledge: Knowledge, law: Law) -> tuple[Measure, ...]:
    """Every measure that there was on that day, ordered by id: what a report was judged by."""
    return tuple(
        Measure(
            policy=policy.id,
            title=policy.title,
            jurisdiction=policy.jurisdiction,
            effect=policy.effect,
            citation=policy.citation,
            confidence=policy.confidence,
            binds_you=bool(set(policy.binds) & set(law.profiles)) if law.profiles else None,
            in_force=policy.in_force.isoformat() if policy.in_force else None,
            as_of=policy.as_of.isoformat(),
            sources=policy.sources,
            clocks=policy.clocks,
        )
        for policy in sorted(knowledge.policies.values(), key=lambda p: p.id)
        if policy.begun(law.as_of)
    )
