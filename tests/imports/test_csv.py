from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scanner.errors import InputProblem, UsageProblem
from scanner.imports.csv import check_mapping


def test_usual_columns_are_known(read: Callable[..., Any]) -> None:
    heard, source = read(
        "Hostname;IP Address;MAC Address;Switch;Switch Port;VLAN\ncam;192.0.2.1;3C-EF-8C-11-22-33;core-1;Gi1/0/1;10\n;;;;;\n", "csv"
    )

    (only,) = heard
    assert (only.mac, only.address) == ("3c:ef:8c:11:22:33", "192.0.2.1")
    assert (only.place.switch, only.place.port, only.place.vlan) == ("core-1", "Gi1/0/1", 10)
    assert [(o.channel, o.value) for o in only.observations] == [("dhcp.hostname", "cam")]
    assert source.unknown == 0


def test_columns_are_named(read: Callable[..., Any]) -> None:
    heard, _ = read(
        'Asset,Hardware,Where\n"A, 1",3cef.8c11.2233,192.0.2.1\n', "csv", mapping={"mac": "Hardware", "ip": "Where"},
        recognised=False,
    )  # fmt: skip

    assert [(h.mac, h.address) for h in heard] == [("3c:ef:8c:11:22:33", "192.0.2.1")]


def test_a_column_that_is_not_there(read: Callable[..., Any]) -> None:
    with pytest.raises(UsageProblem, match="there are asset, hardware"):
        read("Asset,Hardware\na,3cef.8c11.2233\n", "csv", mapping={"mac": "Hardwear"}, recognised=False)


def test_no_column_of_use(read: Callable[..., Any]) -> None:
    with pytest.raises(InputProblem, match="header line"):
        read("Asset,Price\nx,3\n", "csv", recognised=False, mapping={})


@pytest.mark.parametrize("text", ["mac", "mac=", "=x", "colour=x"])
def test_mappings_that_are_none(text: str) -> None:
    with pytest.raises(UsageProblem, match="MEANING=COLUMN"):
        check_mapping(text)


def test_a_claim_in_a_vendor_column_is_no_evidence(read: Callable[..., Any]) -> None:
    heard, _ = read("ip,mac,vendor,model\n192.0.2.1,02:00:00:00:00:01,Hikvision,DS-2CD\n", "csv")

    assert heard[0].observations == ()


def test_a_column_without_a_name_means_nothing(read: Callable[..., Any]) -> None:
    """As pandas writes an index: its numbers are no port, no VLAN and no name."""
    heard, _ = read(",mac,ip\n80,3c:ef:8c:11:22:33,192.0.2.1\n", "csv")

    assert [(h.mac, h.address, h.observations, h.place) for h in heard] == [("3c:ef:8c:11:22:33", "192.0.2.1", (), None)]


def test_windows_neighbours_that_nobody_is(read: Callable[..., Any]) -> None:
    """`Get-NetNeighbor | Export-Csv` lists addresses at which nobody answered, and groups."""
    text = (
        '#TYPE CimInstance#MSFT_NetNeighbor\n"State","IPAddress","LinkLayerAddress","InterfaceAlias"\n'
        '"Reachable","192.0.2.1","3C-EF-8C-11-22-33","Ethernet"\n"Unreachable","192.0.2.9","00-00-00-00-00-00","Ethernet"\n'
        '"Permanent","224.0.0.22","01-00-5E-00-00-16","Ethernet"\n"Permanent","192.0.2.255","FF-FF-FF-FF-FF-FF","Ethernet"\n'
    )
    heard, source = read(text.replace("\n", "\r\n").encode("utf-16"), "csv")

    assert [(h.mac, h.address) for h in heard] == [("3c:ef:8c:11:22:33", "192.0.2.1")]
    assert source.unknown == 0, source.shown


def test_an_inventory_that_does_not_know_a_mac_keeps_the_address(read: Callable[..., Any]) -> None:
    heard, _ = read("mac,ip\n00:00:00:00:00:00,192.0.2.1\n,192.0.2.2\n", "csv")

    assert [(h.mac, h.address) for h in heard] == [(None, "192.0.2.1"), (None, "192.0.2.2")]


def test_who_has_an_address_stays_beside_a_mac_of_many(read: Callable[..., Any]) -> None:
    """Placeholders of inventories, and the MAC of a cluster that balances its load (03:bf:…): both are somebody."""
    heard, source = read(
        "mac,ip,open ports\nff:ff:ff:ff:ff:ff,192.0.2.5,554\n03:bf:c0:00:02:06,192.0.2.6,443\n"
        "01:00:5e:00:00:16,224.0.0.22,\n", "csv",
    )  # fmt: skip

    assert [(h.mac, h.address) for h in heard] == [(None, "192.0.2.5"), (None, "192.0.2.6")]
    assert source.unknown == 0


@pytest.mark.parametrize("header", ["Gerät,MAC-Adresse,VLAN", "Nom,Adresse MAC,VLAN", "Nombre,Dirección MAC,VLAN", "名称,MAC地址,VLAN"])
def test_columns_in_other_languages(header: str, read: Callable[..., Any]) -> None:
    heard, _ = read(f"{header}\ncam,3c:ef:8c:11:22:33,10\n", "csv")

    assert [(h.mac, h.place.vlan) for h in heard] == [("3c:ef:8c:11:22:33", 10)]
