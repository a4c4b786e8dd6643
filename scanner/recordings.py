"""Reads and writes recordings (docs/recordings.md): YAML or JSON Lines, strict about keys, tolerant of values.

One broken entry does not stop the others: it is returned as a `Problem` that names file, entry, key and reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from scanner import channels, userfiles
from scanner.errors import InputProblem
from scanner.model import Observation, Recording, Source, Truth
from scanner.values import file_name, normal_mac

if TYPE_CHECKING:  # a scan reads and writes no YAML before it has found somebody
    import yaml

    from scanner import documents

FORMAT = 1
"""The only version of the mapping form `{format: 1, recordings: [...]}`."""
MAX_FILE = 512 * 1024 * 1024
"""Bytes of the largest file that is read."""
BEHAVIOURS = frozenset({"silent", "tarpit", "endless", "half", "reset", "garbage"})

_NO_LIST = "holds neither a list of recordings nor a mapping with 'recordings'"

_KINDS: dict[str, type[msgspec.Struct]] = {"observations": Observation, "truth": Truth, "source": Source}

Entries = list[tuple[str, Any]]
"""Entries as plain data, each with the name a problem calls it by."""


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
    return parse(_text(path), file_name(path), json_lines=True if path.suffix in {".jsonl", ".ndjson"} else None)


def parse(text: str, name: str, *, json_lines: bool | None = None) -> Loaded:
    """Recordings of a text; `json_lines` None: whichever of the forms it is in. Raises `InputProblem`."""
    if json_lines is None:
        json_lines = _is_json_lines(text)
    if json_lines:
        entries, problems = _json_lines(text, name)
    else:
        entries, problems = _json_document(text, name) or _yaml_entries(text, name)
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
    name = file_name(path)
    data = userfiles.read(path, MAX_FILE, dash=True, hint="; split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputProblem(f"{name}: is not UTF-8 text (byte {error.start})") from error


def _is_json_lines(text: str) -> bool:
    """Whether a text's first lines are objects each on its own: one recording a line, or the remains of one."""
    first, _, rest = text.lstrip().partition("\n")
    if not first.startswith("{"):
        return False
    try:
        return "recordings" not in msgspec.json.decode(first)
    except (msgspec.DecodeError, RecursionError):
        return rest.lstrip().startswith("{")


def _json_lines(text: str, name: str) -> tuple[Entries, list[Problem]]:
    entries: Entries = []
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = msgspec.json.decode(line.encode())
        except msgspec.DecodeError as error:
            problems.append(Problem(name, f"line {number}", f"is not JSON: {error}"))
        except RecursionError:
            problems.append(Problem(name, f"line {number}", "is nested too deeply"))
        else:
            entries.append((_label(entry, f"line {number}"), entry))
    return entries, problems


def _json_document(text: str, name: str) -> tuple[Entries, list[Problem]] | None:
    """The entries of a text that is one JSON document, which YAML reads almost but not quite; None where it is none."""
    if text.lstrip()[:1] not in {"[", "{"}:
        return None
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    if isinstance(document, dict) and "recordings" in document:
        _check_form(document, name)
        document = document["recordings"]
    elif isinstance(document, dict) and "id" in document:
        document = [document]
    if not isinstance(document, list):
        raise InputProblem(f"{name}: {_NO_LIST}")
    return [(_label(entry, f"entry {number}"), entry) for number, entry in enumerate(document, 1)], []


def _yaml_entries(text: str, name: str) -> tuple[Entries, list[Problem]]:
    from scanner import documents

    builder = documents.Builder(dates=False)
    entries: Entries = []
    problems: list[Problem] = []
    try:
        node = documents.compose(text)
        items = _items(node, builder, name) if node is not None else []
    except documents.YamlError as error:
        raise InputProblem(f"{name}: {error}") from error
    for number, item in enumerate(items, 1):
        try:
            entry = builder.build(item)
        except documents.YamlError as error:
            problems.append(Problem(name, f"entry {number}", str(error)))
        else:
            entries.append((_label(entry, f"entry {number}"), entry))
    return entries, problems


def _items(node: yaml.Node, builder: documents.Builder, name: str) -> list[yaml.Node]:
    """The entries of a document, not yet built, so that a broken one does not stop the others."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        parts = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
        if "recordings" in parts:
            node = parts.pop("recordings")
            _check_form({key: builder.build(value) for key, value in parts.items()}, name)
        elif "id" in parts:
            return [node]
    if isinstance(node, yaml.ScalarNode) and builder.build(node) is None:
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise InputProblem(f"{name}: {_NO_LIST}")
    items: list[yaml.Node] = node.value
    return items


def _check_form(document: dict[str, Any], name: str) -> None:
    unknown = sorted(map(str, set(document) - {"format", "recordings"}))
    if unknown:
        raise InputProblem(f"{name}: unknown key {unknown[0]!r} beside 'recordings'")
    if document.get("format", FORMAT) != FORMAT:
        raise InputProblem(f"{name}: format is {document['format']!r}; this version reads format {FORMAT}")


def _label(entry: object, fallback: str) -> str:
    if isinstance(entry, dict) and isinstance(entry.get("id"), str) and entry["id"]:
        return f"entry {entry['id']!r}"
    return fallback


def _recording(entry: object) -> Recording:
    recording = msgspec.convert(entry, Recording)
    if not recording.id:
        raise ValueError("id: is empty")
    if recording.mac is not None and (normal_mac(recording.mac) is None or not recording.mac.isprintable()):
        raise ValueError(f"mac: {recording.mac!r} is not a MAC address")
    for place, address in [("ip", recording.ip), *(("addresses", a) for a in recording.addresses)]:
        if address is not None and not _is_address(address):
            raise ValueError(f"{place}: {address!r} is not an IP address")
    if recording.behaviour is not None and recording.behaviour not in BEHAVIOURS:
        raise ValueError(f"behaviour: {recording.behaviour!r} is none of {', '.join(sorted(BEHAVIOURS))}")
    for number, seen in enumerate(recording.observations):
        if channels.find(seen.channel.lower()) is None:
            raise ValueError(f"observations[{number}].channel: {seen.channel!r} is not in the vocabulary")
        if seen.port is not None and not 0 <= seen.port <= 65535:
            raise ValueError(f"observations[{number}].port: {seen.port} is no port")
    return recording


def _is_address(text: str) -> bool:
    import ipaddress

    if not text.isascii() or not text.isprintable():  # an IPv6 zone may hold anything else
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _reason(error: Exception) -> str:
    text = str(error)
    match = re.match(r"(.*) - at `\$\.?(.*)`$", text, re.DOTALL)
    where, what = (match[2], match[1]) if match else ("", text)
    if what.startswith("Expected `str") and what.endswith(("`int`", "`float`", "`bool`")):
        what += ": put it in quotes"
    elif what.startswith("Object contains unknown field"):
        kind = next((kind for place, kind in _KINDS.items() if where.startswith(place)), Recording)
        what += f"; there are {', '.join(kind.__struct_fields__)}"
    return f"{where}: {what}" if where else what


def to_json(recording: Recording) -> bytes:
    """One line of JSON Lines, without the line end."""
    return msgspec.json.encode(recording)


def to_yaml(recordings: Iterable[Recording]) -> str:
    """The YAML list form: what people read, edit and attach to a bug report."""
    data: Any = [msgspec.to_builtins(recording) for recording in recordings]
    import yaml

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
