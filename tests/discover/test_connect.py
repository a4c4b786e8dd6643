from __future__ import annotations

import asyncio
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scanner.discover import connect
from scanner.discover.book import Sighting
from scanner.net.ledger import Ledger


@contextmanager
def listening(*addresses: str) -> Iterator[dict[str, int]]:
    servers = {address: socket.create_server((address, 0)) for address in addresses}
    try:
        yield {address: server.getsockname()[1] for address, server in servers.items()}
    finally:
        for server in servers.values():
            server.close()


def sweep(jobs: list[connect.Job], rate: float = 50_000, seconds: float = 0.5) -> tuple[list[str], connect.Swept]:
    found: list[Sighting] = []
    swept = asyncio.run(
        connect.sweep(iter(jobs), found.append, rate=rate, seconds=seconds, in_flight=500, ledger=Ledger())
    )
    return sorted(s.address for s in found), swept


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_open_ports_are_found_on_any_of_their_places() -> None:
    with listening("127.9.0.1", "127.9.0.200") as real:
        jobs = [
            connect.Job(f"127.9.0.{n}", ((80, free_port()), (554, real.get(f"127.9.0.{n}", free_port()))), local=True)
            for n in range(1, 255)
        ]
        found, swept = sweep(jobs)

    assert found == ["127.9.0.1", "127.9.0.200"]
    assert (swept.hosts, swept.attempts) == (254, 508)


def test_a_refusal_is_a_sign_of_life_except_on_this_machine() -> None:
    port = free_port()

    assert sweep([connect.Job("127.9.0.1", ((80, port),))])[0] == ["127.9.0.1"]
    assert sweep([connect.Job("127.9.0.1", ((80, port),), local=True)])[0] == []


def test_a_host_is_left_alone_once_it_is_known() -> None:
    port = free_port()
    _, swept = sweep([connect.Job("127.9.0.1", ((80, port), (443, port), (554, port)))])

    assert swept.attempts == 1


def test_hosts_without_an_answer_cost_the_timeout_once_each_port() -> None:
    full = socket.socket()
    full.bind(("127.9.0.1", 0))
    full.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
        fillers.append(filler)
    start = time.monotonic()
    found, _ = sweep([connect.Job("127.9.0.1", ((80, full.getsockname()[1]),) * 2, local=True)] * 20, seconds=0.2)
    took = time.monotonic() - start
    for sock in (full, *fillers):
        sock.close()

    assert found == []
    assert 0.4 <= took < 20 * 2 * 0.2  # they wait together


def test_the_pace_is_kept() -> None:
    start = time.monotonic()
    sweep([connect.Job("127.9.0.1", ((80, free_port()),))] * 100, rate=200)

    assert 0.4 <= time.monotonic() - start < 20


def test_few_open_files_slow_it_down_and_lose_nothing() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with listening(*(f"127.9.1.{n}" for n in range(1, 60))) as real:
        jobs = [connect.Job(address, ((80, port),), local=True) for address, port in real.items()]
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(real) + 40, hard))
        try:
            found, _ = sweep(jobs)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert len(found) == 59


def test_cancelling_ends_the_thread() -> None:
    async def main() -> None:
        endless = (connect.Job("127.9.0.1", ((80, 1),), local=True) for _ in iter(int, 1))
        task = asyncio.create_task(
            connect.sweep(endless, lambda _s: None, rate=100, seconds=1, in_flight=10, ledger=Ledger())
        )
        await asyncio.sleep(0.2)
        start = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - start < 20

    asyncio.run(main())
    assert not [t for t in threading.enumerate() if t.name == "lanveto-connect"]


def test_ports_a_simulated_device_does_not_have_are_left_out() -> None:
    assert connect.pairs((80, 443), {80: 20080}.get) == ((80, 20080),)
