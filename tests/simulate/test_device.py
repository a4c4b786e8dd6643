from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import pytest
from msgspec.structs import replace

from scanner.errors import UsageProblem
from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Protocol, Service, observed
from scanner.simulate.device import local_mac, looked_at_only, open_ports, settle, stated_mac

NET = IPv4Network("10.77.0.0/24")


class Toy(Protocol):
    name = "toy"
    ports = (7000,)
    tls_ports = (7001,)

    def services(self, device: Recording) -> list[Service]:
        found = [Service(Transport.TCP, o.port or 7000, tls=o.tls) for o in observed(device, "tcp.banner")]
        return found + [Service(Transport.UDP, 7002, groups=("239.1.2.3",)) for _ in observed(device, "udp.payload")]


def recording(name: str = "a", *observations: Observation, **more: str) -> Recording:
    return Recording(id=name, observations=observations, **more)  # type: ignore[arg-type]


def said(channel: str = "tcp.banner", **more: object) -> Observation:
    return Observation(channel=channel, value="x", **more)  # type: ignore[arg-type]


def test_ports_are_those_protocols_serve_and_those_heard_open() -> None:
    device = recording(
        "a", said(), said(tls=True), Observation(channel="tcp.open", value="22,9100/tcp, 70000,x"),
        Observation(channel="http.response", value="", silent=True, port=8080), said("udp.payload", port=99),
    )  # fmt: skip
    found = open_ports(device, [Toy()])

    assert set(found) == {(Transport.TCP, n) for n in (22, 9100, 7000, 8080)} | {(Transport.UDP, 7002)}
    assert [s.service.tls for s in found[Transport.TCP, 7000].speakers] == [False, True]
    assert found[Transport.TCP, 7000].tls
    assert not found[Transport.TCP, 8080].speakers
    assert found[Transport.UDP, 7002].groups == {"239.1.2.3"}


def test_a_field_that_came_by_datagram_opens_no_stream() -> None:
    assert set(open_ports(recording("a", said("udp.payload"), said("onvif.scopes", port=7002)), [Toy()])) == {
        (Transport.UDP, 7002)
    }


def test_a_misbehaving_device_without_ports_gets_some_to_misbehave_on() -> None:
    assert set(open_ports(recording(behaviour="garbage"), [])) == {(Transport.TCP, 80), (Transport.TCP, 554)}
    assert open_ports(recording(behaviour="silent"), []) == {}


def test_recorded_addresses_inside_the_network_are_kept_once() -> None:
    devices = settle(
        [recording("a"), recording("b", ip="10.77.0.1"), recording("c", ip="10.77.0.1"), recording("d", ip="192.0.2.1"),
         recording("e", ip="2001:db8::1"), Recording(id="f", ip="10.77.0.9", addresses=("10.77.0.10", "10.9.0.1"))],
        [], NET, reserved=["10.77.0.2"],
    )  # fmt: skip

    assert [d.address[-1] for d in devices] == ["3", "1", "4", "5", "6", "9"]
    assert devices[5].addresses == ("10.77.0.9", "10.77.0.10")


def test_addresses_of_ipv6_are_kept_where_that_is_spoken_and_everybody_who_speaks_it_has_a_link_local_one() -> None:
    recordings = [
        recording("both", ip="10.77.0.1", mac="3c:ef:8c:00:00:07"), recording("alone", ip="fe80::8%eth0"),
        Recording(id="wide", ip="fd10:77::9", mac="3c:ef:8c:00:00:09"), recording("far", ip="2001:db8::1"),
        Recording(id="moved", ip="192.0.2.1", addresses=("fe80::a", "fe80::8")),
    ]
    recordings[0] = replace(recordings[0], addresses=("fd10:77::7", "10.77.0.77"))
    devices = settle(recordings, [], NET, network6=IPv6Network("fd10:77::/64"))

    assert [d.addresses for d in devices] == [
        ("10.77.0.1", "10.77.0.77", "fd10:77::7", "fe80::3eef:8cff:fe00:7"), ("fe80::8",),
        ("fd10:77::9", "fe80::3eef:8cff:fe00:9"), ("10.77.0.2",), ("10.77.0.3", "fe80::a"),
    ]  # fmt: skip
    both, alone = devices[:2]
    assert (both.v4, both.v6) == (both.addresses[:2], both.addresses[2:])
    assert [both.speaking(a) for a in ("10.0.0.9", "fe80::9", "fd10:77::9")] == ["10.77.0.1", both.v6[1], both.v6[0]]
    assert [alone.speaking(a) for a in ("10.0.0.9", "fe80::9", "fd10:77::9")] == [None, "fe80::8", None]
    assert settle(recordings, [], NET)[1].addresses == ("10.77.0.2",)


def test_a_network_that_is_too_small_is_told() -> None:
    with pytest.raises(UsageProblem, match="no room for 7"):
        settle([recording(str(n)) for n in range(7)], [], IPv4Network("10.77.0.0/29"))


def test_macs_are_the_recorded_ones_or_local_and_distinct() -> None:
    devices = settle(
        [recording("a", mac="3C-EF-8C-11-22-33"), recording("b"), recording("c"),
         recording("d", Observation(channel="mac", value="3cef.8c11.2244"))], [], NET,
    )  # fmt: skip
    macs = [d.mac for d in devices]

    assert macs[0] == "3c:ef:8c:11:22:33"
    assert macs[3] == "3c:ef:8c:11:22:44"
    assert len(set(macs)) == 4
    assert all(int(mac[:2], 16) & 3 == 2 for mac in macs[1:3])
    assert macs[1] == local_mac("b")
    assert local_mac("b", [local_mac("b")]) != local_mac("b")


@pytest.mark.parametrize("mac", ["01:00:5e:00:00:01", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"])
def test_addresses_of_groups_are_no_device(mac: str) -> None:
    assert stated_mac(recording(mac=mac)) is None


def test_dark_is_who_is_silent_and_has_no_ports() -> None:
    both = [recording("a", behaviour="silent"), recording("b", said(), behaviour="silent")]
    dark, silent = settle(both, [Toy()], NET)

    assert dark.dark
    assert not silent.dark


def test_ports_nobody_speaks_on_are_only_looked_at() -> None:
    only = looked_at_only([Toy()])

    assert 37777 in only
    assert 7000 not in only
    assert not looked_at_only([type("Web", (Toy,), {"ports": (80,), "tls_ports": (443,)})()]) & {80, 443}
