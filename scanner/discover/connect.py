"""Hosts that no link-layer question reaches: TCP connections from a bare epoll loop in a thread of its own.

Tasks of an event loop lose answers silently when thousands are in flight, because the loop runs late; here every
outcome is read from the socket itself. One connection at a time to one host; a refusal is a sign of life too, except
on this machine itself, where every loopback address refuses.
"""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from scanner import ports
from scanner.config import Plan
from scanner.discover.base import Expected, Ground, Scene, Way
from scanner.discover.book import Sighting
from scanner.net.interfaces import Reach
from scanner.net.ledger import Ledger
from scanner.net.pace import Pace
from scanner.net.peer import sockaddr

METHOD = "connect"
LIFE_SECONDS = 1.5
"""Within which a routed host must answer a connection attempt: one repetition of the kernel's included."""
LOCAL_RATE = 50_000
"""Attempts a second on this machine itself."""
_LACK = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN})
_NO_WAY = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EINVAL, errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True)
class Job:
    """One host, and where to look for it."""

    address: str
    ports: tuple[tuple[int, int], ...]
    """Pairs: the port as the world knows it, and where it really is."""
    local: bool = False
    """Only an open port is a sign of life."""


@dataclass(slots=True)
class _Try:
    job: Job
    turn: int = 0
    sock: socket.socket | None = None
    deadline: float = 0.0


@dataclass
class Swept:
    """How a sweep went."""

    hosts: int = 0
    attempts: int = 0
    no_way: int = 0
    """Hosts for which this machine knows no way."""
    lack: int = 0
    """Attempts that had to wait for free sockets."""


@dataclass
class _Sweep:
    """The loop in its thread; `events` is its only way out."""

    jobs: Iterator[Job]
    pace: Pace
    seconds: float
    in_flight: int
    logs: bool = True
    """Whether every attempt is told, not only what came of them."""
    events: deque[tuple[str, int, int]] = field(default_factory=deque)
    """(address, port, packets): 0 for an attempt that went out, else somebody is there and took so many packets."""
    stop: threading.Event = field(default_factory=threading.Event)
    swept: Swept = field(default_factory=Swept)

    def run(self) -> None:
        poll = select.epoll()
        flying: dict[int, _Try] = {}
        order: deque[tuple[float, int, _Try]] = deque()  # in the order of their deadlines: all wait equally long
        ready: deque[_Try] = deque()
        exhausted = False
        try:
            while not self.stop.is_set():
                while len(flying) + len(ready) < self.in_flight and not exhausted:
                    job = next(self.jobs, None)
                    if job is None:
                        exhausted = True
                    elif job.ports:
                        self.swept.hosts += 1
                        ready.append(_Try(job))
                if not flying and not ready and exhausted:
                    return
                lacking = self._launch(poll, flying, order, ready)
                for number, _ in poll.poll(0.05 if lacking else 0.01, 1024):
                    self._landed(flying.pop(number), ready)
                self._late(flying, order, ready)
        finally:
            for attempt in flying.values():
                assert attempt.sock is not None
                attempt.sock.close()
            poll.close()

    def _launch(
        self, poll: select.epoll, flying: dict[int, _Try], order: deque[tuple[float, int, _Try]], ready: deque[_Try]
    ) -> bool:
        deadline = time.monotonic() + self.seconds
        for _ in range(self.pace.grant(min(len(ready), 256))):
            attempt = ready.popleft()
            _, real = attempt.job.ports[attempt.turn]
            sock = None
            try:
                family = socket.AF_INET6 if ":" in attempt.job.address else socket.AF_INET
                sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
                code = sock.connect_ex(sockaddr(attempt.job.address, real))
            except OSError as error:
                code = error.errno or errno.EINVAL
            if code in _LACK:
                if sock is not None:
                    sock.close()
                ready.appendleft(attempt)
                self.swept.lack += 1
                return True
            assert sock is not None
            self.swept.attempts += 1
            if self.logs:
                self.events.append((attempt.job.address, attempt.job.ports[attempt.turn][0], 0))
            attempt.sock = sock
            if code == errno.EINPROGRESS:
                attempt.deadline = deadline
                flying[sock.fileno()] = attempt
                order.append((deadline, sock.fileno(), attempt))
                poll.register(sock.fileno(), select.EPOLLOUT)
            elif code in _NO_WAY:
                self.swept.no_way += 1
                self._over(attempt)
            else:
                self._outcome(attempt, code, ready)
        return False

    def _landed(self, attempt: _Try, ready: deque[_Try]) -> None:
        assert attempt.sock is not None  # closing it takes it out of the poll
        self._outcome(attempt, attempt.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), ready)

    def _late(
        self, flying: dict[int, _Try], order: deque[tuple[float, int, _Try]], ready: deque[_Try]
    ) -> None:
        now = time.monotonic()
        while order and order[0][0] <= now:
            deadline, number, attempt = order.popleft()
            if flying.get(number) is attempt and attempt.deadline == deadline:
                del flying[number]
                assert attempt.sock is not None
                code = attempt.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ETIMEDOUT
                self._outcome(attempt, code, ready)

    def _outcome(self, attempt: _Try, code: int, ready: deque[_Try]) -> None:
        port = attempt.job.ports[attempt.turn][0]
        self._over(attempt)
        if code == 0:
            self.events.append((attempt.job.address, port, attempt.turn + 3))
        elif code == errno.ECONNREFUSED and not attempt.job.local:
            self.events.append((attempt.job.address, port, attempt.turn + 1))
        else:
            attempt.turn += 1
            if attempt.turn < len(attempt.job.ports):
                ready.append(attempt)

    @staticmethod
    def _over(attempt: _Try) -> None:
        if attempt.sock is not None:
            attempt.sock.close()
            attempt.sock = None


