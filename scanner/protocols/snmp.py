"""SNMP (UDP 161): the engine id that every SNMPv3 agent tells anybody, and walks from imports.

Asked is one thing only, and last: engine discovery (RFC 3414, 4), a GET of nothing with empty engine id and empty user.
It needs no secret and starts no login; the Report that answers it carries the agent's engine id, in which stands its
maker's enterprise number and often its MAC (RFC 3411, SnmpEngineID). Nothing else of the Report is kept: how long an
agent has been running is nobody's business. Where a capture or a mirror port brings the answers that somebody else got
with his own secret (versions 1 and 2c, which hide nothing), what names the agent's maker and model is read, and nothing
more: not the community that stands before it, not names and places. Community strings are passwords: this file knows
none, and a simulated device that hears one, or a user's name, fails its test. Walks (lines `OID = value` in any usual
spelling) are made with the user's own secret elsewhere (`net/snmp`), never by a scan.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Alone, Field, Protocol, Question, Reply, Service, observed
from scanner.protocols.fields import bounded, bytes_of, stated_mac, text_of

PORT = 161

_INTEGER, _OCTETS, _OID, _SEQUENCE, _GET, _RESPONSE, _REPORT = 0x02, 0x04, 0x06, 0x30, 0xA0, 0xA2, 0xA8
_MAX_MESSAGE = 2048
"""Bytes of a message that is looked at: Reports have some 110."""
_MAX_ELEMENTS = 16
_MAX_BINDINGS = 64
_UNKNOWN_ENGINES = bytes.fromhex("06 0a 2b 06 01 06 03 0f 01 01 04 00 41 01 01")
"""usmStatsUnknownEngineIDs.0 (RFC 3414) with the value 1: what a Report to engine discovery says."""

_LINE = re.compile(
    r"^\s{0,8}(\.?(?:iso|[0-2])(?:\.\d{1,10}){4,60}"
    r"|(?:[A-Z][A-Za-z0-9-]{0,63}::)?[a-z][A-Za-z0-9-]{0,63}(?:\.\d{1,10}){0,60})"
    r"\s{0,8}([=:]|\|[0-9]{1,3}x?\||\s)\s{0,8}(.*)$"
)
_TYPE = re.compile(
    r"^(?:STRING|Hex-STRING|OID|OBJECT IDENTIFIER|INTEGER|Timeticks|Gauge32|Counter(?:32|64)|IpAddress|Opaque|BITS"
    r"|Network Address)\s{0,4}:\s{0,4}",
    re.I,
)
_SYMBOLS = {
    "sysdescr": "1.3.6.1.2.1.1.1", "sysobjectid": "1.3.6.1.2.1.1.2", "sysuptime": "1.3.6.1.2.1.1.3",
    "syscontact": "1.3.6.1.2.1.1.4", "sysname": "1.3.6.1.2.1.1.5", "syslocation": "1.3.6.1.2.1.1.6",
    "ifphysaddress": "1.3.6.1.2.1.2.2.1.6", "snmpengineid": "1.3.6.1.6.3.10.2.1.1", "enterprises": "1.3.6.1.4.1",
}  # fmt: skip
_NAMES = {"1.3.6.1.2.1.1.1.0": "sysdescr", "1.3.6.1.2.1.1.2.0": "sysobjectid", "1.3.6.1.6.3.10.2.1.1.0": "engineid"}
_MAC_COLUMNS = ("1.3.6.1.2.1.2.2.1.6.", "1.3.6.1.4.1.39165.1.4.")
_TELLING = ("1.3.6.1.4.1.39165.1.", "1.3.6.1.4.1.50001.1.", *_MAC_COLUMNS[:1])
"""Trees in which makers (Hikvision has both numbers) name model and firmware, and the addresses of interfaces."""
_PERSONAL = ("1.3.6.1.2.1.1.4.", "1.3.6.1.2.1.1.6.")  # contact and place: about people, not about makers


class Snmp(Protocol):
    """Asks single hosts last for their engine id, reads it and walks, and answers with a recorded engine id."""

    name = "snmp"
    tier = 1
    transport = Transport.UDP
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("snmp.walk", "snmp.sysobjectid", "snmp.engineid")
    order = 80

    def read(self, observation: Observation) -> Iterable[Field]:
        """`snmp.sysdescr`, `snmp.sysobjectid` (digits and dots), `snmp.engineid`, `snmp.oid.<oid>`; of an engine id
        `snmp.enterprise` and, where its format says that it holds one, `mac`.
        """
        channel, text = observation.channel.lower(), text_of(observation)
        if channel == "snmp.sysobjectid":
            oid = _oid(_TYPE.sub("", text.strip(), count=1))
            return bounded([(channel, oid)] if oid else [])
        if channel == "snmp.engineid":
            report = _discovered(bytes_of(observation))  # whole where it stands in somebody's `udp.payload`
            return bounded(_engine(text) if report is None else [(channel, report.hex()), *_engine(report.hex())])
        return bounded(_walk(text))

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """Engine discovery, only to hosts whose maker is still open when all else was asked."""
        numbers = (random.randint(0x0100, 0x7FFF) for _ in range(2))  # noqa: S311 - two bytes that tell questions apart
        return [Question("snmp.engineid", "engine discovery", _question(*numbers), PORT, alone=Alone.LAST)]

    def recognise(self, data: bytes) -> str | None:
        """`snmp.engineid` for a Report with an engine id in it: whoever sends one speaks of itself; `snmp.walk` for an
        answer of version 1 or 2c that names maker or model.
        """
        if data[:1] != b"\x30":
            return None
        return "snmp.engineid" if _discovered(data) is not None else "snmp.walk" if _answered(data) else None

    def kept(self, data: bytes) -> str:
        """The engine id alone, in hexadecimal digits; of an answer the lines of a walk, without its community."""
        engine = _discovered(data)
        return engine.hex() if engine is not None else "\n".join(_answered(data))

    def services(self, device: Recording) -> Sequence[Service]:
        """UDP 161, where an engine id was recorded, by itself or in a walk."""
        return (Service(Transport.UDP, PORT),) if self._engine_of(device) else ()

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """A Report with the recorded engine id, to engine discovery only."""
        engine, asked = self._engine_of(device), _message(request)
        if engine is None or asked is None or self.violation(request, service) is not None:
            return None
        return Reply(_report(asked, engine))

    def _engine_of(self, device: Recording) -> bytes | None:
        for seen in observed(device, "snmp.engineid", "snmp.walk"):
            values = [seen.value] if seen.channel == "snmp.engineid" else []
            values += [value for channel, value in self.read(seen) if channel == "snmp.engineid"]
            for value in values:
                digits = _digits(value)
                if re.fullmatch(r"(?:[0-9a-f]{2}){5,32}", digits):
                    return bytes.fromhex(digits)
        return None

    def violation(self, request: bytes, service: Service) -> str | None:
        """Everything but engine discovery; above all community strings and users' names."""
        outer = _elements(request)
        inner = _elements(outer[0][1]) if outer else None
        if inner and len(inner) > 1 and inner[0] in {(_INTEGER, b"\0"), (_INTEGER, b"\1")}:
            return "SNMP: a community string, which is a password"
        asked = _message(request)
        if asked is None:
            return f"SNMP: {request[:40]!r} is no engine discovery"
        if asked.flags & 3 or asked.user or asked.proof:
            return "SNMP: a user's name, or a step of a login"
        if asked.engine or asked.kind != _GET or asked.bindings:
            return "SNMP: more than engine discovery"
        return None


