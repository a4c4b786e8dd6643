"""Lets the stream protocols talk to a simulated device without a socket; any violation fails the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols import protocols, read_all
from scanner.protocols.base import Answer, Ask, Protocol, Reply, Service, Stream
from scanner.values import from_bytes

HOST = "192.0.2.42"
NAMES = ("rtsp", "http", "onvif", "maker-reads")


def _services(device: Recording) -> Iterator[tuple[Protocol, Service]]:
    for protocol in protocols().values():
        for service in protocol.services(device):
            if service.transport is Transport.TCP:
                yield protocol, service


def _reply(device: Recording, request: bytes, port: int, tls: bool) -> Reply | None:
    speakers = [(p, s) for p, s in _services(device) if s.port == port and s.tls == tls]
    for protocol, service in speakers:
        assert protocol.request_length(request) == len(request), request
        assert protocol.violation(request, service) is None, request
    for protocol, service in speakers:
        reply = protocol.answer(request, device, service)
        if reply is not None:
            return reply
    return next((r for p, s in speakers if (r := p.refuse(request, device, s)) is not None), None)


def _answer(device: Recording, ask: Ask, stream: Stream) -> tuple[Answer, int, bool]:
    port = stream.port if ask.port is None else ask.port
    tls = stream.tls if ask.tls is None else ask.tls
    here = {service.tls for _p, service in _services(device) if service.port == port}
    if not here:
        return Answer(error="refused"), port, tls
    if tls not in here:
        return Answer(error="tls" if tls else "reset"), port, tls
    reply = _reply(device, ask.payload, port, tls)
    if reply is None or not reply.data:
        return Answer(error="timeout"), port, tls
    data = reply.data[: ask.limit]
    return Answer(data=data, closed=reply.close, truncated=len(data) < len(reply.data)), port, tls


@pytest.fixture
def talk() -> Callable[..., Recording]:
    """Asks a device everything the named protocols would, on the ports it has open; returns what was heard."""

    def run(device: Recording, *, hints: tuple[str, ...] = (), names: tuple[str, ...] = NAMES) -> Recording:
        heard = Recording(id=device.id, mac=device.mac)
        ports = sorted({(s.port, s.tls) for _p, s in _services(device)})
        for protocol in (protocols()[name] for name in names):
            for port, tls in ports:
                if port not in (protocol.tls_ports if tls else protocol.ports):
                    continue
                stream = Stream(HOST, port, tls, read_all(heard), frozenset(hints))
                heard = msgspec.structs.replace(
                    heard, observations=(*heard.observations, *_converse(protocol, stream, device))
                )
        return heard

    return run


def _converse(protocol: Protocol, stream: Stream, device: Recording) -> Iterator[Observation]:
    conversation = protocol.converse(stream)
    try:
        ask = next(conversation)
        for _ in range(20):
            answer, port, tls = _answer(device, ask, stream)
            assert not answer.data or answer.closed or answer.truncated or protocol.complete(answer.data, ask)
            yield Observation(
                channel=ask.channel, value=from_bytes(answer.data), port=port, tls=tls, request=ask.request,
                truncated=answer.truncated, silent=not answer.data,
            )  # fmt: skip
            ask = conversation.send(answer)
        raise AssertionError(f"{protocol.name} does not stop asking")
    except StopIteration:
        pass
