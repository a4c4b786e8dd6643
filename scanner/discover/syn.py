"""The stateless TCP SYN sweep: which hosts are there, and which of their ports are open, without a connection.

Ports are asked in rounds, each port of many hosts before the next one, so that no device hears two probes at once:
between two rounds lies the time a device needs to answer. A second pass goes to what stayed silent.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from scanner.net.ledger import Ledger
from scanner.net.pace import Lull, Pace
from scanner.net.packet import LinkGone
from scanner.net.syn import PACKET_BYTES, Answer, SynSocket, Way

METHOD = "syn"
PASSES = 2
GAP = 0.05
"""Seconds between two probes to one device at the least: the one before has been answered by then."""
QUIET, MOST = 0.5, 2.0
"""Seconds without an answer after which a pass is over, and those it waits at the most."""
_HOSTS = 4096  # of one group of rounds: memory stays flat however many there are
_BATCH = 512


@dataclass(frozen=True, slots=True)
class Swept:
    """How a sweep went."""

    probes: int
    drops: int
    """Answers the kernel had no room for."""


async def sweep(
    way: Way, hosts: Callable[[], Iterable[int]], ports: Sequence[int], pace: Pace, ledger: Ledger,
    found: Callable[[str, int, bool], object], *, gap: float = GAP, passes: int = PASSES, quiet: float = QUIET,
    tick: Callable[[int], None] = lambda _probes: None,
) -> Swept:  # fmt: skip
    """Ask every port of every host (as integer); `found` is called once for each answer: address, port, open or not.

    `hosts` is called for each pass. Raises `PermissionError` without the right to raw sockets, `LinkGone` when the
    interface goes away.
    """
    with SynSocket(way, ports) as sock:
        work = _Sweep(sock, pace, ledger, found, gap, tick)
        loop = asyncio.get_running_loop()
        loop.add_reader(sock.fileno(), work.drain)
        try:
            for _ in range(passes):
                await work.once(iter(hosts()))
                await work.lull.wait(quiet, max(quiet, MOST))
                work.check()
            work.drain()
        finally:
            loop.remove_reader(sock.fileno())
        return Swept(work.probes, sock.drops())


class _Sweep:
    """One sweep under way."""

    def __init__(
        self, sock: SynSocket, pace: Pace, ledger: Ledger, found: Callable[[str, int, bool], object], gap: float,
        tick: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.lull = Lull()
        self.probes = 0
        self._sock = sock
        self._pace = pace
        self._ledger = ledger
        self._found = found
        self._gap = gap
        self._tick = tick
        self._places = {port: 1 << place for place, port in enumerate(sock.sequences.ports)}
        self._heard: dict[int, int] = {}  # host → bits of the ports that answered
        self._broken: LinkGone | None = None

    def check(self) -> None:
        """Raises `LinkGone` where the link went away while answers were read."""
        if self._broken is not None:
            raise self._broken

    def drain(self) -> None:
        """Take the answers that wait, and end the half-open connections."""
        try:
            answers = list(self._sock.answers())
            opened = [answer for answer in answers if answer.open]  # repetitions too: their reset was lost
            if opened:
                self._sock.reset(opened)
        except LinkGone as gone:
            self._broken = gone
            return
        for answer in answers:
            self.lull.heard()
            self._take(answer)

    def _take(self, answer: Answer) -> None:
        known, bit = self._heard.get(answer.address, 0), self._places[answer.port]
        if known & bit:
            return
        self._heard[answer.address] = known | bit
        address = socket.inet_ntoa(struct.pack("!I", answer.address))
        self._ledger.count(address, 2 if answer.open else 1, 0)
        if self._ledger.logs and answer.open:
            self._ledger.write("syn", address, PACKET_BYTES - 4, "reset: the port is open", port=answer.port)
        self._found(address, answer.port, answer.open)

    async def once(self, hosts: Iterator[int]) -> None:
        """One pass over all hosts, leaving out what has been heard."""
        loop = asyncio.get_running_loop()
        while group := list(islice(hosts, _HOSTS)):
            numbers = [self._sock.sequences.of(host) for host in group]
            for place, port in enumerate(self._sock.sequences.ports):
                began = loop.time()
                heard, bit = self._heard.get, 1 << place
                round_ = [
                    (host, port, row[place]) for host, row in zip(group, numbers, strict=True)
                    if not heard(host, 0) & bit
                ]  # fmt: skip
                await self._send(round_)
                if round_ and (rest := self._gap - (loop.time() - began)) > 0:
                    await asyncio.sleep(rest)
                self.check()

    async def _send(self, probes: Sequence[tuple[int, int, int]]) -> None:
        at = 0
        while at < len(probes):
            granted = self._pace.grant(min(_BATCH, len(probes) - at))
            if not granted:
                await asyncio.sleep(max(0.004, 1 / self._pace.rate))
                continue
            count = self._sock.ask(probes[at : at + granted])
            if self._ledger.logs:
                for host, port, _ in probes[at : at + count]:
                    address = socket.inet_ntoa(struct.pack("!I", host))
                    self._ledger.write("syn", address, PACKET_BYTES, "SYN", port=port)
            else:
                self._ledger.total += count
            at += count
            self.probes += count
            self._tick(self.probes)
            await asyncio.sleep(0 if count == granted else 0.01)
            self.check()
