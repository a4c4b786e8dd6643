"""Webhooks against a real local server that has every kind of bad day."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scanner import publish
from scanner.errors import UsageProblem
from scanner.publish import Doubtful, Unavailable
from scanner.publish.deliver import Delivery
from scanner.store import Store, open_store, outbox
from tests.brokers import free_port
from tests.publish.doubles import Log, certificates, event, state


class Receiver(ThreadingHTTPServer):
    """Answers by script: for each POST the status of `plan`, then 204."""

    daemon_threads = True

    def __init__(self, plan: list[int | str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan = plan
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.connections = 0
        self.done = threading.Event()

    def url(self, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.server_address[1]}/hook"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
        answer = server.plan.pop(0) if server.plan else 204
        if answer == "hang":
            server.done.wait(5)
            return
        if answer == "drip":
            for _ in range(50):
                if server.done.wait(0.1):
                    return
                try:
                    self.wfile.write(b"H")
                except OSError:
                    return
        if answer == "hang up":
            self.close_connection = True
            return
        if answer == "endless":
            self.send_response(200)
            self.end_headers()
            for _ in range(200):
                try:
                    self.wfile.write(b"x" * 10_000)
                except OSError:
                    break
            self.close_connection = True
            return
        self.send_response(int(answer))
        if 300 <= int(answer) < 400:
            self.send_header("Location", server.url() + "2")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def build(*plan: int | str, context: ssl.SSLContext | None = None) -> Receiver:
        server = Receiver(list(plan))
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        made.append(server)
        return server

    yield build
    for server in made:
        server.done.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "h.sqlite") as opened:
        outbox.register(opened, ["hook"])
        yield opened


def _hook(url: str, **more: object) -> publish.Configured:
    return publish.configured("hook", {"type": "webhook", "url": url, "timeout": 0.5, **more})


def _drain(store: Store, hook: publish.Configured, log: Log | None = None) -> int:
    return asyncio.run(Delivery(store, hook, log or Log(), first_wait=0.01, longest_wait=0.02).drain())


def _ids(server: Receiver) -> list[str]:
    return [headers["webhook-id"] for headers, _ in server.got]


def test_each_event_is_posted_once_signed_and_in_order(
    receiver: Callable[..., Receiver], store: Store, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("whsec_" + base64.b64encode(b"k" * 24).decode() + "\n")
    (tmp_path / "token").write_text("abc\n")
    server = receiver()
    outbox.put(store, [state(), *(event(n) for n in range(40))])
    hook = _hook(server.url(), **{"secret-file": str(tmp_path / "secret"), "token-file": str(tmp_path / "token")})
    assert _drain(store, hook) == 41
    assert _ids(server) == [f"e{n}" for n in range(40)]
    assert server.connections == 1
    headers, body = server.got[0]
    assert body == event(0).body
    stamp = headers["webhook-timestamp"]
    assert abs(int(stamp) - time.time()) < 60
    expected = hmac.new(b"k" * 24, f"e0.{stamp}.".encode() + body, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
    assert headers["authorization"] == "Bearer abc"
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("bad", [500, 429, 503, 404, 401, "hang up", "hang", "drip"])
def test_a_bad_day_is_waited_out(receiver: Callable[..., Receiver], store: Store, bad: int | str) -> None:
    server = receiver(204, bad, bad)
    outbox.put(store, [event(1), event(2), event(3)])
    assert _drain(store, _hook(server.url())) == 3
    assert _ids(server) == ["e1", "e2", "e2", "e2", "e3"]
    assert not outbox.refusals(store)


@pytest.mark.parametrize("code", [500, 401, 404])
def test_a_receiver_that_takes_nothing_loses_nothing(
    receiver: Callable[..., Receiver], store: Store, code: int
) -> None:
    server = receiver(*[code] * 100)
    # What it is never asked about shows nothing of its health.
    outbox.put(store, [event(1), state(), event(2, "device-appeared"), event(3)])
    for _ in range(2):
        with pytest.raises(Doubtful, match=f"HTTP {code}"):
            _drain(store, _hook(server.url(), kinds=["finding-opened"]))
    assert outbox.standing(store)[0].waiting == 4
    assert not outbox.refusals(store)


def test_an_event_the_receiver_refuses_is_set_aside(receiver: Callable[..., Receiver], store: Store) -> None:
    server = receiver(204, 422)
    outbox.put(store, [event(1), event(2), event(3)])
    log = Log()
    assert _drain(store, _hook(server.url()), log) == 3
    assert [(uid, reason) for _, _, _, uid, reason in outbox.refusals(store)] == [("e2", "HTTP 422")]
    assert "lanveto history --refused" in log.lines[-1]
    assert log.lines[-1].endswith("[W-SINK]")


def test_a_poison_event_gives_way_after_some_attempts(receiver: Callable[..., Receiver], store: Store) -> None:
    server = receiver(500, 500, 500, 500, 500, 204, 500)
    between = [event(n, "device-appeared") for n in range(100, 130)]  # more than are handed over together
    outbox.put(store, [event(1), state(), *between, event(2), event(3)])
    assert _drain(store, _hook(server.url(), kinds=["finding-opened"])) == 34
    assert _ids(server) == ["e1"] * 5 + ["e2", "e1", "e3"]
    assert [uid for _, _, _, uid, _ in outbox.refusals(store)] == ["e1"]


def test_bad_days_that_always_meet_the_same_event_do_not_cost_it(
    receiver: Callable[..., Receiver], store: Store
) -> None:
    server = receiver(500, 500, 500, 500, 500)
    outbox.put(store, [event(1), event(2), event(3)])
    assert _drain(store, _hook(server.url())) == 3
    assert _ids(server) == ["e1"] * 5 + ["e2", "e1", "e3"]
    assert not outbox.refusals(store)


def test_redirects_are_not_followed(receiver: Callable[..., Receiver], store: Store) -> None:
    server = receiver(*[302] * 100)
    outbox.put(store, [event(1)])
    with pytest.raises(Doubtful, match="redirects are not followed"):
        _drain(store, _hook(server.url()))
    assert outbox.standing(store)[0].waiting == 1
    assert set(_ids(server)) == {"e1"}


def test_an_endless_answer_is_cut(receiver: Callable[..., Receiver], store: Store) -> None:
    server = receiver("endless")
    outbox.put(store, [event(1), event(2)])
    assert _drain(store, _hook(server.url())) == 2
    assert _ids(server) == ["e1", "e2"]
    assert server.connections == 2


def test_a_broken_receiver_is_told_once_and_its_end_once(receiver: Callable[..., Receiver], store: Store) -> None:
    server = receiver(*[503] * 4)
    outbox.put(store, [event(1)])
    log = Log()

    async def main() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(
            Delivery(store, _hook(server.url()), log, first_wait=0.01, longest_wait=0.02).run(stop)
        )
        async with asyncio.timeout(10):
            while outbox.standing(store)[0].waiting:  # noqa: ASYNC110 - the store has no event to wait for
                await asyncio.sleep(0.02)
        stop.set()
        await task

    asyncio.run(main())
    assert len(server.got) == 5
    assert [line.split(":")[0] for line in log.lines] == ["broken hook", "mended hook"]


def test_who_is_away_is_named_without_the_secret_in_its_address(store: Store) -> None:
    outbox.put(store, [event(1)])
    hook = _hook(f"http://127.0.0.1:{free_port()}/services/T0KEN?key=S3CRET")
    with pytest.raises(Unavailable, match="cannot be reached"):
        _drain(store, hook)
    assert "T0KEN" not in str(hook.sink)
    assert "S3CRET" not in str(hook.sink)


def test_certificates_are_verified(receiver: Callable[..., Receiver], store: Store, tmp_path: Path) -> None:
    certificates(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    server = receiver(context=context)
    outbox.put(store, [event(1)])
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        _drain(store, _hook(server.url("https")))
    assert _drain(store, _hook(server.url("https"), ca=str(tmp_path / "ca.pem"))) == 1
    wrong = server.url("https").replace("127.0.0.1", "localhost")
    outbox.put(store, [event(2)])
    with pytest.raises(Unavailable, match="localhost"):
        _drain(store, _hook(wrong, ca=str(tmp_path / "ca.pem")))
    assert _ids(server) == ["e1"]


@pytest.mark.parametrize(("table", "said"), [
    ({"url": "ftp://h/x"}, "begin it with https"),
    ({"url": "https://u:S3CRET@h/x"}, "token-file"),
    ({"url": "https://h:x/"}, "[Pp]ort"),
    ({"url": "https://h/a b"}, "%XX"),
    ({"url": "http://h/", "ca": "x"}, "needs an https"),
    ({"url": "https://h/", "ca": "nowhere.pem"}, "no such file"),
    ({"url": "https://h/", "timeout": 0}, "timeout"),
    ({"url": "https://h/", "secret-file": "nowhere"}, "secret-file: nowhere: cannot be read"),
])  # fmt: skip
def test_settings_that_cannot_be_used(table: dict[str, object], said: str) -> None:
    with pytest.raises(UsageProblem, match=said) as caught:
        publish.configured("webhook", table)
    assert "S3CRET" not in str(caught.value)


def test_a_secret_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANVETO_WEBHOOK_SECRET", "whsec_%%%")
    with pytest.raises(UsageProblem, match="no base64"):
        _hook("https://h/")
