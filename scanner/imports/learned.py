"""Lines of switches' tables of addresses: which hardware address was learned at which port, in which VLAN.

Every switch writes its own columns; what they have in common is a hardware address, a port and no network address. An
address that was learned where no port can be made out (a tunnel, the link to a twin) is a device all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from scanner.imports.base import Heard
from scanner.imports.tables import address_in, is_station, mac_in, prompt
from scanner.model import Place
from scanner.values import counted

_PORT = re.compile(
    r"^(?:[A-Za-z][A-Za-z-]{0,30}(?:\d[\w/.:\-]{0,30}|[/-]\d[\w/.:\-]{0,30})|\d{1,3}(?:/\d{1,3}){1,3}(?:[.:]\d{1,4})?"
    r"|\d{1,2}:\d{1,3}|[A-Z]?\d{1,3}|lag\d+)$"
)
_LEARNED = frozenset({"dynamic", "learned", "learn", "learnt", "secure", "sticky", "evpn", "dl", "dr", "d"})
"""How switches say that they saw a device, not that somebody configured it."""
_TYPES = _LEARNED | frozenset({
    "static", "self", "permanent", "s", "c", "system", "age", "own", "mgmt", "persistent", "config", "blackhole",
    "multicast", "igmp", "-", "~~~", "f", "t", "*", "+", "g", "o", "r", "m", "flood", "router", "yes", "no", "n/a",
    "na", "aging", "all", "port-access-security", "true", "false",
})  # fmt: skip
_OWN = re.compile(
    r"\b(?:cpu|router|switch|self|management|sup-eth\d|blackhole|all-members|drop)\b|\bpermanent\b", re.I
)
_ASIDE = re.compile(r"\([^)\s]{0,45}\)")
"""What stands in brackets behind a port: `vxlan1(10.0.0.2)`, `Peer-Link(R)`."""
_TAG = re.compile(r"(?:vlan[-_.]?(\d{1,4})|(\d{1,4})/-\S{0,8}|[\w-]{1,64}\((\d{4})\))", re.I)
"""A VLAN by a word of its own: `vlan10`, `20/-/-` (Huawei), `cameras(0020)` (Extreme)."""
_LINUX = re.compile(r"^(\S{17}) dev (\S{1,32})(?: vlan (\d{1,4}))?")


class Columns(NamedTuple):
    """What the header of a table told."""

    ports_first: bool = False
    """The column of ports stands before that of VLANs."""
    ports_only: bool = False
    """There are no VLANs: a lone number is a port."""
    local: bool = False
    """A column says `yes` of the switch's own addresses (`brctl showmacs`)."""


def header(line: str) -> Columns | None:
    """What a header line tells of the columns below it; None for any other line."""
    low = line.lower()
    if "mac" not in low or "port" not in low or mac_in(line) is not None:
        return None
    port, vlan = low.find("port"), low.find("vlan")
    return Columns(0 <= port < vlan, vlan < 0, "is local" in low)


class Learned:
    """Gathers the entries of one text; they are told at its end, when it is known how crowded each port is."""

    def __init__(self, switch: str) -> None:
        """`switch`: its name, as long as no prompt in the text tells another."""
        self._switch = switch
        self._columns = Columns()
        self._found: list[tuple[str, Place]] = []
        self._places: dict[tuple[str, str | None, int | None], Place] = {}

    def take(self, line: str) -> bool:
        """Whether a line is an entry, which is kept."""
        found = entry(line, self._columns)
        if found is None:
            return False
        mac, port, vlan = found
        key = (self._switch, port, vlan)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = Place(switch=self._switch, port=port, vlan=vlan)
        self._found.append((mac, place))
        return True

    def owns(self, line: str) -> bool:
        """Whether a line is an entry that is not of one device: the switch's own, a group's."""
        found = mac_in(line)
        if found is None:
            return False
        return (
            not is_station(found[0]) or _its_own(line)
            or (self._columns.local and "yes" in line.lower().split())
        )  # fmt: skip

    def look(self, line: str) -> bool:
        """Whether a line that is no entry is a prompt with a command or a header; both tell about what follows."""
        said = prompt(line)
        if said is not None:
            self._switch, self._columns = said[0], Columns()
            return True
        columns = header(line)
        if columns is not None:
            self._columns = columns
        return columns is not None

    def told(self) -> Iterator[Heard]:
        """Every entry so far, each at its port."""
        return placed(self._found)


