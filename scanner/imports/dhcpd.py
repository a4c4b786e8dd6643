"""Leases of ISC dhcpd (`dhcpd.leases(5)`): blocks in the order they were written; the last of an address holds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scanner.imports.base import Break, Head, Heard, Input
from scanner.imports.tables import duid_mac, is_station, moment, normal_address, spelled_mac, told
from scanner.model import Observation

_LEASE = re.compile(r"^\s*(?:lease|iaaddr)\s+(\S{2,45})\s*\{")
_HOST = re.compile(r"^\s*host\s+(\S{1,255})\s*\{")
_IDENTITY = re.compile(r'^\s*ia-(?:na|ta)\s+(?:"((?:[^"\\]|\\.){0,600})"|([0-9a-f:]{4,600}))\s*\{', re.I)
"""The leases of IPv6 stand below the number of the client's interface (four bytes) and its DUID."""
_FIXED = re.compile(r"(?<![\w-])fixed-address6?\s+([^\s;,]{2,45})", re.I)
_HARDWARE = re.compile(r"hardware\s+ethernet\s+([0-9a-f:]{11,17})\s*;", re.I)
_STARTS = re.compile(r"^\s*(?:starts|cltt)\s+(?:\d\s+(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)|epoch\s+(\d{9,10}))", re.I)
_STATE = re.compile(r"^\s*binding\s+state\s+(\w+)", re.I)
_NAME = re.compile(r'client-hostname\s+"((?:[^"\\]|\\.){0,255})"')
_VENDOR = re.compile(r'vendor-class-identifier\s*=?\s*"((?:[^"\\]|\\.){0,255})"')
_OTHER = re.compile(
    r"^\s*(?:\}|#.*|authoring-byte-order.*|server-duid.*|failover .*|option .*|set .*|uid .*|ends .*|tstp .*"
    r"|tsfp .*|atsfp .*"
    r"|cltt .*|starts .*|next binding.*|rewind binding.*|binding .*|client-hostname.*|hardware .*|ddns.*|on .*"
    r"|my state.*"
    r"|partner state.*|mclt .*|dynamic.*|abandoned.*|host .*|fixed-address .*|group .*|ia-\S+ .*|iaaddr .*"
    r"|preferred-life.*"
    r"|max-life.*|vendor-class.*|execute.*|.*[;{}])?\s*$",
    re.I,
)
_ESCAPE = re.compile(r"\\([0-7]{3}|.)")


class Dhcpd:
    """Blocks `lease ADDRESS { … }`."""

    name = "dhcpd"
    summary = "ISC dhcpd leases (dhcpd.leases)"

    def score(self, head: Head) -> float:
        """Sure where there is a lease's or a host's block."""
        return 1.0 if any(_LEASE.match(line) or _HOST.match(line) for line in head.lines()) else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` for each address, of its last block, and for each host that is declared with its hardware;
        abandoned leases are left out.
        """
        last: dict[str, Heard | None] = {}
        what: str | None = None
        client: str | None = None
        block: list[str] = []
        begun = 0
        with Break() as broken:
            for number, line in source.lines():
                opening, host = _LEASE.match(line), _HOST.match(line)
                identity = _IDENTITY.match(line)
                if identity:
                    client = _client(identity[1], identity[2])
                elif opening or host:
                    if what is not None:
                        source.skip(f"line {begun}", f"{what} has no end")
                    address = normal_address(opening[1]) if opening else None
                    what, block, begun = address if opening else f"host {host[1] if host else ''}", [line], number
                    if what is None:
                        source.skip(f"line {number}", line)
                        continue
                elif what is not None and len(block) < 200:
                    block.append(line)
                elif what is None and not _OTHER.match(line):
                    source.skip(f"line {number}", line)
                if line.rstrip() == "}":  # of the outermost block, however its lines are set
                    client = None
                if what is not None and line.rstrip().endswith("}") and not line.strip().startswith("on "):
                    last.pop(what, None)
                    last[what] = _block(what, block, client)
                    what = None
        if what is not None:
            source.note(f"{source.name}: ends inside the lease of {what}: the file is cut off")
        yield from (heard for heard in last.values() if heard is not None)
        broken.tell()


def _client(escaped: str | None, digits: str | None) -> str | None:
    """The MAC that a client's DUID is made of, where it is."""
    text = digits or ":".join(f"{ord(char) & 255:02x}" for char in _ESCAPE.sub(_unescaped, escaped or ""))
    return duid_mac(":".join(text.split(":")[4:]))


def _block(what: str, block: list[str], client: str | None) -> Heard | None:
    mac: str | None = client
    address = None if what.startswith("host ") else what
    at: str | None = None
    seen: list[Observation] = []
    for line in block:
        state, starts = _STATE.match(line), _STARTS.match(line)
        if state and state[1].lower() in {"abandoned", "reset"}:
            return None
        if line.strip() == "deleted;":
            return None
        if starts:
            at = moment(starts[1] or starts[2]) or at
        hardware, name, vendor, fixed = (
            _HARDWARE.search(line), _NAME.search(line), _VENDOR.search(line), _FIXED.search(line),
        )  # fmt: skip
        if hardware:
            mac = spelled_mac(hardware[1])
        if fixed and what.startswith("host "):
            address = normal_address(fixed[1])
        for found, channel in ((name, "dhcp.hostname"), (vendor, "dhcp.vendor_class")):
            if found and found[1]:
                seen.append(told(channel, _ESCAPE.sub(_unescaped, found[1]), at=at))
    mac = mac if mac is not None and is_station(mac) else None
    if mac is None and (address is None or ":" not in address):
        return None
    return Heard(mac, address, tuple(seen), None, at)


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 8)) if len(found[1]) == 3 else found[1]


IMPORTER = Dhcpd()
