"""ARP and neighbour tables: `ip neigh`, `arp -a` (Linux, macOS, Windows), `/proc/net/arp`, `Get-NetNeighbor`,
`arp-scan`, and `show arp` of Cisco, Aruba, Juniper, Huawei and H3C. One line, one pair of addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePath

from scanner.imports.base import Break, Head, Heard, Input
from scanner.imports.learned import Learned
from scanner.imports.tables import address_in, is_command, is_station, mac_in
from scanner.model import Place
from scanner.values import IPV4

_EMPTY = re.compile(r"\b(?:incomplete|failed|unreachable|noarp|entries no match)\b|<incomplete>|unvollst", re.I)
_NOISE = re.compile(
    r"^\s*(?:-+|=+|interface\s*[:=].*|.*---\s*0x[0-9a-f]+|starting arp-scan.*"
    r"|ending arp-scan.*"
    r"|\d+ packets received.*|total\b.*|entries\b.*|ip arp table.*|arp table.*|flags\s*:.*|age\s*:.*|vrf\b.*"
    r"|context\b.*|\S{1,4} - .*|codes\s*:.*|type\s*:.*|status\s*:.*|\d{1,4}/-|[\d/]+/cpu\d+|vlan/cevlan"
    r"|maximum of entries.*|default timeout.*|net to media table.*|sep=."
    r"|\[?ethernet\]?|building .*|\*.*not in.*|[-\s+|]+)\s*$",
    re.I,
)
_INTERFACE = re.compile(r"^.{0,60}---\s*0x[0-9a-f]+\s*$", re.I)
"""How Windows begins the table of an interface, in whatever language; the line below names its columns."""
_HEADER = re.compile(r"\b(?:address|adresse|internet|hwaddress|hardware|mac|ifindex|protocol|linklayer)", re.I)
_VLAN = re.compile(r"(?<![\w.])(?:vlan-?(?:interface|if)?|vl|irb\.|bvi|svi|br-?vlan)\.?(\d{1,4})(?![\w])", re.I)
_LINUX_TAGGED = re.compile(r"\bdev \S+\.(\d{1,4})\b|\bon \S+\.(\d{1,4})\b")

_ADDRESS_FIRST = re.compile(rf"\s*(?:Internet\s+)?((?!0|22|23|24|25){IPV4.pattern})(?=\s)")
"""How most lines begin (Cisco's with their protocol): with the address of one host, which need not be looked for."""
_PLACES = {tag: Place(vlan=tag) for tag in range(1, 4095)}


class Arp:
    """Lines with a hardware address and a network address, whatever stands around them."""

    name = "arp"
    summary = "ip neigh, arp -a (Linux, macOS, Windows), arp-scan, show arp (Cisco, Aruba, Juniper, Huawei)"

    def score(self, head: Head) -> float:
        """The share of lines that hold both addresses, or say that one is missing."""
        lines = [line for line in head.lines() if not _NOISE.match(line[:512]) and not is_command(line)]
        if not lines:
            return 0.0
        hits = sum(1 for line in lines if len(line) <= 512 and "," not in line and "{" not in line and _is_entry(line))
        heads = sum(1 for line in lines if _HEADER.search(line) and mac_in(line) is None)
        return 0.9 * hits / max(1, len(lines) - heads) if hits else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` for each pair; entries of groups and empty ones are passed over, other lines counted. Lines of a
        switch's table of addresses in the same text (a terminal's log) are read as such.
        """
        table = Learned(PurePath(source.name).stem if source.name != "-" else "switch")
        begun = False
        with Break() as broken:
            for number, line in source.lines():
                heard = pair(line) if len(line) <= 512 else None
                if heard is not None:
                    begun = False
                    yield heard
                    continue
                if line.strip() and (
                    len(line) > 512 or not (table.take(line) or _passed(line, table) or begun)
                ):
                    source.skip(f"line {number}", line)
                begun = _INTERFACE.match(line) is not None
        yield from table.told()
        broken.tell()


def pair(line: str) -> Heard | None:
    """What a line says that names one station's hardware address and one host's network address; else None."""
    first = _ADDRESS_FIRST.match(line)
    found = mac_in(line, first.end() if first else 0)
    if found is None:
        return None
    mac, begin, end = found
    address = first[1] if first else address_in(line[:begin]) or address_in(line[end:])
    if address is None or not is_station(mac):
        return None
    tag = _vlan(f"{line[first.end() : begin]} {line[end:]}" if first else line)
    return Heard(mac, address, (), _PLACES.get(tag) if tag else None)


def _passed(line: str, table: Learned) -> bool:
    """Whether a line that tells no pair is one that such tables have."""
    if mac_in(line) is None:
        return table.look(line) or silent(line)
    return table.owns(line) or _group(line)


@lru_cache(maxsize=4096)
def _vlan(line: str) -> int | None:
    """The VLAN that a line names, None without one. Without its addresses, a line of a table says what others say."""
    low = line.lower()
    found = None
    if "irb." in low or "bvi" in low or "svi" in low or not line.isascii():
        found = _VLAN.search(line)
    elif (begin := low.find("vl")) >= 0:
        found = _VLAN.search(line, max(0, begin - 3))  # `br-vlan`
    if found is None:
        dot = line.rfind(".")
        if dot < 0 or (line.find("dev ", 0, dot) < 0 and line.find("on ", 0, dot) < 0):
            return None
        found = _LINUX_TAGGED.search(line)
    return int(found[1] or found[2]) if found else None


def _is_entry(line: str) -> bool:
    found = mac_in(line)
    if found is None:
        return bool(_EMPTY.search(line)) and address_in(line) is not None
    return address_in(line[: found[1]] + " " + line[found[2] :]) is not None or _group(line)


def _group(line: str) -> bool:
    """Whether a line's network address is a group's or everybody's: systems list these too."""
    return bool(re.search(r"(?<![\d.])(?:22[4-9]|23\d|255)\.\d", line)) or "ff02::" in line.lower()


def silent(line: str) -> bool:
    """Whether a line without a hardware address is one that such tables have."""
    if _NOISE.match(line):
        return True
    if _EMPTY.search(line):
        return address_in(line) is not None
    return bool(_HEADER.search(line)) or is_command(line)


IMPORTER = Arp()
