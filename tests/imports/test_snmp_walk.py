from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scanner.picture import Picture
from tests.imports.frames import CAMERA

MAC = "60.239.140.17.34.51"  # 3c:ef:8c:11:22:33

SWITCH = f""".1.3.6.1.2.1.1.1.0 = STRING: "Huawei Versatile Routing Platform Software
VRP (R) software"
.1.3.6.1.2.1.1.2.0 = OID: .1.3.6.1.4.1.2011.2.23.1
.1.3.6.1.2.1.1.5.0 = STRING: "sw-1.example"
.1.3.6.1.2.1.2.2.1.2.7 = STRING: "GigabitEthernet0/0/7"
.1.3.6.1.2.1.31.1.1.1.1.7 = STRING: "GE0/0/7"
.1.3.6.1.2.1.31.1.1.1.1.8 = STRING: "GE0/0/8"
.1.3.6.1.2.1.31.1.1.1.1.30 = STRING: "Vlanif20"
.1.3.6.1.2.1.4.22.1.2.30.192.0.2.1 = Hex-STRING: 3C EF 8C 11 22 33
.1.3.6.1.2.1.4.35.1.4.30.2.16.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.7 = Hex-STRING: 3C EF 8C 11 22 33
.1.3.6.1.2.1.17.1.1.0 = Hex-STRING: 48 46 FB 00 00 01
.1.3.6.1.2.1.17.1.4.1.2.1 = INTEGER: 7
.1.3.6.1.2.1.17.1.4.1.2.2 = INTEGER: 8
.1.3.6.1.2.1.17.7.1.2.2.1.2.5.{MAC} = INTEGER: 1
.1.3.6.1.2.1.17.7.1.2.2.1.2.5.72.70.251.0.0.1 = INTEGER: 0
.1.3.6.1.2.1.17.7.1.2.2.1.2.5.196.47.144.167.181.209 = INTEGER: 2
.1.3.6.1.2.1.17.7.1.2.2.1.3.5.{MAC} = INTEGER: 3
.1.3.6.1.2.1.17.7.1.4.2.1.3.0.20 = Gauge32: 5
.1.0.8802.1.1.2.1.3.7.1.3.8 = STRING: "GE0/0/8"
.1.0.8802.1.1.2.1.4.1.1.4.0.8.1 = INTEGER: 4
.1.0.8802.1.1.2.1.4.1.1.5.0.8.1 = Hex-STRING: C4 2F 90 A7 B5 D1
.1.0.8802.1.1.2.1.4.1.1.9.0.8.1 = STRING: "cam-8"
.1.0.8802.1.1.2.1.4.2.1.3.0.8.1.1.4.192.0.2.8 = INTEGER: 2
"""
NAMED = """SNMPv2-MIB::sysName.0 = STRING: core
IF-MIB::ifName.3 = STRING: vlan10
IP-MIB::ipNetToMediaPhysAddress.3.192.0.2.1 = STRING: 3c:ef:8c:11:22:33
BRIDGE-MIB::dot1dTpFdbPort.3c:ef:8c:11:22:33 = INTEGER: 4
"""
RECORDED = """1.3.6.1.2.1.1.5.0|4|core
1.3.6.1.2.1.31.1.1.1.1.3|4|vlan10
1.3.6.1.2.1.4.22.1.2.3.192.0.2.1|4x|3cef8c112233
"""


def test_a_switch_tells_where_its_neighbours_hang(read: Callable[..., Any]) -> None:
    heard, source = read(SWITCH, "snmp-walk", name="sw.walk")
    picture = Picture()
    for told in heard:
        picture.enter(told, "sw.walk")
    found = {r.mac: r for r in picture.recordings()[0]}

    camera = found[CAMERA]
    assert (camera.ip, camera.addresses) == ("192.0.2.1", ("2001:db8::7",))
    assert camera.place is not None
    assert (camera.place.switch, camera.place.port, camera.place.vlan, camera.place.macs) == ("sw-1", "GE0/0/7", 20, 1)
    other = found["c4:2f:90:a7:b5:d1"]
    assert other.ip == "192.0.2.8"
    assert other.place is not None
    assert (other.place.port, other.place.vlan) == ("GE0/0/8", 20)
    assert [(o.channel, o.value) for o in other.observations if o.channel != "mac"] == [("lldp.sysname", "cam-8")]
    switch = found["48:46:fb:00:00:01"]
    assert "VRP (R) software" in switch.observations[0].value
    assert source.unknown == 0


@pytest.mark.parametrize("text", [NAMED, RECORDED])
def test_other_spellings(text: str, read: Callable[..., Any]) -> None:
    heard, _ = read(text, "snmp-walk", name="router.walk")

    pairs = [(h.mac, h.address, h.place.vlan) for h in heard if h.address and h.mac]
    assert pairs == [(CAMERA, "192.0.2.1", 10)]
    if text is NAMED:
        assert heard[-1].place.port == "port 4"


def test_nonsense_breaks_nothing(read: Callable[..., Any]) -> None:
    for line in (".1.3.6.1.2.1.17.7.1.2.2.1.2.1 = INTEGER: 5", ".1.3.6.1.2.1.4.35.1.4.30.2.99 = x", ".1.0.8802.1.1.2.1.4.2.1.3.0 = x", ".1.3.6.1.2.1.17.4.3.1.2.999.1.1.1.1.1 = INTEGER: 1",
                 ".1.3.6.1.2.1.4.22.1.2.3.999.1.1.1 = Hex-STRING: 3C EF", ".1.3.6.1.2.1.1.5.0 = No Such Object"):  # fmt: skip
        read(line + "\n", "snmp-walk")
