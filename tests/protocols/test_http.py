from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.model import Observation, Reading, Recording
from scanner.protocols import messages, read
from scanner.protocols.base import Answer, Ask, Stream
from scanner.protocols.http import MAX_STEPS, PROTOCOL, get, web_ports
from scanner.protocols.pages import Place
from scanner.values import from_bytes

HOST = "192.0.2.42"
ICON = b"\0\0\1\0" + bytes(range(64))


def fields(value: str | bytes, request: str | None = None, *, truncated: bool = False) -> list[tuple[str, str]]:
    text = value if isinstance(value, str) else from_bytes(value)
    return list(PROTOCOL.read(Observation(channel="http.response", value=text, request=request, truncated=truncated)))


def only(found: Iterable[tuple[str, str]], channel: str) -> list[str]:
    return [value for name, value in found if name == channel]


# -- reading -----------------------------------------------------------------------------------------------------


def test_a_refusal_of_a_recorder() -> None:
    value = (
        "HTTP/1.1 401 Unauthorized\r\nDate: Sun, 28 May 2023 09:56:24 GMT\r\nServer: DNVRS-Webs\r\n"
        'Content-Type: application/xml; charset="UTF-8"\r\nContent-Length: 138\r\n'
        'WWW-Authenticate: Digest realm="fe12f37bd00000bccbbd35f1", domain="::", qop="auth"\r\n\r\n'
        "<userCheck>\n<statusValue>401</statusValue>\n</userCheck>"
    )
    assert fields(value, "GET /ISAPI/System/deviceInfo") == [
        ("http.status", "401 Unauthorized"),
        ("http.headers", "Date,Server,Content-Type,Content-Length,WWW-Authenticate"),
        ("http.header.date", "Sun, 28 May 2023 09:56:24 GMT"),
        ("http.header.server", "DNVRS-Webs"),
        ("http.header.content-type", 'application/xml; charset="UTF-8"'),
        ("http.header.content-length", "138"),
        ("http.header.www-authenticate", 'Digest realm="fe12f37bd00000bccbbd35f1", domain="::", qop="auth"'),
        ("http.path", "/ISAPI/System/deviceInfo 401"),
        ("http.body", "<userCheck>\n<statusValue>401</statusValue>\n</userCheck>"),
    ]


def test_every_occurrence_of_a_header_is_a_reading_and_order_and_spelling_stay() -> None:
    found = fields(
        "HTTP/1.0 401 N/A\nCONNECTION: close\nwww-authenticate: Basic realm=a\nWWW-Authenticate: Digest b\n\n"
    )
    assert only(found, "http.headers") == ["CONNECTION,www-authenticate,WWW-Authenticate"]
    assert only(found, "http.header.www-authenticate") == ["Basic realm=a", "Digest b"]


def test_an_empty_header_is_a_reading() -> None:
    assert ("http.header.authinfo", "") in fields("HTTP/1.1 200 OK\r\nAuthInfo:\r\n\r\n")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("Server: App-webs/\r\n", ("http.header.server", "App-webs/")),
        ("http/1.1 200 ok\r\nserver: app-webs/", ("http.header.server", "app-webs/")),
        ("<html><title>index</title>", ("http.title", "index")),
        ('seajs.web_version="V4.0.1build171121"', ("http.body", 'seajs.web_version="V4.0.1build171121"')),
        ("HTTP/1.1 501 Unimplimented\r\n\r\n", ("http.status", "501 Unimplimented")),
    ],
)
def test_published_pieces_are_read_for_what_they_are(value: str, wanted: tuple[str, str]) -> None:
    assert wanted in fields(value)


def test_the_mark_at_the_begin_of_a_page_stays() -> None:
    found = fields("HTTP/1.1 200 OK\r\n\r\n\ufeff<!doctype html>\r\n<html><title>DS218&nbsp;-&nbsp;x</title>")
    assert only(found, "http.body")[0].startswith("\ufeff<!doctype")
    assert only(found, "http.title") == ["DS218 - x"]


def test_packed_and_chunked_pages_are_unpacked() -> None:
    packed = gzip.compress(b"<title>WEB SERVICE</title>")
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    assert ("http.title", "WEB SERVICE") in fields(head + chunks)


def test_an_icon_has_hashes_and_no_text() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ICON) + ICON
    found = fields(answer, "GET /favicon.ico")
    assert [name for name, _value in found] == [
        "http.status", "http.headers", "http.header.content-length", "http.path",
        "http.favicon.mmh3", "http.favicon.md5",
    ]  # fmt: skip
    assert not only(fields(answer, "GET /favicon.ico", truncated=True), "http.favicon.md5")
    assert not only(fields(answer[:-3], "GET /favicon.ico"), "http.favicon.md5")
    assert not only(fields(answer.replace(b"200 OK", b"404 No"), "GET /favicon.ico"), "http.favicon.md5")
    assert not only(fields(answer), "http.favicon.md5")


