from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Network

import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Protocol, Reply, Service
from scanner.simulate import behaviour
from scanner.simulate.device import Simulated, Violation, settle
from scanner.simulate.streams import Streams
from scanner.simulate.watch import Watch

Use = Callable[[int], Awaitable[None]]


class Lines(Protocol):
    """Answers lines that it knows with the device's id."""

    name = "lines"
    ports = (80,)

    def services(self, device: Recording) -> list[Service]:
        return [Service(Transport.TCP, 80), Service(Transport.TCP, 443, tls=True)]

    def request_length(self, data: bytes) -> int:
        return data.find(b"\n") + 1

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        if request == b"break\n":
            raise ValueError("broken")
        if request == b"who\n":
            return Reply(device.id.encode() + b"\n")
        return Reply(b"bye\n", close=True) if request == b"end\n" else None

    def violation(self, request: bytes, service: Service) -> str | None:
        return "no logins" if b"login" in request else None


class Greeter(Protocol):
    """Shares the port, knows another line, and greets."""

    name = "greeter"
    ports = (80, 22)

    def services(self, device: Recording) -> list[Service]:
        return [Service(Transport.TCP, 80), Service(Transport.TCP, 22)]

    def greet(self, device: Recording, service: Service) -> bytes:
        return b"SSH-2.0-x\r\n" if service.port == 22 else b""

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        return Reply(b"second\n") if request == b"second\n" else None


PROTOCOLS = (Lines(), Greeter())
OPEN = Observation(channel="tcp.open", value="9999")


def device(name: str = "a", ip: str = "127.64.0.1", how: str | None = None) -> Simulated:
    recording = Recording(id=name, ip=ip, behaviour=how, observations=(OPEN,))
    return settle([recording], PROTOCOLS, IPv4Network("127.64.0.0/16"))[0]


def serve(use: Use, *devices: Simulated, port: int = 80, context: ssl.SSLContext | None = None) -> list[Violation]:
    """Let `use` loose on the real port behind which these devices have `port`; what they complain about."""
    found: list[Violation] = []

    async def main() -> None:
        def certify(_device: Simulated, _port: int) -> ssl.SSLContext:
            assert context is not None
            return context

        streams = Streams(Watch(PROTOCOLS, found.append), certify)
        known = {d.address: d for d in devices}
        real = await streams.listen("", 0, known.get, known_as=port)
        try:
            async with asyncio.timeout(10):
                await use(real)
        finally:
            await streams.close()
            await asyncio.sleep(0.01)

    asyncio.run(main())
    return found


async def dialogue(real: int, *lines: bytes, address: str = "127.64.0.1", tls: ssl.SSLContext | None = None) -> bytes:
    """Everything that comes back after these lines."""
    reader, writer = await asyncio.open_connection(address, real, ssl=tls)
    try:
        writer.write(b"".join(lines))
        if not tls:
            writer.write_eof()
            return await reader.read()
        return await asyncio.wait_for(reader.readline(), 5)
    finally:
        writer.close()


def test_the_device_is_who_was_called() -> None:
    async def use(real: int) -> None:
        assert await dialogue(real, b"who\nend\n") == b"a\nbye\n"
        assert await dialogue(real, b"who\nend\n", address="127.64.0.2") == b"b\nbye\n"

    assert serve(use, device(), device("b", "127.64.0.2")) == []


def test_who_is_not_there_refuses() -> None:
    async def use(real: int) -> None:
        with pytest.raises(ConnectionError):
            await dialogue(real, b"who\n", address="127.64.0.9")

    serve(use, device())


def test_protocols_share_a_port_and_the_first_that_knows_the_question_answers() -> None:
    async def use(real: int) -> None:
        assert await dialogue(real, b"who\nsec", b"ond\nend\n") == b"a\nsecond\nbye\n"

    serve(use, device())


def test_a_greeting_comes_unasked() -> None:
    async def use(real: int) -> None:
        reader, writer = await asyncio.open_connection("127.64.0.1", real)
        assert await asyncio.wait_for(reader.readline(), 2) == b"SSH-2.0-x\r\n"
        writer.close()

    serve(use, device(), port=22)


