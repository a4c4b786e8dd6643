"""TVT's search (UDP 23456, "MHED"), also of the eighty-odd labels on its devices: asked of one group, answered to
another. The customer field names the label. A slot of the answer is for a password: it is never read or stored.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from typing import ClassVar

from scanner.protocols.search import (
    Pairs,
    Search,
    ipv4_at,
    mac_text,
    number,
    number_at,
    packed_ipv4,
    packed_mac,
    put,
    text_at,
)

PORT = 23456
ASK_GROUP, ANSWER_GROUP = "234.55.55.55", "234.55.55.56"
"""Protocols before 1.4 answer to the first, too."""
SEARCH, INFO = 1, 2
"""The command that may be sent, and its answer; further ones set addresses and reset the device."""

_MAGIC = b"MHED"
_VERSION = 0x10007
_OLD, _NEW = 140, 240
_KINDS = ("DVR", "DVS", "IPC", "NVR", "Decoder")
_PASSWORD = slice(84, 112)
_TEXTS = ((12, 20, "name"), (140, 24, "product"), (164, 24, "customer"), (196, 16, "producttype"),
          (212, 16, "manufacturer"))  # fmt: skip
_ADDRESSES = ((40, "ip"), (44, "mask"), (48, "gateway"))
_PORTS = ((38, "port"), (60, "httpport"), (62, "rtspport"))


class Tvt(Search):
    """Asks, reads answers and announcements, and answers as a device would."""

    name = "tvt"
    vendor = "tvt"
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("discovery.tvt", "discovery.tvt.mac")
    groups = (ASK_GROUP,)
    broadcast = False
    reply_group = ANSWER_GROUP
    join = (ANSWER_GROUP, ASK_GROUP)

    def searches(self) -> Sequence[bytes]:
        """140 bytes, all zeros behind the command."""
        return [struct.pack("<4sII128x", _MAGIC, _VERSION, SEARCH)]

    def is_search(self, data: bytes) -> bool:
        """Command 1, nothing behind it."""
        return len(data) == _OLD and _command(data) == SEARCH and not any(data[12:])

    def is_answer(self, data: bytes) -> bool:
        """Command 2, whole."""
        return len(data) >= _OLD and _command(data) == INFO

    def fields(self, data: bytes) -> Pairs:
        """Little-endian numbers, addresses in network order."""
        yield "mac", mac_text(data[32:38])
        yield "version", f"{data[7]}.{data[6]}.{data[5]}.{data[4]}"
        firmware = data[52:56][::-1]
        if any(firmware):
            yield "firmware", ".".join(str(part) for part in firmware)
        yield "builddate", number_at(data, 56, "<I")
        kind = int.from_bytes(data[64:68], "little")
        yield "devicetype", _KINDS[kind] if kind < len(_KINDS) else str(kind)
        yield "serial", number_at(data, 120, "<I")
        for start, name in _ADDRESSES:
            yield name, ipv4_at(data, start)
        for start, name in _PORTS:
            yield name, number_at(data, start, "<H")
        for start, length, name in _TEXTS:
            if start + length <= len(data):
                yield name, text_at(data, start, length)

    def compose(self, fields: Mapping[str, str]) -> bytes:
        """240 bytes."""
        data = bytearray(_NEW)
        struct.pack_into("<4sII", data, 0, _MAGIC, _VERSION, INFO)
        data[32:38] = packed_mac(fields.get("mac"))
        parts = [int(part) & 255 for part in re.findall(r"\d{1,3}", fields.get("firmware", ""))[:4]]
        data[52:56] = bytes((parts + [0] * 4)[:4])[::-1]
        struct.pack_into("<I", data, 56, number(fields.get("builddate"), 0xFFFFFFFF))
        kind = fields.get("devicetype", "IPC")
        struct.pack_into("<I", data, 64, _KINDS.index(kind) if kind in _KINDS else 2)
        struct.pack_into("<I", data, 120, number(fields.get("serial"), 0xFFFFFFFF))
        for start, name in _ADDRESSES:
            data[start : start + 4] = packed_ipv4(fields.get(name))
        for start, name in _PORTS:
            struct.pack_into("<H", data, start, number(fields.get(name), 0xFFFF))
        for start, length, name in _TEXTS:
            put(data, start, length, fields.get(name, ""))
        return bytes(data)

    def hide(self, data: bytes) -> bytes:
        """Without the password slot."""
        return data[: _PASSWORD.start] + bytes(_PASSWORD.stop - _PASSWORD.start) + data[_PASSWORD.stop :]


def _command(data: bytes) -> int | None:
    return int.from_bytes(data[8:12], "little") if data[:4] == _MAGIC and len(data) >= 12 else None


PROTOCOL = Tvt()
