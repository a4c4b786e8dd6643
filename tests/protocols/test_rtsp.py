from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.model import Observation, Recording, Transport
from scanner.protocols import messages, read_all
from scanner.protocols.base import Answer, Ask, Service, Stream
from scanner.protocols.rtsp import PROTOCOL
from scanner.values import from_bytes

SERVICE = Service(Transport.TCP, 554)
LISTING = (
    "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE, PLAY\r\nDate:  Thu, May 14 2020 16:45:35 GMT\r\n\r\n"
)
REFUSAL = (
    'RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nWWW-Authenticate: Digest realm="IP Camera(C2875)", nonce="938032d9", '
    'stale="FALSE"\r\nWWW-Authenticate: Basic realm="IP Camera(C2875)"\r\nDate:  Thu, May 14 2020 16:45:35 GMT\r\n\r\n'
)
SDP = "v=0\r\no=- 1001 1 IN IP4 192.0.2.6\r\ns=VCP IPC Realtime stream\r\nm=video 0 RTP/AVP 105\r\n"
OPEN = f"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}"


def seen(
    value: str, request: str | None = None, channel: str = "rtsp.response", *, silent: bool = False
) -> Observation:
    return Observation(channel=channel, value=value, request=request, port=554, silent=silent)


def fields(value: str, request: str | None = None) -> list[tuple[str, str]]:
    return list(PROTOCOL.read(seen(value, request)))


def device(*observations: Observation) -> Recording:
    return Recording(id="d", observations=observations)


def request(method: str, target: str = "rtsp://192.0.2.42:554/", *headers: str) -> bytes:
    return "\r\n".join([f"{method} {target} RTSP/1.0", "CSeq: 7", *headers, "", ""]).encode()


def asked(recording: Recording, method: str, target: str = "rtsp://192.0.2.42:554/") -> str:
    reply = PROTOCOL.answer(request(method, target), recording, SERVICE)
    assert reply is not None
    return reply.data.decode()


# -- reading -----------------------------------------------------------------------------------------------------


def test_a_refusal_with_two_challenges_and_two_blanks() -> None:
    assert fields(REFUSAL) == [
        ("rtsp.status", "401 Unauthorized"),
        ("rtsp.header.cseq", "2"),
        ("rtsp.header.www-authenticate", 'Digest realm="IP Camera(C2875)", nonce="938032d9", stale="FALSE"'),
        ("rtsp.header.www-authenticate", 'Basic realm="IP Camera(C2875)"'),
        ("rtsp.header.date", " Thu, May 14 2020 16:45:35 GMT"),
    ]


def test_blanks_tell_only_where_they_tell() -> None:
    found = dict(fields("RTSP/1.0 200 OK\r\nServer:  x \r\nSession:        708345999;timeout=60 \r\nDate: y\r\n\r\n"))
    assert found["rtsp.header.server"] == "x"
    assert found["rtsp.header.session"] == "       708345999;timeout=60"
    assert found["rtsp.header.date"] == "y"


@pytest.mark.parametrize("value", [OPEN, OPEN.replace("\r\n", "\n"), SDP, OPEN.lower(), "s=x\no=y\nm=z", "\r\n" + SDP])
def test_a_description_is_read_from_answers_and_pieces(value: str) -> None:
    found = dict(fields(value))
    assert found["rtsp.sdp"].lower().lstrip().startswith(("v=0", "s=x"))


def test_a_page_is_no_description() -> None:
    assert "rtsp.sdp" not in dict(fields("RTSP/1.0 404 Not Found\r\n\r\n<html>a=1</html>"))
    assert "rtsp.sdp" not in dict(fields("HTTP/1.1 200 OK\r\n\r\nhello"))


def test_a_path_is_told_with_its_code_and_the_root_is_none() -> None:
    assert ("rtsp.path", "/Streaming/Channels/101 401") in fields(
        REFUSAL, "DESCRIBE rtsp://x:554/Streaming/Channels/101"
    )
    assert ("rtsp.path", "/a 401") in fields(REFUSAL, "DESCRIBE /a")
    for request_ in ("DESCRIBE", "OPTIONS *", "DESCRIBE rtsp://192.0.2.1:554/", "DESCRIBE rtsp://192.0.2.1", None, ""):
        assert "rtsp.path" not in dict(fields(REFUSAL, request_))


