"""lanveto's own files: recordings (YAML, JSON Lines) and reports (`--format json`, `jsonl`) of other sites and days."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from scanner import recordings
from scanner.channels import find
from scanner.errors import InputProblem
from scanner.imports.base import Head, Heard, Input, encoding
from scanner.imports.tables import normal_address
from scanner.model import Observation, Place, Recording
from scanner.values import normal_mac

MAX_RECORDING = 64 << 20
"""Characters of one recording on a line of its own: a device's raw answers."""


class Lanveto:
    """Recordings bring everything that was heard; a report only the evidence it names."""

    name = "lanveto"
    summary = "recordings and JSON reports of lanveto"

    def score(self, head: Head) -> float:
        """Sure where the words of these formats stand at the beginning."""
        text = head.text[:4096].lstrip()
        if text[:1] in {"{", "["}:
            flat = text.replace(" ", "").replace("\n", "")
            return 0.98 if ('"id":' in flat and ('"observations"' in flat or '"evidence"' in head.text)) or (
                '"schema":' in flat[:32] and '"coverage"' in head.text
            ) or '"recordings":' in flat[:64] else 0.0  # fmt: skip
        begins = text.startswith(("- id:", "-   id:", "format:", "recordings:", "id:", "- {id:", "#"))
        return 0.98 if begins and ("observations:" in head.text or "mac:" in text or "ip:" in text) else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` for each device. Broken entries are counted; raises `InputProblem` where nothing can be read."""
        if _one_a_line(source.head.text):
            yield from _lines(source)
            return
        data = source.whole()
        try:
            text = data.decode(encoding(data[:65_536]))
        except UnicodeDecodeError as error:
            raise InputProblem(f"{source.name}: is not UTF-8 text (byte {error.start})") from error
        devices = _report(text)
        if devices is None:
            loaded = recordings.parse(text, source.name)
            for problem in loaded.problems:
                source.skip(problem.entry, problem.reason)
            for recording in loaded.recordings:
                yield _recorded(recording)
            return
        for number, entry in enumerate(devices, 1):
            heard = _reported(entry)
            if heard is None:
                source.skip(f"device {number}", str(entry.get("id", "")) if isinstance(entry, dict) else "")
            else:
                yield heard


def _one_a_line(text: str) -> bool:
    """Whether a file begins like one object a line, so that it need not be read as a whole."""
    first, end, rest = text.lstrip().partition("\n")
    if not end:
        return first.startswith('{"id":') and '"observations"' in first
    try:
        entry = msgspec.json.decode(first)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return first.startswith("{") and rest.lstrip().startswith("{")
    return isinstance(entry, dict) and "id" in entry


def _lines(source: Input) -> Iterator[Heard]:
    """Recordings or devices of a report, one a line."""
    seen: set[str] = set()
    for number, line in source.lines(MAX_RECORDING):
        if not line.strip():
            continue
        try:
            entry = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
            source.skip(f"line {number}", f"is not JSON: {error}")
            continue
        if isinstance(entry, dict) and "evidence" in entry and "observations" not in entry:
            heard = _reported(entry)
            if heard is None:
                source.skip(f"line {number}", str(entry.get("id", "")))
            else:
                yield heard
            continue
        loaded = recordings.parse(line, source.name, json_lines=True)
        for problem in loaded.problems:
            source.skip(f"line {number}", f"{problem.entry}: {problem.reason}")
        for recording in loaded.recordings:
            if recording.id in seen:
                source.skip(f"line {number}", f"id: {recording.id!r} stands twice in this file")
            else:
                seen.add(recording.id)
                yield _recorded(recording)


def _recorded(recording: Recording) -> Heard:
    mac = normal_mac(recording.mac) if recording.mac else None
    return Heard(mac, recording.ip, recording.observations, recording.place, None, recording.id, recording.addresses)


def _report(text: str) -> list[Any] | None:
    """The devices of a report that is one document, None where the text is none."""
    if text.lstrip()[:1] != "{" or '"evidence"' not in text:
        return None
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    devices = document.get("devices") if isinstance(document, dict) else None
    return devices if isinstance(devices, list) else None


def _reported(entry: object) -> Heard | None:
    if not isinstance(entry, dict):
        return None
    mac, ip = entry.get("mac"), entry.get("ip")
    mac = normal_mac(mac) if isinstance(mac, str) else None
    address = normal_address(ip) if isinstance(ip, str) else None
    evidence, conflicts, addresses = (entry.get(part) or [] for part in ("evidence", "conflicts", "addresses"))
    lists = isinstance(evidence, list) and isinstance(conflicts, list) and isinstance(addresses, list)
    if not lists or (mac is None and address is None):
        return None
    seen = [found for item in (*evidence, *conflicts) if (found := _evidence(item))]
    others = [normal_address(str(other)) for other in addresses]
    place = entry.get("place")
    return Heard(
        mac, address, tuple(dict.fromkeys(seen)), _place(place) if isinstance(place, dict) else None, None,
        str(entry.get("id", "")) or None, tuple(other for other in others if other),
    )  # fmt: skip


def _evidence(item: object) -> Observation | None:
    """One reading of a report as a single field; raw answers stay readable as what they are."""
    if not isinstance(item, dict):
        return None
    channel, value, port = item.get("channel"), item.get("value"), item.get("port")
    if not isinstance(channel, str) or not isinstance(value, str) or find(channel) is None or channel == "mac":
        return None
    at, request = item.get("at"), item.get("request")
    return Observation(
        channel=channel, value=value, port=port if isinstance(port, int) and 0 < port < 65_536 else None,
        at=at if isinstance(at, str) else None, request=request if isinstance(request, str) else None,
        truncated=item.get("cut") is True,
    )  # fmt: skip


def _place(place: Mapping[str, Any]) -> Place | None:
    try:
        return msgspec.convert(dict(place), Place)
    except msgspec.ValidationError:
        return None


IMPORTER = Lanveto()