async def sweep(
    jobs: Iterator[Job], found: Callable[[Sighting], object], *, rate: float, seconds: float, in_flight: int,
    ledger: Ledger, tick: Callable[[int], None] = lambda _hosts: None,
) -> Swept:  # fmt: skip
    """Look for every host on its ports until one answers; `found` is called for those that do.

    Cancelling ends the thread within a twentieth of a second.
    """
    work = _Sweep(jobs, Pace(rate), seconds, _allowed(in_flight), ledger.logs)
    failure: list[BaseException] = []

    def body() -> None:
        try:
            work.run()
        except BaseException as error:  # noqa: BLE001 - handed over to the task that waits
            failure.append(error)

    thread = threading.Thread(target=body, name="lanveto-connect", daemon=True)
    thread.start()
    try:
        while thread.is_alive() or work.events:
            _hand_over(work.events, found, ledger)
            tick(work.swept.hosts)
            await asyncio.sleep(0.02)
    finally:
        work.stop.set()
        await asyncio.to_thread(thread.join)
        _hand_over(work.events, found, ledger)
        if not ledger.logs:
            ledger.total += work.swept.attempts
    if failure:
        raise failure[0]
    return work.swept


def _hand_over(events: deque[tuple[str, int, int]], found: Callable[[Sighting], object], ledger: Ledger) -> None:
    while events:
        address, port, packets = events.popleft()
        if packets:
            found(Sighting(address, None, METHOD, packets=packets))
        else:
            ledger.write("tcp", address, 0, "connect", port=port)


def _allowed(wanted: int) -> int:
    """As many as the limit on open files leaves room for."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(8, min(wanted, (soft if soft > 0 else wanted) - 128))


def pairs(wanted: Sequence[int], real: Callable[[int], int | None]) -> tuple[tuple[int, int], ...]:
    """Ports with where they really are; those a simulated device does not have are left out."""
    found = [(port, real(port)) for port in wanted]
    return tuple((port, there) for port, there in found if there is not None)


class Connect(Way):
    """The sweep as a way of finding hosts."""

    name = METHOD
    order = 40
    instead_of = "syn"

    def suits(self, ground: Ground, plan: Plan) -> bool:
        """Behind routers and tunnels, and on this machine."""
        return ground.reach in {Reach.ROUTED, Reach.LOCAL}

    def expect(self, ground: Ground, plan: Plan) -> Expected:
        """Every port until one answers."""
        local = ground.reach is Reach.LOCAL
        words = "on this machine" if local else "behind a router or tunnel"
        asked = plan.ports if local else ports.life(plan.ports)
        rate = LOCAL_RATE if local else plan.manners.connects
        return Expected(
            f"{words}: {ground.count} addresses, TCP connections to ports {', '.join(map(str, asked))} until one "
            f"answers, at most {rate:g} a second", ground.count * len(asked) / rate + 2,
        )  # fmt: skip

    async def search(self, ground: Ground, scene: Scene) -> str | None:
        """Every port until one answers."""
        manners = scene.plan.manners
        swept = await sweep(
            _jobs(ground, scene.plan), scene.book.sighted,
            rate=LOCAL_RATE if ground.reach is Reach.LOCAL else manners.connects,
            seconds=min(scene.plan.timeout, LIFE_SECONDS), in_flight=manners.in_flight, ledger=scene.ledger,
            tick=lambda hosts: scene.tick(hosts, ground.count),
        )  # fmt: skip
        return f"{swept.no_way} hosts could not be reached from here (no route)" if swept.no_way else None


def _jobs(ground: Ground, plan: Plan) -> Iterator[Job]:
    local, life = ground.reach is Reach.LOCAL, ports.life(plan.ports)
    for address in ground.addresses():
        wanted = plan.ports if local or address in plan.port_map else life
        yield Job(address, pairs(wanted, partial(plan.real_port, address)), local)
    for address in ground.v6:
        yield Job(address, pairs(plan.ports if local else life, partial(plan.real_port, address)), local)


WAY = Connect
