"""Listening on a link: an AF_PACKET socket into which the kernel lets only frames that may say something.

Nothing is sent, and nothing is joined: to hear all groups the interface is asked to pass them (`PACKET_MR_ALLMULTI`),
which no router or switch notices, where joining a group would send IGMP or MLD. The filter runs in the kernel, so that
a busy link costs little; what there was no room for is counted (packet(7), `PACKET_STATISTICS`).
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Collection, Iterator
from typing import NamedTuple

from scanner.net.closing import Closing
from scanner.net.interfaces import Link
from scanner.net.packet import ADD_MEMBERSHIP, SOL_PACKET, Option, Program, dropped, tap, translated

ALL_KINDS = 0x0003
_AUXDATA = 8
_MR_PROMISC, _MR_ALLMULTI = 1, 2
_BUFFER = 32 << 20
_VLAN_VALID = 0x10
_SNAP = 65_535
_TIMESTAMP = 29  # SO_TIMESTAMP is the kernel's own time of arrival; 29 on all 64-bit Linux

_LDH, _LDB, _LDH_X, _LDX_MSH = 0x28, 0x30, 0x48, 0xB1
_JEQ, _JGT, _JSET, _JA, _RET = 0x15, 0x25, 0x45, 0x05, 0x06


class Frame(NamedTuple):
    """One frame that was heard."""

    data: bytes
    seconds: float
    vlan: int | None
    """The tag that the kernel took off; the inner one of two is still in the frame."""


class _Assembler:
    """Classic BPF with labels: jumps are counted when the whole program is known."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, str | int, str | int, int]] = []
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        self._labels[name] = len(self._steps)

    def step(self, code: int, operand: int, true: str | int = 0, false: str | int = 0) -> None:
        self._steps.append((code, true, false, operand))

    def program(self) -> Program:
        done = []
        for place, (code, true, false, operand) in enumerate(self._steps):
            if code == _JA:
                assert isinstance(true, str)
                done.append((code, 0, 0, self._labels[true] - place - 1))
                continue
            jumps = [self._labels[t] - place - 1 if isinstance(t, str) else t for t in (true, false)]
            assert all(0 <= jump < 256 for jump in jumps), "a jump of the filter is too long"
            done.append((code, jumps[0], jumps[1], operand))
        return done


def program(ports: Collection[int], kinds: Collection[int]) -> Program:
    """The filter for Ethernet: the EtherTypes `kinds`, CDP, UDP of IPv4 and IPv6 from or to one of `ports` (also the
    first part of what is in fragments, and the others), and ICMPv6 from 133 to 136.
    """
    code = _Assembler()
    code.step(_LDH, 12)
    for kind in sorted(kinds):
        code.step(_JEQ, kind, "take*", 0)
    code.step(_JEQ, 0x0800, "ipv4*", 0)
    code.step(_JEQ, 0x86DD, "ipv6*", 0)
    for tag in (0x8100, 0x88A8):  # two tags: the kernel takes off the outer one only
        code.step(_JEQ, tag, "take*", 0)
    code.step(_JGT, 0x05FF, "drop*", 0)
    code.step(_LDH, 0)
    code.step(_JEQ, 0x0100, 0, "drop*")
    code.step(_LDH, 2)
    code.step(_JEQ, 0x0CCC, "take*", "drop*")
    for name in ("take", "drop", "ipv4", "ipv6"):  # the near ends of far jumps
        code.label(f"{name}*")
        if name in {"take", "drop"}:
            code.step(_RET, _SNAP if name == "take" else 0)
        else:
            code.step(_JA, 0, name)
    code.label("ipv4")
    code.step(_LDB, 23)
    code.step(_JEQ, 17, 0, "drop4")
    code.step(_LDH, 20)
    code.step(_JSET, 0x1FFF, "take4", 0)  # a further fragment
    code.step(_LDX_MSH, 14)
    _either(code, ports, _LDH_X, 14, "4")
    code.label("ipv6")
    code.step(_LDB, 20)
    code.step(_JEQ, 58, 0, "udp6")
    code.step(_LDB, 54)
    code.step(_JGT, 136, "drop6icmp", 0)
    code.step(_JGT, 132, 0, "drop6icmp")
    code.step(_RET, _SNAP)
    code.label("drop6icmp")
    code.step(_RET, 0)
    code.label("udp6")
    code.step(_JEQ, 17, 0, "drop6early")
    _either(code, ports, _LDH, 54, "6")
    code.label("drop6early")
    code.step(_RET, 0)
    return code.program()


def _either(code: _Assembler, ports: Collection[int], load: int, offset: int, name: str) -> None:
    """Take a datagram from or to one of the ports, drop others."""
    for side in (0, 2):
        code.step(load, offset + side)
        for port in sorted(ports):
            code.step(_JEQ, port, f"take{name}{side}", 0)
        if side == 0:
            code.step(_JA, 0, f"next{name}")
        else:
            code.step(_RET, 0)
        code.label(f"take{name}{side}")
        code.step(_RET, _SNAP)
        if side == 0:
            if name == "4":
                code.label("take4")
                code.step(_RET, _SNAP)
                code.label("drop4")
                code.step(_RET, 0)
            code.label(f"next{name}")


class Ear(Closing):
    """Hears on one link until it is closed. Raises `PermissionError` without CAP_NET_RAW, `LinkGone`."""

    def __init__(self, link: Link, what: Program, *, promiscuous: bool = False) -> None:
        self.link = link
        self._dropped = 0
        modes = (_MR_ALLMULTI, _MR_PROMISC) if promiscuous else (_MR_ALLMULTI,)
        options: list[Option] = [
            (SOL_PACKET, ADD_MEMBERSHIP, struct.pack("=iHH8s", link.index, mode, 0, b"")) for mode in modes
        ]
        options += [(SOL_PACKET, _AUXDATA, 1), (socket.SOL_SOCKET, _TIMESTAMP, 1)]
        self._sock = tap(link, ALL_KINDS, what, room=_BUFFER, options=options)

    def fileno(self) -> int:
        """For `select`."""
        return self._sock.fileno()

    def frames(self, most: int = 4096) -> Iterator[Frame]:
        """The frames that wait, at most so many. Raises `LinkGone`."""
        for _ in range(most):
            try:
                data, extra, _flags, _from = self._sock.recvmsg(_SNAP, 256)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                raise translated(error, self.link) from error
            vlan: int | None = None
            seconds = 0.0
            for level, kind, value in extra:
                if level == SOL_PACKET and kind == _AUXDATA and len(value) >= 20:
                    status, tag = struct.unpack_from("=I", value)[0], struct.unpack_from("=H", value, 16)[0]
                    if status & _VLAN_VALID and tag & 0x0FFF:
                        vlan = tag & 0x0FFF
                elif level == socket.SOL_SOCKET and len(value) >= 16:
                    whole, micro = struct.unpack_from("=qq", value)
                    seconds = whole + micro / 1e6
            yield Frame(data, seconds or time.time(), vlan)

    def drops(self) -> int:
        """Frames that the kernel had no room for, since the ear was opened."""
        self._dropped += dropped(self._sock)
        return self._dropped

    def close(self) -> None:
        """Stop listening; the interface forgets what it was asked to pass."""
        self._sock.close()


def wait(ears: Collection[Ear], seconds: float) -> list[Ear]:
    """The ears at which something waits, after at most so long."""
    ready, _, _ = select.select(list(ears), [], [], max(0.0, seconds))
    return ready
