from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from scanner.errors import UsageProblem
from scanner.model import Observation, Recording
from scanner.simulate import segment
from scanner.simulate.device import settle

NET = IPv4Network("10.77.0.0/24")
DEVICES = settle(
    [
        Recording(id="a", mac="3c:ef:8c:00:00:01", observations=(Observation(channel="tcp.open", value="80,554"),)),
        Recording(id="b", ip="10.77.0.9", addresses=("10.77.0.10",), mac="3c:ef:8c:00:00:02", behaviour="silent"),
    ],
    [], NET,
)  # fmt: skip


def test_the_scanner_has_the_last_address_or_sits_behind_a_router() -> None:
    assert segment.Plan(NET).scanner == "10.77.0.254"
    assert IPv4Address(segment.Plan(NET, routed=True).scanner) not in NET
    assert "default via" in segment.scanner_side(segment.Plan(NET, routed=True))
    assert "default" not in segment.scanner_side(segment.Plan(NET))


def test_every_address_is_made_local_and_no_other() -> None:
    assert segment.own_addresses(DEVICES).split("\n")[:-1] == [
        f"route add local {address}/32 dev lo" for address in ("10.77.0.1", "10.77.0.9", "10.77.0.10")
    ]


def test_the_scanner_is_pinned_so_that_a_full_neighbour_table_silences_nobody() -> None:
    assert f"neigh replace 10.77.0.254 lladdr {segment.SCANNER_MAC}" in segment.links(segment.Plan(NET), 7)


def test_the_kernel_learns_macs_ports_and_who_is_dark() -> None:
    assert list(segment.members(DEVICES)) == [
        "add element netdev lab macs { 10.77.0.1 : 3c:ef:8c:00:00:01, 10.77.0.9 : 3c:ef:8c:00:00:02, "
        "10.77.0.10 : 3c:ef:8c:00:00:02 }\n",
        "add element ip lab tcp_ports { 10.77.0.1 . 80, 10.77.0.1 . 554 }\n",
        "add element ip lab dark { 10.77.0.9, 10.77.0.10 }\n",
    ]


def test_many_members_go_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "_PIECE", 2)

    assert len([piece for piece in segment.members(DEVICES) if " macs " in piece]) == 2


def test_behind_a_router_nobody_sees_macs() -> None:
    assert "egress" in segment.rules()
    assert "egress" not in segment.rules(routed=True)


def test_ipv6_is_laid_where_it_is_spoken() -> None:
    devices = settle([Recording(id="w", addresses=("fe80::9", "fd10:77::9"), mac="3c:ef:8c:00:00:09",
                                observations=(Observation(channel="tcp.open", value="80"),))],
                     [], NET, network6=segment.NETWORK6)  # fmt: skip
    near, routed = segment.Plan(NET, wide=True), segment.Plan(NET, routed=True, wide=True)

    assert segment.Plan(NET).scanner6 == ()
    assert near.scanner6 == ("fe80::ff:fe00:fe", "fd10:77::fffe")
    assert all(own in segment.scanner_side(near) and own in segment.links(near, 7) for own in near.scanner6)
    assert "route add default via fd10:78::1" in segment.scanner_side(routed)
    assert segment.own_addresses(devices).split("\n")[:-1] == [
        "route add local fe80::9/128 dev d0 table local", "route add local fd10:77::9/128 dev lo",
    ]  # fmt: skip
    assert list(segment.members(devices)) == [
        "add element netdev lab macs6 { fe80::9 : 3c:ef:8c:00:00:09, fd10:77::9 : 3c:ef:8c:00:00:09 }\n",
        "add element ip6 lab tcp_ports { fe80::9 . 80, fd10:77::9 . 80 }\n",
    ]
    assert "table ip6 lab" in segment.rules(wide=True)
    assert "ip6 saddr" not in segment.rules()


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_a, **_k: None)
    with pytest.raises(UsageProblem, match="nftables"):
        segment.tool("nft")


def test_what_a_program_says_when_it_fails_is_told() -> None:
    with pytest.raises(UsageProblem, match="cannot be built: sh: no such cable"):
        segment.run(["/bin/sh", "-c", "echo no such cable >&2; exit 1"], "")


def test_a_wire_lies_between_scanner_and_devices_in_a_namespace_of_its_own() -> None:
    short, long = (segment.links(segment.Plan(NET), 7, wire) for wire in (None, 8))

    assert "type veth peer name s0 netns 7" in short
    assert "type veth peer name w1 netns 8" in long
    assert "link add w0 netns 8 type veth peer name s0 netns 7" in long
