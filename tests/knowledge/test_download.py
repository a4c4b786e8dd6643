from __future__ import annotations

import contextlib
import datetime
import io
import threading
import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scanner.errors import InputProblem, UsageProblem
from scanner.knowledge import download

BODY = b"x" * 200_000


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404, "gone \x1b[2J away")
        elif self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path == "/drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(200):
                self.wfile.write(b"y")
                self.wfile.flush()
                if self.server.stopped.wait(0.02):  # type: ignore[attr-defined]
                    return
        elif self.path == "/silent":
            self.server.stopped.wait(5)  # type: ignore[attr-defined]
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY) + (10 if self.path == "/cut" else 0)))
            self.send_header("Last-Modified", "Tue, 24 Nov 2026 08:00:00 GMT" if self.path == "/file" else "lately")
            self.end_headers()
            self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client leaves, as it should
            super().handle()


@pytest.fixture(scope="module")
def here() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.stopped = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.stopped.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_and_its_day(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # a proxy is not asked for this machine's own files
    got = download.fetch(f"{here}/file")
    assert got.data == BODY
    assert got.modified == datetime.date(2026, 11, 24)
    assert download.fetch(f"{here}/undated").modified is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/cut", "cut off: 200,000 of 200,010"),
        ("/missing", r"answers 404 .*--from"),
        ("/to/http://127.0.0.1:1/x", "cannot be fetched.*--from"),
    ],
)
def test_what_cannot_be_had_says_why_and_what_to_do(here: str, path: str, words: str) -> None:
    with pytest.raises(InputProblem, match=words) as caught:
        download.fetch(here + path)
    assert "\x1b" not in str(caught.value)


def test_bytes_and_seconds_are_bounded(here: str) -> None:
    with pytest.raises(InputProblem, match="larger than 100,000 bytes"):
        download.fetch(f"{here}/file", limit=100_000)
    with pytest.raises(InputProblem, match="too long"):
        download.fetch(f"{here}/drip", whole=0.1)
    with pytest.raises(InputProblem, match="cannot be fetched"):
        download.fetch(f"{here}/silent", timeout=0.2)


def test_nobody_listens() -> None:
    with pytest.raises(InputProblem, match="without a network, fetch the files elsewhere and name them with --from"):
        download.fetch("http://127.0.0.1:1/oui.csv")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/oui.csv",
        "ftp://example.org/oui.csv",
        "file:///etc/passwd",
        "https://",
        "http://127.0.0.1.example.org/x",
        "https://[::1/x",
        "https://example.org:port/x",
    ],
)
def test_only_https_and_this_machine(url: str) -> None:
    with pytest.raises(UsageProblem):
        download.fetch(url)


def test_a_redirect_keeps_to_the_same_rule(here: str) -> None:
    for target in ("http://example.org/oui.csv", "file:///etc/passwd", "ftp://127.0.0.1/x"):
        with pytest.raises((UsageProblem, InputProblem), match="only https|not allowed|answers 302"):
            download.fetch(f"{here}/to/{target}")


def test_no_server_elsewhere_leads_to_this_machine() -> None:
    asked = urllib.request.Request("https://example.org/oui.csv")
    with pytest.raises(UsageProblem, match="leads to this machine itself"):
        download._Redirects().redirect_request(
            asked, io.BytesIO(), 302, "Found", HTTPMessage(), "http://127.0.0.1:8080/admin"
        )
