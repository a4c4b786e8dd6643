from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

# As nmap 7.93 wrote it, with a second host that it found to be down and one of which it knows the name.
NORMAL = """# Nmap 7.93 scan initiated Tue Nov 24 10:00:00 2026 as: nmap -v -sV --script http-title,http-server-header,ssl-cert -oN out 192.0.2.0/29
Nmap scan report for 192.0.2.0 [host down]
Nmap scan report for cam.example (192.0.2.1)
Host is up (0.000015s latency).
Not shown: 997 closed tcp ports (reset)

PORT    STATE         SERVICE VERSION
22/tcp  closed        ssh
80/tcp  open          http    Hikvision Network Video Recorder http admin
|_http-server-header: App-webs/
|_http-title: NVR login
161/udp open|filtered snmp
443/tcp open          https
| ssl-cert: Subject: commonName=cam/organizationName=Axis Communications AB
| Issuer: commonName=cam
|_Not valid after:  2036-01-01T00:00:00
MAC Address: C4:2F:90:A7:B5:D1 (Hangzhou Hikvision Digital Technology)
Service Info: Device: webcam

Host script results:
|_nbstat: NetBIOS name: CAM-1, NetBIOS user: <unknown>

Nmap scan report for 192.0.2.2
Host is up.
All 1000 scanned ports on 192.0.2.2 are in ignored states.

Read data files from: /usr/bin/../share/nmap
# Nmap done at Tue Nov 24 10:00:07 2026 -- 8 IP addresses (2 hosts up) scanned in 7.51 seconds
"""
GREPPED = """# Nmap 7.93 scan initiated Tue Nov 24 10:00:00 2026 as: nmap -oG out 192.0.2.0/29
Host: 192.0.2.1 (cam.example)\tStatus: Up
Host: 192.0.2.1 (cam.example)\tPorts: 22/closed/tcp//ssh///, 80/open/tcp//http//Hikvision http admin/, 161/open/udp//snmp///\tIgnored State: filtered (9)
Host: 192.0.2.3 ()\tStatus: Down
Timestamp: 1764000000\tHost: 192.0.2.2 ()\tPorts: 554/open/tcp//rtsp//
# Nmap done at Tue Nov 24 10:00:07 2026 -- 8 IP addresses (2 hosts up) scanned in 7.51 seconds
"""


def test_the_normal_output(read: Callable[..., Any]) -> None:
    heard, source = read(NORMAL, "nmap-text")

    assert [(h.mac, h.address) for h in heard] == [("c4:2f:90:a7:b5:d1", "192.0.2.1"), (None, "192.0.2.2")]
    assert {(o.channel, o.port): o.value for o in heard[0].observations} == {
        ("tcp.open", None): "80,443", ("nmap.service", 80): "Hikvision Network Video Recorder http admin",
        ("http.header.server", 80): "App-webs/", ("http.title", 80): "NVR login",
        ("tls.subject", 443): "CN=cam,O=Axis Communications AB", ("tls.issuer", 443): "CN=cam", ("netbios.name", None): "CAM-1",
    }  # fmt: skip
    assert source.unknown == 0, source.shown


def test_one_line_for_each_host(read: Callable[..., Any]) -> None:
    heard, source = read(GREPPED, "nmap-text")

    assert [(h.address, [(o.channel, o.value) for o in h.observations]) for h in heard] == [
        ("192.0.2.1", []), ("192.0.2.1", [("tcp.open", "80"), ("nmap.service", "Hikvision http admin")]), ("192.0.2.2", [("tcp.open", "554")]),
    ]  # fmt: skip
    assert heard[2].at == "2025-11-24T16:00:00Z"
    assert source.unknown == 0, source.shown


@pytest.mark.parametrize("cut", range(0, len(NORMAL), 37))
def test_what_is_cut_off_keeps_what_stands_before(cut: int, read: Callable[..., Any]) -> None:
    heard, _ = read(NORMAL[:cut], "nmap-text", recognised=False)

    assert [h.address for h in heard] == ["192.0.2.1", "192.0.2.2"][: len(heard)]
    assert (len(heard) > 0) is ("(192.0.2.1)\n" in NORMAL[:cut] or "(192.0.2.1" in NORMAL[:cut])


def test_other_lines_are_counted(read: Callable[..., Any]) -> None:
    heard, source = read(NORMAL.replace("Service Info", "Lorem ipsum"), "nmap-text")

    assert len(heard) == 2
    assert source.shown == ["line 18: Lorem ipsum: Device: webcam"]


def test_a_host_that_is_not_understood_is_not_the_one_before(read: Callable[..., Any]) -> None:
    heard, source = read(
        "Nmap scan report for 192.0.2.1\nPORT STATE SERVICE\n22/tcp open ssh\n"
        "Nmap scan report for somebody ()\nPORT STATE SERVICE VERSION\n80/tcp open http Dahua camera\n",
        "nmap-text",
    )  # fmt: skip

    assert [(h.address, [o.value for o in h.observations]) for h in heard] == [("192.0.2.1", ["22"])]
    assert source.unknown == 2
