"""Devices on the wire: opens every port of a simulated network, on one segment or on loopback addresses."""

from __future__ import annotations

import contextlib
import errno
import resource
import ssl
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from scanner.errors import UsageProblem
from scanner.model import Transport
from scanner.protocols.base import Protocol
from scanner.simulate.datagrams import Datagrams
from scanner.simulate.device import Simulated, Violation
from scanner.simulate.frames import Frames
from scanner.simulate.neighbours import Neighbours
from scanner.simulate.streams import Streams
from scanner.simulate.watch import Watch

SHIFT = 40_000
"""Added to ports that only root may open."""

PortMap = dict[str, dict[int, int]]
"""Address → {port of the device → port where it really is}."""


class Server:
    """All devices of a simulated network; an asynchronous context that closes everything at its end.

    Violations are handed to `report` as they happen; `connections` and `requests` (a second; None: any number) are
    what one device puts up with.
    """

    def __init__(
        self, devices: Sequence[Simulated], protocols: Sequence[Protocol], report: Callable[[Violation], None], *,
        connections: int = 1, requests: int | None = None,
    ) -> None:  # fmt: skip
        self._devices = tuple(devices)
        self._by_address = {address: device for device in devices for address in device.addresses}
        watch = Watch(protocols, report, connections=connections, requests=requests)
        self._streams = Streams(watch, self._certify)
        self._datagrams = Datagrams(watch)
        self._frames = Frames(watch)
        self._neighbours: Neighbours | None = None
        self._contexts: dict[tuple[str, int], ssl.SSLContext] = {}

    async def __aenter__(self) -> Self:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._streams.close()
        self._datagrams.close()
        self._frames.close()
        if self._neighbours is not None:
            self._neighbours.close()

    async def listen_on(self, interface: str) -> None:
        """One listener for each port of all devices; their addresses must be local to this network namespace."""
        keys = sorted({key for device in self._devices for key in device.ports})
        for transport, number in keys:
            members = [device for device in self._devices if (transport, number) in device.ports]
            try:
                if transport is Transport.L2:
                    self._frames.listen(number, members, interface)
                    continue
                if any(device.v4 for device in members):
                    await self._listen(transport, number, members, interface, wide=False)
                if any(device.v6 for device in members):
                    await self._listen(transport, number, members, interface, wide=True)
            except OSError as error:
                raise UsageProblem(f"{transport} port {number} cannot be opened: {error.strerror or error}") from error

    async def _listen(
        self, transport: Transport, number: int, members: Sequence[Simulated], interface: str, *, wide: bool
    ) -> None:
        if transport is Transport.TCP:
            await self._streams.listen("::" if wide else "", number, self._by_address.get)
        else:
            self._datagrams.listen_wide(number, members, self._by_address.get, interface, wide=wide)

    def answer_for_neighbours(self, interface: str) -> None:
        """Answer on a segment for the IPv6 addresses of the devices. Raises `OSError`."""
        if any(device.v6 for device in self._devices):
            self._neighbours = Neighbours(self._devices)
            self._neighbours.listen(interface)

    async def listen_each(self, *, high: bool) -> PortMap:
        """One listener for each port of each device, on its own (loopback) address.

        `high`: ports below 1,024 and those that are taken are opened elsewhere, and the map of all ports is returned;
        else the map is empty. Raises `UsageProblem` where a port cannot be opened.
        """
        table: PortMap = {}
        for device in self._devices:
            for address in device.addresses:
                table[address] = {}
                for number in sorted({number for kind, number in device.ports if kind is not Transport.L2}):
                    table[address][number] = await self._open_one(device, address, number, high=high)
        return table if high else {}

    async def _open_one(self, device: Simulated, address: str, number: int, *, high: bool) -> int:
        kinds = [kind for kind in (Transport.TCP, Transport.UDP) if (kind, number) in device.ports]
        wanted = [number + SHIFT if number < 1024 else number, 0, 0, 0] if high else [number]
        last: OSError | None = None
        for real in wanted:
            try:
                return await self._open_kinds(device, address, number, real, kinds)
            except OSError as error:
                last = error
                if error.errno not in {errno.EACCES, errno.EPERM, errno.EADDRINUSE}:
                    break
        assert last is not None
        hint = "; without root, use a namespace or high ports" if last.errno in {errno.EACCES, errno.EPERM} else ""
        raise UsageProblem(f"port {number} of {address} cannot be opened: {last.strerror or last}{hint}") from last

    async def _open_kinds(
        self, device: Simulated, address: str, number: int, real: int, kinds: Sequence[Transport]
    ) -> int:
        """The same real port for both transports: a map has one entry for a port."""
        for kind in kinds:
            if kind is Transport.TCP:
                real = await self._streams.listen(address, real, lambda _address: device, known_as=number)
            else:
                real = self._datagrams.listen_alone(device, address, real, known_as=number)
        return real

    def _certify(self, device: Simulated, port: int) -> ssl.SSLContext:
        from scanner.protocols import tls  # the certificate parser: only where TLS is spoken

        context = self._contexts.get((device.id, port))
        if context is None:
            names = tls.certificate_names(device.recording, port) or ("CN=device", None, None)
            context = self._contexts[device.id, port] = tls.server_context(*tls.self_signed(*names))
        return context
