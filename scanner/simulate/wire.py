"""A long cable: every frame that enters one end leaves the other a while later (this is what a kernel's netem does,
where it has one).

It lies in a network namespace of its own between scanner and devices and is carried by a process of its own, so that
what the delay costs can be told apart. Frames pass as they are, with what the kernel has not yet done to them
(checksums, segmentation: `PACKET_VNET_HDR`, packet(7)). The queue is bounded: what does not fit is lost, as on any
cable, and `lost` tells how much.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from scanner.simulate import namespaces

ENDS = ("w0", "w1")
"""Its two interfaces: at the scanner's, and at the devices'."""
QUEUE = 50_000
"""Frames on their way in one direction: a second of what one process can carry."""

_SOL_PACKET, _PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = 263, 15, 23
_SO_RCVBUFFORCE = 33
_BUFFER = 64 << 20
_LARGEST = 10 + 14 + 65_536  # virtio header, Ethernet, what segmentation may leave to a network card
_AT_ONCE = 256


def lay(seconds: float) -> tuple[int, Callable[[], None]]:
    """Fork the process that carries frames between `ENDS` of this network namespace, `seconds` one way.

    Returns its id, and what starts it once both ends are up; it ends with this process.
    """
    ours, its = socket.socketpair()

    def carry() -> None:
        ours.close()
        its.recv(1)
        ends = (_end(ENDS[0]), _end(ENDS[1]))
        its.send(b".")
        _carry(ends, seconds)

    pid = namespaces.dependant(carry)
    its.close()

    def start() -> None:
        with ours:
            ours.send(b".")
            if not ours.recv(1):
                raise OSError("the cable cannot be carried: its process has ended")

    return pid, start


def lost(pid: int) -> int:
    """Frames that entered the cable that process `pid` carries and have not left it: lost, once all is quiet."""
    came = left = 0
    for line in Path(f"/proc/{pid}/net/dev").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name.strip() in ENDS:
            numbers = rest.split()
            came += int(numbers[1])
            left += int(numbers[9])
    return came - left


def _end(name: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    end.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    end.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    try:
        end.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    except PermissionError:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)  # as much as everybody gets
    end.bind((name, 3))  # ETH_P_ALL
    end.setblocking(False)
    return end


def _carry(ends: tuple[socket.socket, socket.socket], seconds: float) -> None:
    """For ever."""
    ways: tuple[tuple[socket.socket, socket.socket, deque[tuple[float, bytes]]], ...] = (
        (ends[0], ends[1], deque()), (ends[1], ends[0], deque()),
    )  # fmt: skip
    while True:
        due = min((queue[0][0] for _, _, queue in ways if queue), default=None)
        wait = None if due is None else max(0.0, due - time.monotonic())
        ready, _, _ = select.select(ends, (), (), wait)
        for source, target, queue in ways:
            if source in ready:
                _take(source, queue, seconds)
            _give(target, queue)


def _take(source: socket.socket, queue: deque[tuple[float, bytes]], seconds: float) -> None:
    for _ in range(_AT_ONCE):
        try:
            frame = source.recv(_LARGEST)
        except BlockingIOError:
            return
        if len(queue) < QUEUE:
            queue.append((time.monotonic() + seconds, frame))


def _give(target: socket.socket, queue: deque[tuple[float, bytes]]) -> None:
    now = time.monotonic()
    while queue and queue[0][0] <= now:
        _, frame = queue.popleft()
        try:
            target.send(frame)
        except OSError:
            continue  # lost, as on any cable
