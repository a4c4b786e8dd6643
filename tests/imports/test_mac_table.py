from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

TABLES = {
    "Cisco IOS": ("""core-1#show mac address-table
          Mac Address Table
-------------------------------------------

Vlan    Mac Address       Type        Ports
----    -----------       --------    -----
 All    0100.0ccc.cccc    STATIC      CPU
  10    3cef.8c11.2233    DYNAMIC     Gi1/0/1
  20    c42f.90a7.b5d1    DYNAMIC     Gi1/0/24
Total Mac Addresses for this criterion: 3
""", "core-1", "Gi1/0/1", 10),
    "Cisco NX-OS": ("""Legend:
        * - primary entry, G - Gateway MAC, (R) - Routed MAC, O - Overlay MAC
        age - seconds since last seen,+ - primary entry using vPC Peer-Link,
   VLAN     MAC Address      Type      age     Secure NTFY Ports
---------+-----------------+--------+---------+------+----+------------------
*   10     3cef.8c11.2233   dynamic  0         F      F    Eth1/1
*   20     c42f.90a7.b5d1   dynamic  0         F      F    Po10
G    -     0011.2233.4455   static   -         F      F    sup-eth1(R)
""", "table", "Eth1/1", 10),
    "Aruba CX": ("""MAC age-time            : 300 seconds
Number of MAC addresses : 2

MAC Address          VLAN     Type                      Port
--------------------------------------------------------------
3c:ef:8c:11:22:33    10       dynamic                   1/1/1
c4:2f:90:a7:b5:d1    20       dynamic                   lag1
""", "table", "1/1/1", 10),
    "ProCurve": (""" Status and Counters - Port Address Table

  MAC Address   Port                            VLAN
  ------------- ------------------------------- ----
  3cef8c-112233 5                               10
  c42f90-a7b5d1 Trk1                            20
""", "table", "5", 10),
    "Juniper": ("""Ethernet switching table : 2 entries, 2 learned
Routing instance : default-switch
   Vlan                MAC                 MAC      Logical                SVLBNH/
   name                address             flags    interface              VENH Index
   vlan10              3c:ef:8c:11:22:33   D        ge-0/0/1.0
   vlan20              c4:2f:90:a7:b5:d1   D        ge-0/0/2.0
""", "table", "ge-0/0/1.0", 10),
    "Huawei": ("""-------------------------------------------------------------------------------
MAC Address    VLAN/VSI/BD                       Learned-From        Type
-------------------------------------------------------------------------------
3cef-8c11-2233 10/-/-                            GE0/0/1             dynamic
c42f-90a7-b5d1 20/-/-                            GE0/0/2             dynamic
-------------------------------------------------------------------------------
Total items displayed = 2
""", "table", "GE0/0/1", 10),
    "H3C": ("""<sw-2>dis mac-address
MAC ADDR        VLAN ID   STATE           PORT INDEX                AGING TIME(s)
3cef-8c11-2233  10        Learned         GigabitEthernet1/0/1      AGING
c42f-90a7-b5d1  20        Learned         Bridge-Aggregation1       AGING
  ---  2 mac address(es) found  ---
""", "sw-2", "GigabitEthernet1/0/1", 10),
    "Extreme": ("""Mac                     Vlan       Age  Flags         Port / Virtual Port List
------------------------------------------------------------------------------
3c:ef:8c:11:22:33         cams(0010) 0025 d m           1:5
c4:2f:90:a7:b5:d1         cams(0010) 0000 d m           1:7

Flags : d - Dynamic, s - Static, p - Permanent, n - NetLogin, m - MAC, i - IP,
""", "table", "1:5", 10),
    "Arista": ("""sw#show mac address-table
Vlan    Mac Address       Type        Ports      Moves   Last Move
----    -----------       ----        -----      -----   ---------
  10    3cef.8c11.2233    DYNAMIC     Et5        1       9 days, 1:19:00 ago
  20    c42f.90a7.b5d1    DYNAMIC     Po1        1       0:01:20 ago
""", "sw", "Et5", 10),
    "Catalyst 6500": ("""Legend: * - primary entry
        n/a - not available
  vlan   mac address     type    learn     age              ports
------+----------------+--------+-----+----------+--------------------------
Module 1:
*   10  3cef.8c11.2233   dynamic  Yes          5   Gi1/5
*   20  c42f.90a7.b5d1   dynamic  Yes          0   Te2/1
*    1  ffff.ffff.ffff    static  No           -   Router
""", "table", "Gi1/5", 10),
    "Dell": ("""Aging time is 300 Sec

Vlan     Mac Address           Type        Port
-------- --------------------- ----------- ---------------------
10       3CEF.8C11.2233        Dynamic     Gi1/0/5
20       C42F.90A7.B5D1        Dynamic     Po1
1        0C1B.D801.0203        Management  Vl1
""", "table", "Gi1/0/5", 10),
    "brctl": ("""port no\tmac addr\t\tis local?\tageing timer
  1\t3c:ef:8c:11:22:33\tno\t\t   1.04
  2\tc4:2f:90:a7:b5:d1\tno\t\t   0.50
  1\t0c:1b:d8:01:02:03\tyes\t\t   0.00
""", "table", "1", None),
    "bridge fdb": ("""3c:ef:8c:11:22:33 dev swp1 vlan 10 master br0
c4:2f:90:a7:b5:d1 dev swp2 vlan 20 master br0
33:33:00:00:00:01 dev eth0 self permanent
02:00:00:00:00:01 dev br0 vlan 1 master br0 permanent
""", "table", "swp1", 10),
}  # fmt: skip


@pytest.mark.parametrize("tool", TABLES)
def test_every_switch_tells_where_a_device_hangs(tool: str, read: Callable[..., Any]) -> None:
    text, switch, port, vlan = TABLES[tool]
    heard, source = read(text, "mac-table", name="table.txt")

    assert [h.mac for h in heard] == ["3c:ef:8c:11:22:33", "c4:2f:90:a7:b5:d1"]
    first = heard[0].place
    assert (first.switch if switch != "table" else first.switch[-5:], first.port) == (switch, port)
    if vlan is not None:
        assert first.vlan == vlan
    assert source.unknown == 0, source.shown


def test_ports_with_many_addresses_are_said_to_have_them(read: Callable[..., Any]) -> None:
    rows = "".join(f"  10    3cef.8c11.{n:04x}    DYNAMIC     Te1/1\n" for n in range(40))
    heard, _ = read("sw#show mac address-table\n" + rows + "  10    c42f.90a7.b5d1    DYNAMIC     Gi1/0/2\n", "mac-table")

    assert heard[0].place.macs == 40
    assert heard[-1].place.macs == 1
