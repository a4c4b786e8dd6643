"""A simulated network as a context: `with Lab(recordings) as lab: lab.run([...])`; nothing is left when it ends.

A `Lab` is one Ethernet segment in namespaces of its own: each device has its own MAC and IP and answers ARP, TCP, UDP
and multicast. A `Loopback` is the same devices on addresses of 127.0.0.0/8: no namespaces, no MACs. Both run in a
process of their own that ends when this one does, however that happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

import scanner
from scanner.errors import UsageProblem
from scanner.model import Recording
from scanner.simulate.device import Violation
from scanner.simulate.keeper import Failed, Heard, Line, Order, Placed, Ready, Told
from scanner.simulate.server import PortMap

NETWORK = "10.77.0.0/16"
"""Of a laboratory: its own namespaces make sure that it meets no real one."""
LOOPBACK = "127.64.0.0/16"
START_SECONDS = 60.0

_LOCALHOST = IPv4Network("127.0.0.0/8")
_DECODER = msgspec.json.Decoder(Line)


class Simulation:
    """Recordings as devices, in a process of their own; a context, synchronous or asynchronous."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._process: subprocess.Popen[bytes] | None = None
        self.seen: list[Violation] = []
        """Violations read so far, also after the end; `violations` reads on."""
        self._rest = b""
        self._ready: Ready | None = None

    # -- life ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scanner.simulate.keeper"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True, env=environment(),
        )  # fmt: skip
        try:
            self._send(msgspec.json.encode(self._order) + b"\n")
            line = self._line(time.monotonic() + START_SECONDS)
            if isinstance(line, Failed):
                raise UsageProblem(line.reason)
            assert isinstance(line, Ready)
            self._ready = line
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """End the simulation; waits until its process is gone. The violations stay."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._rest += process.stdout.read()
        process.stdout.close()
        for line in self._whole_lines():
            if isinstance(line, Heard):
                self.seen.append(line.violation)

    # -- what is there ---------------------------------------------------------------------------------------

    @property
    def ready(self) -> Ready:
        """Where everything is."""
        assert self._ready is not None, "the simulation has not been started"
        return self._ready

    @property
    def devices(self) -> dict[str, Placed]:
        """Recording id → where the device is."""
        return {placed.id: placed for placed in self.ready.devices}

    @property
    def port_map(self) -> PortMap:
        """Address → {port of the device → where it really is}; empty where ports are what they seem."""
        return self.ready.port_map

    @property
    def pid(self) -> int:
        """The process in which the devices live."""
        assert self._process is not None
        return self._process.pid

    @property
    def fileno(self) -> int:
        """A descriptor that becomes readable when something is to be told: see `poll`."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    # -- using it --------------------------------------------------------------------------------------------

    def enter(self, command: Sequence[str], *, user: str | None = None) -> list[str]:
        """The command as it runs where the devices can be reached, as another user if one is named (needs root)."""
        as_user = ["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups", "--"] if user else []
        return [*self.ready.enter, *as_user, *command]

    def run(self, command: Sequence[str], *, user: str | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command where the devices can be reached and wait for it; `more` as for `subprocess.run`."""
        options = {"capture_output": True, "text": True, "check": False} | more
        return subprocess.run(self.enter(command, user=user), **options)  # noqa: S603 - the caller's own command

    def violations(self) -> list[Violation]:
        """Everything up to now that no polite scanner may do."""
        if self._process is not None:
            self._send(b"\n")
            deadline = time.monotonic() + 10
            while not isinstance(self._line(deadline), Told):
                pass
        return list(self.seen)

    def poll(self) -> list[Violation]:
        """The violations told since the last look; does not wait. Raises `UsageProblem` where the process has ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        before = len(self.seen)
        data = os.read(self._process.stdout.fileno(), 65_536)
        if not data:
            raise UsageProblem("the simulation has ended by itself")
        self._rest += data
        for line in self._whole_lines():
            if isinstance(line, Heard):
                self.seen.append(line.violation)
        return self.seen[before:]

    # -- lines -----------------------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its last words tell why
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def _line(self, deadline: float) -> Line:
        """The next line that is no violation. Raises `UsageProblem` where none comes."""
        import select

        assert self._process is not None
        assert self._process.stdout is not None
        while True:
            line = self._first_line()
            if isinstance(line, Heard):
                self.seen.append(line.violation)
                continue
            if line is not None:
                return line
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._process.stdout.fileno(), 65_536) if ready else b""
            if not data:
                why = "has ended by itself" if ready else "does not answer"
                raise UsageProblem(f"the simulation {why}")
            self._rest += data

    def _first_line(self) -> Line | None:
        head, end, rest = self._rest.partition(b"\n")
        if not end:
            return None
        self._rest = rest
        line: Line = _DECODER.decode(head)
        return line

    def _whole_lines(self) -> list[Line]:
        found = []
        while (line := self._first_line()) is not None:
            found.append(line)
        return found


