from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Protocol, Service
from scanner.simulate.device import Port, Simulated, Violation, settle
from scanner.simulate.watch import MAX_PER_DEVICE, Watch


class Toy(Protocol):
    name = "toy"

    def services(self, device: Recording) -> list[Service]:
        return [Service(Transport.TCP, 80), Service(Transport.TCP, 80, tls=True), Service(Transport.UDP, 37020)]

    def violation(self, request: bytes, service: Service) -> str | None:
        return "reset is forbidden" if b"reset" in request and not service.tls else None


@pytest.fixture
def device() -> Simulated:
    recording = Recording(id="a", observations=(Observation(channel="tcp.open", value="9100,37777,8080"),))
    return settle([recording], [Toy()], IPv4Network("10.77.0.0/24"))[0]


def told(**more: int) -> tuple[Watch, list[Violation]]:
    found: list[Violation] = []
    return Watch([Toy()], found.append, **more), found


def tcp(device: Simulated, number: int) -> Port:
    return device.ports[Transport.TCP, number]


def test_a_forbidden_question_is_told_with_its_words(device: Simulated) -> None:
    watch, found = told()
    watch.asked(device, tcp(device, 80), b"GET /", 0.0)
    assert not found
    watch.asked(device, tcp(device, 80), b"reset\x1b[2J", 0.0)

    assert found == [
        Violation("a", "10.77.0.1", 80, Transport.TCP, "reset is forbidden", "hex:72657365741b5b324a"),
    ]


def test_inside_tls_only_those_who_speak_there_judge(device: Simulated) -> None:
    watch, found = told()
    watch.asked(device, tcp(device, 80), b"reset", 0.0, tls=True)

    assert not found


def test_datagrams_are_judged_too(device: Simulated) -> None:
    watch, found = told()
    watch.asked(device, device.ports[Transport.UDP, 37020], b"reset", 0.0)

    assert [v.transport for v in found] == [Transport.UDP]


def test_some_ports_may_not_even_be_connected_to(device: Simulated) -> None:
    watch, found = told()
    watch.connected(device, 8080)
    assert not found
    watch.connected(device, 9100)

    assert "printers" in found[0].reason


def test_some_ports_may_be_looked_at_and_not_spoken_to(device: Simulated) -> None:
    watch, found = told()
    watch.asked(device, tcp(device, 37777), b"login", 0.0)

    assert "only looked at" in found[0].reason


def test_connections_and_requests_have_a_ceiling(device: Simulated) -> None:
    watch, found = told(connections=2, requests=5)
    watch.crowd(device, 80, 2)
    for number in range(5):
        watch.asked(device, tcp(device, 80), b"x", number / 100)
    for number in range(20):
        watch.asked(device, tcp(device, 80), b"x", 2 + number / 5)
    assert not found
    watch.crowd(device, 80, 3)
    watch.asked(device, tcp(device, 80), b"x", 6.0)
    watch.asked(device, tcp(device, 80), b"x", 6.01)
    watch.asked(device, tcp(device, 80), b"x", 6.02)

    assert [v.reason[:11] for v in found] == ["3 connectio", "more than 5"]


def test_a_flood_of_violations_is_not_told_without_end(device: Simulated) -> None:
    watch, found = told()
    for _ in range(3 * MAX_PER_DEVICE):
        watch.connected(device, 9100)

    assert len(found) == MAX_PER_DEVICE
