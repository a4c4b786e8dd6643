"""Walks of routers and switches: `snmpwalk -On` or with names, `.snmprec` of snmpsim; live ones come the same way.

From a router its neighbours (IP-MIB), which gives addresses behind it their MACs; from a switch the bridge tables
(BRIDGE-MIB, Q-BRIDGE-MIB) and its own neighbours (LLDP-MIB), which tell where a device hangs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath

from scanner.imports.base import Break, Head, Heard, Input
from scanner.imports.learned import placed
from scanner.imports.tables import is_station, normal_address, spelled_mac, told
from scanner.model import Observation, Place
from scanner.values import counted

MAX_ROWS = 1_000_000
"""Rows of one walk that are kept."""

SYSTEM = "1.3.6.1.2.1.1"
_IF_DESCR, _IF_NAME = "1.3.6.1.2.1.2.2.1.2", "1.3.6.1.2.1.31.1.1.1.1"
_ARP, _NEIGHBOURS = "1.3.6.1.2.1.4.22.1.2", "1.3.6.1.2.1.4.35.1.4"
_BRIDGE, _BRIDGE_PORT = "1.3.6.1.2.1.17.1.1", "1.3.6.1.2.1.17.1.4.1.2"
_FDB, _FDB_STATUS = "1.3.6.1.2.1.17.4.3.1.2", "1.3.6.1.2.1.17.4.3.1.3"
_QFDB, _QFDB_STATUS = "1.3.6.1.2.1.17.7.1.2.2.1.2", "1.3.6.1.2.1.17.7.1.2.2.1.3"
_VLAN_FDB = "1.3.6.1.2.1.17.7.1.4.2.1.3"
_LLDP, _LLDP_PORT, _LLDP_MANAGED = "1.0.8802.1.1.2.1.4.1.1", "1.0.8802.1.1.2.1.3.7.1.3", "1.0.8802.1.1.2.1.4.2.1.3"

ROOTS = (
    SYSTEM, _IF_DESCR, _IF_NAME, _ARP, _NEIGHBOURS, _BRIDGE, _BRIDGE_PORT, _FDB, _FDB_STATUS, _QFDB, _QFDB_STATUS,
    _VLAN_FDB, _LLDP_PORT, _LLDP, _LLDP_MANAGED,
)  # fmt: skip
"""What a live walk asks for, in this order; nothing else of a device is read."""

_NAMES = {
    "sysDescr": f"{SYSTEM}.1", "sysObjectID": f"{SYSTEM}.2", "sysName": f"{SYSTEM}.5", "ifDescr": _IF_DESCR,
    "ifName": _IF_NAME,
    "ipNetToMediaPhysAddress": _ARP, "ipNetToPhysicalPhysAddress": _NEIGHBOURS, "dot1dBaseBridgeAddress": _BRIDGE,
    "dot1dBasePortIfIndex": _BRIDGE_PORT, "dot1dTpFdbPort": _FDB, "dot1dTpFdbStatus": _FDB_STATUS,
    "dot1qTpFdbPort": _QFDB, "dot1qTpFdbStatus": _QFDB_STATUS, "dot1qVlanFdbId": _VLAN_FDB,
}  # fmt: skip
_LINE = re.compile(r"^\.?((?:iso|[012])(?:\.\d+){3,80})\s*=\s*(.*)$")
_NAMED = re.compile(r"^(?:[A-Z][\w-]*::)?([a-z]\w{0,63})((?:\.\d+|\.\S+?)*)\s*=\s*(.*)$")
_RECORDED = re.compile(r"^([012](?:\.\d+){3,80})\|(\d{1,3})(x?)\|(.*)$")
_TYPE = re.compile(
    r"^(?:[A-Z][\w -]{2,24}|Hex-STRING|Gauge32|Counter\d\d|IpAddress|Timeticks|Network Address): ?", re.I
)
_NOTHING = re.compile(r"^No (?:Such|more)|^(?:NULL|$)")


class SnmpWalk:
    """Rows `OID = value`."""

    name = "snmp-walk"
    summary = "walks of routers and switches (snmpwalk -On, snmprec)"

    def score(self, head: Head) -> float:
        """The share of lines that are rows of a walk."""
        lines = head.lines()
        hits = sum(1 for line in lines if row(line) is not None)
        return 0.95 * hits / len(lines) if lines else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """The agent itself, its neighbours and where they hang; the agent is named by its sysName, else by the file."""
        walk = Walk()
        with Break() as broken:
            for number, line in source.lines():
                found = row(line)
                if found is not None:
                    walk.add(*found)
                elif not walk.goes_on(line):
                    source.skip(f"line {number}", line)
        yield from walk.heard(PurePath(source.name).stem if source.name != "-" else "agent")
        broken.tell()


def row(line: str) -> tuple[str, str] | None:
    """(OID in digits, value without its type) of one line, None for anything else."""
    line = line[:16_384]
    found = _LINE.match(line)
    if found:
        oid = "1" + found[1][3:] if found[1].startswith("iso") else found[1]
        return oid, _bare(found[2])
    recorded = _RECORDED.match(line)
    if recorded:
        return recorded[1], f"0x{recorded[4]}" if recorded[3] else recorded[4]
    named = _NAMED.match(line)
    if named and named[1] in _NAMES:
        index = named[2]
        if named[1].startswith(("dot1dTpFdb", "dot1qTpFdb")) and ":" in index:  # the MAC is written as one
            head, _, mac = index.rpartition(".")
            index = f"{head}.{'.'.join(str(int(part, 16)) for part in mac.split(':') if part)}"
        return _NAMES[named[1]] + index, _bare(named[3])
    return None


def _bare(value: str) -> str:
    bare = _TYPE.sub("", value.strip(), count=1)
    if value.lstrip().upper().startswith("HEX-STRING"):
        return "0x" + re.sub(r"\s+", "", bare)
    return bare[1:-1] if len(bare) > 1 and bare[0] == bare[-1] == '"' else bare


class Walk:
    """The rows of one agent, by table."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, str]] = {root: {} for root in ROOTS}
        self._last: tuple[str, str] | None = None
        self._count = 0

    def add(self, oid: str, value: str) -> None:
        """One row; those of no table here are passed over."""
        self._last = None
        if _NOTHING.match(value) or self._count >= MAX_ROWS:
            return
        root = _root(oid)
        if root is not None:
            self._tables[root][oid[len(root) + 1 :]] = value
            self._last = root, oid[len(root) + 1 :]
            self._count += 1

    def goes_on(self, line: str) -> bool:
        """Whether a line that is no row continues the value before it (descriptions have several lines)."""
        if self._last is not None and line.strip():
            root, index = self._last
            known = self._tables[root][index]
            self._tables[root][index] = (known + "\n" + line.rstrip('"'))[:4096].lstrip('"')
        return True

    def heard(self, name: str, address: str | None = None) -> Iterator[Heard]:
        """Everything the rows say; `name` where the agent has none of its own, `address` where it was asked."""
        table = self._tables
        switch = _text(table[SYSTEM].get("5.0", "")).partition(".")[0] or name
        yield from self._agent(switch, address)
        yield from self._neighbours()
        yield from placed(list(self._bridge(switch)))
        yield from self._lldp(switch)

    def _agent(self, switch: str, address: str | None) -> Iterator[Heard]:
        system = self._tables[SYSTEM]
        kept = [f".{SYSTEM}.{index} = {_text(system[index])}" for index in ("1.0", "2.0", "5.0") if system.get(index)]
        mac = _mac(next(iter(self._tables[_BRIDGE].values()), ""))
        if kept or mac:
            seen = (Observation(channel="snmp.walk", value="\n".join(kept), port=161),) if kept else ()
            yield Heard(mac, address, seen, None, None, switch)

    def _neighbours(self) -> Iterator[Heard]:
        vlans = {index: _vlan(name) for index, name in self._interfaces().items()}
        for index, value in self._tables[_ARP].items():
            interface, _, rest = index.partition(".")
            yield from _pair(_mac(value), normal_address(rest), vlans.get(interface))
        for index, value in self._tables[_NEIGHBOURS].items():
            interface, kind, *parts = index.split(".")
            yield from _pair(_mac(value), _indexed(kind, parts), vlans.get(interface))

    def _interfaces(self) -> dict[str, str]:
        return {i: _text(v) for t in (_IF_DESCR, _IF_NAME) for i, v in self._tables[t].items() if v}

    def _bridge(self, switch: str) -> Iterator[tuple[str, Place]]:
        names = self._interfaces()
        ports = {port: names.get(index, f"port {port}") for port, index in self._tables[_BRIDGE_PORT].items()}
        fdbs = {fdb: int(index.rpartition(".")[2]) for index, fdb in self._tables[_VLAN_FDB].items()}
        done: set[str] = set()
        for root, status in ((_QFDB, _QFDB_STATUS), (_FDB, _FDB_STATUS)):
            states = self._tables[status]
            for index, port in self._tables[root].items():
                parts = index.split(".")
                mac = _packed(parts[-6:])
                state = states.get(index, "learned(3)")
                if mac is None or port in {"0", ""} or not ("3" in state or "learned" in state):
                    continue
                vlan = None
                if root == _QFDB:
                    fdb = parts[0]
                    vlan = fdbs.get(fdb, counted(fdb, 4094)) or None
                elif mac in done:
                    continue
                done.add(mac)
                yield (
                    mac,
                    Place(
                        switch=switch, port=ports.get(port, f"port {port}"), vlan=vlan if vlan and vlan < 4095 else None
                    ),
                )

    def _lldp(self, switch: str) -> Iterator[Heard]:
        ports = {index: _text(value) for index, value in self._tables[_LLDP_PORT].items()}
        entries: dict[str, dict[str, str]] = {}
        for index, value in self._tables[_LLDP].items():
            column, _, key = index.partition(".")
            entries.setdefault(key, {})[column] = value
        managed: dict[str, str] = {}
        for index in self._tables[_LLDP_MANAGED]:
            parts = index.split(".")
            address = _indexed(parts[3], parts[4:]) if len(parts) > 5 else None
            if address is not None:
                managed[".".join(parts[:3])] = address
        for key, entry in entries.items():
            local = key.split(".")[1] if key.count(".") == 2 else ""
            mac = _mac(entry.get("5", "")) if entry.get("4", "")[:1] == "4" or "mac" in entry.get("4", "") else None
            if mac is None and (entry.get("6", "")[:1] == "3" or "mac" in entry.get("6", "")):
                mac = _mac(entry.get("7", ""))
            columns = (("9", "lldp.sysname"), ("10", "lldp.sysdescr"), ("8", "lldp.portdescr"))
            seen = tuple(told(channel, _text(entry[column])) for column, channel in columns if entry.get(column))
            if mac is None and key not in managed:
                continue
            yield Heard(
                mac, managed.get(key), seen, Place(switch=switch, port=ports.get(local, f"port {local}"), macs=1)
            )


