from __future__ import annotations

from collections.abc import Callable
from typing import Any

HEADER = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id\n"


def test_the_last_row_of_an_address_holds(read: Callable[..., Any]) -> None:
    heard, source = read(
        HEADER
        + "192.0.2.1,02:00:00:00:00:01,,3600,1732440000,1,0,0,old,0,,0\n"
        + "192.0.2.1,3c:ef:8c:11:22:33,01:3c,3600,1732447200,1,0,0,cam-1.example.,0,,0\n"
        + "192.0.2.2,3c:ef:8c:11:22:44,,3600,1732447200,1,0,0,,2,,0\n"
        + "192.0.2.x,3c:ef:8c:11:22:44,,3600,1732447200,1,0,0,,0,,0\n",
        "kea",
    )

    (only,) = heard
    assert (only.mac, only.address, only.at) == ("3c:ef:8c:11:22:33", "192.0.2.1", "2024-11-24T10:20:00Z")
    assert [o.value for o in only.observations] == ["cam-1.example"]
    assert source.unknown == 1


def test_leases_of_ipv6(read: Callable[..., Any]) -> None:
    header = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id\n"
    heard, _ = read(header + "2001:db8::10,00:01,3600,1732447200,1,1800,0,7,128,0,0,cam,3c:ef:8c:11:22:33,0,,1,2,0\n", "kea")

    assert (heard[0].mac, heard[0].address) == ("3c:ef:8c:11:22:33", "2001:db8::10")


def test_a_lease_without_a_mac_keeps_its_address(read: Callable[..., Any]) -> None:
    header = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id\n"
    row = "2001:db8::{},{},{},1732447200,1,1800,0,7,128,0,0,a&#x2cb,,0,,,,0\n"
    heard, _ = read(
        header + row.format(1, "00:03:00:01:3c:ef:8c:11:22:33", 3600) + row.format(2, "00:01:00:01:2c:5e:01:02:3c:ef:8c:11:22:44", 3600)
        + row.format(3, "00:03:00:01:3c:ef:8c:11:22:55", 0), "kea",
    )  # fmt: skip

    assert [(h.mac, h.address) for h in heard] == [("3c:ef:8c:11:22:33", "2001:db8::1"), (None, "2001:db8::2")]
    assert [o.value for o in heard[0].observations] == ["a,b"]