def placed(found: list[tuple[str, Place]]) -> Iterator[Heard]:
    """Each address at its port, with how many addresses the switch sees there."""
    ports: dict[tuple[str | None, str | None], set[str]] = {}
    for mac, place in found:
        if place.port is not None:
            ports.setdefault((place.switch, place.port), set()).add(mac)
    counted: dict[Place, Place] = {}
    for mac, place in found:
        where = counted.get(place)
        if where is None:
            macs = ports.get((place.switch, place.port))
            where = place if macs is None else Place(
                switch=place.switch, port=place.port, vlan=place.vlan, macs=len(macs)
            )  # fmt: skip
            counted[place] = where
        yield Heard(mac, None, (), where)


def entry(line: str, columns: Columns = Columns()) -> tuple[str, str | None, int | None] | None:  # noqa: B008 - frozen
    """(MAC, port, VLAN) of one learned entry, None for anything else. The port is None where the line says that the
    address was learned, but not where in a way that is understood.
    """
    found = mac_in(line)
    if found is None or not is_station(found[0]):
        return None
    mac, begin, end = found
    linux = _LINUX.match(line.strip()) if " dev " in line else None
    if linux:
        tunnel = " dst " in line
        its = "permanent" in line or (" self" in f"{line} " and "master" not in line and not tunnel)
        return None if its else (mac, linux[2], _number(linux[3]))
    where = _where(line[:begin], line[end:], columns)
    return (mac, *where) if where is not None else None


@lru_cache(maxsize=4096)
def _where(left: str, right: str, columns: Columns) -> tuple[str | None, int | None] | None:
    """(port, VLAN) by what stands on either side of the MAC: a table says the same of many devices."""
    if _its_own(f"{left} {right}"):
        return None
    tags = [match for word in (*left.split(), *right.split()) if (match := _TAG.fullmatch(word))]
    vlan = next((_number(tag[1] or tag[2] or tag[3]) for tag in tags), None)
    words = (*_ASIDE.sub("", left).split(), *_ASIDE.sub("", right).split())
    if address_in(" ".join(words)) is not None or (columns.local and "yes" in words):
        return None
    numbers = [word for word in words if counted(word, 9999) is not None]
    names = [
        word.rstrip(",") for word in words
        if not word.isdigit() and word.lower() not in _TYPES and not _TAG.fullmatch(word)
        and _PORT.match(word.rstrip(","))
    ]  # fmt: skip
    if names:
        return names[-1], vlan or (_number(numbers[0]) if numbers else None)
    if len(numbers) >= 2 and not columns.ports_only:  # ports that are plain numbers
        port, tag = (numbers[0], numbers[1]) if columns.ports_first else (numbers[-1], numbers[0])
        return port, vlan or _number(tag)
    if numbers and (vlan is not None or columns.ports_only):
        return numbers[0] if columns.ports_only else numbers[-1], vlan
    if any(word.lower() in _LEARNED for word in words):
        return None, vlan or (_number(numbers[0]) if numbers else None)
    return None


def _its_own(text: str) -> bool:
    """Whether a line says that an address is the switch's own. What was learned is not, also where the VLAN or the port
    is called `management` or `switch`.
    """
    return _OWN.search(text) is not None and _LEARNED.isdisjoint(text.lower().split())


def _number(text: str | None) -> int | None:
    return counted(text or "", 4094) or None
