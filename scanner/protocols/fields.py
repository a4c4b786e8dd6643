"""What the readers share: bounded, linear helpers that take fields out of whatever a device, or a person who
published a piece of its answer, wrote down. No sockets, no real parsers, nothing that a hostile text can slow down.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from scanner.channels import find
from scanner.model import Observation, Recording
from scanner.protocols.base import Field, Protocol, observed
from scanner.values import normal_mac, to_bytes, to_text

MAX_INPUT = 65_536
"""Bytes (or characters) of one answer that are looked at; a UDP datagram cannot be longer."""
MAX_FIELDS = 200
"""Fields one answer may bring."""
MAX_VALUE = 16_384
"""Characters of one field."""
MAX_OUTPUT = 65_536
"""Characters of all fields of one answer together."""

_CHANNEL = re.compile(r"[a-z0-9][a-z0-9_.-]{0,119}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+")
_LEAF = re.compile(r"<([A-Za-z_][\w.-]{0,63}:)?([A-Za-z_0-9][\w.-]{0,63})(?:\s[^<>]{0,2048})?>([^<]*)</\1?\2\s{0,8}>")
_ENTITY = re.compile(r"&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(amp|lt|gt|quot|apos));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_SCRAP = re.compile(
    r'"([\w.\- ]{1,64})"\s{0,16}:\s{0,16}'
    r'(?:"((?:[^"\\]|\\.){0,4096})"|(-?[0-9][0-9.eE+-]{0,31}|true|false)(?=[\s,}\]]|$))'
)
_LINE = re.compile(r"^[ \t]{0,32}([A-Za-z_0-9][\w.\- ]{0,63}?)[ \t]{0,16}[=:][ \t]{0,16}(.*)$")
_HEADER = re.compile(r"^([A-Za-z0-9!#$%&'*+.^_`|~-]{1,64})[ \t]{0,8}:[ \t]{0,32}(.*)$")
_EUI64 = re.compile(r"\[?fe80::([0-9a-f]{1,4}):([0-9a-f]{1,2}ff):(fe[0-9a-f]{2}):([0-9a-f]{1,4})(?![0-9a-f:])", re.I)


def text_of(observation: Observation) -> str:
    """The readable text of an observation, at most `MAX_INPUT` characters."""
    value = observation.value
    limit = 4 + 2 * MAX_INPUT if value.startswith("hex:") else MAX_INPUT
    return to_text(value[:limit])[:MAX_INPUT]


def bytes_of(observation: Observation) -> bytes:
    """The bytes of an observation, at most `MAX_INPUT`."""
    value = observation.value
    limit = 4 + 2 * MAX_INPUT if value.startswith("hex:") else MAX_INPUT
    return to_bytes(value[:limit])[:MAX_INPUT]


def bounded(fields: Iterable[Field]) -> Iterator[Field]:
    """The fields without control characters, empty values, repetitions and impossible names, within all bounds."""
    seen: set[Field] = set()
    size = 0
    for channel, value in fields:
        name = channel.lower()
        clean = _CONTROL.sub("", value[:MAX_VALUE]).strip()
        if not clean or (name, clean) in seen or not _CHANNEL.fullmatch(name):
            continue
        seen.add((name, clean))
        size += len(clean)
        if len(seen) > MAX_FIELDS or size > MAX_OUTPUT:
            return
        yield name, clean


def named(prefix: str, pairs: Iterable[tuple[str, str]]) -> Iterator[Field]:
    """Each pair as the field `prefix.name`, names in lower case, blanks in them as underscores."""
    for name, value in pairs:
        yield f"{prefix}.{name.strip().lower().replace(' ', '_')}", value


def unescape(text: str) -> str:
    """XML text with the five named and the numeric references resolved; everything else stays as it is."""
    return _ENTITY.sub(_reference, text) if "&" in text else text


def escape(text: str) -> str:
    """Text as it may stand in an XML element or a quoted attribute."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _reference(match: re.Match[str]) -> str:
    decimal, hexadecimal, name = match.groups()
    if name:
        return _NAMED[name]
    number = int(decimal) if decimal else int(hexadecimal, 16)
    return chr(number) if 0 < number < 0xD800 or 0xE000 <= number < 0x110000 else ""


