"""DHIP, Dahua's search for devices: a 32-byte header and JSON over UDP 37810, and the binary answers of UDP 5050 that
older units give.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import ClassVar

from scanner.model import Observation, Transport
from scanner.protocols.base import Field, Protocol
from scanner.protocols.fields import (
    bounded,
    bytes_of,
    flatten,
    json_object,
    json_scraps,
    leaves,
    lines,
    mask_json,
    remask,
    stated_mac,
    text_of,
)

PORT = 37810
GROUP = "239.255.255.251"
OLD_PORT = 5050

_MAGIC = b"DHIP"
_OLD_MAGIC = b"\xb3\x00"
_ALIAS = {"type": "devicetype", "device": "devicetype", "model": "devicetype", "serial": "serialno", "sn": "serialno"}
_MASKED = ("random",)


class Dhip(Protocol):
    """Reads answers and announcements (`client.notifyDevInfo`), and those of the older search."""

    name = "dhip"
    tier = 1
    transport = Transport.UDP
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("dhip.response", "discovery.dahua", "dhip.mac")
    order = 11

    def read(self, observation: Observation) -> Iterable[Field]:
        """`dhip.<key>` for every scalar, below `params.deviceInfo` without that path, and `mac`."""
        if observation.channel.lower() == "dhip.mac":
            mac = stated_mac(observation.value)
            return [("mac", mac)] if mac else []
        data = bytes_of(observation)
        if data[:2] == _OLD_MAGIC:
            return bounded(_with_mac(_old_fields(data)))
        return bounded(_with_mac(_fields(text_of(observation), _body(data))))

    def mask(self, observation: Observation) -> Observation:
        """Without the random number of the search."""
        return remask(observation, lambda text: mask_json(text, _MASKED))


def _body(data: bytes) -> int:
    """Where the JSON begins: behind the header, whose length stands in its first four bytes."""
    if data[4:8] != _MAGIC:
        return 0
    length = int.from_bytes(data[:4], "little")
    return length if 8 <= length <= len(data) else 8


def _fields(text: str, start: int) -> Iterator[tuple[str, str]]:
    document = json_object(text, start)
    if document is not None:
        pairs: Iterable[tuple[str, str]] = flatten(document)
    elif '"' in text:
        pairs = json_scraps(text[start:])
    else:
        pairs = leaves(text) if "<" in text else lines(text)
    for path, value in pairs:
        name = path.lower().removeprefix("params.").removeprefix("deviceinfo.").replace(" ", "")
        if name != "random":
            yield _ALIAS.get(name, name), value


def _old_fields(data: bytes) -> Iterator[tuple[str, str]]:
    """The three parts of an answer to the older search (little-endian; lengths in the header)."""
    if len(data) < 0x20:
        return
    second, first, third = data[2], int.from_bytes(data[4:8], "little"), int.from_bytes(data[0x14:0x16], "little")
    if len(data) >= 0x38:
        yield "version", ".".join(str(part) for part in struct.unpack_from("<4H", data, 0x20))
        yield "machinename", _text(data[0x28:0x38])
    if len(data) >= 0x64:
        yield "httpport", str(int.from_bytes(data[0x5E:0x60], "little"))
        yield "port", str(int.from_bytes(data[0x62:0x64], "little"))
    start = 0x20 + first
    if start + second > len(data):
        return
    yield "mac", _text(data[start : start + 17])
    yield "devicetype", _text(data[start + 17 : start + second])
    for name, value in lines(_text(data[start + second : start + second + third])):
        yield _ALIAS.get(name.lower(), name.lower()), value


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


def _with_mac(pairs: Iterable[tuple[str, str]]) -> Iterator[Field]:
    for name, value in pairs:
        yield f"dhip.{name}", value
        if name == "mac":
            mac = stated_mac(value)
            if mac:
                yield "mac", mac


PROTOCOL = Dhip()
