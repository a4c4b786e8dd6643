"""Hanwha's (once Samsung's) search (UDP 7701): a frame of fixed fields, answered to port 7711."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from scanner.protocols.search import Pairs, Search, put, text_at

PORT, ANSWER_PORT = 7701, 7711

_SIZE = 262
_ASK, _TELL = 0x01, 0x0B
_TEXTS = ((0x13, 18, "mac"), (0x25, 16, "ip"), (0x35, 16, "mask"), (0x45, 16, "gateway"), (0x6D, 24, "model"),
          (0x85, 39, "url"))  # fmt: skip
_MAC = re.compile(rb"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\0")


class Hanwha(Search):
    """Asks, reads answers, and answers as a device would."""

    name = "hanwha"
    vendor = "hanwha"
    makers = frozenset({"hanwha"})
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("discovery.hanwha", "discovery.hanwha.mac")
    reply_port = ANSWER_PORT

    def searches(self) -> Sequence[bytes]:
        """All zeros behind the first byte."""
        return [bytes((_ASK,)).ljust(_SIZE, b"\0")]

    def is_search(self, data: bytes) -> bool:
        """Exactly this."""
        return len(data) == _SIZE and data[0] == _ASK and not any(data[1:])

    def is_answer(self, data: bytes) -> bool:
        """Of this length and kind, with a MAC where it belongs."""
        return len(data) == _SIZE and data[0] == _TELL and _MAC.match(data, 0x13) is not None

    def fields(self, data: bytes) -> Pairs:
        """Texts of fixed length."""
        for start, length, name in _TEXTS:
            yield name, text_at(data, start, length)

    def compose(self, fields: Mapping[str, str]) -> bytes:
        """A frame with these fields."""
        data = bytearray(_SIZE)
        data[0] = _TELL
        for start, length, name in _TEXTS:
            put(data, start, length, fields.get(name, "00:00:00:00:00:00" if name == "mac" else ""))
        return bytes(data)


PROTOCOL = Hanwha()
