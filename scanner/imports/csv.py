"""Any CSV file with a header line: columns are known by their usual names, or named with `--map`.

Inventories, exports of address management, lists from a spreadsheet; semicolons and tabs are fine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from scanner.errors import InputProblem, UsageProblem
from scanner.imports.base import CSV_MEANINGS, Head, Heard, Input
from scanner.imports.tables import columns, is_station, moment, normal_address, rows, spelled_mac, told
from scanner.model import Observation, Place
from scanner.values import counted

NAMES: dict[str, tuple[str, ...]] = {
    "mac": ("mac", "mac address", "macaddress", "mac_address", "mac-address", "hwaddr", "hardware address", "hardware",
            "hw address", "physical address", "ethernet", "client_mac", "mac addr", "clientid", "lladdr",
            "linklayeraddress", "mac-adresse", "hardwareadresse", "physische adresse", "adresse mac",
            "adresse physique", "dirección mac", "direccion mac", "indirizzo mac", "endereço mac", "endereco mac",
            "mac-adres", "adres mac", "mac-адрес", "mac地址", "mac 地址", "macアドレス"),
    "ip": ("ip", "ip address", "ipaddress", "ip_address", "ip-address", "ipv4", "ipv4 address", "address", "addr",
    "host ip",
           "ipv6", "ipv6 address", "ip-adresse", "adresse ip", "dirección ip", "direccion ip", "indirizzo ip",
           "endereço ip", "endereco ip", "ip-adres", "adres ip", "ip-адрес", "ip地址", "ip 地址", "ipアドレス"),
    "hostname": ("hostname", "host name", "host", "name", "device name", "fqdn", "dns name", "client name"),
    "vendor": ("vendor class", "vendor_class", "vendor-class", "vendorclass", "dhcp vendor class"),
    "port": ("open ports", "tcp ports", "ports"),
    "switch": ("switch", "switch name", "switch_name"),
    "switchport": ("switchport", "switch port", "switch_port", "interface", "port"),
    "vlan": ("vlan", "vlan id", "vlan_id", "vlanid"),
    "time": ("last seen", "last_seen", "lastseen", "timestamp", "time", "date"),
}  # fmt: skip
"""Meaning → names a column may have, best first. Columns such as model and vendor are somebody's claim
about a device, not something it said, and are not taken.
"""


class Csv:
    """Rows of whatever columns the user has."""

    name = "csv"
    summary = "any CSV file with a header line (--map mac=Hardware,ip=Address)"

    def score(self, head: Head) -> float:
        """Weak, so that formats with fixed columns come first; a header with a MAC or an address is needed."""
        header = columns(head, ("mac", "ip", "addr", "ethernet"))
        found = known_columns(header)
        return (
            0.5
            if "mac" in found and "ip" in found
            else 0.3
            if found.keys() & {"mac", "ip"} and len(header) > 1
            else 0.0
        )

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` for each row with a MAC or an address. Raises `InputProblem`, `UsageProblem` for `--map`."""
        mapped = {meaning: column.lower() for meaning, column in source.mapping.items()}
        meaning: Mapping[str, str] = {}
        good = 0
        for number, row in rows(source, skip_until=() if mapped else ("mac", "ip", "addr", "ethernet")):
            if not meaning:
                meaning = _meanings(source.name, list(row), mapped)
            heard = entry(row, meaning)
            if heard is None:
                if not _nobody(row, meaning):
                    source.skip(f"line {number}", ", ".join(row.values()))
                continue
            good += 1
            yield heard
        if not good and not meaning:
            raise InputProblem(f"{source.name}: has no rows below its header")


def known_columns(header: list[str]) -> dict[str, str]:
    """Meaning → column for the columns whose names are usual ones."""
    found: dict[str, str] = {}
    for meaning, names in NAMES.items():
        column = next((name for name in names if name in header and name not in found.values()), None)
        if column is not None:
            found[meaning] = column
    return found


def _meanings(name: str, header: list[str], mapped: Mapping[str, str]) -> dict[str, str]:
    for meaning, column in mapped.items():
        if column not in header:
            raise UsageProblem(
                f"--map {meaning}={column}: {name} has no such column; there are {', '.join(h for h in header if h)}"
            )
    found = {**known_columns(header), **mapped}
    if not found.keys() & {"mac", "ip"}:
        raise InputProblem(
            f"{name}: none of its columns is known as a MAC or an address; say which with --map "
            f"mac=COLUMN,ip=COLUMN; there are {', '.join(h for h in header if h)}"
        )
    return found


def entry(row: Mapping[str, str], meaning: Mapping[str, str]) -> Heard | None:
    """What one row says; None where it names no device."""

    def cell(name: str) -> str:
        column = meaning.get(name)
        return row.get(column, "").strip() if column is not None else ""  # a column may have no name

    mac = spelled_mac(cell("mac")) if cell("mac") else None
    mac = mac if mac and is_station(mac) else None
    address = normal_address(cell("ip"))
    if mac is None and (address is None or _nobody(row, meaning)):
        return None
    at = moment(cell("time")) if cell("time") else None
    seen: list[Observation] = []
    for name, channel in (("hostname", "dhcp.hostname"), ("vendor", "dhcp.vendor_class")):
        if cell(name) and cell(name) != "*":
            seen.append(told(channel, cell(name)[:1024], at=at))
    ports = [part for part in cell("port").replace(";", ",").replace(" ", ",").split(",") if counted(part, 65_535)]
    if ports:
        seen.append(told("tcp.open", ",".join(ports[:256]), at=at))
    tag = cell("vlan")
    vlan = counted(tag, 4094) or None
    place = None
    if cell("switch") or vlan is not None:
        place = Place(switch=cell("switch") or None, port=cell("switchport") or None, vlan=vlan)
    return Heard(mac, address, tuple(seen), place, at)


def _nobody(row: Mapping[str, str], meaning: Mapping[str, str]) -> bool:
    """Whether a row is of a group, or of an address at which nobody answered (`Get-NetNeighbor` lists these too).

    Who has an address of its own is somebody, also where a placeholder or a cluster's MAC stands beside it.
    """
    column = meaning.get("mac")
    mac = spelled_mac(row.get(column, "")) if column is not None else None
    if mac is None or is_station(mac):
        return False
    if mac == "00:00:00:00:00:00":
        return column == "linklayeraddress"
    address = normal_address(row.get(meaning.get("ip", ""), ""))
    return address is None or address.endswith(".255") or ip_address(address).is_multicast


def check_mapping(text: str) -> dict[str, str]:
    """Meaning → column of `--map`. Raises `UsageProblem`."""
    found: dict[str, str] = {}
    for part in text.split(","):
        meaning, equals, column = part.partition("=")
        meaning = meaning.strip().lower()
        if not equals or not column.strip() or meaning not in CSV_MEANINGS:
            raise UsageProblem(
                f"--map {part.strip()!r}: write it as MEANING=COLUMN; meanings are {', '.join(CSV_MEANINGS)}"
            )
        found[meaning] = column.strip()
    return found


IMPORTER = Csv()
