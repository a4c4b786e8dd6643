"""Leases of a Windows DHCP server: `Get-DhcpServerv4Lease | Export-Csv`, also with semicolons and as UTF-16."""

from __future__ import annotations

from collections.abc import Iterator

from scanner.imports.base import Head, Heard, Input
from scanner.imports.tables import columns, is_station, normal_address, rows, spelled_mac, told


class WindowsDhcp:
    """Rows by the cmdlet's own columns."""

    name = "windows-dhcp"
    summary = "Windows DHCP leases (Get-DhcpServerv4Lease | Export-Csv)"

    def score(self, head: Head) -> float:
        """Sure where the header has the cmdlet's columns."""
        return 1.0 if {"ipaddress", "clientid", "addressstate"} <= set(columns(head, ("clientid",))) else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` for each lease; a client id that is no MAC (RRAS, DUIDs) leaves the address."""
        for number, row in rows(source, skip_until=("clientid",)):
            address = normal_address(row.get("ipaddress", ""))
            if address is None:
                source.skip(f"line {number}", ", ".join(row.values()))
                continue
            if "declined" in row.get("addressstate", "").lower() or "bad_address" in row.get("hostname", "").lower():
                continue
            client = row.get("clientid", "")
            mac = spelled_mac(client)
            if mac is None and client.lower().startswith("01-"):  # the hardware type before it (RFC 2132, 9.14)
                mac = spelled_mac(client[3:])
            mac = mac if mac and is_station(mac) else None
            name = row.get("hostname", "")
            yield Heard(mac, address, (told("dhcp.hostname", name[:1024]),) if name else ())


IMPORTER = WindowsDhcp()