def test_a_page_in_place_of_an_icon_has_no_hash() -> None:
    found = fields("HTTP/1.1 200 OK\r\n\r\n<html><title>Login</title>", "GET /favicon.ico")
    assert only(found, "http.title") == ["Login"]
    assert not only(found, "http.favicon.mmh3")


def test_a_frame_of_another_protocol_is_a_greeting() -> None:
    frame = bytes.fromhex("000000100000001e0000001e00000000")
    assert fields(frame) == [("tcp.banner", "hex:000000100000001e0000001e00000000")]


def test_a_published_title_is_read_as_the_text_it_stands_for() -> None:
    title = Observation(channel="http.title", value="DS218&nbsp;-&nbsp;Synology&nbsp;DiskStation")
    assert [(r.channel, r.value) for r in read(title)][1:] == [("http.title", "DS218 - Synology DiskStation")]
    assert not list(PROTOCOL.read(Observation(channel="http.title", value="index")))


@pytest.mark.parametrize("unit", ["<title>", "<", " ", "a:b\n", "\n", "location='", "HTTP/1.1 200 OK\n", "%", "\x00"])
def test_hostile_answers_take_no_time(unit: str) -> None:
    for head in ("", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\n"):
        seen = Observation(
            channel="http.response", value=head + unit * (65_536 // len(unit)), request="GET /favicon.ico"
        )
        began = time.thread_time()
        list(PROTOCOL.read(seen))
        PROTOCOL.mask(seen)
        assert time.thread_time() - began < 5


@settings(max_examples=150, deadline=None)
@given(
    data=st.lists(
        st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"\r\n", b"Content-Type: image/png\r\n", b"<title>", b"\0", b"<svg"])
        | st.binary(max_size=20),
        max_size=12,
    ).map(b"".join),
    request=st.none() | st.text(max_size=30) | st.just("GET /favicon.ico"),
)
def test_no_answer_raises(data: bytes, request: str | None) -> None:
    fields(data, request)


# -- asking ------------------------------------------------------------------------------------------------------


def ask_all(answers: dict[str, bytes | Answer], stream: Stream) -> list[Ask]:
    """The questions put while these answers come, by `port tls path`; of anything else the device knows nothing."""
    conversation = PROTOCOL.converse(stream)
    asked: list[Ask] = []
    try:
        ask = next(conversation)
        while True:
            asked.append(ask)
            port, tls = stream.port if ask.port is None else ask.port, stream.tls if ask.tls is None else ask.tls
            found = answers.get(f"{port} {ask.request[4:]}" + (" tls" if tls else ""), b"HTTP/1.1 404 No\r\n\r\n")
            ask = conversation.send(found if isinstance(found, Answer) else Answer(data=found, closed=True))
    except StopIteration:
        return asked


def redirect(target: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {target}\r\n\r\n".encode()


def page(body: str = "<html></html>") -> bytes:
    return f"HTTP/1.1 200 OK\r\n\r\n{body}".encode()


def test_the_question_is_honest_and_asks_for_nothing_more() -> None:
    (ask, *_rest) = ask_all({}, Stream(HOST, 80))
    assert (
        ask.payload
        == (
            f"GET / HTTP/1.1\r\nHost: 192.0.2.42\r\nUser-Agent: {messages.USER_AGENT}\r\nAccept: */*\r\n"
            "Connection: close\r\n\r\n"
        ).encode()
    )
    assert (ask.channel, ask.request, ask.port, ask.tls) == ("http.response", "GET /", None, None)


def test_hosts_stand_as_in_a_url() -> None:
    assert b"\r\nHost: [fe80::1]:8443\r\n" in get(Stream("fe80::1%eth0", 443, True), Place(8443, True, "/")).payload


def test_front_page_and_icon() -> None:
    asked = ask_all({"80 /": page('<link rel="icon" href="/i.png">')}, Stream(HOST, 80))
    assert [ask.request for ask in asked] == ["GET /", "GET /i.png"]


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 401 No\r\n\r\n", b"HTTP/1.1 404 No\r\n\r\n", b"\0\0\0\x10\0\0\0\x1e"]
)
def test_after_a_refusal_nothing_more_is_asked(answer: bytes) -> None:
    assert len(ask_all({"80 /": answer}, Stream(HOST, 80))) == 1


def test_at_most_two_steps_and_the_icon_of_the_last_page() -> None:
    chain: dict[str, bytes | Answer] = {f"80 /{n}": redirect(f"/{n + 1}") for n in range(9)}
    asked = ask_all({**chain, "80 /": redirect("/1")}, Stream(HOST, 80))
    assert [ask.request for ask in asked] == ["GET /", "GET /1", "GET /2"]
    assert len(asked) == 1 + MAX_STEPS
    asked = ask_all({"80 /": redirect("/1"), "80 /1": page()}, Stream(HOST, 80))
    assert [ask.request for ask in asked] == ["GET /", "GET /1", "GET /favicon.ico"]


