"""Foscam's search (UDP 10000, which Vivotek's shares: the magic tells them apart), also of the many cameras that are
built with its firmware. An answer may be hidden behind eight bytes of key that it brings along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from scanner.protocols.search import Pairs, Search, ipv4_at, number, number_at, packed_ipv4, put, text_at

PORT = 10000

_MAGIC = b"MO_I"
_HEAD, _SIZE = 0x17, 0x57
_SEARCH = _MAGIC + bytes(11) + b"\x04" + bytes(7) + b"\x00\x00\x00\x01"
_TEXTS = ((0x17, 13, "serial"), (0x24, 21, "name"))
_ADDRESSES = ((0x39, "ip"), (0x3D, "mask"), (0x41, "gateway"), (0x45, "dns"))


class Foscam(Search):
    """Asks, reads answers, and answers as a device would."""

    name = "foscam"
    vendor = "foscam"
    makers = frozenset({"foscam"})
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("discovery.foscam", "discovery.foscam.mac")
    order = 45

    def searches(self) -> Sequence[bytes]:
        """Operation 0 in the open."""
        return [_SEARCH]

    def is_search(self, data: bytes) -> bool:
        """Exactly this: other operations log in and set."""
        return data == _SEARCH

    def is_answer(self, data: bytes) -> bool:
        """Operation 1, whole."""
        return len(data) >= _SIZE and data[:4] == _MAGIC and data[4:6] in {b"\x01\x00", b"\x00\x01"}

    def fields(self, data: bytes) -> Pairs:
        """Fixed fields, the key taken off."""
        data = _plain(data)
        for start, length, name in _TEXTS:
            yield name, text_at(data, start, length)
        for start, name in _ADDRESSES:
            yield name, ipv4_at(data, start)
        yield "devicetype", str(data[0x49])
        yield "firmware", ".".join(str(part) for part in data[0x4D:0x51])
        yield "httpport", number_at(data, 0x55, "!H")

    def compose(self, fields: Mapping[str, str]) -> bytes:
        """In the open."""
        data = bytearray(_SIZE)
        data[:6], data[0x0F] = _MAGIC + b"\x01\x00", _SIZE - _HEAD
        for start, length, name in _TEXTS:
            put(data, start, length, fields.get(name, ""))
        for start, name in _ADDRESSES:
            data[start : start + 4] = packed_ipv4(fields.get(name))
        data[0x49] = number(fields.get("devicetype"), 255)
        data[0x4D:0x51] = packed_ipv4(fields.get("firmware"))
        data[0x55:0x57] = number(fields.get("httpport"), 0xFFFF).to_bytes(2, "big")
        return bytes(data)

    def elsewhere(self, request: bytes) -> bool:
        """Vivotek's."""
        return len(request) == 5 and request[1:] == b"\x4a\x5d\x8f\x1c"


def _plain(data: bytes) -> bytes:
    if not data[6]:
        return data
    key = data[7:15]
    return data[:_HEAD] + bytes(byte ^ key[place % 8] for place, byte in enumerate(data[_HEAD:]))


PROTOCOL = Foscam()
