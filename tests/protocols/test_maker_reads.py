from __future__ import annotations

import pytest

from scanner.model import Observation, Reading, Transport
from scanner.protocols import forbidden
from scanner.protocols.base import Answer, Ask, Service, Stream
from scanner.protocols.http import PROTOCOL as HTTP
from scanner.protocols.maker_reads import PROTOCOL, READS

HOST = "192.0.2.42"
REFUSED = 'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm="IP Camera(C2183)"\r\n\r\n'


def heard(channel: str, value: str, port: int = 80, request: str | None = None) -> Reading:
    return Reading(channel, value, Observation(channel=channel, value=value, port=port, request=request))


def asked(*makers: str, port: int = 80, readings: tuple[Reading, ...] = (), answer: str = REFUSED) -> list[Ask]:
    known = (heard("http.status", "200 OK", port), *readings)
    talk = PROTOCOL.converse(Stream(HOST, port, heard=known, hints=frozenset(makers)))
    put: list[Ask] = []
    try:
        ask = next(talk)
        for _ in range(10):
            put.append(ask)
            ask = talk.send(Answer(data=answer.encode()))
        raise AssertionError("does not stop asking")
    except StopIteration:
        return put


@pytest.mark.parametrize(
    ("maker", "request_"),
    [
        ("hikvision", "GET /ISAPI/System/deviceInfo"),
        ("dahua", "GET /cgi-bin/magicBox.cgi?action=getDeviceType"),
        ("uniview", "GET /LAPI/V1.0/System/DeviceBasicInfo"),
        ("hanwha", "GET /init-cgi/pw_init.cgi?msubmenu=statuscheck&action=view"),
        ("axis", "POST /axis-cgi/basicdeviceinfo.cgi"),
    ],
)
def test_one_question_to_the_devices_of_one_maker(maker: str, request_: str) -> None:
    (ask,) = asked(maker, "someone-else")
    assert ask.request == request_
    assert ask.channel == "http.response"
    assert forbidden.request(ask.payload) is None
    assert HTTP.request_length(ask.payload) == len(ask.payload)
    assert HTTP.violation(ask.payload, Service(Transport.TCP, 80)) is None


def test_every_read_is_covered_by_a_test_and_none_is_asked_without_a_hint() -> None:
    assert set(READS) == {"hikvision", "dahua", "uniview", "hanwha", "axis"}
    assert not asked()
    assert not asked("tvt", "reolink")


def test_two_suspects_are_asked_one_question_each() -> None:
    assert [ask.request for ask in asked("hikvision", "dahua")] == [
        "GET /cgi-bin/magicBox.cgi?action=getDeviceType", "GET /ISAPI/System/deviceInfo",
    ]  # fmt: skip


def test_it_is_asked_once_and_only_where_pages_were_served() -> None:
    known = heard("http.response", REFUSED, 8080, "GET /ISAPI/System/deviceInfo")
    assert not asked("hikvision", readings=(known,))
    talk = PROTOCOL.converse(Stream(HOST, 80, hints=frozenset({"hikvision"})))
    assert not list(talk)
    elsewhere = (heard("http.status", "302 Found", 80), heard("http.status", "200 OK", 443))
    assert not list(PROTOCOL.converse(Stream(HOST, 80, heard=elsewhere, hints=frozenset({"hikvision"}))))


@pytest.mark.parametrize(("code", "second"), [(401, False), (200, False), (404, False), (403, True), (500, True)])
def test_a_second_question_only_where_the_first_said_nothing(code: int, second: bool) -> None:
    requests = [ask.request for ask in asked("hikvision", answer=f"HTTP/1.1 {code} X\r\n\r\n")]
    assert requests[1:] == (["GET /ISAPI/System/activateStatus"] if second else [])


def test_answers_are_whole_as_those_of_http() -> None:
    (ask,) = asked("axis")
    assert PROTOCOL.complete(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", ask)
    assert not PROTOCOL.complete(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", ask)