@dataclass(frozen=True, slots=True)
class _Message:
    """An SNMPv3 message in the clear (RFC 3412, 6; RFC 3414, 2.4)."""

    number: bytes
    """The message's number, which an answer repeats."""
    flags: int
    engine: bytes
    user: bytes
    proof: bytes
    """What proves the user or hides the message; empty in engine discovery."""
    kind: int
    """The tag of its PDU."""
    request: bytes
    """The number of the request."""
    bindings: bytes


def _elements(data: bytes, most: int = _MAX_ELEMENTS) -> list[tuple[int, bytes]] | None:
    """The elements (tag, content) that `data` consists of by BER (X.690, 8.1), None where it does not, or of too many.

    Definite lengths only, as SNMP has them (RFC 3417, 8); one level, so that nothing nests deeper than is asked for.
    """
    if len(data) > _MAX_MESSAGE:
        return None
    found: list[tuple[int, bytes]] = []
    place = 0
    while place < len(data):
        if len(found) == most or place + 2 > len(data):
            return None
        tag, size = data[place], data[place + 1]
        place += 2
        if size & 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4 or place + count > len(data):
                return None
            size = int.from_bytes(data[place : place + count], "big")
            place += count
        if place + size > len(data):
            return None
        found.append((tag, data[place : place + size]))
        place += size
    return found


def _inside(element: tuple[int, bytes], outer: int, *tags: int) -> list[bytes] | None:
    """The contents of the elements inside one of tag `outer`, where these begin with just these tags."""
    tag, content = element
    found = _elements(content) if tag == outer else None
    if found is None or len(found) < len(tags) or any(f[0] != t for f, t in zip(found, tags, strict=False)):
        return None
    return [content for _tag, content in found]


