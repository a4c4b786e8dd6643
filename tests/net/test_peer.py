from __future__ import annotations

import asyncio
import errno
import socket
import time

import pytest

from scanner.net.peer import Peer, connect, segments


def test_a_late_loop_loses_no_connection() -> None:
    async def main() -> None:
        server = socket.create_server(("127.0.0.1", 0))

        def block() -> None:
            time.sleep(0.3)

        asyncio.get_running_loop().call_soon(block)  # longer than the time the connection has
        sock = await connect("127.0.0.1", server.getsockname()[1], 0.05)
        sock.getpeername()
        assert 1 <= segments(sock) <= 4
        sock.close()
        server.close()

    asyncio.run(main())


def test_a_closed_port_refuses() -> None:
    async def main() -> None:
        server = socket.create_server(("127.0.0.1", 0))
        port = server.getsockname()[1]
        server.close()
        with pytest.raises(OSError, match="ECONNREFUSED") as caught:
            await connect("127.0.0.1", port, 1)
        assert caught.value.errno == errno.ECONNREFUSED

    asyncio.run(main())


def test_silence_ends_in_time() -> None:
    async def main() -> None:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen(0)
            fillers = []
            try:
                for _ in range(4):  # a full backlog drops what comes next
                    filler = socket.socket()
                    filler.setblocking(False)
                    filler.connect_ex(server.getsockname())
                    fillers.append(filler)
                start = time.monotonic()
                with pytest.raises(OSError, match="ETIMEDOUT"):
                    await connect("127.0.0.1", server.getsockname()[1], 0.2)
                assert time.monotonic() - start < 20
            finally:
                for filler in fillers:
                    filler.close()

    asyncio.run(main())


def test_reading_stops_at_the_ceiling() -> None:
    async def main() -> None:
        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()
            except ConnectionError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(flood, "127.0.0.1", 0)
        sock = await connect("127.0.0.1", server.sockets[0].getsockname()[1], 1)
        _, peer = await asyncio.get_running_loop().create_connection(Peer, sock=sock)
        peer.ceiling = 10_000
        await asyncio.sleep(0.3)
        assert 10_000 <= len(peer.data) < 600_000
        start = time.monotonic()
        await peer.hang_up()
        assert time.monotonic() - start < 20
        server.close()
        await asyncio.sleep(0.05)

    asyncio.run(main())


def test_hanging_up_waits_a_moment_for_the_other_side() -> None:
    async def main() -> None:
        closed: list[float] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            closed.append(time.monotonic())
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        sock = await connect("127.0.0.1", server.sockets[0].getsockname()[1], 1)
        _, peer = await asyncio.get_running_loop().create_connection(Peer, sock=sock)
        await peer.hang_up()
        assert closed
        server.close()
        await asyncio.sleep(0.02)

    asyncio.run(main())
