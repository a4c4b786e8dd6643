from __future__ import annotations

import gzip
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner import __version__
from scanner.protocols import messages
from scanner.protocols.messages import Message, complete, content, parse, request, request_length, text

PLAIN = b'HTTP/1.1 401 Unauthorized\r\nServer: DNVRS-Webs\r\nWWW-Authenticate: Digest realm="x"\r\n\r\nbody'


def test_we_say_who_we_are_and_whom_to_ask() -> None:
    assert f"lanveto/{__version__} (+network inventory; contact your network administrator)" == messages.USER_AGENT


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        PLAIN.replace(b"\r\n", b"\n"),
        PLAIN.replace(b"\r\n", b"\r\r\n"),
        b"\r\n" + PLAIN,
        PLAIN.replace(b"HTTP/1.1", b"http/1.0").replace(b"Server", b"SERVER"),
        PLAIN.replace(b": ", b":\t"),
    ],
)
def test_line_ends_case_and_blanks_do_not_matter(data: bytes) -> None:
    message = parse(data)
    assert message.status == "401 Unauthorized"
    assert message.code == 401
    assert message.header("server") == "DNVRS-Webs"
    assert message.body == b"body"
    assert message.whole_head


def test_names_order_and_repetitions_are_kept_as_sent() -> None:
    message = parse(b"HTTP/1.1 200 OK\r\nCONNECTION: close\r\nx-a: 1\r\nX-A: 2\r\n\r\n")
    assert message.headers == (("CONNECTION", "close"), ("x-a", "1"), ("X-A", "2"))


def test_a_second_blank_after_the_colon_is_kept_and_only_that() -> None:
    message = parse(b"RTSP/1.0 200 OK\r\nDate:  Thu, May 14 2020 16:45:35 GMT  \r\nServer: x\r\n\r\n")
    assert message.headers == (("Date", " Thu, May 14 2020 16:45:35 GMT"), ("Server", "x"))


def test_folded_headers_are_joined() -> None:
    assert parse(b"HTTP/1.1 200 OK\r\nServer: a\r\n  b\r\n\tc\r\n\r\n").header("server") == "a b c"


def test_a_page_that_begins_without_the_blank_line_is_the_body() -> None:
    message = parse(b"HTTP/1.1 200 OK\r\nServer: a\r\n<html>\r\n\r\n</html>")
    assert message.headers == (("Server", "a"),)
    assert message.body == b"<html>\r\n\r\n</html>"


@pytest.mark.parametrize(
    ("data", "headers", "body"),
    [
        (b"Server: App-webs/\r\nDate: x\r\n", 2, b""),
        (b"server: app-webs/", 1, b""),
        (b"<html>Server: x</html>", 0, b"<html>Server: x</html>"),
        (b"var a = 1;\nserver: x", 0, b"var a = 1;\nserver: x"),
        (b"Manufacturer=Onvif\nModel=Cardinal", 0, b"Manufacturer=Onvif\nModel=Cardinal"),
        (b"http://192.0.2.1/x", 0, b"http://192.0.2.1/x"),
        (b"", 0, b""),
    ],
)
def test_pieces_without_a_status_line_are_headers_or_a_body(data: bytes, headers: int, body: bytes) -> None:
    message = parse(data)
    assert (message.code, len(message.headers), message.body) == (0, headers, body)


def test_a_head_that_was_cut_off_is_read_as_far_as_it_goes() -> None:
    message = parse(b'HTTP/1.1 401 N/A\r\nServer: TP-LINK Router\r\nWWW-Authenticate: Basic realm="Web')
    assert message.status == "401 N/A"
    assert message.header("www-authenticate") == 'Basic realm="Web'
    assert not message.whole_head


def test_bytes_of_no_charset_are_latin_1() -> None:
    assert parse(b"HTTP/1.1 200 \xe9\r\nServer: \xe9\r\n\r\n").header("server") == "é"


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n", b"abcdefg"),
        (b"3\nabc\n0\n\n", b"abc"),
        (b"3\r\nabc\r\n4\r\nde", b"abcde"),
        (b"<html>not chunked", b"<html>not chunked"),
        (b"ffffffff\r\nabc", b"abc"),
        (b"3\r\nabc\r\nnonsense", b"abc"),
    ],
)
def test_chunks_are_undone_as_far_as_they_go(body: bytes, wanted: bytes) -> None:
    assert content(parse(CHUNKED + body)) == wanted


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(b"page", mtime=0)),
        ("deflate", zlib.compress(b"page")),
        ("deflate", zlib.compress(b"page")[2:-4]),
        ("gzip", b"page"),
        ("br", b"page"),
    ],
)
def test_compression_is_undone_and_a_broken_one_left_alone(coding: str, packed: bytes) -> None:
    assert content(Message("200 OK", (("Content-Encoding", coding),), packed, whole_head=True)) == b"page"


