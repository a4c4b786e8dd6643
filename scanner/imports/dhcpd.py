"""Leases of ISC dhcpd (`dhcpd.leases(5)`): blocks in the order they were written; the last of an address holds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scanner.imports.base import Break, Head, Heard, Input
from scanner.imports.tables import is_station, moment, normal_address, spelled_mac, told
from scanner.model import Observation

_LEASE = re.compile(r"^\s*lease\s+(\S{2,45})\s*\{")
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
        """Sure where there is a lease block."""
        return 1.0 if any(_LEASE.match(line) for line in head.lines()) and "{" in head.text else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` for each address, of its last block; abandoned leases are left out."""
        last: dict[str, Heard | None] = {}
        address: str | None = None
        block: list[str] = []
        begun = 0
        with Break() as broken:
            for number, line in source.lines():
                opening = _LEASE.match(line)
                if opening:
                    if address is not None:
                        source.skip(f"line {begun}", f"lease {address} has no end")
                    address, block, begun = normal_address(opening[1]), [line], number
                    if address is None:
                        source.skip(f"line {number}", line)
                        continue
                elif address is not None and len(block) < 200:
                    block.append(line)
                elif address is None and not _OTHER.match(line):
                    source.skip(f"line {number}", line)
                if address is not None and line.rstrip().endswith("}") and not line.strip().startswith("on "):
                    last.pop(address, None)
                    last[address] = _block(address, block)
                    address = None
        if address is not None:
            source.note(f"{source.name}: ends inside the lease of {address}: the file is cut off")
        yield from (heard for heard in last.values() if heard is not None)
        broken.tell()


def _block(address: str, block: list[str]) -> Heard | None:
    mac: str | None = None
    at: str | None = None
    seen: list[Observation] = []
    for line in block:
        state, starts = _STATE.match(line), _STARTS.match(line)
        if state and state[1].lower() in {"abandoned", "reset"}:
            return None
        if starts:
            at = moment(starts[1] or starts[2]) or at
        hardware, name, vendor = _HARDWARE.search(line), _NAME.search(line), _VENDOR.search(line)
        if hardware:
            mac = spelled_mac(hardware[1])
        for found, channel in ((name, "dhcp.hostname"), (vendor, "dhcp.vendor_class")):
            if found and found[1]:
                seen.append(told(channel, _ESCAPE.sub(_unescaped, found[1]), at=at))
    if mac is None or not is_station(mac):
        return None
    return Heard(mac, address, tuple(seen), None, at)


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 8)) if len(found[1]) == 3 else found[1]


IMPORTER = Dhcpd()