_ORDERED = sorted(ROOTS, key=len, reverse=True)


def _root(oid: str) -> str | None:
    return next((root for root in _ORDERED if oid.startswith(root + ".")), None)


def _pair(mac: str | None, address: str | None, vlan: int | None) -> Iterator[Heard]:
    if mac is not None and address is not None:
        yield Heard(mac, address, (), Place(vlan=vlan) if vlan else None)


def _vlan(interface: str) -> int | None:
    found = re.fullmatch(r"(?:vlan|vl|irb\.|vlanif|vlan-interface|bvi)[ .-]?(\d{1,4})", interface.strip(), re.I)
    return int(found[1]) if found and 0 < int(found[1]) < 4095 else None


def _mac(value: str) -> str | None:
    """A hardware address as walks write it: `0x…`, `0:1b:d8:1:2:3`, `00 1B D8 01 02 03`, or the bytes themselves."""
    bare = value.strip()
    if bare[:2].lower() == "0x":
        bare = bare[2:]
    elif len(value) == 6 and not re.fullmatch(r"[0-9A-Fa-f]{6}", value):  # six characters that happened to be printable
        bare = value.encode("latin-1", "replace").hex()
    mac = spelled_mac(bare.replace(" ", ""))
    return mac if mac is not None and is_station(mac) else None


def _packed(parts: Iterable[str]) -> str | None:
    numbers = [number for part in parts if (number := counted(part, 255)) is not None]
    if len(numbers) != 6:
        return None
    mac = bytes(numbers).hex(":")
    return mac if is_station(mac) else None


def _indexed(kind: str, parts: list[str]) -> str | None:
    """An address out of an index: its type, its length (left out by some agents), its bytes (RFC 4001)."""
    size = {"1": 4, "2": 16, "3": 4, "4": 16}.get(kind)
    numbers = [number for part in parts if (number := counted(part, 255)) is not None]
    if size is None or len(numbers) != len(parts):
        return None
    if numbers and numbers[0] in {4, 8, 16, 20} and len(numbers) == numbers[0] + 1:
        numbers = numbers[1:]
    if len(numbers) < size:
        return None
    packed = bytes(numbers[:size])
    return normal_address(".".join(map(str, packed)) if size == 4 else packed.hex(":", 2))


def _text(value: str) -> str:
    """A value as text: digits of text are decoded."""
    if value[:2].lower() == "0x":
        try:
            return bytes.fromhex(value[2:]).rstrip(b"\0").decode("utf-8")
        except ValueError:
            return value
    return value.strip()


IMPORTER = SnmpWalk()
