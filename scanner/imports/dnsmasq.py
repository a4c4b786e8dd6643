"""Leases of dnsmasq (`dnsmasq.leases`): expiry, MAC, address, name, client id; also those of OpenWrt and Pi-hole."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scanner.imports.base import Head, Heard, Input
from scanner.imports.tables import duid_mac, is_station, normal_address, spelled_mac, told

_LEASE = re.compile(
    r"^(\d{1,12}) (?:(\d{2})-)?([0-9a-f:]{17}|T?\d{1,12}|[0-9a-f:]{2,60}) (\S{2,45}) (\S{1,255})(?: (\S{1,600}))?\s*$",
    re.I,
)


class Dnsmasq:
    """One line, one lease; the time in it is the lease's end, so the file's own time is when it held."""

    name = "dnsmasq"
    summary = "dnsmasq leases (dnsmasq.leases)"

    def score(self, head: Head) -> float:
        """The share of lines that are leases."""
        lines = head.lines()
        hits = sum(1 for line in lines if _known(line))
        return hits / len(lines) if lines and any(_LEASE.match(line) for line in lines) else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` for each lease of IPv4; a lease of IPv6 names a MAC only where its DUID is made of one."""
        for number, line in source.lines():
            found = _LEASE.match(line)
            address = normal_address(found[4]) if found else None
            if found is None or address is None:
                if line.strip() and not line.startswith("duid "):
                    source.skip(f"line {number}", line)
                continue
            mac = spelled_mac(found[3]) if found[3].count(":") == 5 else duid_mac(found[6] or "")
            mac = mac if mac and is_station(mac) else None
            name = found[5]
            yield Heard(mac, address, (told("dhcp.hostname", name),) if name != "*" else ())


def _known(line: str) -> bool:
    found = _LEASE.match(line)
    return line.startswith("duid ") or (found is not None and normal_address(found[4]) is not None)


IMPORTER = Dnsmasq()
