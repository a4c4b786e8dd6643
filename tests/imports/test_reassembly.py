from __future__ import annotations

import contextlib
import random
import ssl
import struct
from pathlib import Path

import pytest

from scanner import knowledge
from scanner.identify import identify
from scanner.imports.base import Heard
from scanner.imports.dissect import Dissector
from scanner.imports.reassembly import MAX_ANSWER, MAX_BYTES, MAX_FLOWS, Streams, certificate, is_tls13
from scanner.model import Recording
from scanner.protocols import tls
from tests.imports.frames import request, segment, tcp

PAGE = b"HTTP/1.1 200 OK\r\nServer: Webs\r\nContent-Type: text/html\r\nContent-Length: 5000\r\n\r\n" + b"<title>x</title>".ljust(5000, b".")


def hear(*frames: bytes) -> list[Heard]:
    dissector = Dissector()
    found = [heard for frame in frames if dissector.wanted(frame + bytes(64), 0, len(frame)) for heard in dissector.frame(frame, 1e9)]
    return found + list(dissector.finish())


def pieces(data: bytes, port: int, size: int = 1400, first: int = 1000, client: int = 40_000) -> list[bytes]:
    return [segment(data[n : n + size], port, client, first + n) for n in range(0, len(data), size)]


def test_an_answer_in_pieces_with_its_question() -> None:
    (only,) = hear(request(), *pieces(PAGE, 80))

    (seen,) = only.observations
    assert (only.address, seen.channel, seen.port, seen.request, seen.truncated) == ("192.0.2.1", "http.response", 80, "GET /", False)
    assert seen.value.encode() == PAGE


@pytest.mark.parametrize("seed", range(8))
def test_order_and_repetitions_do_not_matter(seed: int) -> None:
    chance = random.Random(seed)
    frames = pieces(PAGE, 80)
    frames += chance.sample(frames, 2)
    chance.shuffle(frames)
    (only,) = hear(request(), *frames)

    assert only.observations[0].value.encode() == PAGE


def test_sequence_numbers_begin_again_at_zero() -> None:
    (only,) = hear(request(), *pieces(PAGE, 80, first=0xFFFFFFFF - 2000))

    assert only.observations[0].value.encode() == PAGE


def test_several_answers_on_one_connection() -> None:
    first = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    told = hear(request(), request("GET /favicon.ico HTTP/1.1"), segment(first, 80, 40_000, 1), *pieces(PAGE, 80, first=1 + len(first)))

    assert [(h.observations[0].request, h.observations[0].value[9:12]) for h in told] == [("GET /", "401"), ("GET /favicon.ico", "200")]


def test_an_answer_that_ends_with_its_connection() -> None:
    page = b"HTTP/1.0 200 OK\r\n\r\nhello"
    (only,) = hear(segment(page, 8899, 40_000, 5), segment(b"", 8899, 40_000, 5 + len(page), flags=0x11))

    assert only.observations[0].value == page.decode()


def test_chunks() -> None:
    page = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    (only,) = hear(*pieces(page, 80, size=20))

    assert only.observations[0].value == page.decode()


def test_a_hole_leaves_what_stands_before_it() -> None:
    frames = pieces(PAGE, 80)
    (only,) = hear(frames[0], *frames[2:])

    assert only.observations[0].value.encode() == PAGE[:1400]
    assert only.observations[0].truncated


def test_rtsp_and_greetings() -> None:
    rtsp = b'RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm="Login to X"\r\n\r\n'
    told = hear(
        segment(b"OPTIONS rtsp://192.0.2.1/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", 40_000, 554, source="192.0.2.9", target="192.0.2.1"),
        segment(rtsp, 554, 40_000), segment(b"SSH-2.0-dropbear_2019.78\r\n" + bytes(300), 22, 40_001), segment(b"220 FTP ready\r\n", 21, 40_002),
        segment(b"\xff\xfd\x01\xff\xfb\x01login: ", 23, 40_003),
    )  # fmt: skip

    assert [(h.observations[0].channel, h.observations[0].port) for h in told] == [
        ("rtsp.response", 554), ("tcp.banner", 22), ("tcp.banner", 21), ("tcp.banner", 23),
    ]  # fmt: skip
    assert told[0].observations[0].request == "OPTIONS"
    assert told[1].observations[0].value == "SSH-2.0-dropbear_2019.78\r\n"


