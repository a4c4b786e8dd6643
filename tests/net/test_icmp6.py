from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.net import icmp6, interfaces
from scanner.net.icmp6 import Icmp6Socket
from scanner.values import eui64_mac
from tests.ipv6 import UP

Build = Callable[[dict[str, str]], Any]
DEVICE = {"10.77.0.7": "3c:ef:8c:00:00:07"}


@given(st.binary(max_size=120))
def test_no_frame_breaks_the_parser(data: bytes) -> None:
    icmp6.parse(data, bytes(12))
    icmp6.parse(bytes(12) + b"\x86\xdd\x60" + data, bytes(12))


def answers(sock: Icmp6Socket) -> list[icmp6.Neighbour]:
    """What comes first, as soon as it comes."""
    for _ in range(200):
        if found := list(sock.answers()):
            return found
        time.sleep(0.05)
    return []


@pytest.mark.root
def test_everybody_answers_pings_queries_and_solicitations(segment: Build) -> None:
    made = segment(DEVICE)
    made.inside("sh", "-c", UP)
    subprocess.run(["sh", "-c", UP], check=True)
    link = next(found for found in interfaces.read().links if found.name == "s0")
    mac = made.inside("ip", "-o", "link", "show", "d0").split("link/ether ")[1].split()[0]
    own = next(a.ip for a in link.v6 if a.ip.is_link_local)
    heard: dict[str, list[icmp6.Neighbour]] = {}
    with Icmp6Socket(link) as sock:
        for ask in (sock.echo, sock.query):
            assert ask(own) == 1
            heard[ask.__name__] = answers(sock)
        there = heard["echo"][0].address
        assert sock.solicit(own, [there, IPv6Address("fe80::dead")]) == 2
        advertised = answers(sock)

    assert {n.mac for found in (*heard.values(), advertised) for n in found} == {mac}
    assert heard["query"]
    assert {n.address for n in advertised} == {there}
    assert eui64_mac(str(there)) == mac


@pytest.mark.root
def test_without_raw_sockets_everybody_answers_a_ping_where_pings_are_allowed(segment: Build) -> None:
    made = segment(DEVICE)
    made.inside("sh", "-c", UP)
    subprocess.run(["sh", "-c", UP], check=True)
    link = next(found for found in interfaces.read().links if found.name == "s0")
    own = link.local
    assert own is not None
    with pytest.raises(PermissionError):
        icmp6.PingSocket(link, own)
    assert not icmp6.may_ping()
    subprocess.run(["sysctl", "-qw", "net.ipv4.ping_group_range=0 65535"], check=True)
    assert icmp6.may_ping()
    mac = made.inside("ip", "-o", "link", "show", "d0").split("link/ether ")[1].split()[0]
    with icmp6.PingSocket(link, own) as sock:
        sock.echo()
        found: set[IPv6Address] = set()
        for _ in range(200):
            found |= set(sock.replies())
            time.sleep(0 if found else 0.05)
        sock._body = bytes(8)
        assert list(sock.replies()) == []

    assert {eui64_mac(str(address)) for address in found} == {mac}
