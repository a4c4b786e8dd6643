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


@pytest.mark.root
def test_everybody_answers_pings_queries_and_solicitations(segment: Build) -> None:
    made = segment(DEVICE)
    made.inside("sh", "-c", UP)
    subprocess.run(["sh", "-c", UP], check=True)
    time.sleep(0.5)
    link = next(found for found in interfaces.read().links if found.name == "s0")
    mac = made.inside("ip", "-o", "link", "show", "d0").split("link/ether ")[1].split()[0]
    own = next(a.ip for a in link.v6 if a.ip.is_link_local)
    heard: dict[str, list[icmp6.Neighbour]] = {}
    with Icmp6Socket(link) as sock:
        for ask in (sock.echo, sock.query):
            assert ask(own) == 1
            time.sleep(1.2)
            heard[ask.__name__] = list(sock.answers())
        there = heard["echo"][0].address
        assert sock.solicit(own, [there, IPv6Address("fe80::dead")]) == 2
        time.sleep(0.3)
        advertised = list(sock.answers())

    assert {n.mac for found in (*heard.values(), advertised) for n in found} == {mac}
    assert heard["query"]
    assert {n.address for n in advertised} == {there}
    assert eui64_mac(str(there)) == mac
