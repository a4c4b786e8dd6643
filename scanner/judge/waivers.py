"""Waivers (`waivers.yaml`): findings that an organisation has decided to live with until a day.

A waiver mutes and leaves a trace: the verdict stays in every report, marked, with reason and name; the device's action,
the counts and `--fail-on` pass it over. On the day it expires it mutes nothing and is shown as expired. It names a
device by MAC or IP address; an address can pass to another device, a MAC does not.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from scanner import documents, userfiles
from scanner.errors import InputProblem, RulesProblem
from scanner.knowledge.loader import Place, convert
from scanner.knowledge.names import did_you_mean
from scanner.model import Action, Report, Verdict, Waiver, WaiverUse
from scanner.values import file_name, normal_address, normal_mac, places

if TYPE_CHECKING:
    from scanner.knowledge import Knowledge

ALL = "all"
MAX_FILE = 8 * 1024 * 1024


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    device: str
    policy: str
    reason: str
    who: str
    expires: datetime.date


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    waivers: list[Any]


def load(paths: Iterable[Path], knowledge: Knowledge) -> tuple[Waiver, ...]:
    """All waivers of these files, in order. Raises `InputProblem` naming file, entry, key and reason."""
    found: dict[tuple[str, str], Waiver] = {}
    known = frozenset(knowledge.policies)
    for path in paths:
        try:
            read = list(_read(path, known))
        except RulesProblem as problem:  # the reader of rules is strict in the same way; a waiver is no rule
            raise InputProblem(str(problem)) from problem
        for waiver in read:
            key = (waiver.device, waiver.policy)
            if key in found:
                raise InputProblem(
                    f"{file_name(path)}: {waiver.device}, {waiver.policy}: stands twice; leave one of them out"
                )
            found[key] = waiver
    return tuple(found.values())


def apply(report: Report, waivers: Sequence[Waiver]) -> Report:
    """The report with its verdicts marked, as on the day that it judges by."""
    if not waivers:
        return report
    on = report.scan.law_as_of or report.scan.started[:10]
    dated = [replace(waiver, expired=waiver.expires <= on) for waiver in waivers]
    table: dict[str, list[Waiver]] = defaultdict(list)
    for waiver in dated:
        table[waiver.device].append(waiver)
    fits: dict[tuple[str, str], list[str]] = defaultdict(list)
    devices = []
    for device in report.devices:
        said = device.recording
        mine = [waiver for place in places(said.mac, said.ip, *said.addresses) for waiver in table.get(place, ())]
        if mine:
            device = replace(device, verdicts=tuple(_marked(v, mine) for v in device.verdicts))
            for waiver in dict.fromkeys(v.waiver for v in device.verdicts if v.waiver):
                fits[waiver.device, waiver.policy].append(device.key)
        devices.append(device)
    uses = tuple(WaiverUse(waiver=w, devices=tuple(fits[w.device, w.policy])) for w in dated)
    return replace(report, devices=tuple(devices), waivers=(*report.waivers, *uses))


def _marked(verdict: Verdict, waivers: Sequence[Waiver]) -> Verdict:
    """The verdict with the waiver that fits it best: one that holds, then one for this measure alone."""
    fitting = [w for w in waivers if w.policy in {ALL, verdict.policy}]
    if not fitting or verdict.action is Action.NONE:
        return verdict
    return replace(verdict, waiver=min(fitting, key=lambda w: (w.expired, w.policy == ALL)))


def _read(path: Path, known: frozenset[str]) -> Iterable[Waiver]:
    name = file_name(path)
    document = _document(path, name)
    if not isinstance(document, dict):
        raise InputProblem(f"{name}: holds no mapping with 'waivers'")
    for number, raw in enumerate(convert(document, _File, Place(name)).waivers, 1):
        yield _waiver(raw, Place(name, _label(raw, number)), known)


def _label(raw: object, number: int) -> str:
    device = raw.get("device") if isinstance(raw, dict) else None
    return f"{number} ({device})" if isinstance(device, str) else str(number)


def _waiver(raw: object, place: Place, known: frozenset[str]) -> Waiver:
    if isinstance(raw, dict) and isinstance(raw.get("device"), int):
        raise place.problem("device", "is read as a number: put it in quotes")
    entry = convert(raw, _Entry, place)
    device = normal_mac(entry.device) or normal_address(entry.device)
    if device is None:
        raise place.problem("device", f"{entry.device!r} is neither a MAC nor an IP address")
    if entry.policy != ALL and entry.policy not in known:
        near = did_you_mean(entry.policy, sorted(known))
        see = " See" if near else "; see"
        raise place.problem("policy", f"{entry.policy!r} is no measure{near}{see} `lanveto rules list policies`")
    for key in ("reason", "who"):
        if not getattr(entry, key).strip():
            raise place.problem(key, "is empty: a waiver without it helps nobody who reads the report")
    return Waiver(
        device=device, policy=entry.policy, reason=entry.reason, who=entry.who, expires=entry.expires.isoformat()
    )


def _document(path: Path, name: str) -> Any:
    try:
        data = userfiles.read(path, MAX_FILE)
        node = documents.compose(data.decode("utf-8-sig"))
        return {"waivers": []} if node is None else documents.Builder().build(node)
    except UnicodeDecodeError as error:
        raise InputProblem(f"{name}: is not UTF-8 text (byte {error.start})") from error
    except documents.YamlError as error:
        raise InputProblem(f"{name}: {error}") from error
