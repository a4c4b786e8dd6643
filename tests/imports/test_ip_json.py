from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scanner.errors import InputProblem

# As iproute2 6.1 wrote them.
NEIGHBOURS = (
    '[{"dst":"192.0.2.1","dev":"eth0","lladdr":"3c:ef:8c:11:22:33","state":["REACHABLE"]},{"dst":"192.0.2.9","dev":"eth0","state":["FAILED"]},'
    '{"dst":"192.0.2.7","dev":"eth0.20","lladdr":"c4:2f:90:a7:b5:d1","used":2,"probes":0,"state":["STALE"]},'
    '{"dst":"ff02::16","dev":"eth0","lladdr":"33:33:00:00:00:16","state":["NOARP"]}]\n'
)
BRIDGE = (
    '[{"mac":"3c:ef:8c:11:22:33","ifname":"swp1","vlan":10,"flags":[],"master":"br0","state":""},'
    '{"mac":"a2:ea:3b:63:17:6e","ifname":"swp1","flags":[],"master":"br0","state":"permanent"},'
    '{"mac":"c4:2f:90:a7:b5:d1","ifname":"vxlan0","dst":"192.0.2.254","flags":["self"],"state":""},'
    '{"mac":"33:33:00:00:00:01","ifname":"eth0","flags":["self"],"state":"permanent"}]\n'
)


def test_neighbours(read: Callable[..., Any]) -> None:
    heard, source = read(NEIGHBOURS, "ip-json")

    assert [(h.mac, h.address, h.place and h.place.vlan) for h in heard] == [
        ("3c:ef:8c:11:22:33", "192.0.2.1", None), ("c4:2f:90:a7:b5:d1", "192.0.2.7", 20),
    ]  # fmt: skip
    assert source.unknown == 0, source.shown


def test_where_a_device_hangs(read: Callable[..., Any]) -> None:
    heard, source = read(BRIDGE, "ip-json")

    assert [(h.mac, h.place.port, h.place.vlan) for h in heard] == [("3c:ef:8c:11:22:33", "swp1", 10), ("c4:2f:90:a7:b5:d1", "vxlan0", None)]
    assert source.unknown == 0, source.shown


def test_what_is_cut_off_is_said(read: Callable[..., Any]) -> None:
    with pytest.raises(InputProblem, match="is no whole JSON"):
        read(NEIGHBOURS[:200], "ip-json")


def test_other_entries_are_counted(read: Callable[..., Any]) -> None:
    heard, source = read('[{"dst":"192.0.2.1","dev":"a","lladdr":"x"},7,{"ifname":"a"}]', "ip-json", recognised=False)

    assert heard == []
    assert source.unknown == 3