def test_inside_tls_everything_is_as_outside(context: ssl.SSLContext) -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE

    async def use(real: int) -> None:
        assert await dialogue(real, b"who\n", tls=client) == b"a\n"
        assert await dialogue(real, b"who\n") == b""  # not spoken in the open

    serve(use, device(), port=443, context=context)


def test_a_forbidden_question_and_a_second_connection_are_violations() -> None:
    async def use(real: int) -> None:
        first = await asyncio.open_connection("127.64.0.1", real)
        await dialogue(real, b"login\nend\n")
        second = await asyncio.open_connection("127.64.0.1", real)
        await asyncio.sleep(0.2)
        first[1].close()
        second[1].close()

    assert {v.reason for v in serve(use, device())} == {"no logins", "2 connections at the same time, 1 allowed"}


def test_one_connection_after_the_other_is_none() -> None:
    async def use(real: int) -> None:
        for _ in range(20):
            await dialogue(real, b"who\nend\n")
        await asyncio.sleep(0.2)

    assert serve(use, device()) == []


def test_a_protocol_that_breaks_ends_one_connection_and_is_told() -> None:
    async def use(real: int) -> None:
        with pytest.raises(ConnectionError):
            await dialogue(real, b"break\n")
        assert await dialogue(real, b"end\n") == b"bye\n"

    assert [v.reason for v in serve(use, device())] == ["the simulated device failed: ValueError: broken"]


def test_an_open_port_without_a_speaker_keeps_still() -> None:
    async def use(real: int) -> None:
        reader, writer = await asyncio.open_connection("127.64.0.1", real)
        writer.write(b"hello?\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        writer.close()

    assert serve(use, device(), port=9999) == []


def test_the_silent_accept_and_say_nothing() -> None:
    async def use(real: int) -> None:
        reader, writer = await asyncio.open_connection("127.64.0.1", real)
        writer.write(b"who\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        writer.close()

    serve(use, device(how="silent"))


def test_those_who_reset_reset() -> None:
    async def use(real: int) -> None:
        with pytest.raises(ConnectionResetError):
            await dialogue(real, b"who\n")

    serve(use, device(how="reset"))


def test_an_endless_answer_flows_until_the_client_has_had_enough() -> None:
    async def use(real: int) -> None:
        reader, writer = await asyncio.open_connection("127.64.0.1", real)
        writer.write(b"who\n")
        total = 0
        while total < 20_000_000:
            total += len(await reader.read(1 << 20))
        writer.transport.abort()
        await asyncio.sleep(0.2)
        _, again = await asyncio.open_connection("127.64.0.1", real)
        await asyncio.sleep(0.2)
        again.close()

    assert serve(use, device(how="endless")) == []


def test_half_an_answer_hangs() -> None:
    async def use(real: int) -> None:
        reader, writer = await asyncio.open_connection("127.64.0.1", real)
        writer.write(b"end\n")
        assert await asyncio.wait_for(reader.read(9), 2) == b"b"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        writer.close()

    serve(use, device(how="half"))


def test_a_tarpit_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviour, "TARPIT_SECONDS", 0.05)

    async def use(real: int) -> None:
        reader, writer = await asyncio.open_connection("127.64.0.1", real)
        writer.write(b"end\n")
        assert await asyncio.wait_for(reader.read(9), 2) == b"b"
        assert await asyncio.wait_for(reader.read(9), 2) == b"y"
        writer.close()

    serve(use, device(how="tarpit"))


def test_garbage_is_said_whatever_the_question(context: ssl.SSLContext) -> None:
    async def use(real: int) -> None:
        reader, writer = await asyncio.open_connection("127.64.0.1", real)
        writer.write(b"\x16\x03\x01\x00\n")  # even to a handshake
        assert b"\x1b" in await asyncio.wait_for(reader.read(), 2)
        writer.close()

    serve(use, device(how="garbage"), port=443, context=context)


def test_a_question_that_nobody_knows_ends_the_connection_unless_somebody_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def use(real: int) -> None:
        assert await dialogue(real, b"what\nwho\n") == b""

    async def refused(real: int) -> None:
        assert await dialogue(real, b"what\nend\n") == b"no\nbye\n"

    serve(use, device())
    monkeypatch.setattr(Lines, "refuse", lambda *_: Reply(b"no\n"))
    serve(refused, device())