class Lab(Simulation):
    """One Ethernet segment in namespaces of its own, as root or in a user namespace.

    `network`: its addresses; `routed`: the scanner sits behind a router (then no MACs are seen and no multicast comes
    through); `foreign`: recorded addresses outside the network are kept, as those of devices in their factory state
    are; `round_trip`: seconds that a frame and its answer spend on the cable, in steps of some tenths of a millisecond;
    `connections` and `requests` (a second; None: any number): what one device puts up with before it counts a
    violation. Where a recorded address is of fe80::/64 or fd10:77::/64, IPv6 is spoken too, and who has no recorded
    address of IPv4 then speaks that alone. Entering raises `UsageProblem` where the system does not allow it.
    """

    def __init__(
        self, recordings: Sequence[Recording], *, network: str = NETWORK, routed: bool = False, connections: int = 1,
        requests: int | None = None, foreign: bool = False, round_trip: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(Order(
            recordings=tuple(recordings), network=str(_network(network)), kind="lab", routed=routed,
            connections=connections, requests=requests, foreign=foreign, round_trip=round_trip,
        ))  # fmt: skip

    @property
    def scanner_pid(self) -> int:
        """A process in the scanner's namespace."""
        assert self.ready.scanner is not None
        return self.ready.scanner

    @property
    def scanner_address(self) -> str:
        """The scanner's own address on the segment."""
        assert self.ready.address is not None
        return self.ready.address

    @property
    def wire(self) -> int | None:
        """The process that carries the frames, where `round_trip` is asked for."""
        return self.ready.wire


class Loopback(Simulation):
    """The devices on loopback addresses.

    `kind`: `real` ports of this machine (needs root for those below 1,024), `private`: real ports in a namespace of its
    own, `high`: ports that anybody may open, with a `port_map`.
    """

    def __init__(
        self, recordings: Sequence[Recording], *, network: str = LOOPBACK, kind: str = "real", connections: int = 1,
        requests: int | None = None,
    ) -> None:  # fmt: skip
        found = _network(network)
        if not found.subnet_of(_LOCALHOST):
            raise UsageProblem(f"--bind {network}: must lie within {_LOCALHOST}; --lab has networks of its own")
        super().__init__(Order(
            recordings=tuple(recordings), network=str(found), kind=kind, connections=connections, requests=requests
        ))  # fmt: skip


def best_loopback(recordings: Sequence[Recording], **more: Any) -> Loopback:
    """An entered `Loopback` of the first kind that works here: real ports as root, else a namespace, else high ports.

    The caller closes it. Raises `UsageProblem` where none works.
    """
    kinds = ("real", "private", "high") if os.geteuid() == 0 else ("private", "high")
    problem: UsageProblem | None = None
    for kind in kinds:
        try:
            return Loopback(recordings, kind=kind, **more).__enter__()
        except UsageProblem as error:
            problem = error
    assert problem is not None
    raise problem


def _network(text: str) -> IPv4Network:
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise UsageProblem(f"{text}: is no IPv4 network; write it as {NETWORK}") from error
    if network.prefixlen > 29:
        raise UsageProblem(f"{text}: is too small for a simulated network; use a /29 or larger")
    return network


def environment() -> Mapping[str, str]:
    """Ours, with this very package in reach of the new process."""
    home = str(Path(scanner.__file__).resolve().parent.parent)
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
