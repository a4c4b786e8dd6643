"""The process in which simulated devices live: makes its namespaces, opens their ports, and ends with its parent.

Spoken to in lines of JSON: the first line of its input is an `Order`, each further line is an empty question that is
answered once everything before it has been told; the end of its input ends it. Its output is `Ready` or `Failed`,
then one `Heard` for each violation and one `Told` for each question.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Any

import msgspec

from scanner.errors import LanvetoError, UsageProblem
from scanner.model import Recording
from scanner.protocols import protocols
from scanner.simulate import device, namespaces, segment, wire
from scanner.simulate.device import Simulated, Violation
from scanner.simulate.server import PortMap, Server

MAX_DEVICES = 65_000


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be simulated, and how."""

    recordings: tuple[Recording, ...]
    network: str
    kind: str
    """`lab`: a segment with hardware addresses; `private`: loopback in a namespace of its own; `real`: loopback of this
    machine; `high`: the same with ports that need no root.
    """
    routed: bool = False
    connections: int = 1
    requests: int | None = None
    foreign: bool = False
    """Recorded addresses outside the network are kept too."""
    round_trip: float = 0.0
    """Seconds that a frame and its answer spend on the cable."""


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """Where a device is."""

    id: str
    ip: str
    mac: str | None


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """All devices answer."""

    devices: tuple[Placed, ...]
    enter: tuple[str, ...] = ()
    """Put before a command to run it where the devices can be reached; empty: anywhere on this machine."""
    scanner: int | None = None
    """A process in the scanner's namespace."""
    address: str | None = None
    """The scanner's own address there."""
    wire: int | None = None
    """The process that carries the frames, where they take their time."""
    port_map: PortMap = {}


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Why nothing is simulated."""

    reason: str


class Heard(msgspec.Struct, frozen=True, tag="heard"):
    """Something happened that no polite scanner may do."""

    violation: Violation


class Told(msgspec.Struct, frozen=True, tag="told"):
    """Everything up to the question has been told."""


Line = Ready | Failed | Heard | Told


def main() -> int:
    """Run until the parent leaves; exit code 1 where nothing could be simulated."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    try:
        first, further = _first_line()
        order = msgspec.json.decode(first, type=Order)
        return asyncio.run(_serve(order, *_settle(order), further))
    except LanvetoError as problem:
        _say(Failed(str(problem)))
    except OSError as problem:
        _say(Failed(f"the simulation failed: {problem.strerror or problem}"))
    except Exception as error:  # noqa: BLE001 - a broken protocol is told in one line, like everything else
        _say(Failed(f"the simulation failed: internal error: {type(error).__name__}: {error}"))
    return 1


def _first_line() -> tuple[bytes, bytes]:
    """The first line of the input, and what came with it; no buffer keeps the rest from the event loop."""
    data = bytearray()
    while b"\n" not in data and (piece := os.read(0, 65_536)):
        data += piece
    first, _, further = bytes(data).partition(b"\n")
    return first, further


def _settle(order: Order) -> tuple[tuple[Simulated, ...], Ready]:
    """The namespaces, the devices, and what the parent is told once they answer."""
    if len(order.recordings) > MAX_DEVICES:
        raise UsageProblem(f"{len(order.recordings)} devices are too many; {MAX_DEVICES} is the most")
    network = IPv4Network(order.network)
    wide = order.kind == "lab" and any(any(device.wide(r, segment.NETWORK6)) for r in order.recordings)
    plan = segment.Plan(network, order.routed, order.round_trip, wide)
    devices = device.settle(
        order.recordings, tuple(protocols().values()), network, reserved=[plan.scanner, *plan.scanner6],
        foreign=order.foreign, network6=segment.NETWORK6 if wide else None,
    )  # fmt: skip
    enter: tuple[str, ...] = ()
    scanner = address = carrier = None
    if order.kind in {"lab", "private"}:
        user = namespaces.new_network()
        namespaces.loopback_up()
        scanner = os.getpid()
        if order.kind == "lab":
            (scanner, carrier), address = _segment(plan, devices), plan.scanner
        enter = tuple(namespaces.entrance(scanner, user=user))
    with_mac = order.kind == "lab" and not order.routed
    placed = tuple(Placed(id=d.id, ip=d.address, mac=d.mac if with_mac else None) for d in devices)
    return devices, Ready(devices=placed, enter=enter, scanner=scanner, address=address, wire=carrier)


def _segment(plan: segment.Plan, devices: tuple[Simulated, ...]) -> tuple[int, int | None]:
    """The cable from the scanner's namespace, kept by a process whose id is returned, to ours; and the id of the
    process that carries its frames, where they take their time.
    """
    segment.ipv6(wide=plan.wide)
    places = [os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)]
    scanner = namespaces.placeholder()
    enter: list[Callable[[], None]] = [functools.partial(namespaces.join, places[0])]
    carrier, start = None, None
    if plan.round_trip:
        namespaces.unshare(namespaces.CLONE_NEWNET)
        segment.ipv6(wide=False)
        places.append(os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        enter.append(functools.partial(namespaces.join, places[1]))
        carrier, start = wire.lay(plan.round_trip / 2)
    namespaces.unshare(namespaces.CLONE_NEWNET)
    namespaces.loopback_up()
    segment.ipv6(wide=plan.wide)
    segment.build(plan, devices, scanner, enter[0], carrier, enter[1] if carrier is not None else None)
    if start is not None:
        start()
    for place in places:
        os.close(place)
    return scanner, carrier


async def _serve(order: Order, devices: tuple[Simulated, ...], ready: Ready, further: bytes) -> int:
    server = Server(
        devices, tuple(protocols().values()), lambda violation: _say(Heard(violation)),
        connections=order.connections, requests=order.requests,
    )  # fmt: skip
    async with server:
        table: PortMap = {}
        if order.kind == "lab":
            await server.listen_on(segment.DEVICES)
            if not order.routed:
                server.answer_for_neighbours(segment.DEVICES)
        else:
            table = await server.listen_each(high=order.kind == "high")
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, ended.set)
        _say(msgspec.structs.replace(ready, port_map=table))
        _answer(further)
        loop.add_reader(0, _question, ended)
        await ended.wait()
        loop.remove_reader(0)
    return 0


def _question(ended: asyncio.Event) -> None:
    data = os.read(0, 4096)
    if not data:
        ended.set()
    _answer(data)


def _answer(questions: bytes) -> None:
    for _ in range(questions.count(b"\n")):
        _say(Told())


def _say(line: Line) -> None:
    data = msgspec.json.encode(line, enc_hook=_plain) + b"\n"
    try:
        while data:
            data = data[os.write(1, data) :]
    except BrokenPipeError:
        sys.exit(0)


def _plain(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} is no line")


if __name__ == "__main__":
    sys.exit(main())