def test_a_bomb_costs_no_more_than_the_bound() -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    began = time.thread_time()
    body = content(Message("200 OK", (("Content-Encoding", "gzip"),), bomb, whole_head=True))
    assert len(body) == messages.MAX_BODY
    assert time.thread_time() - began < 5


@pytest.mark.parametrize(
    ("kind", "body", "wanted"),
    [
        ("text/html", "é\ufeff".encode(), "é\ufeff"),
        ("text/html", "摄像机".encode("gb2312"), "ÉãÏñ»ú"),
        ("text/html; charset=GB2312", "摄像机".encode("gb2312"), "摄像机"),
        ("text/html; charset=nonsense", b"\xe9 ", "é "),
        ("text/html; charset=gb2312", "摄像机".encode(), "摄像机"),
        ("", b'<meta charset="gbk">' + "摄像机".encode("gbk"), '<meta charset="gbk">摄像机'),
        ("", "é".encode()[:1], ""),
    ],
)
def test_a_body_is_utf_8_where_it_can_be_else_what_it_says(kind: str, body: bytes, wanted: str) -> None:
    assert text(Message("", (("Content-Type", kind),), body, whole_head=True), body) == wanted


@pytest.mark.parametrize(
    ("data", "bare", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", False, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", False, True),
        (b"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", False, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc", False, False),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", False, False),
        (b"RTSP/1.0 200 OK\r\n\r\n", True, True),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nv", True, False),
        (b"HTTP/1.1 304 Not Modified\r\nServer: x\r\n\r\n", False, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", False, True),
        (b"HTTP/1.1 100 Continue\r\n\r\n", False, False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False, True),
        (b"HTTP/1.1 200 OK\r\nServer: x\r\n", False, False),
        (b"no status\r\n\r\n", False, False),
        (CHUNKED + b"3\r\nabc\r\n", False, False),
        (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", False, True),
        (CHUNKED + b"7\r\n0\r\n\r\n12\r\n", False, False),
        (b"", False, False),
    ],
)
def test_when_an_answer_is_whole(data: bytes, bare: bool, whole: bool) -> None:
    assert complete(data, bare_head=bare) is whole


def test_a_request_is_taken_apart_and_measured() -> None:
    data = b"POST /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    method, target, message = request(data)
    assert (method, target, message.header("host"), message.body) == ("POST", "/x?y", "a", b"abc")
    assert request_length(data) == len(data)
    assert request_length(data[:-1]) == 0
    assert request_length(data + b"GET / HTTP/1.1\r\n\r\n") == len(data)
    assert request_length(b"GET / HTTP/1.1\r\n") == 0
    assert request_length(b"x" * 40_000) == 40_000


@pytest.mark.parametrize("data", [b"\x16\x03\x00\x00\x69\x01", b"HELP\r\n", b"GET /\r\n", b"\r\n\x00\x1e"])
def test_what_cannot_become_a_request_is_not_waited_for(data: bytes) -> None:
    assert request_length(data) == len(data)


@pytest.mark.parametrize("data", [b"", b"\r\n", b"G", b"OPTIONS rtsp://", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_what_can_become_a_request_is_waited_for(data: bytes) -> None:
    assert request_length(data) == 0


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x20login", b"GET", b"\x16\x03\x01 x y"])
def test_what_is_no_request_has_no_method(data: bytes) -> None:
    assert request(data)[:2] == ("", "")


@pytest.mark.parametrize(
    "unit", [b"\r", b"\n", b"\r\n", b" ", b"A:", b"HTTP/1.1 200 ", b"<", b"a: b\r\n ", b"0;", b"\t"]
)
def test_hostile_repetitions_take_no_time(unit: bytes) -> None:
    for head in (b"", b"HTTP/1.1 200 OK\r\n", CHUNKED):
        data = head + unit * (262_144 // len(unit))
        began = time.thread_time()
        content(parse(data))
        complete(data)
        request(data)
        request_length(data)
        assert time.thread_time() - began < 5, (head, unit)


PIECES = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"\r\n", b"\n", b": ", b"Content-Length", b"chunked", b"5\r\n", b" ", b"gzip"]
)


@settings(max_examples=200, deadline=None)
@given(data=st.lists(PIECES | st.binary(max_size=9), max_size=20).map(b"".join))
def test_nothing_raises(data: bytes) -> None:
    message = parse(data)
    assert message.code in range(1000)
    text(message, content(message))
    complete(data)
    request(data)
    assert request_length(data) <= len(data)
