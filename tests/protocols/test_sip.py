from __future__ import annotations

import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Alone, Service
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


def test_pieces_are_served_inside_an_answer_to_our_own_question() -> None:
    said = ('Server: x\r\nWWW-Authenticate: Digest realm="a",\r\n nonce="1"', "a=rtpmap:97 PCM/16000", "From: <sip:1@2>")
    device = Recording(
        id="p", observations=(
            *(Observation(channel="sip.response", value=value) for value in (said[0], said[2], said[1])),
            Observation(channel="sip.header.user-agent", value="y/1"),
            Observation(channel="sip.gb28181.model", value="A&B"),
        ),
    )  # fmt: skip
    assert PROTOCOL.services(device) == (SERVICE,)
    (question,) = PROTOCOL.questions()
    reply = PROTOCOL.answer(question.payload, device, SERVICE)
    assert reply is not None
    assert reply.data.startswith(b"SIP/2.0 401 ")
    found = read(reply.data.decode())
    wanted = {"server": "x", "from": "<sip:1@2>", "user-agent": "y/1", "cseq": "1 OPTIONS"}
    assert {name: found[f"sip.header.{name}"] for name in wanted} == wanted
    assert found["sip.gb28181.model"] == "A&B"
    assert b"PCM/16000" in reply.data


def test_the_question_is_options_once_for_nobody_else() -> None:
    (question,) = PROTOCOL.questions()
    text = question.payload.decode("ascii")
    assert (question.port, question.alone, question.together) == (PORT, Alone.LAST, False)
    assert text.startswith("OPTIONS ")
    assert text.endswith("\r\n\r\n")
    for line in ("Max-Forwards: 0", ";rport;", "Content-Length: 0", "User-Agent: lanveto/", "CSeq: 1 OPTIONS"):
        assert line in text
    assert question.payload != PROTOCOL.questions()[0].payload
    assert len(question.payload) == len(PROTOCOL.questions()[0].payload)


def test_mask_hides_the_numbers_of_our_own_question() -> None:
    masked = {
        PROTOCOL.mask(Observation(channel="sip.response", value=q.payload.decode())).value
        for q in (PROTOCOL.questions()[0], PROTOCOL.questions()[0])
    }
    assert len(masked) == 1
    assert "lanveto-0000000000000000" in masked.pop()


@pytest.mark.parametrize(
    ("payload", "forbidden"),
    [
        (b"OPTIONS sip:x SIP/2.0\r\n\r\n", False),
        (b"OPTIONS sip:x SIP/2.0\r\nTo: authorization: x\r\n\r\n", False),
        (b"OPTIONS sip:x SIP/2.0\r\nAuthorization: Digest\r\n\r\n", True),
        (b"OPTIONS sip:x SIP/2.0\r\nProxy-Authorization: Digest\r\n\r\n", True),
        (b"OPTIONS sip:x SIP/2.0\nPROXY-AUTHORIZATION : Digest\n\n", True),
        (b"OPTIONS sip:x SIP/2.0\rauthorization:Digest\r\r", True),
        (b"ACK sip:x SIP/2.0\r\n\r\n", True),
        (b"REGISTER sip:x SIP/2.0\r\n\r\n", True),
        (b"INVITE sip:x SIP/2.0\r\n\r\n", True),
    ],
)
def test_violations(payload: bytes, forbidden: bool) -> None:
    assert bool(PROTOCOL.violation(payload, SERVICE)) is forbidden