def leaves(text: str) -> Iterator[tuple[str, str]]:
    """(local name, text) of every complete element that holds text only, in document order.

    Needs no well-formed document: fragments, stray bytes and bare ampersands are fine, cut-off elements are not
    elements. Entities of a document type are never expanded.
    """
    for match in _LEAF.finditer(text):
        yield match[2], unescape(match[3])


def json_object(text: str, start: int = 0) -> dict[str, object] | None:
    """The first JSON object at or after `start`, whatever stands before and behind it.

    None where there is none, where it is cut off, or where it is only the inner part of a published piece.
    """
    decoder = json.JSONDecoder()
    place = start - 1
    for _ in range(8):
        place = text.find("{", place + 1)
        if place < 0 or text[start:place].rstrip()[-1:] in {":", ",", "["}:
            return None
        try:
            value, _end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            if text[place + 1 : place + 64].lstrip()[:1] == '"':
                return None  # it began as an object, so what stands inside is not the whole
        else:
            if isinstance(value, dict) and value:
                return value
    return None


def flatten(value: Mapping[str, object], depth: int = 8) -> Iterator[tuple[str, str]]:
    """(dotted path, text) of every scalar of a JSON object; empty ones are left out, lists are joined by commas."""
    for key, item in value.items():
        if isinstance(item, dict):
            if depth:
                for path, text in flatten(item, depth - 1):
                    yield f"{key}.{path}", text
        elif isinstance(item, list):
            plain = [_scalar(part) for part in item[:64]]
            text = ",".join(part for part in plain if part)
            if text:
                yield key, text
            for part in item[:16]:
                if isinstance(part, dict) and depth:
                    for path, text in flatten(part, depth - 1):
                        yield f"{key}.{path}", text
        elif text := _scalar(item):
            yield key, text


def _scalar(item: object) -> str:
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, str):
        return item
    if isinstance(item, int) and abs(item) >= 10**30:  # int -> str is quadratic, and no device means it
        return ""
    return str(item) if isinstance(item, (int, float)) else ""


def json_scraps(text: str) -> Iterator[tuple[str, str]]:
    """(key, value) of every complete `"key": scalar` of JSON that does not parse: cut off, or a published piece."""
    for key, quoted, plain in _SCRAP.findall(text):
        if not plain and "\\" in quoted:
            quoted = quoted.replace("\\/", "/").replace('\\"', '"')
        yield key, plain or quoted


def lines(text: str) -> Iterator[tuple[str, str]]:
    """(name, value) of lines that read `name=value` or `name: value`."""
    for line in text.splitlines():
        match = _LINE.match(line[:MAX_VALUE])
        if match:
            yield match[1], match[2]


def headers(text: str) -> Iterator[tuple[str, str]]:
    """(name, value) of header lines as HTTP, SSDP and SIP write them, folded lines joined, up to the blank line."""
    name, value = "", ""
    for line in text.splitlines():
        if not line.strip():
            if name:
                break
            continue
        if line[0] in " \t" and name:
            value = f"{value} {line.strip()}"
            continue
        if name:
            yield name, value
            name = ""
        match = _HEADER.match(line)
        if match:
            name, value = match[1], match[2]
    if name:
        yield name, value


def loose(text: str) -> Iterator[tuple[str, str]]:
    """(name, value) of whatever the text is: XML elements, JSON (whole or in pieces, paths dotted), or lines."""
    if "<" in text:
        found = False
        for pair in leaves(text):
            found = True
            yield pair
        if found:
            return
    if '"' in text and ":" in text:
        document = json_object(text)
        yield from flatten(document) if document is not None else json_scraps(text)
        return
    yield from lines(text)