def _message(data: bytes) -> _Message | None:
    """The SNMPv3 message that `data` is, or None; one whose PDU is encrypted is none."""
    whole = _elements(data)
    if whole is None or len(whole) != 1:
        return None
    outer = _inside(whole[0], _SEQUENCE, _INTEGER, _SEQUENCE, _OCTETS, _SEQUENCE)
    if outer is None or outer[0] != b"\3":
        return None
    head = _inside((_SEQUENCE, outer[1]), _SEQUENCE, _INTEGER, _INTEGER, _OCTETS, _INTEGER)
    security = _elements(outer[2])
    usm = _inside(security[0], _SEQUENCE, _OCTETS, _INTEGER, _INTEGER, *[_OCTETS] * 3) if security else None
    scoped = _elements(outer[3])
    if head is None or usm is None or scoped is None or len(scoped) < 3:
        return None
    if len(head[2]) != 1 or head[3] != b"\3" or len(usm) < 6:
        return None
    kind = scoped[2][0]
    pdu = _inside(scoped[2], kind, _INTEGER, _INTEGER, _INTEGER, _SEQUENCE)
    if pdu is None:
        return None
    return _Message(head[0], head[2][0], usm[0], usm[3], usm[4] + usm[5], kind, pdu[0], pdu[3])


def _discovered(data: bytes) -> bytes | None:
    """The engine id of a Report, or None for everything else; 5 to 32 octets, neither all zeros nor all ones."""
    if data[:1] != b"\x30":
        return None
    told = _message(data)
    if told is None or told.kind != _REPORT or not 5 <= len(told.engine) <= 32 or set(told.engine) in ({0}, {255}):
        return None
    return told.engine


def _answered(data: bytes) -> list[str]:
    """Lines of a walk out of an answer of version 1 or 2c (RFC 1157, 4; RFC 3416, 3): maker, model, addresses."""
    whole = _elements(data)
    outer = _inside(whole[0], _SEQUENCE, _INTEGER, _OCTETS, _RESPONSE) if whole and len(whole) == 1 else None
    if outer is None or len(outer) != 3 or outer[0] not in {b"\0", b"\1"}:
        return []
    pdu = _inside((_RESPONSE, outer[2]), _RESPONSE, _INTEGER, _INTEGER, _INTEGER, _SEQUENCE)
    lines = []
    bindings = _elements(pdu[3], _MAX_BINDINGS) if pdu is not None else None
    for binding in bindings or []:
        pair = _elements(binding[1])
        if binding[0] != _SEQUENCE or pair is None or len(pair) != 2 or pair[0][0] != _OID:
            continue
        oid, (kind, value) = _dotted(pair[0][1]), pair[1]
        if oid is None or not value or not (oid in _NAMES or oid.startswith(_TELLING)):
            continue
        if kind == _OID and (said := _dotted(value)):
            lines.append(f".{oid} = OID: .{said}")
        elif kind == _OCTETS:
            lines.append(f".{oid} = Hex-STRING: {value.hex(' ').upper()}")
    return lines


