"""CDP, overheard only: what Cisco's gear, and phones and cameras that copy it, announce about themselves."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import ClassVar

from scanner.model import Observation, Transport
from scanner.protocols.base import Field, Protocol
from scanner.protocols.fields import bounded, bytes_of, lines, packed_mac, text_of

_SNAP = b"\xaa\xaa\x03\x00\x00\x0c\x20\x00"
_TEXTS = {1: "cdp.deviceid", 5: "cdp.software", 6: "cdp.platform"}
_NAMES = {
    "platform": "cdp.platform", "device id": "cdp.deviceid", "deviceid": "cdp.deviceid", "device_id": "cdp.deviceid",
    "version": "cdp.software", "software version": "cdp.software",
}  # fmt: skip


class Cdp(Protocol):
    """Reads frames, with or without their Ethernet header."""

    name = "cdp"
    tier = 0
    transport = Transport.L2
    channels: ClassVar[tuple[str, ...]] = ("cdp.frame",)
    order = 72

    def read(self, observation: Observation) -> Iterable[Field]:
        """`cdp.platform`, `cdp.software`, `cdp.deviceid`, and the sender's `mac`."""
        if observation.value.startswith("hex:"):
            return bounded(_frame(bytes_of(observation)))
        return bounded((_NAMES[n.lower()], v) for n, v in lines(text_of(observation)) if n.lower() in _NAMES)


def _frame(data: bytes) -> Iterator[Field]:
    snap = data.find(_SNAP, 0, 64)
    if snap >= 14:
        mac = packed_mac(data[snap - 8 : snap - 2])
        if mac:
            yield "mac", mac
    place = (snap + len(_SNAP) if snap >= 0 else 0) + 4
    while place + 4 <= len(data):
        kind, length = struct.unpack_from("!HH", data, place)
        if length < 4 or place + length > len(data):
            return
        if kind in _TEXTS:
            yield _TEXTS[kind], data[place + 4 : place + length].decode("utf-8", "replace")
        place += length


PROTOCOL = Cdp()