@pytest.mark.parametrize("unit", ["\r\n", "s", "a=b\n", "RTSP/1.0 200 OK", "a: b\r\n", " ", "v=0", "OPTIONS "])
def test_hostile_answers_take_no_time(unit: str) -> None:
    text = unit * (65_536 // len(unit))
    began = time.thread_time()
    for value in (text, f"RTSP/1.0 200 OK\r\n{text}", f"RTSP/1.0 200 OK\r\n\r\n{text}"):
        fields(value, text)
        PROTOCOL.mask(seen(value))
        PROTOCOL.violation(value.encode(), SERVICE)
        PROTOCOL.answer(value.encode(), device(seen(value)), SERVICE)
    assert time.thread_time() - began < 5


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([b"RTSP/1.0 200 OK\r\n", b"\r\n", b"v=0", b"CSeq: 1"]) | st.binary(max_size=9))
    .map(b"".join)
)  # fmt: skip
def test_no_answer_raises(data: bytes) -> None:
    fields(from_bytes(data))


# -- asking ------------------------------------------------------------------------------------------------------


def conversation(*answers: bytes, stream: Stream | None = None) -> list[Ask]:
    talk = PROTOCOL.converse(stream or Stream("192.0.2.42", 554))
    put: list[Ask] = []
    try:
        ask = next(talk)
        for answer in (*answers, b"", b""):
            put.append(ask)
            ask = talk.send(Answer(data=answer))
        raise AssertionError("does not stop asking")
    except StopIteration:
        return put


def test_options_then_describe_and_nothing_else() -> None:
    first, second = conversation(LISTING.encode(), REFUSAL.encode())
    assert first.payload == (
        f"OPTIONS rtsp://192.0.2.42:554/ RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: {messages.USER_AGENT}\r\n\r\n".encode()
    )
    assert (
        second.payload
        == (
            "DESCRIBE rtsp://192.0.2.42:554/ RTSP/1.0\r\nCSeq: 2\r\nAccept: application/sdp\r\n"
            f"User-Agent: {messages.USER_AGENT}\r\n\r\n"
        ).encode()
    )
    assert (first.request, second.request) == ("OPTIONS", "DESCRIBE")
    assert all(ask.channel == "rtsp.response" and ask.port is None for ask in (first, second))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0", REFUSAL.encode()])
def test_describe_is_not_asked_where_it_tells_nothing_new(answer: bytes) -> None:
    assert len(conversation(answer)) == 1


def test_literals_stand_as_in_a_url() -> None:
    (ask,) = conversation(b"", stream=Stream("fe80::1%eth0", 322, True))
    assert ask.payload.startswith(b"OPTIONS rtsps://[fe80::1]:322/ RTSP/1.0\r\n")


def test_an_answer_is_whole_with_its_stated_body() -> None:
    (ask,) = conversation(b"")
    assert PROTOCOL.complete(LISTING.encode(), ask)
    assert PROTOCOL.complete(OPEN.encode(), ask)
    assert not PROTOCOL.complete(OPEN[:-1].encode(), ask)
    assert not PROTOCOL.complete(LISTING[:-2].encode(), ask)


# -- being a device ----------------------------------------------------------------------------------------------


def test_recorded_answers_by_method_with_the_number_of_the_request() -> None:
    recording = device(seen(LISTING, "OPTIONS"), seen(REFUSAL, "DESCRIBE"))
    assert asked(recording, "OPTIONS") == LISTING.replace("CSeq: 1", "CSeq: 7")
    assert asked(recording, "DESCRIBE") == REFUSAL.replace("CSeq: 2", "CSeq: 7")
    assert asked(recording, "OPTIONS", "*") == LISTING.replace("CSeq: 1", "CSeq: 7")


def test_answers_without_a_label_find_their_question() -> None:
    assert asked(device(seen(REFUSAL), seen(LISTING)), "OPTIONS").startswith("RTSP/1.0 200 OK")
    assert asked(device(seen(REFUSAL), seen(LISTING)), "DESCRIBE").startswith("RTSP/1.0 401")
    assert asked(device(seen(REFUSAL)), "OPTIONS").startswith("RTSP/1.0 401")
    assert "s=VCP" in asked(device(seen(OPEN)), "DESCRIBE")
    assert asked(device(seen(OPEN)), "OPTIONS").startswith("RTSP/1.0 200 OK")
    bad = "RTSP/1.0 400 Bad Request\r\nCSeq: 0\r\n\r\n"
    assert asked(device(seen(bad), seen(REFUSAL)), "OPTIONS").startswith("RTSP/1.0 400")
    assert asked(device(seen(bad), seen(REFUSAL)), "DESCRIBE").startswith("RTSP/1.0 401")


