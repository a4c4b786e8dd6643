"""SNMP walks, from imports or made with the user's own secret: lines `OID = value` in any usual spelling."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

from scanner.model import Observation, Transport
from scanner.protocols.base import Field, Protocol
from scanner.protocols.fields import bounded, stated_mac, text_of

PORT = 161

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
_PERSONAL = ("1.3.6.1.2.1.1.4.", "1.3.6.1.2.1.1.6.")  # contact and place: about people, not about makers


class Snmp(Protocol):
    """Reads walks."""

    name = "snmp"
    tier = 3
    transport = Transport.UDP
    channels: ClassVar[tuple[str, ...]] = ("snmp.walk", "snmp.sysobjectid", "snmp.engineid")
    order = 80

    def read(self, observation: Observation) -> Iterable[Field]:
        """`snmp.sysdescr`, `snmp.sysobjectid` (digits and dots), `snmp.engineid`, `snmp.oid.<oid>` and `mac`."""
        channel, text = observation.channel.lower(), text_of(observation)
        if channel == "snmp.sysobjectid":
            oid = _oid(_TYPE.sub("", text.strip(), count=1))
            return bounded([(channel, oid)] if oid else [])
        if channel == "snmp.engineid":
            return bounded(_engine(text))
        return bounded(_walk(text))


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


def _engine(value: str) -> Iterator[Field]:
    """The address inside an engine id of format 3 (RFC 3411, SnmpEngineID)."""
    digits = re.sub(r"^0x|[\s:.\-]", "", value.strip().lower()[:128])
    if re.fullmatch(r"[89a-f][0-9a-f]{7}03[0-9a-f]{12}", digits):
        mac = stated_mac(digits[10:])
        if mac:
            yield "mac", mac


PROTOCOL = Snmp()
