"""Leases of Kea (`kea-leases4.csv`, `kea-leases6.csv`: the memfile backend)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scanner.imports.base import Break, Head, Heard, Input
from scanner.imports.tables import columns, duid_mac, is_station, moment, normal_address, rows, spelled_mac, told
from scanner.values import counted

_ESCAPE = re.compile(r"&#x([0-9a-f]{2});?", re.I)
"""How Kea writes a comma inside a field."""


class Kea:
    """Rows by Kea's own columns; the last row of an address is the one that holds."""

    name = "kea"
    summary = "Kea leases (kea-leases4.csv, kea-leases6.csv)"

    def score(self, head: Head) -> float:
        """Sure where the header has Kea's columns."""
        return 1.0 if {"address", "valid_lifetime", "subnet_id"} <= set(columns(head, ("valid_lifetime",))) else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` for each address, of its last row; declined, reclaimed and released leases are left out.

        A lease that names no hardware address leaves its network address.
        """
        last: dict[str, Heard | None] = {}
        with Break() as broken:
            for number, row in rows(source, skip_until=("valid_lifetime",)):
                address = normal_address(row.get("address", ""))
                mac = spelled_mac(row.get("hwaddr", "")) or duid_mac(row.get("duid", ""))
                if address is None or (row.get("hwaddr") and mac is None):
                    source.skip(f"line {number}", ", ".join(row.values()))
                    continue
                if row.get("state", "0") not in {"0", ""} or row.get("valid_lifetime") == "0":
                    last[address] = None
                    continue
                mac = mac if mac is not None and is_station(mac) else None
                at = _begun(row)
                name = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), row.get("hostname", "")).rstrip(".")
                last[address] = Heard(mac, address, (told("dhcp.hostname", name, at=at),) if name else (), None, at)
        yield from (heard for heard in last.values() if heard is not None)
        broken.tell()


def _begun(row: dict[str, str]) -> str | None:
    """When the lease was given or renewed: its end less its length."""
    end, length = counted(row.get("expire", ""), 10**11), counted(row.get("valid_lifetime", ""))
    return moment(str(end - length)) if end is not None and length is not None else None


IMPORTER = Kea()