@pytest.mark.parametrize(
    "target",
    ["/", "http://192.0.2.42/", "http://192.0.2.43/", "//evil.example/", "/RPC2_Login", "http://u:p@192.0.2.42/"],
)
def test_circles_other_hosts_and_forbidden_places_end_it(target: str) -> None:
    assert len(ask_all({"80 /": redirect(target)}, Stream(HOST, 80))) == 1


def test_a_circle_of_two_ends() -> None:
    asked = ask_all({"80 /": redirect("/a"), "80 /a": redirect("/")}, Stream(HOST, 80))
    assert [ask.request for ask in asked] == ["GET /", "GET /a"]


def test_to_tls_on_the_same_host() -> None:
    asked = ask_all({"80 /": redirect("https://192.0.2.42/"), "443 / tls": page()}, Stream(HOST, 80))
    assert [(ask.request, ask.port, ask.tls) for ask in asked] == [
        ("GET /", None, None), ("GET /", 443, True), ("GET /favicon.ico", 443, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        b"\x15\x03\x01\0\x02\x02\x46",
        b"HTTP/1.1 400 Bad Request\r\n\r\nThe plain HTTP request was sent to HTTPS port",
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    ],
)
def test_a_port_that_wants_tls_gets_it(answer: bytes) -> None:
    asked = ask_all({"4443 /": answer, "4443 / tls": page()}, Stream(HOST, 4443))
    assert [(ask.request, ask.port, ask.tls) for ask in asked][:2] == [("GET /", None, None), ("GET /", 4443, True)]


def test_a_port_that_speaks_no_tls_is_asked_in_the_open() -> None:
    asked = ask_all({"443 / tls": Answer(error="tls"), "443 /": page()}, Stream(HOST, 443, True))
    assert [(ask.request, ask.port, ask.tls) for ask in asked] == [
        ("GET /", None, None), ("GET /", 443, False), ("GET /favicon.ico", 443, False),
    ]  # fmt: skip


def heard(channel: str, value: str, port: int, request: str | None = None) -> Reading:
    return Reading(channel, value, Observation(channel=channel, value=value, port=port, request=request))


def test_a_page_that_another_port_led_to_is_not_asked_again() -> None:
    known = [heard("http.response", "HTTP/1.1 200 OK", 443, "GET /")]
    assert not ask_all({}, Stream(HOST, 443, True, known))
    assert len(ask_all({"80 /": redirect("https://192.0.2.42/")}, Stream(HOST, 80, False, known))) == 1


def test_one_icon_is_enough() -> None:
    asked = ask_all({"8080 /": page()}, Stream(HOST, 8080, False, [heard("http.favicon.md5", "x", 80)]))
    assert len(asked) == 1


@pytest.mark.parametrize(("port", "maker"), [(8000, "hikvision"), (5000, "dahua")])
def test_a_makers_own_port_is_not_provoked(port: int, maker: str) -> None:
    known = [heard("rtsp.status", "200 OK", 554)]
    assert not ask_all({}, Stream(HOST, port, heard=known, hints=frozenset({maker})))
    assert not ask_all({}, Stream(HOST, port))
    assert not ask_all({}, Stream(HOST, port, heard=[heard("tcp.banner", "x", port)]))
    assert ask_all({}, Stream(HOST, port, heard=known, hints=frozenset({"reolink"})))


def test_ports_on_which_http_was_heard() -> None:
    assert web_ports(
        Stream(HOST, 80, heard=[heard("http.status", "200 OK", 81), heard("rtsp.status", "200", 554)])
    ) == {81}


def test_an_answer_is_whole_by_its_own_account() -> None:
    ask = get(Stream(HOST, 80), Place(80, False, "/"))
    assert PROTOCOL.complete(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ask)
    assert not PROTOCOL.complete(b"HTTP/1.1 200 OK\r\n\r\n", ask)


def test_our_own_questions_violate_nothing(talk: Callable[..., Recording], corpus: Iterable[Recording]) -> None:
    """Every device of the corpus is asked everything; `talk` fails on a violation."""
    answered = sum(bool(o.value) for case in corpus for o in talk(case, names=("http",)).observations)
    assert answered > 200


def test_a_published_page_tells_its_title() -> None:
    page = Observation(channel="http.body", value="<html><TITLE>\n ZXHN&nbsp;H298A </TITLE>")
    assert list(PROTOCOL.read(page)) == [("http.title", "ZXHN H298A")]
    assert list(PROTOCOL.read(Observation(channel="http.body", value="<p>no title"))) == []
