"""Vivotek's search (UDP 10000, which Foscam's shares: the magic tells them apart): a session byte and a magic number,
answered by type-length-value records, one type of which has no length.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from scanner.protocols.search import Pairs, Search, ipv4_at, mac_text, packed_mac

PORT = 10000

MAGIC = b"\x4a\x5d\x8f\x1c"
_BARE = 4  # the type whose value is one byte, without a length
_TEXTS = {1: "name", 9: "model"}


class Vivotek(Search):
    """Asks, reads answers, and answers as a device would."""

    name = "vivotek"
    vendor = "vivotek"
    makers = frozenset({"vivotek"})
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("discovery.vivotek", "discovery.vivotek.mac")

    def searches(self) -> Sequence[bytes]:
        """A fresh session."""
        return [bytes((random.randrange(1, 255),)) + MAGIC]  # noqa: S311 - tells answers apart, hides nothing

    def is_search(self, data: bytes) -> bool:
        """The head alone."""
        return len(data) == 5 and data[1:] == MAGIC

    def is_answer(self, data: bytes) -> bool:
        """The head and something behind it."""
        return len(data) > 7 and data[1:5] == MAGIC

    def fields(self, data: bytes) -> Pairs:
        """Up to the first record that is not whole."""
        for kind, value in _records(data):
            if kind in _TEXTS:
                yield _TEXTS[kind], value.split(b"\0", 1)[0].decode("utf-8", "replace")
            elif kind == 2:
                yield "mac", mac_text(value[:6])
            elif kind == 3:
                yield "ip", ipv4_at(value, 0)
            elif kind == 6 and len(value) == 2:
                yield "httpport", str(int.from_bytes(value, "little"))

    def compose(self, fields: Mapping[str, str]) -> bytes:
        """A head with these records."""
        body = b"".join(
            bytes((kind, len(text))) + text
            for kind, name in _TEXTS.items()
            if (text := fields.get(name, "").encode()[:200])
        )
        return b"\x01" + MAGIC + b"\x02\x06" + packed_mac(fields.get("mac")) + body

    def adapt(self, answer: bytes, request: bytes) -> bytes:
        """With the session that asked."""
        return request[:1] + answer[1:]

    def elsewhere(self, request: bytes) -> bool:
        """Foscam's."""
        return request[:4] == b"MO_I"


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 5
    while place + 2 <= len(data):
        kind, length = data[place], data[place + 1]
        place += 2
        if kind == _BARE:
            continue
        if kind == 0 or place + length > len(data):
            return
        yield kind, data[place : place + length]
        place += length


PROTOCOL = Vivotek()
