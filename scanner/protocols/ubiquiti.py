"""Ubiquiti's discovery (UDP 10001): four bytes, answered by type-length-value records; two generations."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from scanner.protocols.search import Pairs, Search, ipv4_at, mac_text, packed_mac

PORT = 10001
GROUP = "233.89.188.1"

_FIRST, _SECOND = b"\x01\x00\x00\x00", b"\x02\x08\x00\x00"
_HEADS = {b"\x01\x00", b"\x02\x06"}
_MAC, _MAC_IP, _ESSID, _UPTIME = 1, 2, 0x0D, 0x0A
_TEXTS = {3: "firmware", 0x0B: "name", 0x0C: "model_short", 0x14: "model_full", 0x15: "model", 0x16: "version",
          0x1B: "hwversion"}  # fmt: skip


class Ubiquiti(Search):
    """Asks, reads answers, and answers as a device would."""

    name = "ubiquiti"
    vendor = "ubiquiti"
    makers = frozenset({"ubiquiti"})
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("discovery.ubiquiti", "discovery.ubiquiti.mac")
    groups = (GROUP,)

    def searches(self) -> Sequence[bytes]:
        """Both generations."""
        return [_FIRST, _SECOND]

    def is_search(self, data: bytes) -> bool:
        """Exactly these."""
        return data in {_FIRST, _SECOND}

    def is_answer(self, data: bytes) -> bool:
        """Records to the very end, a MAC among them: other protocols begin with these bytes too."""
        if data[:2] not in _HEADS or len(data) < 13 or int.from_bytes(data[2:4], "big") != len(data) - 4:
            return False
        found = list(_records(data))
        whole = sum(3 + len(value) for _, value in found) == len(data) - 4
        return whole and any(kind in {_MAC, _MAC_IP} and len(value) >= 6 for kind, value in found)

    def fields(self, data: bytes) -> Pairs:
        """Without the name of its wireless network."""
        for kind, value in _records(data):
            if kind in {_MAC, _MAC_IP}:
                yield "mac", mac_text(value[:6])
                yield "ip", ipv4_at(value, 6)
            elif kind in _TEXTS:
                yield _TEXTS[kind], value.split(b"\0", 1)[0].decode("utf-8", "replace")

    def compose(self, fields: Mapping[str, str]) -> bytes:
        """The second generation's."""
        body = _record(_MAC, packed_mac(fields.get("mac")))
        for kind, name in _TEXTS.items():
            if name in fields:
                body += _record(kind, fields[name].encode()[:255])
        return struct.pack("!2sH", b"\x02\x06", len(body)) + body

    def hide(self, data: bytes) -> bytes:
        """Without the name of its wireless network."""
        body = b"".join(
            _record(kind, b"0" * len(value) if kind == _ESSID else value) for kind, value in _records(data)
        )
        return data[:4] + body


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 4
    while place + 3 <= len(data):
        kind, length = struct.unpack_from("!BH", data, place)
        if place + 3 + length > len(data):
            return
        yield kind, data[place + 3 : place + 3 + length]
        place += 3 + length


def _record(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


PROTOCOL = Ubiquiti()