def _dotted(data: bytes) -> str | None:
    """An object identifier (X.690, 8.19) in digits and dots; None for none, or one of more than thirty parts."""
    if not data or data[-1] & 0x80 or len(data) > 90:
        return None
    numbers = [0]
    for byte in data:
        numbers[-1] = numbers[-1] << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(0)
    first = min(numbers[0] // 40, 2)
    parts = [first, numbers[0] - 40 * first, *numbers[1:-1]]
    return ".".join(map(str, parts)) if len(parts) <= 30 and max(parts) < 1 << 32 else None


def _element(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    return bytes((tag, size) if size < 128 else (tag, 0x82, size >> 8, size & 0xFF)) + content


def _v3(number: bytes, flags: int, engine: bytes, times: bytes, pdu: bytes) -> bytes:
    usm = _element(_SEQUENCE, _element(_OCTETS, engine), times, *[_element(_OCTETS)] * 3)
    most, three = _element(_INTEGER, b"\0\xff\xe3"), _element(_INTEGER, b"\3")
    head = _element(_SEQUENCE, _element(_INTEGER, number), most, _element(_OCTETS, bytes((flags,))), three)
    scoped = _element(_SEQUENCE, _element(_OCTETS, engine), _element(_OCTETS), pdu)
    return _element(_SEQUENCE, three, head, _element(_OCTETS, usm), scoped)


_ZERO = _element(_INTEGER, b"\0")


def _question(number: int, request: int) -> bytes:
    """Engine discovery: reportable, nobody's, for nothing."""
    pdu = _element(_GET, _element(_INTEGER, request.to_bytes(2, "big")), _ZERO, _ZERO, _element(_SEQUENCE))
    return _v3(number.to_bytes(2, "big"), 4, b"", _ZERO + _ZERO, pdu)


def _report(asked: _Message, engine: bytes) -> bytes:
    binding = _element(_SEQUENCE, _element(_SEQUENCE, _UNKNOWN_ENGINES))
    pdu = _element(_REPORT, _element(_INTEGER, asked.request), _ZERO, _ZERO, binding)
    return _v3(asked.number, 0, engine, _element(_INTEGER, b"\1") + _element(_INTEGER, b"\x0e\x10"), pdu)


def _walk(text: str) -> Iterator[Field]:
    for oid, raw, hexadecimal in _entries(text):
        value = _plain(raw)
        if hexadecimal or raw[:11].lower() == "hex-string:":
            value = _hex_text(value)
        if oid.startswith(_PERSONAL):
            continue
        if f"{oid}.0" in _NAMES:
            oid += ".0"  # written by its name alone
        name = _NAMES.get(oid)
        if name == "sysobjectid":
            value = _oid(value.partition("\n")[0]) or value
        if name:
            yield f"snmp.{name}", value
        if name == "engineid":
            yield from _engine(value)
        if oid.startswith(_MAC_COLUMNS):
            mac = _loose_mac(_plain(raw))
            if mac:
                yield "mac", mac
        yield f"snmp.oid.{oid}", value


def _entries(text: str) -> Iterator[tuple[str, str, bool]]:
    """(oid, value, whether it is hexadecimal) of every line; lines that are none go on the value before."""
    oid, value, hexadecimal = "", "", False
    for line in text.splitlines():
        match = _LINE.match(line[:16_384])
        found = _oid(match[1]) if match else None
        if match is None or found is None:
            value = f"{value}\n{line}"[:16_384] if oid else ""
            continue
        if oid:
            yield oid, value, hexadecimal
        oid, value, hexadecimal = found, match[3], match[2].endswith("x|")
    if oid:
        yield oid, value, hexadecimal


def _oid(text: str) -> str | None:
    """Digits and dots without a leading dot for `.1.3…`, `iso.3…`, `SNMPv2-MIB::sysDescr.0`; None for other text."""
    name = text.strip().rsplit("::", 1)[-1].lstrip(".")
    head, dot, rest = name.partition(".")
    head = {"iso": "1"}.get(head.lower()) or _SYMBOLS.get(head.lower()) or head
    oid = f"{head}{dot}{rest}"
    return oid if len(oid) <= 100 and re.fullmatch(r"\d+(?:\.\d+)*", oid) else None


def _plain(value: str) -> str:
    """The value without the type net-snmp writes before it, and without its quotes."""
    bare = _TYPE.sub("", value.strip(), count=1).strip()
    return bare[1:-1] if len(bare) > 1 and bare[0] == bare[-1] == '"' else bare


def _hex_text(value: str) -> str:
    """Hexadecimal digits as the text they spell; as digits where they spell none (addresses, identifiers)."""
    digits = re.sub(r"[\s:]", "", value)
    try:
        data = bytes.fromhex(digits)
        text = data.rstrip(b"\0").decode("utf-8")
    except ValueError:
        return digits
    return text if text and all(c >= " " or c in "\r\n\t" for c in text) else digits


def _loose_mac(value: str) -> str | None:
    """Also the spelling without leading zeros (`0:1b:d8:1:2:3`)."""
    parts = re.split(r"[:\-\s]+", value.strip()[:64])
    if len(parts) == 6 and all(1 <= len(part) <= 2 for part in parts):
        return stated_mac("".join(part.zfill(2) for part in parts))
    return stated_mac(value)


def _digits(value: str) -> str:
    """An engine id as bare hexadecimal digits, whatever stands before and between them."""
    return re.sub(r"^(?:hex-string:|0x|hex:)|[\s:.\-]", "", value.strip().lower()[:128])


def _engine(value: str) -> Iterator[Field]:
    """What an engine id holds (RFC 3411, SnmpEngineID): the enterprise number of who wrote the agent, where the first
    bit says so, and the address inside one of format 3.
    """
    digits = _digits(value)
    if not re.fullmatch(r"[89a-f](?:[0-9a-f]{2}){4,31}[0-9a-f]", digits):
        return
    yield "snmp.enterprise", str(int(digits[:8], 16) & 0x7FFFFFFF)
    if digits[8:10] == "03" and len(digits) == 22:
        mac = stated_mac(digits[10:])
        if mac:
            yield "mac", mac


PROTOCOL = Snmp()
