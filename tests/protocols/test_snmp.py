from __future__ import annotations

import pytest

from scanner.model import Observation
from scanner.protocols.snmp import PROTOCOL


def pairs(value: str, channel: str = "snmp.walk") -> list[tuple[str, str]]:
    return list(PROTOCOL.read(Observation(channel=channel, value=value)))


@pytest.mark.parametrize(
    "walk",
    [
        "1.3.6.1.2.1.1.1.0 = Hikvision company products\n1.3.6.1.2.1.1.2.0 = 1.3.6.1.4.1.50001",
        "1.3.6.1.2.1.1.1.0=Hikvision company products\n1.3.6.1.2.1.1.2.0=.1.3.6.1.4.1.50001\n",
        '.1.3.6.1.2.1.1.1.0 = STRING: "Hikvision company products"\n.1.3.6.1.2.1.1.2.0 = OID: .1.3.6.1.4.1.50001',
        "iso.3.6.1.2.1.1.1.0 = STRING: Hikvision company products\niso.3.6.1.2.1.1.2.0 = OID: iso.3.6.1.4.1.50001",
        "SNMPv2-MIB::sysDescr.0 = STRING: Hikvision company products\n"
        "SNMPv2-MIB::sysObjectID.0 = OID: SNMPv2-SMI::enterprises.50001",
        "sysDescr.0: Hikvision company products\nsysObjectID = .1.3.6.1.4.1.50001\nother = x",
        "1.3.6.1.2.1.1.1.0|4|Hikvision company products\n1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.50001",
        "1.3.6.1.2.1.1.1.0|4x|" + b"Hikvision company products".hex() + "\n1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.50001",
    ],
)
def test_reads_every_spelling(walk: str) -> None:
    found = dict(pairs(walk))
    assert found["snmp.sysdescr"] == "Hikvision company products"
    assert found["snmp.sysobjectid"] == "1.3.6.1.4.1.50001"
    assert found["snmp.oid.1.3.6.1.2.1.1.2.0"] == "1.3.6.1.4.1.50001"


def test_values_may_go_on_over_lines() -> None:
    walk = '.1.3.6.1.2.1.1.1.0 = STRING: "S5720-56C\r\nHuawei\r\n5.170 (S5720)"\n1.3.6.1.4.1.39165.1.3.0 = V5.5.3\n'
    found = dict(pairs(walk))
    assert found["snmp.sysdescr"] == "S5720-56C\nHuawei\n5.170 (S5720)"
    assert found["snmp.oid.1.3.6.1.4.1.39165.1.3.0"] == "V5.5.3"


@pytest.mark.parametrize("value", ["Hex-STRING: 58 50 ED 11 22 33 ", "58:50:ed:11:22:33", '"58-50-ED-11-22-33"'])
@pytest.mark.parametrize("oid", ["1.3.6.1.2.1.2.2.1.6.1", "1.3.6.1.4.1.39165.1.4.0"])
def test_addresses_of_interfaces_are_macs(oid: str, value: str) -> None:
    assert ("mac", "58:50:ed:11:22:33") in pairs(f"{oid} = {value}")


def test_addresses_without_leading_zeros() -> None:
    assert ("mac", "00:1b:d8:01:02:33") in pairs("IF-MIB::ifPhysAddress.2 = STRING: 0:1b:d8:1:2:33")


def test_people_and_places_are_left_out() -> None:
    assert pairs("1.3.6.1.2.1.1.4.0 = Jane Doe\n1.3.6.1.2.1.1.6.0 = Room 3") == []


@pytest.mark.parametrize(
    ("engine", "mac"),
    [
        ("8000994d035850ed112233", "58:50:ed:11:22:33"),
        ("0x80:00:99:4d:03:58:50:ed:11:22:33", "58:50:ed:11:22:33"),
        ("8000994d045850ed112233", None),  # format 4 is text
        ("0000994d035850ed112233", None),
    ],
)
def test_engine_ids_of_format_3_hold_the_mac(engine: str, mac: str | None) -> None:
    assert pairs(engine, "snmp.engineid") == ([("mac", mac)] if mac else [])
    assert (("mac", mac) in pairs(f"1.3.6.1.6.3.10.2.1.1.0 = Hex-STRING: {engine.removeprefix('0x')}")) is bool(mac)


def test_a_single_object_id_is_normalised() -> None:
    for spelling in (".1.3.6.1.4.1.368", "iso.3.6.1.4.1.368", "OID: .1.3.6.1.4.1.368", "SNMPv2-SMI::enterprises.368"):
        assert pairs(spelling, "snmp.sysobjectid") == [("snmp.sysobjectid", "1.3.6.1.4.1.368")]
    assert pairs("no such thing", "snmp.sysobjectid") == []
