"""Devices made to harm whoever asks them, on the wire: bounded, told apart, and never followed elsewhere."""

from __future__ import annotations

import gzip
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scanner.model import Observation, Recording
from scanner.simulate.lab import Lab

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]

NETWORK = "10.77.0.0/25"
TARGETS = "10.77.0.1-10.77.0.60"
VICTIM = "10.77.0.40"
"""A device on the segment that nobody asked to scan, and to which the others point."""
ESCAPE = "\x1b]0;owned\x07\x1b[2J\u202e"
TERMINAL = set("\x1b\x07\x9b\u202e\u200b")
SOAP = '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>{}</s:Body></s:Envelope>'
LAUGHS = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
) + "]>" + SOAP.format("&j;")
ELSEWHERE = (
    f'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a SYSTEM "http://{VICTIM}/x"><!ENTITY b SYSTEM "file:///etc/passwd">]>'
    + SOAP.format("&a;&b;")
)
MATCH = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Body><d:ProbeMatches><d:ProbeMatch>'
    "<a:EndpointReference><a:Address>urn:uuid:1</a:Address></a:EndpointReference>"
    f"<d:XAddrs>http://{VICTIM}/onvif/device_service http://10.77.0.7:9100/onvif/device_service file:///etc/passwd"
    "</d:XAddrs></d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
)


def _web(head: str, body: bytes = b"", status: str = "200 OK") -> Observation:
    raw = f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body
    return Observation(channel="http.response", port=80, request="GET /", value="hex:" + raw.hex())


def _onvif(document: str) -> Observation:
    value = "HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\n\r\n" + document
    return Observation(channel="onvif.response", port=80, request="GetSystemDateAndTime", value=value)


def _found(document: str) -> Observation:
    return Observation(channel="wsdiscovery.response", port=3702, value=document)


def _ssdp(location: str) -> Observation:
    value = f"HTTP/1.1 200 OK\r\nLOCATION: {location}\r\nST: upnp:rootdevice\r\n\r\n"
    return Observation(channel="upnp.ssdp", port=1900, value=value)


def _to(place: str) -> Observation:
    return _web(f"Location: {place}\r\nContent-Length: 0\r\n", status="302 Found")


BOMB = gzip.compress(bytes(50_000_000))
PAGE = (
    f'<meta http-equiv=refresh content="0;url=http://{VICTIM}/"><link rel="icon" href="http://{VICTIM}/f.ico">'
    f'<script>location="http://{VICTIM}/"</script>'
)
DEVICES: dict[str, tuple[Observation, ...]] = {
    "loop": (_to("/"),),
    "away": (_to(f"http://{VICTIM}/"),),
    "away-quietly": (_to(f"//{VICTIM}/"),),
    "away-in-disguise": (_to(f"http://10.77.0.4@{VICTIM}/"),),
    "away-to-a-printer": (_to("http://10.77.0.5:9100/"),),
    "away-by-page": (_web("Content-Type: text/html\r\n", PAGE.encode()),),
    "away-by-discovery": (_found(MATCH),),
    "away-by-entity": (_onvif(ELSEWHERE), _found(ELSEWHERE)),
    "long-way": (_to("/a" * 30_000),),
    "split-way": (_to("/x%0d%0aHost:%20evil\t\x01"),),
    "gzip-bomb": (_web(f"Content-Encoding: gzip\r\nContent-Length: {len(BOMB)}\r\n", BOMB),),
    "xml-bomb": (_onvif(LAUGHS), _found(LAUGHS)),
    "long-header": (_web("X-A: " + "a" * 100_000 + "\r\n"),),
    "many-headers": (_web("".join(f"X-{n}: a\r\n" for n in range(20_000))),),
    "huge-chunk": (_web("Transfer-Encoding: chunked\r\n", b"ffffffffffffffff\r\n" + b"a" * 1000),),
    "negative-chunk": (_web("Transfer-Encoding: chunked\r\n", b"-5\r\nabc\r\n"),),
    "huge-length": (_web("Content-Length: 99999999999999999999\r\n", b"abc"),),
    "negative-length": (_web("Content-Length: -1\r\n", b"abc"),),
    "odd-status": (_web("Server: x\r\n", status="99999 " + "x" * 5000),),
    "escapes": (
        _web(f'Server: {ESCAPE}\r\nWWW-Authenticate: Digest realm="{ESCAPE}", nonce="1"\r\n', status="401 No"),
        Observation(channel="rtsp.response", port=554, request="OPTIONS",
                    value=f"RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: {ESCAPE}\r\n\r\n"),
        Observation(channel="sip.response", value=f"SIP/2.0 200 OK\r\nServer: {ESCAPE}\r\n\r\n"),
        Observation(channel="snmp.engineid", value="8000000003020000000001"),
        Observation(channel="upnp.description", value=f"<friendlyName>{ESCAPE}</friendlyName>"),
    ),
    "described-elsewhere": (_ssdp(f"http://{VICTIM}:49152/d.xml"), _ssdp(f"http://{VICTIM}/d.xml")),
    "described-in-disguise": (_ssdp(f"http://10.77.0.22@{VICTIM}/d.xml"), _ssdp("http://127.0.0.1/d.xml")),
    "described-on-a-printers-port": (_ssdp("http://10.77.0.23:9100/d.xml"), Observation(channel="tcp.open", value="9100")),
    "described-on-a-makers-port": (_ssdp("http://10.77.0.24:37777/"), Observation(channel="tcp.open", value="37777")),
    "described-by-a-login": (_ssdp("http://10.77.0.25/ISAPI/Security/userCheck"), _web("Server: x\r\n")),
    "description-moved": (Observation(
        channel="upnp.description",
        value=f"HTTP/1.1 302 Found\r\nLocation: http://{VICTIM}/d.xml\r\nContent-Length: 0\r\n\r\n",
    ),),
    "description-bomb": (Observation(
        channel="upnp.description",
        value="hex:" + (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + BOMB).hex(),
    ),),
    "description-with-entities": (Observation(channel="upnp.description", value=ELSEWHERE),),
}  # fmt: skip
BEHAVIOURS = ("silent", "tarpit", "endless", "half", "reset", "garbage")
CAMERA = (_web("Server: DNVRS-Webs\r\n"), Observation(channel="sadp.devicedescription", value="DS-2CD2032-I"))


