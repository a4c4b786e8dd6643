from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Network

import pytest

from scanner.errors import UsageProblem
from scanner.model import Recording, Transport
from scanner.protocols.base import Protocol, Reply, Service
from scanner.simulate.device import Simulated, settle
from scanner.simulate.server import SHIFT, PortMap, Server


class Twice(Protocol):
    """One port, spoken over TCP and UDP."""

    name = "twice"
    number = 80

    def services(self, device: Recording) -> list[Service]:
        return [Service(Transport.TCP, self.number), Service(Transport.UDP, self.number)]

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        return Reply(f"{device.id} {service.transport}".encode(), close=True)


def devices(count: int = 2) -> tuple[Simulated, ...]:
    return settle([Recording(id=f"d{n}") for n in range(count)], [Twice()], IPv4Network("127.65.0.0/24"))


async def ask(address: str, port: int) -> tuple[bytes, bytes]:
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(b"?")
    over_tcp = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((address, port))
        sock.send(b"?")
        over_udp = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 99), 5)
    return over_tcp, over_udp


def test_high_ports_have_a_map_and_both_transports_share_an_entry() -> None:
    async def main() -> PortMap:
        async with Server(devices(), [Twice()], lambda _violation: None) as server:
            table = await server.listen_each(high=True)
            for number, (address, ports) in enumerate(table.items()):
                assert await ask(address, ports[80]) == (f"d{number} tcp".encode(), f"d{number} udp".encode())
            return table

    assert asyncio.run(main()) == {"127.65.0.1": {80: 80 + SHIFT}, "127.65.0.2": {80: 80 + SHIFT}}


def test_a_high_port_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Twice, "number", 48_080)

    async def main() -> PortMap:
        with socket.create_server(("127.65.0.1", 48_080)):
            async with Server(devices(), [Twice()], lambda _violation: None) as server:
                table = await server.listen_each(high=True)
                assert (await ask("127.65.0.1", table["127.65.0.1"][48_080]))[0] == b"d0 tcp"
                return table

    table = asyncio.run(main())
    assert table["127.65.0.1"][48_080] != 48_080
    assert table["127.65.0.2"] == {48_080: 48_080}


def test_a_real_port_that_is_taken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Twice, "number", 48_081)

    async def main() -> None:
        with socket.create_server(("127.65.0.1", 48_081)):
            async with Server(devices(), [Twice()], lambda _violation: None) as server:
                await server.listen_each(high=False)

    with pytest.raises(UsageProblem, match=r"port 48081 of 127\.65\.0\.1 cannot be opened: .*in use"):
        asyncio.run(main())


def test_one_listener_serves_all_devices_of_a_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Twice, "number", 48_082)

    async def main() -> None:
        async with Server(devices(50), [Twice()], lambda _violation: None) as server:
            await server.listen_on("lo")
            assert await ask("127.65.0.50", 48_082) == (b"d49 tcp", b"d49 udp")
            reader, writer = await asyncio.open_connection("127.65.0.51", 48_082)
            with pytest.raises(ConnectionError):
                await reader.readexactly(1)
            writer.close()

    asyncio.run(main())
