from __future__ import annotations

import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols import reader
from scanner.protocols.banner import PROTOCOL
from scanner.protocols.base import Ask, Service, Stream

SADP = "<ProbeMatch><Types>inquiry</Types><DeviceSN>S1</DeviceSN><Salt>ab</Salt></ProbeMatch>"


def pairs(value: str, channel: str = "tcp.banner", port: int | None = None) -> list[tuple[str, str]]:
    return list(PROTOCOL.read(Observation(channel=channel, value=value, port=port)))


@pytest.mark.parametrize(
    ("value", "port", "field"),
    [
        ("SSH-2.0-HUAWEI-1.5\r\nmore", None, ("ssh.banner", "SSH-2.0-HUAWEI-1.5")),
        ("ssh-2.0-dropbear", 2222, ("ssh.banner", "ssh-2.0-dropbear")),
        ("Welcome\r\nSSH-2.0-X\r\n", 22, ("ssh.banner", "SSH-2.0-X")),
        ("220 TP-LINK FTP version 1.0 ready\r\n", None, ("ftp.banner", "220 TP-LINK FTP version 1.0 ready")),
        ("220 ready", 21, ("ftp.banner", "220 ready")),
        ("220 mx.example.org ESMTP Postfix", None, ("smtp.banner", "220 mx.example.org ESMTP Postfix")),
        ("220 ready", 25, ("smtp.banner", "220 ready")),
        ("\r\ndvrdvs login: ", None, ("telnet.banner", "dvrdvs login:")),
        ("hex:fffd01fffd1ffffb01fffb030d0d0a286e6f6e6529206c6f67696e3a20", 9999, ("telnet.banner", "(none) login:")),
        ("Grandstream GXV3674", 23, ("telnet.banner", "Grandstream GXV3674")),
    ],
)
def test_greetings_are_told_apart_by_what_they_say(value: str, port: int | None, field: tuple[str, str]) -> None:
    assert pairs(value, port=port) == [field]


@pytest.mark.parametrize(
    "value", ["hex:000000100000000d0000000d00000000", "<cross-domain-policy>", "220", "220 hello", "", "hex:"]
)
def test_other_bytes_are_nothing_more(value: str) -> None:
    assert pairs(value, port=8000) == []


def test_negotiation_is_taken_out_of_telnet() -> None:
    sub = "hex:" + (b"\xff\xfa\x18\x01\xff\xf0A\xff\xffB\xff\xf9C").hex()
    assert pairs(sub, "telnet.banner") == [("telnet.banner", "A\ufffdBC")]
    assert pairs("hex:fffa1801", "telnet.banner") == []
    assert pairs("login:", "telnet.banner") == []


def test_http_and_rtsp_heard_unasked_are_read_as_such() -> None:
    for value, channel in (("HTTP/1.0 400 Bad\r\nServer: x\r\n\r\n", "http"), ("RTSP/1.0 400 Bad\r\n\r\n", "rtsp")):
        protocol = reader(f"{channel}.response")
        if protocol is not None:
            expected = list(protocol.read(Observation(channel=f"{channel}.response", value=value)))
            assert pairs(value) == expected


@pytest.mark.parametrize("channel", ["udp.payload", "discovery.somebody"])
def test_datagrams_are_read_by_the_protocol_they_belong_to(channel: str) -> None:
    assert ("sadp.devicesn", "S1") in pairs(SADP, channel)
    assert pairs("robot ip 192.168.0.115", channel) == []
    assert pairs("SSH-2.0-x", channel) == []
    assert pairs('{"vendor": {"MacAddress": "58-50-ED-11-22-33"}}', channel) == [("mac", "58:50:ed:11:22:33")]


def test_mask_is_that_of_the_protocol() -> None:
    masked = PROTOCOL.mask(Observation(channel="udp.payload", value=SADP))
    assert masked.value == SADP.replace("ab<", "00<")
    assert masked.channel == "udp.payload"
    plain = Observation(channel="tcp.banner", value=SADP)
    assert PROTOCOL.mask(plain) is plain


def test_a_greeting_is_read_and_nothing_is_said() -> None:
    asks = list(PROTOCOL.converse(Stream("192.0.2.1", 22)))

    assert [(ask.channel, ask.payload) for ask in asks] == [("tcp.banner", b"")]
    assert PROTOCOL.violation(b"root\r\n", Service(Transport.TCP, 23))


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"SSH-2.0-dropbear\r\n", True),
        (b"SSH-2.0-drop", False),
        (b"Unauthorised access is forbidden\r\nSSH-2.0-X\r\n", True),
        (b"220 ready\r\n", True),
        (b"220-Welcome\r\n", False),
        (b"220-Welcome\r\n220 ready\r\n", True),
        (b"\xff\xfd\x01\r\nZXHN H298A V1.1\r\nLogin:", True),
        (b"\xff\xfd\x01\r\nZXHN", False),
        (b"", False),
    ],
)
def test_a_greeting_is_whole_with_its_line_or_prompt(data: bytes, whole: bool) -> None:
    assert PROTOCOL.complete(data, Ask("tcp.banner", "greeting", b"")) is whole


def test_greetings_are_served_on_their_ports() -> None:
    device = Recording(
        id="d",
        observations=(
            Observation(channel="ssh.banner", value="SSH-2.0-HUAWEI-1.5"),
            Observation(channel="telnet.banner", value="hex:fffd01", port=2323),
            Observation(channel="tcp.banner", value="RTSP/1.0 400\r\n", port=554),
            Observation(channel="rtsp.response", value="RTSP/1.0 200 OK\r\n", port=554),
            Observation(channel="tcp.banner", value="hello"),
            Observation(channel="tcp.open", value="22,2323", port=22),
        ),
    )
    services = PROTOCOL.services(device)
    assert services == [Service(Transport.TCP, 22), Service(Transport.TCP, 2323)]
    assert PROTOCOL.greet(device, services[0]) == b"SSH-2.0-HUAWEI-1.5\r\n"
    assert PROTOCOL.greet(device, services[1]) == b"\xff\xfd\x01"
    assert PROTOCOL.greet(device, Service(Transport.TCP, 80)) == b""


def test_an_ftp_greeting_published_without_its_code_is_read_with_it() -> None:
    assert pairs("AXIS P3343 ready.", "ftp.banner") == [("ftp.banner", "220 AXIS P3343 ready.")]
    assert pairs("220 AXIS P3343 ready.", "ftp.banner") == []
    assert pairs("220-AXIS P3343 ready.", "ftp.banner") == []
