"""Switches' tables of addresses: `show mac address-table` (Cisco IOS, NX-OS, Aruba), `show ethernet-switching table`
(Juniper), `display mac-address` (Huawei, H3C), `bridge fdb` (Linux). They tell where a device hangs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePath

from scanner.imports.base import Break, Head, Heard, Input
from scanner.imports.tables import address_in, is_station, mac_in, prompt
from scanner.model import Place

_PORT = re.compile(
    r"^(?:[A-Za-z][A-Za-z-]{0,30}(?:\d[\w/.:\-]{0,30}|[/-]\d[\w/.:\-]{0,30})|\d{1,3}(?:/\d{1,3}){1,3}(?:[.:]\d{1,4})?|[A-Z]?\d{1,3}|lag\d+)$"
)
_TYPES = frozenset({
    "dynamic", "static", "learned", "learn", "learnt", "secure", "self", "permanent", "d", "s", "c", "dl", "dr",
    "sticky",
    "system", "age", "own", "mgmt", "persistent", "config", "blackhole", "multicast", "igmp", "-", "~~~", "f", "t",
    "*", "+",
    "g", "o", "r", "flood", "router", "yes", "no", "n/a", "na", "aging", "all", "port-access-security", "evpn",
    "true", "false",
})  # fmt: skip
_OWN = re.compile(r"\b(?:cpu|router|switch|self|sup-eth\d|blackhole|vxlan|vtep|all-members|drop)\b", re.I)
_NOISE = re.compile(
    r"^\s*(?:[-=+|\s]+|.*mac address(?:es)?\b.*|.*mac-address.*|mac age.*|.*(?:legend|flags).*|total\b.*|age\b.*"
    r"|.*- .* entry,?.*"
    r"|vlan\b.*|.*\bentries\b.*|.*address table.*|\(.*|.*, .* - .*|routing instance.*|ethernet.?switching table.*"
    r"|name\b.*"
    r"|number of.*|.*criterion.*|status and counters.*|\S*[#>$])\s*$",
    re.I,
)
_LINUX = re.compile(r"^(\S{17}) dev (\S{1,32})(?: vlan (\d{1,4}))?")


class MacTable:
    """Lines with a hardware address and a port, and no network address."""

    name = "mac-table"
    summary = "show mac address-table (Cisco, Aruba), show ethernet-switching table (Juniper), bridge fdb (Linux)"

    def score(self, head: Head) -> float:
        """The share of lines with a hardware address, a port and no network address."""
        lines = [line for line in head.lines() if not _NOISE.match(line) and prompt(line) is None]
        if not lines:
            return 0.0
        hits = sum(1 for line in lines if _entry(line, ports_first=False) or _own(line))
        return 0.85 * hits / len(lines) if any(_entry(line, ports_first=False) for line in lines) else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` with a place for each entry that was learned; the switch's own are passed over.

        The switch is named by its prompt where the text holds one, else by the file.
        """
        switch = PurePath(source.name).stem if source.name != "-" else "switch"
        ports_first = False
        found: list[tuple[str, Place]] = []
        places: dict[tuple[str, str, int | None], Place] = {}
        with Break() as broken:
            for number, line in source.lines():
                said = prompt(line)
                if said is not None:
                    switch = said[0]
                    continue
                low = line.lower()
                if "mac" in low and "port" in low and mac_in(line) is None:
                    ports_first = 0 <= low.find("port") < low.find("vlan")
                entry = _entry(line, ports_first=ports_first) if len(line) <= 512 else None
                if entry is None:
                    if line.strip() and not _NOISE.match(line) and not _own(line):
                        source.skip(f"line {number}", line)
                    continue
                mac, port, vlan = entry
                key = (switch, port, vlan)
                place = places.get(key)
                if place is None:
                    place = places[key] = Place(switch=switch, port=port, vlan=vlan)
                found.append((mac, place))
        yield from placed(found)
        broken.tell()


def placed(found: list[tuple[str, Place]]) -> Iterator[Heard]:
    """Each address at its port, with how many addresses the switch sees there."""
    ports: dict[tuple[str | None, str | None], set[str]] = {}
    for mac, place in found:
        ports.setdefault((place.switch, place.port), set()).add(mac)
    counted: dict[Place, Place] = {}
    for mac, place in found:
        where = counted.get(place)
        if where is None:
            where = Place(
                switch=place.switch, port=place.port, vlan=place.vlan, macs=len(ports[place.switch, place.port])
            )
            counted[place] = where
        yield Heard(mac, None, (), where)


def _own(line: str) -> bool:
    """Whether a line is an entry that is not of one device: the switch's own, a group's."""
    found = mac_in(line)
    return found is not None and (not is_station(found[0]) or bool(_OWN.search(line)) or " permanent" in line)


def _entry(line: str, *, ports_first: bool) -> tuple[str, str, int | None] | None:
    """(MAC, port, VLAN) of one learned entry, None for anything else."""
    found = mac_in(line)
    if found is None or not is_station(found[0]):
        return None
    linux = _LINUX.match(line.strip()) if " dev " in line else None
    if linux:
        own = "permanent" in line or (" self" in f"{line} " and "master" not in line)
        return None if own else (found[0], linux[2], _tag(linux[3]))
    mac, begin, end = found
    where = _where(line[:begin], line[end:], ports_first=ports_first)
    return (mac, *where) if where is not None else None


@lru_cache(maxsize=4096)
def _where(left: str, right: str, *, ports_first: bool) -> tuple[str, int | None] | None:
    """(port, VLAN) by what stands on either side of the MAC: a table says the same of many devices."""
    before, after = left.split(), right.split()
    if _OWN.search(left) or _OWN.search(right) or address_in(" ".join(before + after)) is not None:
        return None
    numbers = [word for word in before + after if word.isdigit() and len(word) <= 4]
    names = [
        word.rstrip(",") for word in before + after
        if not word.isdigit() and word.lower() not in _TYPES and not word.lower().startswith("vlan")
        and _PORT.match(word.rstrip(","))
    ]  # fmt: skip
    words = [word for word in before + after if word.lower().startswith("vlan") and word[4:].lstrip("-_.").isdigit()]
    vlan = _tag(words[0][4:].lstrip("-_.")) if words else None
    if names:
        if vlan is None and numbers:
            vlan = _tag(numbers[0])
        return names[-1], vlan
    if len(numbers) >= 2:  # ports that are plain numbers
        port, tag = (numbers[0], numbers[1]) if ports_first else (numbers[-1], numbers[0])
        return port, vlan or _tag(tag)
    if numbers and vlan is not None:
        return numbers[-1], vlan
    return None


def _tag(text: str | None) -> int | None:
    number = int(text) if text and text.isdigit() else 0
    return number if 0 < number < 4095 else None


IMPORTER = MacTable()
