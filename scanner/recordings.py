"""Reads and writes recordings (docs/recordings.md): YAML or JSON Lines, strict about keys, tolerant of values.

One broken entry does not stop the others: it is returned as a `Problem` that names file, entry, key and reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from scanner import channels
from scanner.errors import InputProblem
from scanner.model import Observation, Recording
from scanner.values import normal_mac

FORMAT = 1
"""The only version of the mapping form `{format: 1, recordings: [...]}`."""
MAX_FILE = 512 * 1024 * 1024
"""Bytes of the largest file that is read."""
BEHAVIOURS = frozenset({"silent", "tarpit", "endless", "half", "reset", "garbage"})

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_YAML_PLACE = re.compile(r"line (\d+), column (\d+)")


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry that could not be read."""

    file: str
    entry: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.entry}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file held: the good recordings in file order, and the entries that were not."""

    recordings: tuple[Recording, ...]
    problems: tuple[Problem, ...] = ()


def load(path: Path) -> Loaded:
    """Read one file; `-` is standard input.

    Raises `InputProblem` where the file itself cannot be read (missing, not UTF-8, not YAML at all).
    """
    name = str(path)
    return parse(_text(path), name, json_lines=path.suffix in {".jsonl", ".ndjson"})


def parse(text: str, name: str, *, json_lines: bool | None = None) -> Loaded:
    """Recordings of a text; `json_lines` None guesses from its first character."""
    if json_lines is None:
        json_lines = text.lstrip().startswith("{") and not text.lstrip().startswith("{format")
    entries, problems = _json_lines(text, name) if json_lines else _yaml_entries(text, name)
    good: list[Recording] = []
    seen: set[str] = set()
    for label, entry in entries:
        try:
            recording = _recording(entry)
            if recording.id in seen:
                raise ValueError(f"id: {recording.id!r} stands twice in this file")
        except (msgspec.ValidationError, ValueError) as error:
            problems.append(Problem(name, label, _reason(error)))
            continue
        seen.add(recording.id)
        good.append(recording)
    return Loaded(tuple(good), tuple(problems))


def _text(path: Path) -> str:
    import sys

    name = str(path)
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_FILE + 1)
        else:
            if path.is_dir():
                raise InputProblem(f"{name}: is a folder; name the files in it")
            with path.open("rb") as file:
                data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise InputProblem(f"{name}: cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_FILE:
        raise InputProblem(f"{name}: is larger than {MAX_FILE // 1024 // 1024} MiB; split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputProblem(f"{name}: is not UTF-8 text (byte {error.start})") from error


def _json_lines(text: str, name: str) -> tuple[list[tuple[str, Any]], list[Problem]]:
    entries: list[tuple[str, Any]] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = msgspec.json.decode(line.encode())
        except msgspec.DecodeError as error:
            problems.append(Problem(name, f"line {number}", f"is not JSON: {error}"))
            continue
        entries.append((_label(entry, f"line {number}"), entry))
    return entries, problems


def _yaml_entries(text: str, name: str) -> tuple[list[tuple[str, Any]], list[Problem]]:
    try:
        document = yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader, the C one where it is there
    except yaml.YAMLError as error:
        place = _YAML_PLACE.search(str(error))
        where = f" (line {place[1]}, column {place[2]})" if place else ""
        raise InputProblem(f"{name}: is not YAML{where}: {getattr(error, 'problem', None) or error}") from error
    except (RecursionError, ValueError) as error:
        raise InputProblem(f"{name}: is not usable YAML: {error}") from error
    if isinstance(document, dict) and "recordings" in document:
        unknown = sorted(set(document) - {"format", "recordings"})
        if unknown:
            raise InputProblem(f"{name}: unknown key {unknown[0]!r} beside 'recordings'")
        if document.get("format", FORMAT) != FORMAT:
            raise InputProblem(f"{name}: format is {document['format']!r}; this version reads format {FORMAT}")
        document = document["recordings"]
    elif isinstance(document, dict) and "id" in document:
        document = [document]
    if document is None:
        return [], []
    if not isinstance(document, list):
        raise InputProblem(f"{name}: holds neither a list of recordings nor a mapping with 'recordings'")
    return [(_label(entry, f"entry {number}"), entry) for number, entry in enumerate(document, 1)], []


def _label(entry: object, fallback: str) -> str:
    if isinstance(entry, dict) and isinstance(entry.get("id"), str) and entry["id"]:
        return f"entry {entry['id']!r}"
    return fallback


def _recording(entry: object) -> Recording:
    recording = msgspec.convert(entry, Recording)
    if not recording.id:
        raise ValueError("id: is empty")
    if recording.mac is not None and normal_mac(recording.mac) is None:
        raise ValueError(f"mac: {recording.mac!r} is not a MAC address")
    for place, address in [("ip", recording.ip), *(("addresses", a) for a in recording.addresses)]:
        if address is not None and not _is_address(address):
            raise ValueError(f"{place}: {address!r} is not an IP address")
    if recording.behaviour is not None and recording.behaviour not in BEHAVIOURS:
        raise ValueError(f"behaviour: {recording.behaviour!r} is none of {', '.join(sorted(BEHAVIOURS))}")
    for number, seen in enumerate(recording.observations, 1):
        if channels.find(seen.channel.lower()) is None:
            raise ValueError(f"observations[{number}].channel: {seen.channel!r} is not in the vocabulary")
        if seen.port is not None and not 0 <= seen.port <= 65535:
            raise ValueError(f"observations[{number}].port: {seen.port} is no port")
    return recording


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _reason(error: Exception) -> str:
    text = str(error)
    match = re.match(r"(.*) - at `\$\.?(.*)`$", text)
    return f"{match[2]}: {match[1]}" if match else text


def to_json(recording: Recording) -> bytes:
    """One line of JSON Lines, without the line end."""
    return msgspec.json.encode(recording)


def to_yaml(recordings: Iterable[Recording]) -> str:
    """The YAML list form: what people read, edit and attach to a bug report."""
    data: Any = [msgspec.to_builtins(recording) for recording in recordings]
    text: str = yaml.dump(
        data, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False, allow_unicode=True, width=120
    )
    return text


_SERIAL_FIELDS = re.compile(r"(?i)(<(?:DeviceSN|SerialNumber)>)[^<]*|(\"(?:SerialNo|SN|serial)\"\s*:\s*\")[^\"]*")
_IPV4 = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")


def redact(recording: Recording) -> Recording:
    """The recording with serials masked and addresses replaced by documentation ones; the OUI half of MACs stays."""
    return msgspec.structs.replace(
        recording,
        ip="192.0.2.1" if recording.ip else None,
        addresses=(),
        mac=_redact_macs(recording.mac) if recording.mac else None,
        observations=tuple(msgspec.structs.replace(o, value=_redact_text(o.value)) for o in recording.observations),
    )


def _redact_macs(text: str) -> str:
    return re.sub(
        r"(?i)\b((?:[0-9a-f]{2}[:-]){3})(?:[0-9a-f]{2}([:-])){2}[0-9a-f]{2}\b", r"\g<1>00\g<2>00\g<2>00", text
    )


def _redact_text(value: str) -> str:
    masked = _SERIAL_FIELDS.sub(lambda m: (m[1] or m[2]) + "MASKED", value)
    return _redact_macs(_IPV4.sub("192.0.2.1", masked))


def only(recordings: Sequence[Recording], channels_: Iterable[str]) -> tuple[Recording, ...]:
    """The recordings reduced to some channels (a trailing `*` is a prefix): what one way of listening hears."""
    wanted = tuple(channels_)

    def keep(seen: Observation) -> bool:
        return any(seen.channel == w or (w.endswith("*") and seen.channel.startswith(w[:-1])) for w in wanted)

    return tuple(
        msgspec.structs.replace(r, observations=tuple(o for o in r.observations if keep(o))) for r in recordings
    )
