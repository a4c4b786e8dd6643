"""From what a scan knows to its report and its recordings."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import scanner
from scanner import assess
from scanner.discover.book import Entry, united
from scanner.engine.stages import Stages
from scanner.model import Device, Identity, Method, Observation, Recording, Report, Scan, Via
from scanner.net.ledger import now
from scanner.protocols.base import Question
from scanner.recordings import redact, to_yaml


def report(stages: Stages, *, interrupted: bool) -> Report:
    """Everything that is known by now; recordings are written where the plan asks for them."""
    stages.ledger.close()
    if stages.ledger.problem:
        stages.fail(stages.ledger.problem)
    entries = stages.book.entries()
    for entry in entries:
        entry.add(unanswered(entry, entry.asked, stages.scene.asked))
    recordings, strangers = united([entry.recording() for entry in entries])
    _notices(stages, entries, strangers)
    plan = stages.plan
    if plan.record is not None:
        kept = [redacted(r, n) for n, r in enumerate(recordings, 1)] if plan.redact else recordings
        stages.failures += write_recordings(plan.record, kept)
    devices = tuple(_counted(_assessed(recording, stages), stages, entries) for recording in recordings)
    answered = {entry.address for entry in entries if entry.answered}
    silent = [assess.shown(d) for d in devices if not answered & {d.recording.ip, *d.recording.addresses}]
    today = datetime.now(tz=UTC).date()
    cover = assess.coverage(
        devices, addresses=stages.targets.count, silent=silent,
        excluded=stages.targets.excluded + len(stages.book.excluded), methods=_methods(stages, entries),
        warnings=[*stages.warnings, *assess.age_warnings(stages.knowledge, today)],
    )  # fmt: skip
    scan = Scan(
        id=str(uuid.uuid4()), started=stages.started, finished=now(), site=plan.site, targets=stages.targets.words,
        excluded=plan.exclude, profiles=plan.profiles, law_as_of=plan.as_of.isoformat(), interrupted=interrupted,
        failures=tuple(stages.failures), version=scanner.__version__,
    )  # fmt: skip
    return assess.report(scan, devices, cover, stages.knowledge)


def redacted(recording: Recording, number: int) -> Recording:
    """The recording as it may leave the house: no serials, no addresses, and an id that tells neither."""
    return msgspec.structs.replace(redact(recording), id=f"device-{number}")


def unanswered(entry: Entry, alone: Sequence[Question], together: Sequence[Question]) -> list[Observation]:
    """One silent observation for every discovery protocol that a device was asked and did not answer."""
    heard = {seen.channel for seen in entry.observations}
    found: dict[tuple[str, int], Observation] = {}
    for questions, via in ((alone, Via.UNICAST), (() if entry.link is None else together, Via.MULTICAST)):
        for question in questions:
            if question.channel not in heard:
                found.setdefault((question.channel, question.port), Observation(
                    channel=question.channel, value="", port=question.port, request=question.request, via=via,
                    silent=True,
                ))  # fmt: skip
    return list(found.values())


def write_recordings(folder: Path, recordings: Sequence[Recording]) -> list[str]:
    """Write one YAML file per device (mode 0600); returns what could not be written, and why."""
    problems: list[str] = []
    for recording in recordings:
        path = folder / f"{recording.id}.yaml"
        part = path.with_suffix(".part")
        try:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(to_yaml([recording]))
            part.replace(path)
        except OSError as error:
            problems.append(f"--record {path}: {error.strerror or error}")
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
    return problems


def _assessed(recording: Recording, stages: Stages) -> Device:
    """The device; one that our own defect keeps from being assessed is shown as unknown, and the defect told."""
    law = assess.Law(stages.plan.profiles, stages.plan.as_of)
    try:
        return assess.device(recording, stages.knowledge, law)
    except Exception as error:  # noqa: BLE001 - one device must not take the others' report away
        stages.fail(f"internal error while assessing {recording.ip}: {type(error).__name__}: {error}. Please report it")
        return Device(key=assess.key(recording), recording=recording, identity=Identity())


def _notices(stages: Stages, entries: Sequence[Entry], strangers: Sequence[str]) -> None:
    for address in stages.book.conflicts():
        stages.warn(f"{address} is claimed by several MAC addresses: two devices share it")
    for mac in strangers:
        shared = [entry.address for entry in entries if entry.mac == mac]
        stages.warn(
            f"{mac} answers for {len(shared)} addresses ({', '.join(shared[:4])}{', …' if len(shared) > 4 else ''}): "
            "a router, proxy ARP, or one device with several addresses; each is shown by itself"
        )
    foreign = [entry.address for entry in entries if entry.foreign]
    if foreign:
        stages.warn(
            f"{len(foreign)} device(s) speak from an address that is not of their network ({', '.join(foreign[:4])}): "
            "perhaps factory settings; they were heard and not asked"
        )
    left = [entry.address for entry in entries if entry.stopped]
    if left:
        stages.warn(f"{len(left)} device(s) stopped answering and were left alone: {', '.join(left[:8])}")


def _methods(stages: Stages, entries: Sequence[Entry]) -> list[Method]:
    return [
        msgspec.structs.replace(method, hosts=sum(1 for entry in entries if method.name in entry.methods))
        for method in stages.methods.values()
    ]


def _counted(device: Device, stages: Stages, entries: Sequence[Entry]) -> Device:
    """The device with what was sent to it; questions to everybody are not counted."""
    places = {device.recording.ip, *device.recording.addresses}
    sightings = sum(e.packets for e in entries if e.address in places and e.mac == device.recording.mac)
    packets = sightings + sum(stages.ledger.packets.get(place, 0) for place in places if place)
    sent = sum(stages.ledger.bytes.get(place, 0) for place in places if place)
    return msgspec.structs.replace(device, packets=packets, bytes_sent=sent)
