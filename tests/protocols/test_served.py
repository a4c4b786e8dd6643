from __future__ import annotations

from collections.abc import Callable

import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols import read_all, served
from scanner.protocols.base import Service
from scanner.protocols.messages import parse

HTTP = Service(Transport.TCP, 80)


def device(*observations: Observation) -> Recording:
    return Recording(id="d", observations=observations)


def seen(
    channel: str, value: str, port: int | None = 80, request: str | None = None, *, silent: bool = False
) -> Observation:
    return Observation(channel=channel, value=value, port=port, request=request, silent=silent)


def asked(recording: Recording, path: str = "/", method: str = "GET", service: Service = HTTP) -> bytes:
    request = f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    reply = served.answer(request, recording, service) or served.refuse(request)
    assert reply is not None
    assert reply.close or not reply.data
    return reply.data


def readings(recording: Recording, port: int | None = 80) -> set[tuple[str, str]]:
    return {(r.channel, r.value) for r in read_all(recording) if r.observation.port == port}


def test_a_raw_answer_is_served_as_it_is() -> None:
    raw = "HTTP/1.0 200 OK\r\nServer: App-webs/\r\nContent-Length: 999\r\n\r\n\ufeff<!doctype html>"
    assert asked(device(seen("http.response", raw))) == raw.encode()
    assert asked(device(seen("http.response", "hex:" + raw.encode().hex(), request="GET /"))) == raw.encode()


def test_answers_are_found_by_method_and_path() -> None:
    recording = device(
        seen("http.response", "HTTP/1.1 200 OK\r\n\r\nfront", request="GET /"),
        seen("http.response", "HTTP/1.1 200 OK\r\n\r\ninfo", request="GET /info?x=1"),
        seen("http.response", "HTTP/1.1 200 OK\r\n\r\nposted", request="POST /info"),
        seen("http.response", "HTTP/1.1 200 OK\r\n\r\nother", port=8080, request="GET /"),
    )
    assert asked(recording).endswith(b"front")
    assert asked(recording, "/info?x=1").endswith(b"info")
    assert asked(recording, "http://192.0.2.1/info?x=1").endswith(b"info")
    assert asked(recording, "/info", "POST").endswith(b"posted")
    assert asked(recording, "/", service=Service(Transport.TCP, 8080)).endswith(b"other")
    assert asked(recording, "/else").startswith(b"HTTP/1.1 404 ")
    assert asked(recording, "/", "POST").startswith(b"HTTP/1.1 404 ")


def test_only_requests_are_refused_and_only_what_was_recorded_is_answered() -> None:
    assert served.refuse(b"\0\0") is None
    assert served.answer(b"\0\0", device(seen("http.status", "200 OK")), HTTP) is None
    assert served.answer(b"GET /x HTTP/1.1\r\n\r\n", device(seen("http.status", "200 OK")), HTTP) is None


def test_recorded_silence_is_kept() -> None:
    recording = device(
        seen("http.response", "", request="GET /", silent=True),
        seen("http.response", "HTTP/1.1 200 OK\r\n\r\n", request="GET /x"),
    )
    assert asked(recording) == b""
    assert asked(recording, "/x") != b""
    assert served.services(recording) == (HTTP,)


@pytest.mark.parametrize(
    ("piece", "whole"),
    [
        ("HTTP/1.1 200 OK\r\nServer: DVRDVS-Webs\r\n", "HTTP/1.1 200 OK\r\nServer: DVRDVS-Webs\r\n\r\n"),
        ("Server: x\r\n\r\nbody", "HTTP/1.1 200 OK\r\nServer: x\r\n\r\nbody"),
        ("WWW-Authenticate: Basic", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n"),
        ("Location: /a", "HTTP/1.1 302 Found\r\nLocation: /a\r\n\r\n"),
        ("<html>", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"),
    ],
)
def test_pieces_are_completed(piece: str, whole: str) -> None:
    assert served.whole(piece.encode()) == whole.encode()


@pytest.mark.parametrize(
    "observations",
    [
        (seen("http.header.server", "DNVRS-Webs"), seen("http.title", "index & more")),
        (seen("http.header.www-authenticate", 'Digest realm="a"'), seen("http.header.www-authenticate", "Basic b")),
        (seen("http.status", "501 Unimplimented"),),
        (seen("http.header.location", "/doc/page/login.asp"),),
        (seen("http.title", "WEB SERVICE"), seen("http.header.server", "x"), seen("http.body", "ui-dialog-content")),
        (seen("http.headers", "CONNECTION,Server,AuthInfo"), seen("http.header.server", "x")),
        (seen("http.body", "<html><title>已</title>"),),
    ],
)
def test_single_fields_come_back_in_a_composed_answer(observations: tuple[Observation, ...]) -> None:
    recording = device(*observations)
    data = asked(recording)
    assert parse(data).whole_head
    back = readings(device(seen("http.response", data.decode())))
    for channel, value in readings(recording) - {("http.body", "ui-dialog-content")}:
        assert (channel, value) in back
    assert "ui-dialog-content" not in str(observations) or "ui-dialog-content" in data.decode()


def test_recorded_order_of_headers_is_served() -> None:
    data = asked(device(seen("http.headers", "Vary,CONTENT-LENGTH,Server"), seen("http.header.server", "x")))
    assert [name for name, _value in parse(data).headers] == ["Vary", "CONTENT-LENGTH", "Server"]


def test_no_line_can_be_smuggled_into_a_composed_head() -> None:
    data = asked(device(seen("http.header.server", "x\r\nSet-Cookie: y\r\n\r\nbody")))
    assert [name for name, _value in parse(data).headers] == ["server", "content-length"]


def test_paths_answer_with_their_codes() -> None:
    recording = device(
        seen("http.path", "/cgi-bin/magicBox.cgi?action=getDeviceType 401"),
        seen("http.path", "/gone -> 404"),
        seen("http.path", "/x on port 80 -> empty reply"),
        seen("http.header.www-authenticate", 'Digest realm="Login to X"'),
    )
    refused = asked(recording, "/cgi-bin/magicBox.cgi?action=getDeviceType")
    assert refused.startswith(b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Digest")
    assert asked(recording, "/gone").startswith(b"HTTP/1.1 404 ")
    assert asked(recording, "/x").startswith(b"HTTP/1.1 404 ")


def test_a_front_page_leads_to_recorded_paths_so_that_a_scan_sees_them(talk: Callable[..., Recording]) -> None:
    recording = device(
        seen("http.path", "/doc/page/login.asp"),
        seen("http.path", "/RPC2_Login 200"),
        seen("http.path", "/doc/x.js 200"),
    )
    paths = {value for channel, value in readings(talk(recording, names=("http",))) if channel == "http.path"}
    assert {"/ 200", "/doc/page/login.asp 200", "/doc/x.js 200"} <= paths
    assert not any("RPC2" in path for path in paths)


def test_ports_and_their_tls() -> None:
    recording = device(
        seen("http.title", "a", port=None), seen("http.title", "b", port=443), seen("http.title", "c", port=8081),
        Observation(channel="http.title", value="d", port=444, tls=True), seen("tls.subject", "CN=e", port=8443),
        seen("rtsp.status", "200 OK", port=554),
    )  # fmt: skip
    assert {(s.port, s.tls) for s in served.services(recording)} == {
        (80, False), (443, True), (8081, False), (444, True), (8443, True),
    }  # fmt: skip
    assert asked(recording, service=Service(Transport.TCP, 8443, tls=True)).startswith(b"HTTP/1.1 ")
