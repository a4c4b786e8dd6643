"""UDP of simulated devices: one socket for a port of all devices, or one for each; every answer comes from the address
of the device that gives it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address

from scanner.model import Transport
from scanner.protocols.base import Reply
from scanner.simulate import behaviour
from scanner.simulate.device import Port, Simulated
from scanner.simulate.watch import Watch

PKTINFO = 8
"""IP_PKTINFO (ip(7)), which Python does not name."""
MAX_DATAGRAM = 65_535
MAX_WAITING = 20_000
"""Answers that wait for room in the socket; beyond, they are lost as on a wire."""
_PACKED = struct.Struct("=i4s4s")  # struct in_pktinfo: interface, local address, destination
_PACKED6 = struct.Struct("=16si")  # struct in6_pktinfo: address, interface (RFC 3542, 6)
_BATCH = 64

Finder = Callable[[str], Simulated | None]
Place = tuple[str, int] | tuple[str, int, int, int]
"""Address and port, of IPv6 also flow and interface."""


class Datagrams:
    """The datagram sockets of all devices."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._ears: list[Ear] = []

    def listen_wide(
        self, number: int, devices: Sequence[Simulated], find: Finder, interface: str, *, wide: bool = False
    ) -> None:
        """One socket for a port of many devices on an interface, its groups joined; of IPv6 with `wide`.

        Raises `OSError`.
        """
        index = socket.if_nametoindex(interface)
        speaking = [device for device in devices if (device.v6 if wide else device.v4)]
        ear = Ear(self._watch, number, speaking, find, index, wide=wide)
        self._ears.append(ear)
        groups = {g for d in speaking for g in d.ports[Transport.UDP, number].groups if (":" in g) == wide}
        ear.open("::" if wide else "", number, groups=sorted(groups))

    def listen_alone(self, device: Simulated, address: str, number: int, *, known_as: int | None = None) -> int:
        """One socket for one device; returns the real port. Raises `OSError` where the port is taken."""
        ear = Ear(self._watch, number if known_as is None else known_as, [device], lambda _address: device, 0)
        self._ears.append(ear)
        return ear.open(address, number)

    def close(self) -> None:
        """Close every socket."""
        for ear in self._ears:
            ear.close()


class Ear:
    """One datagram socket."""

    def __init__(
        self, watch: Watch, number: int, devices: Sequence[Simulated], find: Finder, index: int, *, wide: bool = False
    ) -> None:  # fmt: skip
        self._wide = wide
        self._watch = watch
        self._number = number
        self._devices = [d for d in devices if (Transport.UDP, number) in d.ports]
        self._find = find
        self._index = index
        self._waiting: deque[tuple[bytes, str, Place]] = deque()
        self._sock: socket.socket | None = None

    def open(self, address: str, number: int, groups: Iterable[str] = ()) -> int:
        """Bind and listen; returns the real port. Raises `OSError`."""
        family = socket.AF_INET6 if self._wide else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
            if self._index:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._wide:
                self._join6(sock, groups)
            else:
                self._join(sock, groups)
            sock.bind((address, number))
        except BaseException:
            sock.close()
            raise
        self._sock = sock
        asyncio.get_running_loop().add_reader(sock.fileno(), self._drain)
        return int(sock.getsockname()[1])

    def _join(self, sock: socket.socket, groups: Iterable[str]) -> None:
        sock.setsockopt(socket.IPPROTO_IP, PKTINFO, 1)
        if self._index:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            for group in groups:
                member = struct.pack("=4s4si", socket.inet_aton(group), bytes(4), self._index)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)

    def _join6(self, sock: socket.socket, groups: Iterable[str]) -> None:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, self._index)
        for group in groups:
            member = socket.inet_pton(socket.AF_INET6, group) + struct.pack("=i", self._index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)

    def close(self) -> None:
        """Stop listening."""
        if self._sock is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._sock.fileno())
            loop.remove_writer(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _drain(self) -> None:
        for _ in range(_BATCH):
            if self._sock is None:
                return
            try:
                data, ancillary, _flags, source = self._sock.recvmsg(MAX_DATAGRAM, 64)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error of an earlier answer
            target = next((_target(level, value) for level, kind, value in ancillary if kind in _INFOS), "")
            for device in self._called(target):
                try:
                    self._hear(device, data, source, target)
                except Exception as error:  # noqa: BLE001 - a defect of one protocol silences one device
                    self._watch.failed(device, self._number, Transport.UDP, error, data)

    def _called(self, target: str) -> Sequence[Simulated]:
        """Who is meant: the owner of an address, the members of a group, or everybody."""
        one = self._find(target)
        if one is not None:
            return [one] if (Transport.UDP, self._number) in one.ports else []
        if target and ip_address(target).is_multicast:
            return [d for d in self._devices if target in d.ports[Transport.UDP, self._number].groups]
        return self._devices

    def _hear(self, device: Simulated, data: bytes, source: Place, target: str) -> None:
        port: Port = device.ports[Transport.UDP, self._number]
        self._watch.asked(device, port, data, asyncio.get_running_loop().time())
        for speaker in port.speakers:
            reply = speaker.protocol.answer(data, device.recording, speaker.service)
            if reply is not None:
                self._reply(device, reply, source, target)
                return

    def _reply(self, device: Simulated, reply: Reply, source: Place, target: str) -> None:
        own = target if self._wide and target in device.v6 else device.speaking(source[0])
        if own is None:
            return
        group = reply.group if self._index and not self._wide else None  # loopback has no groups, no answer one of IPv6
        to: Place = (group, self._number) if group else (source[0], reply.port or source[1], *source[2:])
        for data in (reply.data, *reply.more):
            for piece in behaviour.datagrams(device.behaviour, data, device.id):
                self._send(piece, own, to)

    def _send(self, data: bytes, own: str, target: Place) -> None:
        if self._waiting or not self._try(data, own, target):
            if not self._waiting and self._sock is not None:
                asyncio.get_running_loop().add_writer(self._sock.fileno(), self._flush)
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append((data, own, target))

    def _flush(self) -> None:
        while self._waiting:
            if not self._try(*self._waiting[0]):
                return
            self._waiting.popleft()
        if self._sock is not None:
            asyncio.get_running_loop().remove_writer(self._sock.fileno())

    def _try(self, data: bytes, own: str, target: Place) -> bool:
        """False where there is no room now; what cannot be sent at all is lost."""
        if self._sock is None:
            return True
        info: list[tuple[int, int, bytes]] = []
        if self._wide:
            packed = _PACKED6.pack(socket.inet_pton(socket.AF_INET6, own), self._index)
            info = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packed)]
        elif self._index:
            info = [(socket.IPPROTO_IP, PKTINFO, _PACKED.pack(self._index, socket.inet_aton(own), bytes(4)))]
        try:
            self._sock.sendmsg([data], info, 0, target)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        return True


_INFOS = frozenset({PKTINFO, socket.IPV6_PKTINFO})


def _target(level: int, value: bytes) -> str:
    """The address to which a datagram was sent."""
    if level == socket.IPPROTO_IPV6:
        return socket.inet_ntop(socket.AF_INET6, _PACKED6.unpack(value)[0])
    return socket.inet_ntoa(_PACKED.unpack(value)[2])