def test_a_number_with_a_tail_keeps_it() -> None:
    assert "CSeq: 7 OPTIONS\r\n" in asked(device(seen(LISTING.replace("CSeq: 1", "CSeq: 42 OPTIONS"))), "OPTIONS")


@pytest.mark.parametrize(
    "observations",
    [
        (seen('Digest realm="a"', channel="rtsp.header.www-authenticate"), seen(" Thu", channel="rtsp.header.date")),
        (seen("OPTIONS, DESCRIBE", channel="rtsp.header.public"), seen("H264DVR 1.0", channel="rtsp.header.server")),
        (seen(SDP, channel="rtsp.sdp"), seen("gortsplib", channel="rtsp.header.server")),
        (seen("490 Account Blocked", channel="rtsp.status"),),
        (seen(SDP, channel="rtsp.sdp"), seen('Basic realm="b"', channel="rtsp.header.www-authenticate")),
    ],
)
def test_single_fields_come_back_in_composed_answers(
    observations: tuple[Observation, ...], talk: Callable[..., Recording]
) -> None:
    back = {(r.channel, r.value) for r in read_all(talk(device(*observations), names=("rtsp",)))}
    assert {(o.channel, o.value) for o in observations} <= back


def test_a_path_that_was_not_recorded_is_not_found() -> None:
    assert asked(device(seen(LISTING)), "DESCRIBE", "rtsp://192.0.2.42/live").startswith("RTSP/1.0 404 ")


def test_recorded_silence_is_kept_and_others_are_not_answered() -> None:
    reply = PROTOCOL.answer(request("OPTIONS"), device(seen("", "OPTIONS", silent=True)), SERVICE)
    assert reply is not None
    assert reply.data == b""
    assert PROTOCOL.answer(b"GET / HTTP/1.1\r\n\r\n", device(seen(LISTING)), SERVICE) is None


def test_an_answer_that_was_recorded_in_part_ends_with_the_connection() -> None:
    reply = PROTOCOL.answer(request("DESCRIBE"), device(seen(OPEN[:-9])), SERVICE)
    assert reply is not None
    assert reply.close


def test_the_ports_of_a_device() -> None:
    recording = Recording(
        id="d",
        observations=(
            Observation(channel="rtsp.path", value="/x", port=10554),
            Observation(channel="rtsp.sdp", value=SDP),
            Observation(channel="rtsp.response", value="", port=8554, silent=True),
            Observation(channel="rtsp.status", value="200 OK", port=322, tls=True),
        ),
    )
    assert [(s.port, s.tls) for s in PROTOCOL.services(recording)] == [
        (322, True), (554, False), (8554, False), (10554, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        request("OPTIONS", "rtsp://192.0.2.42:554/", "Authorization: Basic YTpi"),
        request("DESCRIBE", "rtsp://192.0.2.42:554/", "authorization: Digest x"),
        request("DESCRIBE", "rtsp://admin:12345@192.0.2.42:554/"),
        request("DESCRIBE", "rtsp://192.0.2.42:554/Streaming/Channels/101"),
        request("DESCRIBE", "/live"),
        request("SETUP"),
        request("PLAY"),
        request("ANNOUNCE"),
        request("RECORD"),
        request("TEARDOWN"),
        request("GET_PARAMETER"),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\1",
    ],
)
def test_what_may_not_be_said(data: bytes) -> None:
    assert PROTOCOL.violation(data, SERVICE) is not None


def test_what_we_say_may_be_said(talk: Callable[..., Recording], corpus: Iterable[Recording]) -> None:
    for data in (request("OPTIONS", "*"), request("OPTIONS"), request("DESCRIBE", "rtsp://[fe80::1]:554/")):
        assert PROTOCOL.violation(data, SERVICE) is None
    heard = [o for case in corpus for o in talk(case, names=("rtsp",)).observations]
    assert sum(bool(o.value) for o in heard) > 40
