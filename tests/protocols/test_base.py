from __future__ import annotations

import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Answer, Protocol, Service, Stream, observed


@pytest.mark.parametrize(
    ("stream", "host"),
    [
        (Stream("192.0.2.1", 80), "192.0.2.1"),
        (Stream("192.0.2.1", 443, True), "192.0.2.1"),
        (Stream("192.0.2.1", 443), "192.0.2.1:443"),
        (Stream("192.0.2.1", 80, True), "192.0.2.1:80"),
        (Stream("2001:db8::1", 8080), "[2001:db8::1]:8080"),
        (Stream("fe80::1%eth0", 80), "[fe80::1]"),
    ],
)
def test_a_host_as_it_stands_in_a_url(stream: Stream, host: str) -> None:
    assert stream.url_host() == host


class Silent(Protocol):
    name = "silent"


def test_a_protocol_that_overrides_nothing_does_nothing() -> None:
    protocol, service, device = Silent(), Service(Transport.TCP, 80), Recording(id="d")
    seen = Observation(channel="http.title", value="x")
    assert list(protocol.read(seen)) == []
    assert protocol.mask(seen) is seen
    assert list(protocol.converse(Stream("192.0.2.1", 80))) == []
    assert list(protocol.questions()) == []
    assert protocol.recognise(b"x") is None
    assert list(protocol.services(device)) == []
    assert protocol.greet(device, service) == b""
    assert protocol.request_length(b"abc") == 3
    assert protocol.answer(b"x", device, service) is None
    assert protocol.violation(b"x", service) is None
    assert Answer() == Answer(b"", closed=False, truncated=False, error=None)


def test_what_a_device_said_on_a_port_and_below_a_prefix() -> None:
    device = Recording(
        id="d",
        observations=(
            Observation(channel="http.title", value="a", port=80),
            Observation(channel="http.title", value="b"),
            Observation(channel="http.header.server", value="c", port=8080),
            Observation(channel="http.response", value="", port=80, silent=True),
            Observation(channel="mac", value="d"),
        ),
    )
    assert [o.value for o in observed(device, "http.*")] == ["a", "b", "c"]
    assert [o.value for o in observed(device, "http.*", port=80)] == ["a", "b"]
    assert [o.value for o in observed(device, "http.header.server", "mac")] == ["c", "d"]
    assert [o.value for o in observed(device, "http.title", "http.*", port=8080)] == ["b", "c"]
