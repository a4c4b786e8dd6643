from __future__ import annotations

import asyncio
import datetime
import errno
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scanner.model import Observation
from scanner.net.ledger import Ledger
from scanner.net.streams import MUTE, NEVER, Bounds, Host, Streams
from scanner.protocols.base import Answer, Ask, Conversation, Protocol, Stream

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
QUICK = Bounds(connect_seconds=0.5, silence_seconds=0.3, device_seconds=5, requests=None, connects=None)


class Lines(Protocol):
    """Asks a list of things, one a line, and wants a line back."""

    name = "lines"

    def __init__(self, *asks: Ask) -> None:
        self.asks = asks
        self.answers: list[Answer] = []

    def converse(self, stream: Stream) -> Conversation:
        for ask in self.asks:
            self.answers.append((yield ask))

    def complete(self, data: bytes, ask: Ask) -> bool:
        return data.endswith(b"\n")


def ask(text: str = "hello", **more: object) -> Ask:
    return Ask("http.response", text, text.encode() + b"\n", **{"seconds": 1.0, **more})  # type: ignore[arg-type]


async def put_away(*servers: asyncio.Server) -> None:
    """Close servers and end their conversations."""
    for server in servers:
        server.close()
    await asyncio.sleep(0.02)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.sleep(0.01)


class Stage:
    """Servers on loopback under canonical ports, and what one conversation with them brings."""

    def __init__(self, bounds: Bounds = QUICK, **servers: Serve) -> None:
        self.servers = {int(name[1:]): serve for name, serve in servers.items()}
        self.bounds = bounds
        self.connections = 0
        self.most = 0
        self.now = 0

    def run(self, *protocols: Protocol, port: int = 80, tls: bool = False) -> list[Observation]:
        return asyncio.run(self._run(protocols, port, tls))

    async def _run(self, protocols: Sequence[Protocol], port: int, tls: bool) -> list[Observation]:
        running = {p: await asyncio.start_server(self._counted(s), "127.0.0.1", 0) for p, s in self.servers.items()}
        real = {p: server.sockets[0].getsockname()[1] for p, server in running.items()}
        self.ledger = Ledger()
        self.streams = Streams(self.ledger)
        self.host = Host("127.0.0.1", self.bounds, real.get)
        seen: list[Observation] = []
        try:
            for protocol in protocols:
                await self.streams.converse(self.host, protocol, Stream("127.0.0.1", port, tls=tls), seen)
        finally:
            await put_away(*running.values())
        return seen

    def _counted(self, serve: Serve) -> Serve:
        async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                with suppress(ConnectionError):
                    await serve(reader, writer)
            finally:
                self.now -= 1
                writer.close()

        return counted


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(b"you said " + line)


async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"once " + await reader.readline())


async def once_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await once(reader, writer)
    writer.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"HTTP/1.1 200")
    await reader.read()


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sent = 0
    while sent < 100_000_000:
        writer.write(b"x" * 65_536)
        await writer.drain()
        sent += 65_536


async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.1)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.transport.abort()


async def escapes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x1b]0;owned\x07\xff\n")


def test_answers_are_recorded_in_the_order_asked() -> None:
    seen = Stage(p80=echo).run(Lines(ask("one"), ask("two")))

    said = [(o.request, o.value, o.port) for o in seen]
    assert said == [("one", "you said one\n", 80), ("two", "you said two\n", 80)]
    assert all(o.at is not None and o.at.endswith("Z") for o in seen)


def test_a_connection_is_used_again_while_it_serves() -> None:
    stage = Stage(p80=echo)
    stage.run(Lines(ask("one"), ask("two"), ask("three")))

    assert stage.connections == 1


def test_a_device_that_closes_is_asked_again_on_a_new_connection_one_at_a_time() -> None:
    stage = Stage(p80=once)
    seen = stage.run(Lines(ask("one"), ask("two"), ask("three")))

    assert [o.value for o in seen] == ["once one\n", "once two\n", "once three\n"]
    assert (stage.connections, stage.most) == (3, 1)


def test_a_connection_that_either_side_calls_its_last_is_not_used_again() -> None:
    async def says_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        await reader.read()

    stage = Stage(p80=says_close)
    assert len(stage.run(Lines(ask("one"), ask("two")))) == 2
    assert (stage.connections, stage.most) == (2, 1)
    stage = Stage(p80=echo)
    stage.run(Lines(ask("GET /\r\nconnection:close"), ask("two")))
    assert stage.connections == 2


def test_what_was_asked_and_not_answered_is_recorded_once() -> None:
    stage = Stage(p80=silent)
    seen = stage.run(Lines(ask("one"), ask("two")))

    assert [(o.channel, o.silent, o.value, o.request) for o in seen] == [("http.response", True, "", "one")]
    assert stage.host.mute == {80}


