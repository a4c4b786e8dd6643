"""Panasonic's search (UDP 10670), which i-PRO's cameras kept: the question states who asks; the answer echoes a part of
it, and goes to port 10669, 10670 or back, for clients differ.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from scanner.protocols.base import Question
from scanner.protocols.search import Pairs, Search, ipv4_at, mac_text, packed_ipv4, packed_mac

PORT, ANSWER_PORT = 10670, 10669

_MARK = bytes.fromhex("20111e11231f1e191300")
_SIZE = 52
_RECORDS = 53
_TEXTS = {0xA7: "model", 0xA8: "model_short", 0xA9: "firmware"}
_ADDRESSES = {0x20: "ip", 0x21: "mask", 0x22: "gateway"}


def search(address: str, mac: str) -> bytes:
    """The question as somebody with this IPv4 address asks it; the MAC is left open, as the known clients do."""
    return (
        bytes.fromhex("000100000 00d000000000000".replace(" ", "")) + b"\xff" * 6 + packed_ipv4(address) + b"\x00\x01"
        + _MARK + bytes.fromhex("000200000000000000000000 0000ffff0000".replace(" ", ""))
    )  # fmt: skip


class Panasonic(Search):
    """Asks, reads answers, and answers as a device would."""

    name = "panasonic"
    vendor = "panasonic"
    makers = frozenset({"panasonic", "i-pro"})
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("discovery.panasonic", "discovery.panasonic.mac")
    reply_port = ANSWER_PORT

    def searches(self) -> Sequence[bytes]:
        """Of somebody without an address."""
        return [search("0.0.0.0", "")]  # noqa: S104 - no address, not a bind

    def signature(self) -> Callable[[str, str], bytes]:
        """It states our address."""
        return search

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """Both ports are listened to."""
        return [replace(question, listen=(ANSWER_PORT, PORT)) for question in super().questions(hints)]

    def is_search(self, data: bytes) -> bool:
        """Of this length and operation."""
        return len(data) == _SIZE and data[:2] == b"\0\1" and data[4:6] == b"\0\x0d" and data[24:34] == _MARK

    def is_answer(self, data: bytes) -> bool:
        """Of this operation, with the echo."""
        return len(data) > _RECORDS and data[:2] == b"\0\1" and data[4:6] == b"\0\x0e" and data[24:34] == _MARK

    def fields(self, data: bytes) -> Pairs:
        """Up to the first record that is not whole."""
        yield "mac", mac_text(data[6:12])
        for kind, value in _records(data):
            if kind in _TEXTS:
                yield _TEXTS[kind], value.split(b"\0", 1)[0].decode("utf-8", "replace")
            elif kind in _ADDRESSES:
                yield _ADDRESSES[kind], ipv4_at(value, 0)
            elif kind == 0x25 and len(value) == 2:
                yield "httpport", str(int.from_bytes(value, "big"))

    def compose(self, fields: Mapping[str, str]) -> bytes:
        """The head, these records, and the end."""
        body = b"".join(
            struct.pack("!HH", kind, 16) + fields[name].encode()[:15].ljust(16, b"\0")
            for kind, name in _TEXTS.items() if name in fields
        )  # fmt: skip
        head = b"\0\1" + (len(body) + 5).to_bytes(2, "big") + b"\0\x0e" + packed_mac(fields.get("mac"))
        return head.ljust(24, b"\0") + _MARK + bytes(_RECORDS - 34) + body + b"\xff\xff\0\0"


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = _RECORDS
    while place + 4 <= len(data):
        kind, length = struct.unpack_from("!HH", data, place)
        place += 4
        if place + length > len(data) or kind == 0xFFFF:
            return
        yield kind, data[place : place + length]
        place += length


PROTOCOL = Panasonic()
