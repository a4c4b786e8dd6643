from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from scanner import imports
from scanner.errors import InputProblem

HOST = """<host starttime="1795514400" endtime="1795514460"><status state="up" reason="arp-response"/>
<address addr="192.0.2.{n}" addrtype="ipv4"/><address addr="3C:EF:8C:11:22:{n:02X}" addrtype="mac" vendor="Zhejiang Dahua"/>
<hostnames></hostnames><ports>
<port protocol="tcp" portid="80"><state state="open" reason="syn-ack"/><service name="http" product="Dahua webcam httpd" method="probed" conf="10"/>
<script id="http-title" output="WEB SERVICE"/><script id="http-server-header" output="Webs"/>
<script id="http-favicon" output="Unknown favicon MD5: BD9E17C46BBBC18AF2A2BD718DC5CE00"/>
<script id="http-auth" output="HTTP/1.1 401 Unauthorized&#xa;  Digest realm=Login to ABC nonce=123 qop=auth&#xa;"/></port>
<port protocol="tcp" portid="443"><state state="open"/><service name="https"/>
<script id="ssl-cert" output="Subject: commonName=axis-accc8e010203/organizationName=Axis Communications AB&#xa;Subject Alternative Name: DNS:x&#xa;Issuer: commonName=ca"/></port>
<port protocol="tcp" portid="554"><state state="open"/><service name="rtsp"/><script id="rtsp-methods" output="&#xa;  OPTIONS, DESCRIBE, SETUP"/></port>
<port protocol="tcp" portid="81"><state state="closed"/><service name="x"/></port>
<port protocol="udp" portid="161"><state state="open"/><service name="snmp"/><script id="snmp-sysdescr" output="Huawei AR1220&#xa;  System uptime: 1d"/></port>
</ports><hostscript><script id="nbstat" output="NetBIOS name: CAM-1, NetBIOS user: &lt;unknown&gt;"/></hostscript></host>
"""
BEGIN = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE nmaprun>\n<nmaprun scanner="nmap" args="nmap -oX">\n'
PRE = """<prescript><script id="broadcast-upnp-info" output="&#xa;  192.0.2.77&#xa;      Server: Linux UPnP/1.0 x&#xa;      Location: http://192.0.2.77/d.xml&#xa;        Name: Cam&#xa;        Manufacturer: HIKVISION&#xa;        Model Name: DS-2CD&#xa;"/></prescript>
"""
END = '<runstats><finished time="1" timestr="x" elapsed="1"/><hosts up="1" down="0" total="1"/></runstats></nmaprun>'


def test_a_host_and_what_its_scripts_heard(read: Callable[..., Any]) -> None:
    heard, source = read(BEGIN + PRE + HOST.format(n=1) + END, "nmap")

    told, host = heard
    assert (told.mac, told.address) == (None, "192.0.2.77")
    assert {o.channel: o.value for o in told.observations}["upnp.manufacturer"] == "HIKVISION"
    assert (host.mac, host.address, host.at) == ("3c:ef:8c:11:22:01", "192.0.2.1", "2026-11-24T10:01:00Z")
    said = {(o.channel, o.port): o.value for o in host.observations}
    assert said == {
        ("tcp.open", None): "80,443,554", ("nmap.service", 80): "Dahua webcam httpd", ("http.title", 80): "WEB SERVICE",
        ("http.header.server", 80): "Webs", ("http.favicon.md5", 80): "bd9e17c46bbbc18af2a2bd718dc5ce00",
        ("http.header.www-authenticate", 80): 'Digest realm="Login to ABC"', ("tls.subject", 443): "CN=axis-accc8e010203,O=Axis Communications AB",
        ("tls.issuer", 443): "CN=ca", ("tls.san", 443): "DNS:x", ("rtsp.header.public", 554): "OPTIONS, DESCRIBE, SETUP",
        ("snmp.sysdescr", 161): "Huawei AR1220", ("netbios.name", None): "CAM-1",
    }  # fmt: skip
    assert source.unknown == 0


def _until_it_ends(data: str | bytes, read: Callable[..., Any], tmp_path: Any) -> tuple[list[Any], str]:
    from scanner.imports.opening import opened

    path = tmp_path / "x.xml"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    source = opened(path)
    heard: list[Any] = []
    feed = imports.get("nmap").read(source)
    try:
        heard.extend(feed)
    except InputProblem as problem:
        return heard, str(problem)
    finally:
        source.stream.close()
    return heard, ""


def test_a_scan_that_was_interrupted_keeps_its_hosts(read: Callable[..., Any], tmp_path: Any) -> None:
    heard, why = _until_it_ends(BEGIN + HOST.format(n=1) + HOST.format(n=2) + HOST.format(n=3)[:400], read, tmp_path)

    assert [h.address for h in heard] == ["192.0.2.1", "192.0.2.2"]
    assert "the 2 hosts before that were read" in why


@pytest.mark.parametrize(("document", "why"), [
    ('<?xml version="1.0"?><!DOCTYPE nmaprun [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><nmaprun>&b;</nmaprun>', "entities"),
    ('<?xml version="1.0"?><!DOCTYPE nmaprun [<!ENTITY x SYSTEM "file:///etc/passwd">]><nmaprun><host>&x;</host></nmaprun>', "entities"),
    ("<html><nmaprun/></html>", "not <nmaprun>"), (BEGIN + "<host><a></b></host>", "broken"), (BEGIN + "<host>" + "\x01", "broken"),
])  # fmt: skip
def test_hostile_documents(document: str, why: str, read: Callable[..., Any], tmp_path: Any) -> None:
    _heard, said = _until_it_ends(document, read, tmp_path)

    assert why in said


def test_a_host_without_end_is_not_kept_in_memory(read: Callable[..., Any], tmp_path: Any) -> None:
    document = BEGIN + HOST.format(n=1) + "<host><x>" + "x" * (40 << 20)
    heard, why = _until_it_ends(document, read, tmp_path)

    assert [h.address for h in heard] == ["192.0.2.1"]
    assert "more than 32 MiB" in why


def test_a_host_that_python_nmap_cannot_read_is_counted(read: Callable[..., Any]) -> None:
    heard, source = read(BEGIN + "<host><status state='up'/></host>" + HOST.format(n=2) + END, "nmap")

    assert [h.address for h in heard] == ["192.0.2.2"]
    assert source.unknown == 1


def test_hosts_that_are_down_are_nobody(read: Callable[..., Any]) -> None:
    heard, _ = read(BEGIN + HOST.format(n=1).replace('state="up"', 'state="down"') + END, "nmap")

    assert heard == []


def test_scapy_and_python_nmap_never_meet() -> None:
    """Their licences do not allow it: neither process holds both."""
    code = "import sys\nimport scanner.imports.nmap, scanner.imports.pcap, scanner.imports.dissect\nassert 'nmap' not in sys.modules and 'scapy' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    child = "import sys, io\nfrom scanner.imports import _nmap\nsys.stdin = io.TextIOWrapper(io.BytesIO(b'<nmaprun/>'))\n_nmap.main()\nassert 'nmap' in sys.modules and 'scapy' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", child], check=False).returncode == 0
