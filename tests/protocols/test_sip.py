from __future__ import annotations

import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Service
from scanner.protocols.sip import PORT, PROTOCOL

SERVICE = Service(Transport.UDP, PORT)
ANSWER = (
    "SIP/2.0 401 Unauthorized\r\nv: SIP/2.0/UDP 192.0.2.1\r\nUser-Agent: Dahua UAC/3.0\r\n"
    'WWW-Authenticate: Digest realm="huawei",\r\n nonce="248e4b4457f2",algorithm=MD5\r\nContent-Length: 0\r\n\r\n'
)


def read(text: str) -> dict[str, str]:
    return dict(PROTOCOL.read(Observation(channel="sip.response", value=text)))


def test_reads_headers_folded_and_compact() -> None:
    found = read(ANSWER)
    assert found["sip.header.user-agent"] == "Dahua UAC/3.0"
    assert found["sip.header.www-authenticate"].startswith('Digest realm="huawei", nonce=')
    assert found["sip.header.via"] == "SIP/2.0/UDP 192.0.2.1"
    assert read("Server: F660/V2.22.21P1T14S") == {"sip.header.server": "F660/V2.22.21P1T14S"}


def test_reads_the_device_information_of_gb28181() -> None:
    body = "\r\n<Response><Manufacturer>Hikvision</Manufacturer><Model>IP Camera</Model><Secret>x</Secret></Response>"
    assert read("MESSAGE sip:x SIP/2.0\r\nFrom: <sip:1@2>" + body) == {
        "sip.header.from": "<sip:1@2>",
        "sip.gb28181.manufacturer": "Hikvision",
        "sip.gb28181.model": "IP Camera",
    }


def test_mask_hides_the_nonce() -> None:
    masked = PROTOCOL.mask(Observation(channel="sip.response", value=ANSWER)).value
    assert masked == ANSWER.replace("248e4b4457f2", "000000000000")


def test_a_recorded_answer_is_served_to_options() -> None:
    device = Recording(id="d", observations=(Observation(channel="sip.response", value=ANSWER),))
    assert PROTOCOL.services(device) == (SERVICE,)
    reply = PROTOCOL.answer(b"OPTIONS sip:192.0.2.1 SIP/2.0\r\n\r\n", device, SERVICE)
    assert reply is not None
    assert reply.data == ANSWER.encode()
    assert PROTOCOL.recognise(reply.data) == "sip.response"
    assert PROTOCOL.answer(b"REGISTER sip:x SIP/2.0\r\n\r\n", device, SERVICE) is None
    piece = Observation(channel="sip.response", value="Server: x")
    assert PROTOCOL.services(Recording(id="p", observations=(piece,))) == ()


@pytest.mark.parametrize(
    ("payload", "forbidden"),
    [
        (b"OPTIONS sip:x SIP/2.0\r\n\r\n", False),
        (b"OPTIONS sip:x SIP/2.0\r\nAuthorization: Digest\r\n\r\n", True),
        (b"REGISTER sip:x SIP/2.0\r\n\r\n", True),
        (b"INVITE sip:x SIP/2.0\r\n\r\n", True),
    ],
)
def test_violations(payload: bytes, forbidden: bool) -> None:
    assert bool(PROTOCOL.violation(payload, SERVICE)) is forbidden
