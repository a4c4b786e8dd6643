from __future__ import annotations

import pytest

from scanner.imports.learned import Columns, Learned, entry, header

MAC = "3c:ef:8c:11:22:33"


@pytest.mark.parametrize(("line", "port", "vlan"), [
    ("+   20     3cef.8c11.2233   dynamic  NA        F      F    vPC Peer-Link(R)", None, 20),
    ("C   30     3cef.8c11.2233   dynamic  NA        F      F    nve1(10.0.0.1)", "nve1", 30),
    ("3c:ef:8c:11:22:33    20       evpn                      vxlan1(10.0.0.5)", "vxlan1", 20),
    ("3c:ef:8c:11:22:33 dev vxlan0 dst 10.0.0.3 self extern_learn", "vxlan0", None),
    ("cams   3c:ef:8c:11:22:33   learned   somewhere", None, None),
])  # fmt: skip
def test_who_is_behind_a_tunnel_or_a_twin_is_a_device_all_the_same(line: str, port: str | None, vlan: int | None) -> None:
    assert entry(line) == (MAC, port, vlan)


@pytest.mark.parametrize("line", [
    "G    -     00de.fb11.2233   static   -         F      F    sup-eth1(R)", "02:00:00:00:00:01 dev br0 vlan 1 master br0 permanent",
    "1        0C1B.D801.0203        Management  Vl1", "10  0100.5e00.00fb  dynamic  Gi1/0/1", "20  3cef.8c11.2233  static  drop",
])  # fmt: skip
def test_the_switchs_own_and_groups_are_nobody(line: str) -> None:
    assert entry(line) is None
    assert Learned("sw").owns(line)


def test_a_mac_in_a_sentence_is_no_entry() -> None:
    assert entry("Base ethernet MAC address is 3c:ef:8c:11:22:33") is None


def test_headers_and_prompts_tell_about_what_follows() -> None:
    assert header("  MAC Address   Port   VLAN") == Columns(ports_first=True)
    assert header("port no mac addr is local? ageing timer") == Columns(ports_only=True, local=True)
    table = Learned("file")
    assert table.look("core-1#show mac address-table")
    assert table.look("  MAC Address   Port   VLAN")
    assert table.take("3cef8c-112233 5   10")
    assert not table.look("Lorem ipsum")
    (heard,) = table.told()
    assert heard.place is not None
    assert (heard.place.switch, heard.place.port, heard.place.vlan, heard.place.macs) == ("core-1", "5", 10, 1)


def test_what_has_no_port_is_not_counted_at_one() -> None:
    table = Learned("sw")
    for number in range(3):
        assert table.take(f"+ 20 3cef.8c11.000{number} dynamic NA F F vPC Peer-Link(R)")
    assert [heard.place.macs for heard in table.told() if heard.place] == [None] * 3


@pytest.mark.parametrize(
    "line",
    [
        "management  3c:ef:8c:11:22:33  D  -  ge-0/0/5.0  0  0",  # Juniper, a VLAN of that name
        "3c:ef:8c:11:22:33 management(0020) 0042 d m 5",  # Extreme
        "  20  3cef.8c11.2233  dynamic  switch-uplink1",
    ],
)
def test_what_was_learned_is_a_device_whatever_its_vlan_is_called(line: str) -> None:
    table = Learned("sw")
    assert table.take(line)
    assert not table.owns(line)


@pytest.mark.parametrize("line", ["  20  3cef.8c11.2233  static  CPU", "3C:EF:8C:11:22:33  1  5/1  Management"])
def test_the_switches_own_addresses_are_no_devices(line: str) -> None:
    table = Learned("sw")
    assert not table.take(line)
    assert table.owns(line)
