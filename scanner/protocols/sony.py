"""Sony's search (UDP 2380): lines `NAME:value` between markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from scanner.protocols.search import Pairs, Search

PORT = 2380

_SEARCH = b"\x02ENQ:allinfo\xff\x03"
_NAMES = {"softversion": "firmware", "ipadr": "ip", "webport": "httpport"}
_CASE = {name: key for key, name in _NAMES.items()}


class Sony(Search):
    """Asks, reads answers, and answers as a device would."""

    name = "sony"
    vendor = "sony"
    makers = frozenset({"sony"})
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("discovery.sony", "discovery.sony.mac")

    def searches(self) -> Sequence[bytes]:
        """All there is to tell."""
        return [_SEARCH]

    def is_search(self, data: bytes) -> bool:
        """Exactly this: the protocol also sets."""
        return data == _SEARCH

    def is_answer(self, data: bytes) -> bool:
        """Between the markers, the MAC first."""
        return data[:5] == b"\x02MAC:" and data[-1:] == b"\x03" and b"\xffMODEL:" in data[:256]

    def fields(self, data: bytes) -> Pairs:
        """One a line."""
        for line in data[1:-1].split(b"\xff")[:100]:
            name, colon, value = line.decode("utf-8", "replace").partition(":")
            key = name.strip().lower()
            if colon and key.isalnum():
                yield _NAMES.get(key, key), value.strip()

    def compose(self, fields: Mapping[str, str]) -> bytes:
        """The MAC and the model first."""
        told = {"mac": fields.get("mac", "").replace(":", "-"), "model": fields.get("model", "")}
        told |= {_CASE.get(name, name): value for name, value in fields.items() if name not in told}
        lines = (f"{name.upper()}:{value}".encode() for name, value in told.items() if name.isalnum())
        return b"\x02" + b"\xff".join(line.replace(b"\xff", b"?") for line in lines) + b"\xff\x03"


PROTOCOL = Sony()
