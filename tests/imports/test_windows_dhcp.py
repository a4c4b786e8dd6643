from __future__ import annotations

from collections.abc import Callable
from typing import Any

ROWS = '''#TYPE Microsoft.Management.Infrastructure.CimInstance
"IPAddress","ScopeId","AddressState","ClientId","ClientType","Description","DnsRegistration","HostName","LeaseExpiryTime"
"192.0.2.1","192.0.2.0","Active","3c-ef-8c-11-22-33","Dhcp",,"Complete","cam-1.example","11/24/2026 10:00:00"
"192.0.2.2","192.0.2.0","Active","01-c4-2f-90-a7-b5-d1","Dhcp",,"Complete",,"11/24/2026 10:00:00"
"192.0.2.3","192.0.2.0","Declined","31-39-32","Dhcp",,,"BAD_ADDRESS",
"192.0.2.4","192.0.2.0","Active","52-41-53-20-ab","Dhcp",,,,
'''


def test_leases(read: Callable[..., Any]) -> None:
    for content in (ROWS, ROWS.replace(",", ";"), ROWS.encode("utf-16")):
        heard, source = read(content, "windows-dhcp", name="leases.csv")

        assert [(h.mac, h.address) for h in heard] == [
            ("3c:ef:8c:11:22:33", "192.0.2.1"), ("c4:2f:90:a7:b5:d1", "192.0.2.2"), (None, "192.0.2.4"),
        ]  # fmt: skip
        assert [o.value for o in heard[0].observations] == ["cam-1.example"]
        assert source.unknown == 0, source.shown