def test_a_device_that_stops_answering_is_left_alone() -> None:
    stage = Stage(p80=silent)
    protocol = Lines(*[ask(str(n)) for n in range(10)])
    stage.run(protocol)

    assert stage.host.stopped == "stopped answering"
    assert stage.connections == MUTE + 1
    assert stage.most == 1


def test_ports_that_wait_for_something_else_are_no_sign_of_trouble() -> None:
    protocol = Lines(*[ask(str(port), port=port) for port in (81, 82, 83, 80, 84, 85)])
    stage = Stage(p80=echo, p81=silent, p82=silent, p83=silent, p84=silent, p85=silent)
    seen = stage.run(protocol)

    assert stage.host.stopped is None
    assert [o.port for o in seen if not o.silent] == [80]
    assert [o.port for o in seen if o.silent] == [81, 82, 83, 84, 85]


def test_a_device_that_accepts_everything_and_never_answers_is_left_alone() -> None:
    protocol = Lines(*[ask(str(port), port=port) for port in range(80, 90)])
    stage = Stage(QUICK, **dict.fromkeys((f"p{port}" for port in range(80, 90)), silent))
    stage.run(protocol)

    assert stage.host.stopped == "stopped answering"
    assert len(stage.host.mute) == NEVER


def test_a_closed_port_is_no_silence() -> None:
    stage = Stage()
    assert stage.run(Lines(ask())) == []
    assert stage.host.closed == {80: "refused"}


def test_half_a_line_is_kept_as_cut_short() -> None:
    seen = Stage(p80=half).run(Lines(ask()))

    assert [(o.value, o.truncated) for o in seen] == [("HTTP/1.1 200", True)]


def test_a_hundred_megabytes_are_cut_at_the_limit() -> None:
    stage = Stage(p80=endless)
    start = time.monotonic()
    seen = stage.run(Lines(ask(limit=5000)))

    assert [(len(o.value), o.truncated) for o in seen] == [(5000, True)]
    assert stage.host.received < 1_000_000
    assert time.monotonic() - start < 20


def test_the_bytes_of_a_device_are_bounded_in_all() -> None:
    stage = Stage(Bounds(0.5, 0.3, 5, 20_000, None, None), p80=endless)
    stage.run(Lines(*[ask(str(n), limit=5000) for n in range(10)]))

    assert stage.host.stopped is not None
    assert "20000 bytes" in stage.host.stopped
    assert stage.connections < 5


def test_one_byte_at_a_time_ends_with_the_seconds_of_the_question() -> None:
    stage = Stage(p80=dribble)
    start = time.monotonic()
    seen = stage.run(Lines(ask(seconds=0.5)))

    assert 0.4 < time.monotonic() - start < 20
    assert seen[0].truncated
    assert set(seen[0].value) == {"x"}


def test_the_seconds_of_a_device_are_bounded_in_all() -> None:
    stage = Stage(Bounds(0.5, 0.4, 0.6, 10**6, None, None), p80=dribble)
    start = time.monotonic()
    stage.run(Lines(*[ask(str(n), seconds=0.4) for n in range(10)]))

    assert time.monotonic() - start < 20
    assert stage.host.stopped == "took more than 0.6 seconds"


def test_a_reset_is_told() -> None:
    protocol = Lines(ask())
    seen = Stage(p80=reset).run(protocol)

    assert protocol.answers[0].error == "reset"
    assert seen[0].silent


def test_bytes_that_are_no_text_are_kept_as_bytes() -> None:
    assert Stage(p80=escapes).run(Lines(ask()))[0].value == "hex:1b5d303b6f776e656407ff0a"


def test_a_greeting_is_read_without_a_word() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-dropbear\r\n")
        await reader.read()

    seen = Stage(p22=greet).run(Lines(Ask("tcp.banner", "", b"", seconds=1)), port=22)

    assert [(o.channel, o.value) for o in seen] == [("tcp.banner", "SSH-2.0-dropbear\r\n")]


def test_answers_that_only_steer_are_not_recorded() -> None:
    assert Stage(p80=echo).run(Lines(ask(keep=False))) == []


def test_another_port_of_the_same_host() -> None:
    protocol = Lines(ask("one"), ask("two", port=8080), ask("three", port=9100))
    seen = Stage(p80=echo, p8080=echo, p9100=echo).run(protocol)

    assert [(o.request, o.port) for o in seen] == [("one", 80), ("two", 8080)]
    assert protocol.answers[2].error == "refused"


def test_forbidden_ports_are_never_connected() -> None:
    stage = Stage(p9100=echo)
    stage.run(Lines(ask()), port=9100)

    assert stage.connections == 0


def test_requests_to_one_device_keep_to_their_rate() -> None:
    stage = Stage(Bounds(1, 1, 9, 10**6, 5, None), p80=echo)
    start = time.monotonic()
    stage.run(Lines(*[ask(str(n)) for n in range(6)]))

    assert 1.0 <= time.monotonic() - start < 20