def stated_mac(text: str) -> str | None:
    """The address a device states as its own, normalised; None where it is none, all zeros, or a group's."""
    mac = normal_mac(text) if len(text) < 64 else None
    if mac is None or mac == "00:00:00:00:00:00" or int(mac[:2], 16) & 1:
        return None
    return mac


def packed_mac(data: bytes) -> str | None:
    """The same for six bytes."""
    return stated_mac(data.hex()) if len(data) == 6 else None


def eui64_macs(text: str) -> Iterator[str]:
    """The addresses inside IPv6 link-local literals that were made from one (RFC 4291, appendix A)."""
    for groups in _EUI64.findall(text[:MAX_VALUE]):
        digits = "".join(group.zfill(4) for group in groups)
        first = int(digits[:2], 16) ^ 2
        mac = stated_mac(f"{first:02x}{digits[2:6]}{digits[10:]}")
        if mac:
            yield mac


def masked(text: str) -> str:
    """Letters and digits as `0`, everything else as it is: as long as before, and still hexadecimal or a number."""
    return "".join("0" if character.isalnum() else character for character in text)


def mask_xml(text: str, names: Iterable[str]) -> str:
    """The text with the content of these elements masked, whatever their case."""
    pattern = re.compile(rf"(?i)(<(?:\w{{1,32}}:)?({'|'.join(names)})(?:\s[^<>]{{0,512}})?>)([^<]*)")
    return pattern.sub(lambda m: m[1] + masked(m[3]), text)


def mask_json(text: str, names: Iterable[str]) -> str:
    """The text with the scalars of these keys masked, whatever their case."""
    pattern = re.compile(
        rf'(?i)("(?:{"|".join(names)})"\s{{0,16}}:\s{{0,16}})("(?:[^"\\]|\\.){{0,4096}}"|-?[0-9][0-9.eE+-]{{0,31}})'
    )
    return pattern.sub(lambda m: m[1] + masked(m[2]), text)


def remask(observation: Observation, mask: Callable[[str], str]) -> Observation:
    """The observation with `mask` applied to its text; a `hex:` value stays one, byte for byte as long."""
    value = observation.value
    if value.startswith("hex:"):
        data = to_bytes(value)
        if data == value.encode("utf-8", "surrogateescape"):
            return observation  # not hexadecimal after all
        changed = mask(data.decode("latin-1")).encode("latin-1", "replace")
        new = "hex:" + changed.hex() if changed != data else value
    else:
        new = mask(value)
    return observation if new == value else msgspec.structs.replace(observation, value=new)


def recorded(device: Recording, protocol: Protocol, prefix: str) -> dict[str, str]:
    """Every field below `prefix` (`sadp.`) that a device's recording holds or its raw answers carry, the first of
    each name, without the prefix: what a simulated device composes an answer of.
    """
    fields: dict[str, str] = {}
    for seen in observed(device, f"{prefix}*", *(c for c in protocol.channels if not c.startswith(prefix))):
        entry = find(seen.channel)
        if entry is not None and not entry.raw and seen.channel.startswith(prefix):
            fields.setdefault(seen.channel[len(prefix) :], seen.value)
        for channel, value in protocol.read(seen):
            if channel.startswith(prefix):
                fields.setdefault(channel[len(prefix) :], value)
    return fields


def recognised(protocol: Protocol, device: Recording, channel: str) -> list[bytes]:
    """The raw answers of one channel that a protocol knows as its own, in the order seen."""
    return [data for data in raw_answers(device, channel) if protocol.recognise(data)]


def raw_answers(device: Recording, channel: str, port: int | None = None) -> list[bytes]:
    """The raw answers of one channel as bytes, in the order seen."""
    return [bytes_of(seen) for seen in observed(device, channel, port=port)]
