"""What is counted about the questions a simulated device hears: forbidden ones, too many at once, too many a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from scanner import ports
from scanner.model import Transport
from scanner.protocols.base import Protocol
from scanner.simulate.device import Port, Simulated, Violation, looked_at_only
from scanner.values import from_bytes, one_line

SECOND = 0.7
"""The second in which requests are counted, a little short: on their way, and on a busy machine, they bunch."""
MAX_PER_DEVICE = 50
"""Violations of one device that are told; a flood says nothing new."""


class Watch:
    """Judges what devices hear, and reports each violation once it happens."""

    def __init__(
        self, protocols: Iterable[Protocol], report: Callable[[Violation], None], *, connections: int = 1,
        requests: int | None = None,
    ) -> None:  # fmt: skip
        self._protocols = tuple(protocols)
        self._report = report
        self._connections = connections
        self._requests = requests
        self._looked_at = looked_at_only(self._protocols)
        self._told: dict[str, int] = {}
        self._times: dict[str, deque[float]] = {}

    def connected(self, device: Simulated, port: int) -> None:
        """A connection came in: some ports may not even be connected to."""
        if port in ports.FORBIDDEN:
            self.tell(device, port, Transport.TCP, f"port {port} must never be spoken to: {ports.FORBIDDEN[port]}")

    def crowd(self, device: Simulated, port: int, count: int) -> None:
        """So many connections are open to one device at the same time."""
        if count > self._connections:
            self.tell(device, port, Transport.TCP, f"{count} connections at the same time, {self._connections} allowed")

    def asked(self, device: Simulated, port: Port, request: bytes, now: float, *, tls: bool = False) -> None:
        """A whole request was heard; `now` is a time in seconds."""
        if port.transport is Transport.TCP:
            self._pace(device, port, now)
        if port.number in self._looked_at and port.transport is Transport.TCP and not port.speakers:
            self.tell(device, port.number, port.transport, "a port that is only looked at was spoken to", request)
            return
        for speaker in port.speakers:
            if speaker.service.tls == tls or port.transport is Transport.UDP:
                reason = speaker.protocol.violation(request, speaker.service)
                if reason is not None:
                    self.tell(device, port.number, port.transport, reason, request)
                    return

    def _pace(self, device: Simulated, port: Port, now: float) -> None:
        if self._requests is None:
            return
        times = self._times.setdefault(device.id, deque(maxlen=self._requests + 1))
        times.append(now)
        if len(times) > self._requests and now - times[0] < SECOND:
            self.tell(device, port.number, port.transport, f"more than {self._requests} requests within a second")

    def failed(self, device: Simulated, port: int, transport: Transport, error: Exception, request: bytes) -> None:
        """A protocol broke on a request: no violation of the scanner's, but no test may pass over it."""
        reason = f"the simulated device failed: {type(error).__name__}: {error}"
        self.tell(device, port, transport, reason, request)

    def tell(self, device: Simulated, port: int, transport: Transport, reason: str, request: bytes = b"") -> None:
        """Report one violation, within bounds."""
        count = self._told.get(device.id, 0)
        self._told[device.id] = count + 1
        if count < MAX_PER_DEVICE:
            text = one_line(from_bytes(request[:400]), 200)
            self._report(Violation(device.id, device.address, port, transport, reason, text))