def test_a_device_that_nobody_has_any_more_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    async def nobody(address: str, port: int, seconds: float) -> socket.socket:
        tried.append(port)
        if not quick:
            await asyncio.sleep(0.05)
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    monkeypatch.setattr("scanner.net.streams.connect", nobody)
    monkeypatch.setattr("scanner.net.streams.LOST_SECONDS", 0.04)

    async def main() -> Host:
        host = Host("10.0.0.1", QUICK)
        for port in range(80, 90):
            if host.stopped is None:
                await Streams(Ledger()).look(host, port)
        return host

    quick = False
    assert asyncio.run(main()).stopped == "cannot be reached any more"
    assert len(tried) == 2
    tried.clear()
    quick = True  # a filter that answers for closed ports: the others may be open
    assert asyncio.run(main()).stopped is None
    assert len(tried) == 10


def test_filtered_ports_cost_less_and_less() -> None:
    host = Host("10.0.0.1", Bounds(connect_seconds=3), near=True)
    assert host.patience() > 1.1  # the kernel repeats after one second
    host.timeouts = MUTE
    assert host.patience() == 0.5
    host.trip = 0.4  # far away, and heard
    assert host.patience() == 1.6
    assert Host("10.0.0.1", Bounds(connect_seconds=0.3)).patience() == 0.3


def test_looking_says_nothing() -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        host = Host("127.0.0.1", QUICK, {37777: server.sockets[0].getsockname()[1]}.get)
        streams = Streams(Ledger())
        assert await streams.look(host, 37777)
        assert not await streams.look(host, 34567)
        assert host.open == {37777: False}
        await put_away(server)

    asyncio.run(main())
    assert heard == [b""]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a self-signed certificate in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "IPC-HDW1431")])
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    signed = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
        .not_valid_before(day).not_valid_after(day + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
    return path


async def tls_server(certificate: Path, serve: Serve) -> asyncio.Server:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)


def test_the_certificate_is_recorded_before_the_first_question_and_once(certificate: Path) -> None:
    async def main() -> list[Observation]:
        server = await tls_server(certificate, once_and_close)
        host = Host("127.0.0.1", QUICK, {443: server.sockets[0].getsockname()[1]}.get)
        seen: list[Observation] = []
        lines = Lines(ask("one"), ask("two"))
        await Streams(Ledger()).converse(host, lines, Stream("127.0.0.1", 443, tls=True), seen)
        assert host.open == {443: True}
        await put_away(server)
        return seen

    seen = asyncio.run(main())
    assert [o.channel for o in seen] == ["tls.subject", "tls.issuer", "tls.sha256", "http.response", "http.response"]
    assert seen[0].value == "CN=IPC-HDW1431"
    assert all(o.tls and o.port == 443 for o in seen)
    assert [o.value for o in seen[3:]] == ["once one\n", "once two\n"]


def test_tls_connections_are_few_at_a_time(certificate: Path) -> None:
    now, most = 0, 0

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await reader.readline()
        await asyncio.sleep(0.1)
        now -= 1
        writer.write(b"done\n")
        writer.close()

    async def main() -> int:
        server = await tls_server(certificate, slow)
        streams = Streams(Ledger(), handshakes=2)
        sinks: list[list[Observation]] = [[] for _ in range(6)]
        await asyncio.gather(*(
            streams.converse(
                Host("127.0.0.1", QUICK, {443: server.sockets[0].getsockname()[1]}.get), Lines(ask()),
                Stream("127.0.0.1", 443, tls=True), sink,
            ) for sink in sinks
        ))  # fmt: skip
        await put_away(server)
        return sum(1 for sink in sinks if sink[-1].value == "done\n")

    assert asyncio.run(main()) == 6
    assert most == 2


def test_a_plain_port_that_is_asked_for_tls_says_so() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    protocol = Lines(ask())
    seen = Stage(p443=plain).run(protocol, port=443, tls=True)

    assert protocol.answers[0].error == "tls"
    assert seen[0].silent


def test_what_was_sent_is_counted() -> None:
    stage = Stage(p80=echo)
    stage.run(Lines(ask("one"), ask("two")))

    assert stage.ledger.bytes == {"127.0.0.1": 8}
    assert 5 <= stage.ledger.packets["127.0.0.1"] <= 9


def test_what_was_heard_survives_a_cancellation() -> None:
    async def main() -> list[Observation]:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await once(reader, writer)
                await reader.readline()
                await asyncio.sleep(60)
            finally:
                writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        host = Host("127.0.0.1", Bounds(), {80: server.sockets[0].getsockname()[1]}.get)
        seen: list[Observation] = []
        task = asyncio.create_task(
            Streams(Ledger()).converse(host, Lines(ask("one"), ask("two", seconds=60)), Stream("127.0.0.1", 80), seen)
        )
        await asyncio.sleep(0.2)
        task.cancel()
        start = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - start < 20
        await put_away(server)
        return seen

    assert [o.value for o in asyncio.run(main())] == ["once one\n"]
