"""Reolink's search (UDP 2000), answered to port 3000; other makers' devices on its platform answer it too (Lumus), so
an answer alone names the platform. The cloud id in it is masked: it lets anybody contact the device.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import ClassVar

from scanner.protocols.search import Pairs, Search, mac_text, number, number_at, packed_mac, put, text_at

PORT, ANSWER_PORT = 2000, 3000

_SEARCH = b"\xaa\xaa\x00\x00"
_SIZE = 388
_UID = slice(228, 292)
_TEXTS = ((58, 18, "ident"), (108, 20, "ip"), (132, 32, "name"), (164, 18, "mac"))


class Reolink(Search):
    """Asks, reads answers, and answers as a device would."""

    name = "reolink"
    vendor = "reolink"
    makers = frozenset({"reolink"})
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("discovery.reolink", "discovery.reolink.mac")
    reply_port = ANSWER_PORT

    def searches(self) -> Sequence[bytes]:
        """Four bytes."""
        return [_SEARCH]

    def is_search(self, data: bytes) -> bool:
        """Exactly these."""
        return data == _SEARCH

    def is_answer(self, data: bytes) -> bool:
        """Of this length, with the question echoed."""
        return len(data) == _SIZE and data[104:108] == _SEARCH

    def fields(self, data: bytes) -> Pairs:
        """Without the cloud id."""
        for start, length, name in _TEXTS:
            if name != "mac":
                yield name, text_at(data, start, length)
        yield "mac", mac_text(data[80:86])
        yield "port", number_at(data, 128, "<I")

    def compose(self, fields: Mapping[str, str]) -> bytes:
        """A frame with these fields."""
        data = bytearray(_SIZE)
        for start, length, name in _TEXTS:
            put(data, start, length, fields.get(name, ""))
        data[80:86], data[104:108] = packed_mac(fields.get("mac")), _SEARCH
        struct.pack_into("<I", data, 128, number(fields.get("port"), 0xFFFF) or 9000)
        return bytes(data)

    def hide(self, data: bytes) -> bytes:
        """Without the cloud id."""
        return data[: _UID.start] + bytes(0x30 if byte else 0 for byte in data[_UID]) + data[_UID.stop :]


PROTOCOL = Reolink()