def _fleet() -> Iterator[Recording]:
    for number, (name, seen) in enumerate(DEVICES.items(), 1):
        yield Recording(id=name, ip=f"10.77.0.{number}", observations=seen)
    for number, name in enumerate(BEHAVIOURS, 50):
        yield Recording(id=name, ip=f"10.77.0.{number}", observations=DEVICES["escapes"], behaviour=name)
    yield Recording(id="camera", ip="10.77.0.60", mac="44:19:b6:11:22:33", observations=CAMERA)
    yield Recording(id="victim", ip=VICTIM, observations=(_web("Server: victim\r\n"),))


@pytest.fixture(scope="module")
def hostile() -> Iterator[Lab]:
    """All of them on one segment, a camera among them."""
    with Lab(tuple(_fleet()), network=NETWORK, requests=5) as lab:
        yield lab


def test_all_are_bounded_and_nobody_is_led_elsewhere(hostile: Lab, me: Any, capture: Any, place: Path) -> None:
    log = place / "audit.log"
    began = time.monotonic()
    with capture(hostile.ready.enter) as caught:
        report, done = me.scan(TARGETS, "--exclude", VICTIM, "--audit-log", str(log), enter=hostile.ready.enter)

    assert time.monotonic() - began < 60
    assert [frame for frame in caught.frames if frame[2] == VICTIM or frame[1] == hostile.devices["victim"].mac] == []
    told = {device["ip"]: device for device in report["devices"]}
    assert set(told) == {placed.ip for placed in hostile.devices.values()} - {VICTIM}
    assert [d["ip"] for d in told.values() if d["level"] in {"likely", "confirmed"}] == ["10.77.0.60"]
    assert told["10.77.0.60"]["manufacturer"] == "hikvision"
    assert (report["scan"]["failures"], done.stderr) == ([], "")
    assert not set(done.stdout) & TERMINAL
    # Neither a printer's port nor a second connection at a time, and nothing that only a login would send.
    assert hostile.violations() == []
    sent = log.read_text(encoding="utf-8").lower()
    assert not [word for word in ("authorization", "password", "passwd", ":9100") if word in sent]


def test_a_report_that_cannot_be_written_is_not_lost(hostile: Lab, me: Any) -> None:
    words = ("scan", "10.77.0.20", "10.77.0.55", "10.77.0.60", "--timeout", "1", "--output", "/dev/full")
    done = me.run(*words, enter=hostile.ready.enter)
    assert done.returncode == 3
    assert "/dev/full" in done.stderr
    assert "hikvision" in done.stdout
    assert not set(done.stdout) & TERMINAL


def _begun(pid: int) -> None:
    """Wait until a scan minds being told to end: on a busy machine, a command takes its time to get there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        caught = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:"))
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.01)
    raise AssertionError("the scan did not begin")


@pytest.mark.parametrize(("number", "after"), [(signal.SIGHUP, 1.5), (signal.SIGTERM, 3.0), (signal.SIGINT, 0.8)])
def test_whenever_it_is_ended_it_tells_what_it_knows(hostile: Lab, me: Any, number: signal.Signals, after: float) -> None:
    process = me.start("scan", TARGETS, "--rate", "40", "--format", "json", enter=hostile.ready.enter)
    _begun(process.pid)
    time.sleep(after)
    process.send_signal(number)
    asked = time.monotonic()
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
    assert time.monotonic() - asked < 10  # a second, and the report; other tests share the machine
    assert json.loads(out)["scan"]["interrupted"] is True


def test_an_interface_that_goes_down_ends_the_scan_with_what_is_known(me: Any) -> None:
    with Lab([r for r in _fleet() if r.id in {"camera", "loop", "tarpit"}], network=NETWORK) as lab:
        process = me.start("scan", TARGETS, "--rate", "20", "--format", "json", enter=lab.ready.enter)
        time.sleep(2)
        lab.run(["ip", "link", "set", "s0", "down"], check=True)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "s0 went away or down" in err
    assert "s0 went away or down" in json.loads(out)["scan"]["failures"][0]


def test_without_any_network_it_says_so(me: Any) -> None:
    for words in (("192.0.2.0/30",), ("--yes",), ("192.0.2.0/30", "--no-raw")):
        done = me.run("scan", *words, "--timeout", "1", enter=("unshare", "-n"))
        assert done.returncode in {2, 3}, done.stdout
        assert "Traceback" not in done.stderr
        assert "no route" in done.stderr or "no physical link" in done.stderr
