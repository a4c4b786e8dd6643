"""Bare Ethernet frames of simulated devices: one raw socket for an ether type of all devices on a segment; every answer
comes from the hardware address of the device that gives it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from scanner.errors import UsageProblem
from scanner.model import Recording, Transport
from scanner.simulate import behaviour
from scanner.simulate.device import Port, Simulated
from scanner.simulate.watch import Watch

_HEADER, _MIN = 14, 60
_MAX = 9000
_BATCH = 64


class Frames:
    """The raw sockets of all devices on one interface."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._ears: list[Ear] = []

    def listen(self, ethertype: int, devices: Sequence[Simulated], interface: str) -> None:
        """One socket for an ether type. Raises `OSError`, `UsageProblem` without the right to raw sockets."""
        ear = _Speaker(self._watch, ethertype, devices).ear
        try:
            ear.open(interface)
        except PermissionError as error:
            raise UsageProblem("devices that answer in bare Ethernet frames need raw sockets (CAP_NET_RAW)") from error
        self._ears.append(ear)

    def close(self) -> None:
        """Close every socket."""
        for ear in self._ears:
            ear.close()


class Ear:
    """A raw socket for the frames of one ether type that arrive on an interface, and for answers to them."""

    def __init__(self, ethertype: int, hear: Callable[[bytes], None]) -> None:
        self._ethertype = ethertype
        self._hear = hear
        self._sock: socket.socket | None = None

    def open(self, interface: str) -> None:
        """`hear` is called for every frame from now on. Raises `OSError`."""
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        try:
            sock.setblocking(False)
            sock.bind((interface, self._ethertype))
        except BaseException:
            sock.close()
            raise
        self._sock = sock
        asyncio.get_running_loop().add_reader(sock.fileno(), self._drain)

    def close(self) -> None:
        """Hear no more."""
        sock, self._sock = self._sock, None
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock.fileno())
            sock.close()

    def send(self, frame: bytes) -> None:
        """Send a frame as it is."""
        if self._sock is None:
            return
        try:
            self._sock.send(frame)
        except OSError:
            return  # a full queue loses frames, as on a wire

    def _drain(self) -> None:
        for _ in range(_BATCH):
            if self._sock is None:
                return
            try:
                frame, address = self._sock.recvfrom(_MAX)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno == errno.ENETDOWN:
                    self.close()
                return
            if address[2] != socket.PACKET_OUTGOING:
                self._hear(frame)


class _Speaker:
    """The devices that speak in bare frames of one ether type."""

    def __init__(self, watch: Watch, ethertype: int, devices: Sequence[Simulated]) -> None:
        self._watch = watch
        self._ethertype = ethertype
        self._devices = [(d, bytes.fromhex(d.mac.replace(":", "")), _placed(d)) for d in devices]
        self.ear = Ear(ethertype, self._heard)

    def _heard(self, frame: bytes) -> None:
        if len(frame) <= _HEADER:
            return
        for device, mac, recording in self._devices:
            if frame[:6] == mac or frame[0] & 1:
                self._answer(device, mac, recording, frame)

    def _answer(self, device: Simulated, mac: bytes, recording: Recording, frame: bytes) -> None:
        port: Port = device.ports[Transport.L2, self._ethertype]
        data, asker = frame[_HEADER:], frame[6:12]
        try:
            self._watch.asked(device, port, data, asyncio.get_running_loop().time())
            for speaker in port.speakers:
                reply = speaker.protocol.answer(data, recording, speaker.service)
                if reply is not None:
                    for piece in behaviour.datagrams(device.behaviour, reply.data, device.id):
                        self.ear.send((asker + mac + frame[12:14] + piece).ljust(_MIN, b"\0")[:1514])
                    return
        except Exception as error:  # noqa: BLE001 - a defect of one protocol silences one device
            self._watch.failed(device, self._ethertype, Transport.L2, error, data)


def _placed(device: Simulated) -> Recording:
    """The recording at the addresses that the device has here: frames state them."""
    return replace(device.recording, ip=device.address, mac=device.mac)
