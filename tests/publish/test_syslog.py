"""Syslog against real sockets: what a receiver reads, and what happens when it goes away."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanner import publish
from scanner.errors import UsageProblem
from scanner.publish import Unavailable
from scanner.publish.deliver import Delivery
from scanner.publish.syslog import message, severity
from scanner.store import Store, open_store, outbox
from tests.brokers import free_port
from tests.publish.doubles import Log, certificates, event, state

# RFC 5424 §6, read by somebody else than the writer: header, one element of structured data, text.
LINE = re.compile(
    r'<(?P<pri>\d{1,3})>1 (?P<time>\S+) (?P<host>[!-~]+) (?P<app>[!-~]+) (?P<pid>[!-~]+) (?P<msgid>[!-~]+) '
    r'\[(?P<id>[^ ="\]]+)(?P<sd>(?: [^ ="\]]+="(?:[^"\\\]]|\\.)*")*)\] (?P<text>.*)', re.S
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "h.sqlite") as opened:
        outbox.register(opened, ["syslog"])
        yield opened


def _sink(url: str, **more: object) -> publish.Configured:
    return publish.configured("syslog", {"url": url, "hostname": "audit1", **more})


def _drain(store: Store, sink: publish.Configured) -> int:
    return asyncio.run(Delivery(store, sink, Log(), first_wait=0.01).drain())


def _facts(line: bytes) -> dict[str, str]:
    found = LINE.fullmatch(line.decode("utf-8"))
    assert found, line
    return {
        name: re.sub(r"\\(.)", r"\1", value)
        for name, value in re.findall(r' ([^ =]+)="((?:[^"\\\]]|\\.)*)"', found["sd"])
    }


def _framed(data: bytes) -> list[bytes]:
    """Messages of a stream with octet counting (RFC 6587 §3.4.1)."""
    found = []
    while data:
        count, _, data = data.partition(b" ")
        found.append(data[: int(count)])
        assert len(found[-1]) == int(count)
        data = data[int(count) :]
    return found


class Receiver:
    """A TCP receiver, with TLS where a context is given, that reads until the sender hangs up."""

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._context = context
        self.port = int(self._listener.getsockname()[1])
        self.data = b""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
                if self._context is not None:
                    line = self._context.wrap_socket(line, server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            with line:
                line.settimeout(5)
                try:
                    while some := line.recv(65536):
                        self.data += some
                except OSError:
                    pass
            if self.data:
                return

    def read(self) -> list[bytes]:
        self._thread.join(5)
        self._listener.close()
        return _framed(self.data)


def test_udp(store: Store) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        outbox.put(store, [state(), event(1), event(2, "scan-failed", policy=None, action=None, reason="no link")])
        assert _drain(store, _sink(f"udp://127.0.0.1:{receiver.getsockname()[1]}")) == 3
        first, second = receiver.recv(9000), receiver.recv(9000)
    found = LINE.fullmatch(first.decode())
    assert found
    assert (found["pri"], found["time"], found["host"], found["app"], found["msgid"], found["id"]) == (
        str(16 * 8 + 2), "2026-02-03T04:05:06Z", "audit1", "lanveto", "finding-opened", "lanveto@32473",
    )  # fmt: skip
    assert found["text"] == "finding opened: 192.0.2.7, made by dahua (confirmed), us-889-a1b asks: remove"
    assert _facts(first)["mac"] == "3c:ef:8c:11:22:33"
    assert _facts(first)["event"] == "e1"
    assert second.startswith(b"<131>1 ")
    assert second.endswith(b"no link")


def test_udp_to_a_closed_port_is_noticed(store: Store) -> None:
    outbox.put(store, [event(1)])
    with pytest.raises(Unavailable, match=r"refused"):
        _drain(store, _sink(f"udp://127.0.0.1:{free_port()}"))
    assert outbox.standing(store)[0].waiting == 1


def test_tcp_counts_octets(store: Store) -> None:
    receiver = Receiver()
    outbox.put(store, [event(n, model="Kamera №1") for n in range(250)])
    assert _drain(store, _sink(f"tcp://127.0.0.1:{receiver.port}", facility="auth")) == 250
    lines = receiver.read()
    assert [_facts(line)["event"] for line in lines] == [f"e{n}" for n in range(250)]
    assert lines[0].startswith(b"<34>1 ")
    assert _facts(lines[0])["model"] == "Kamera №1"


def test_tls_verifies_who_listens_and_shows_who_sends(store: Store, tmp_path: Path) -> None:
    certificates(tmp_path, "server", "client")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    context.load_verify_locations(tmp_path / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    receiver = Receiver(context)
    url = f"tls://127.0.0.1:{receiver.port}"
    outbox.put(store, [event(1)])
    own = {name: str(tmp_path / file) for name, file in (("cert", "client.pem"), ("key", "client.key"))}
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        _drain(store, _sink(url, **own))
    assert _drain(store, _sink(url, ca=str(tmp_path / "ca.pem"), **own)) == 1
    assert [_facts(line)["event"] for line in receiver.read()] == ["e1"]


def test_a_receiver_that_hangs_up_is_tried_again_and_every_event_arrives(store: Store) -> None:
    port = free_port()
    log = Log()

    async def main() -> list[bytes]:
        stop = asyncio.Event()
        delivery = Delivery(store, _sink(f"tcp://127.0.0.1:{port}"), log, first_wait=0.02, longest_wait=0.05)
        task = asyncio.create_task(delivery.run(stop))
        outbox.put(store, [event(1)])
        await asyncio.sleep(0.1)
        lines: list[bytes] = []
        hung_up = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            count = (await reader.readuntil(b" ")).strip()
            lines.append(await reader.readexactly(int(count)))
            writer.close()
            hung_up.set()

        server = await asyncio.start_server(serve, "127.0.0.1", port)
        async with asyncio.timeout(10):
            await hung_up.wait()
            hung_up.clear()
            await asyncio.sleep(0.05)
            await asyncio.to_thread(outbox.put, store, [event(2)])
            delivery.wake.set()
            while not any(b'"e2"' in line for line in lines):
                await hung_up.wait()
                hung_up.clear()
        stop.set()
        await task
        server.close()
        return lines

    lines = asyncio.run(main())
    assert {_facts(line)["event"] for line in lines} == {"e1", "e2"}
    assert len(lines) < 6  # at least once, but not for ever
    assert any("broken syslog" in line for line in log.lines)


@pytest.mark.parametrize("hostile", ['a"] [x@1 y="z', "a\\", "a\n<0>1 - - - - - - fake", "\x1b[2J", "‮", "é" * 9000])
def test_nothing_a_device_says_breaks_out(hostile: str) -> None:
    line = message({"kind": "device-appeared", "event": "e", "model": hostile, "reason": hostile}, 16, "h", 2048)
    assert len(line) <= 2048
    assert not re.search(rb"[\x00-\x1f\x7f]", line)
    facts = _facts(line)
    assert set(facts) == {"event", "model"}
    if hostile.isprintable() and len(hostile) < 100:
        assert facts["model"] == hostile


def test_how_grave_events_are() -> None:
    assert severity({"kind": "finding-opened", "action": "remove"}) == 2
    assert severity({"kind": "finding-opened", "action": "investigate"}) == 4
    assert severity({"kind": "scan-failed"}) == severity({"kind": "events-lost"}) == 3
    assert severity({"kind": "scan-completed"}) == 6


@pytest.mark.parametrize(("table", "said"), [
    ({"url": "http://h"}, "udp://host"),
    ({"url": "tcp://h:x"}, "[Pp]ort"),
    ({"url": "tcp://h", "facility": "local9"}, "facility"),
    ({"url": "tcp://h", "ca": "x"}, "tls://"),
    ({"url": "tls://h", "ca": "nowhere"}, "no such file"),
    ({"url": "tls://h", "cert": "x"}, "belong together"),
])  # fmt: skip
def test_settings_that_cannot_be_used(table: dict[str, object], said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        publish.configured("syslog", table)