def test_certificates() -> None:
    pem, _key = tls.self_signed("CN=axis-accc8e010203,O=Axis Communications AB")
    der = ssl.PEM_cert_to_DER_cert(pem.decode())
    chain = len(der).to_bytes(3, "big") + der
    body = len(chain).to_bytes(3, "big") + chain
    hello = b"\x02\0\0\x26" + b"\x03\x03" + bytes(36)
    stream = hello + b"\x0b" + len(body).to_bytes(3, "big") + body
    records = b"".join(b"\x16\x03\x03" + struct.pack("!H", len(stream[n : n + 500])) + stream[n : n + 500] for n in range(0, len(stream), 500))
    (only,) = hear(*pieces(records, 443, size=300))

    assert any("axis-accc8e010203" in o.value for o in only.observations if o.channel == "tls.subject")
    assert all(o.port == 443 for o in only.observations)
    assert certificate(records[:100]) == (b"", False)
    assert certificate(b"\x16\x03\x03\0\x04\x02\0\0\0" + b"\x14\x03\x03\0\x01\x01\x17\x03\x03\0\x01x") == (b"", True)  # TLS 1.3


@pytest.mark.parametrize(("version", "hidden"), [(ssl.TLSVersion.TLSv1_2, False), (ssl.TLSVersion.TLSv1_3, True)])
def test_a_real_handshake_shows_its_certificate_or_says_why_not(version: ssl.TLSVersion, hidden: bool, tmp_path: Path) -> None:
    """OpenSSL on both sides; what its server sends, in segments."""
    pem, key = tls.self_signed("CN=cam,O=Axis Communications AB")
    (tmp_path / "cert.pem").write_bytes(pem + key)
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.load_cert_chain(tmp_path / "cert.pem")
    ours.check_hostname, ours.verify_mode = False, ssl.CERT_NONE
    ours.minimum_version = ours.maximum_version = version
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server, client = theirs.wrap_bio(up, down, server_side=True), ours.wrap_bio(down, up)
    sent = b""
    for side in (client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    sent = down.read()
    (only,) = hear(*pieces(sent, 443))
    recording = Recording(id="x", ip="192.0.2.1", observations=only.observations)

    assert {o.channel for o in only.observations} >= ({"tls.version"} if hidden else {"tls.subject", "tls.sha256"})
    assert is_tls13(sent) is hidden
    notes = identify(recording, knowledge.load(())).notes
    assert any("certificate on port 443 is encrypted (TLS 1.3)" in note for note in notes) is hidden


def test_pictures_are_not_kept() -> None:
    picture = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nServer: Webs\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000
    told = hear(*(frame for n in range(9) for frame in pieces(picture, 80, client=41_000 + n)))

    assert 0 < len(told) <= 3
    assert all("xxx" not in h.observations[0].value and "Webs" in h.observations[0].value for h in told)


def test_ten_thousand_answers_of_one_server_are_a_dozen() -> None:
    told = hear(*(segment(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % (n % 10), 80, 20_000 + n) for n in range(10_000)))

    assert 1 <= len(told) <= 12


def test_streams_that_never_end_are_bounded() -> None:
    dissector = Dissector()
    for server in range(1200):
        source = f"10.0.{server >> 8}.{server & 255}"
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 40_000
        for _ in dissector.frame(segment(head, 80, 40_000, 1, source=source), 1e9):
            pass
    assert len(dissector.streams.flows) <= MAX_FLOWS + 1
    assert sum(flow.size for flow in dissector.streams.flows.values()) <= MAX_BYTES + MAX_ANSWER


def test_what_comes_before_its_beginning_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions whose answers never begin: what follows them must not be kept for ever."""
    monkeypatch.setattr("scanner.imports.reassembly.MAX_BYTES", 1 << 20)
    streams = Streams()
    for client in range(40_000, 40_500):
        ask = tcp(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", client, 80)
        assert list(streams.segment(b"\xc0\0\2\x09", b"\xc0\0\2\1", ask, (bytes(6), None))) == []
        for number in range(4):
            late = tcp(b"zzzz" + bytes(10_000), 80, client, 1000 + number * 20_000)
            assert list(streams.segment(b"\xc0\0\2\1", b"\xc0\0\2\x09", late, (bytes(6), None))) == []
    kept = sum(len(piece) for flow in streams.flows.values() for _, piece in flow.early)
    assert 0 < kept <= (1 << 20) + 10_004
    assert streams._bytes == kept
