from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Network

from scanner.model import Recording, Transport
from scanner.protocols.base import Protocol, Reply, Service
from scanner.simulate.datagrams import Datagrams
from scanner.simulate.device import Simulated, Violation, settle
from scanner.simulate.watch import Watch

GROUP = "239.255.255.250"


class Calls(Protocol):
    """Answers a call by name, and one to everybody."""

    name = "calls"

    def services(self, device: Recording) -> list[Service]:
        return [Service(Transport.UDP, 3702, groups=(GROUP,))]

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        if request == b"break":
            raise ValueError("broken")
        if request == b"group":
            return Reply(device.id.encode(), group=GROUP)
        return Reply(device.id.encode(), more=(b"and more",)) if request != b"login" else None

    def violation(self, request: bytes, service: Service) -> str | None:
        return "no logins" if request == b"login" else None


def devices(*how: str | None) -> tuple[Simulated, ...]:
    recordings = [Recording(id=f"dev{n}", ip=f"127.64.0.{n}", behaviour=b) for n, b in enumerate(how, 1)]
    return settle(recordings, [Calls()], IPv4Network("127.64.0.0/16"))


def serve(
    use: Callable[[dict[str, int], socket.socket], Awaitable[None]], *found: Simulated, wide: bool = False
) -> list[Violation]:
    complaints: list[Violation] = []

    async def main() -> None:
        datagrams = Datagrams(Watch([Calls()], complaints.append))
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.setblocking(False)
        client.bind(("127.0.0.1", 0))
        try:
            if wide:
                known = {d.address: d for d in found}
                datagrams.listen_wide(3702, found, known.get, "lo")
                real = {d.address: 3702 for d in found}
            else:
                real = {d.address: datagrams.listen_alone(d, d.address, 0, known_as=3702) for d in found}
            async with asyncio.timeout(10):
                await use(real, client)
        finally:
            datagrams.close()
            client.close()

    asyncio.run(main())
    return complaints


async def heard(client: socket.socket, seconds: float = 0.3) -> list[tuple[bytes, tuple[str, int]]]:
    found = []
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            while True:
                found.append(await loop.sock_recvfrom(client, 65_535))
    except TimeoutError:
        return found


def test_each_device_answers_from_its_own_address() -> None:
    async def use(real: dict[str, int], client: socket.socket) -> None:
        client.sendto(b"hello", ("127.64.0.2", real["127.64.0.2"]))
        assert await heard(client) == [
            (b"dev2", ("127.64.0.2", real["127.64.0.2"])), (b"and more", ("127.64.0.2", real["127.64.0.2"]))
        ]  # fmt: skip

    assert serve(use, *devices(None, None)) == []


def test_one_socket_speaks_for_many_devices() -> None:
    async def use(real: dict[str, int], client: socket.socket) -> None:
        for address in ("127.64.0.1", "127.64.0.2", "127.64.0.77"):
            client.sendto(b"hello", (address, 3702))
        answers = [(data, source) for data, source in await heard(client) if data != b"and more"]
        # nobody owns .77 here: on a segment, where every address is somebody's, such a call is one to everybody
        assert (b"dev1", ("127.64.0.1", 3702)) in answers
        assert (b"dev2", ("127.64.0.2", 3702)) in answers

    serve(use, *devices(None, None), wide=True)


def test_without_groups_the_answer_goes_to_who_asked() -> None:
    async def use(real: dict[str, int], client: socket.socket) -> None:
        client.sendto(b"group", ("127.64.0.1", real["127.64.0.1"]))
        assert await heard(client) == [(b"dev1", ("127.64.0.1", real["127.64.0.1"]))]

    serve(use, *devices(None))


def test_a_forbidden_datagram_is_a_violation() -> None:
    async def use(real: dict[str, int], client: socket.socket) -> None:
        client.sendto(b"login", ("127.64.0.1", real["127.64.0.1"]))
        assert await heard(client) == []

    assert [v.reason for v in serve(use, *devices(None))] == ["no logins"]


def test_a_protocol_that_breaks_is_told_and_the_rest_goes_on() -> None:
    async def use(real: dict[str, int], client: socket.socket) -> None:
        client.sendto(b"break", ("127.64.0.1", real["127.64.0.1"]))
        client.sendto(b"hello", ("127.64.0.1", real["127.64.0.1"]))
        assert [data for data, _ in await heard(client)] == [b"dev1", b"and more"]

    assert [v.reason for v in serve(use, *devices(None))] == ["the simulated device failed: ValueError: broken"]


def test_broken_devices_are_broken_in_datagrams_too() -> None:
    async def use(real: dict[str, int], client: socket.socket) -> None:
        for address, port in real.items():
            client.sendto(b"hello", (address, port))
        answers = await heard(client)
        sources = [source[0] for _, source in answers]
        assert "127.64.0.1" not in sources
        assert (b"de", ("127.64.0.2", real["127.64.0.2"])) in answers
        assert sources.count("127.64.0.3") == 200

    serve(use, *devices("silent", "half", "endless"))
