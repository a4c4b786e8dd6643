"""TP-Link's two searches: Kasa (UDP 9999, JSON behind a running XOR) and Tapo, VIGI and newer Kasa (UDP 20002 and
20004, a 16-byte header and JSON).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import msgspec

from scanner.model import Observation, Transport
from scanner.protocols.base import Field, Protocol
from scanner.protocols.fields import (
    bounded,
    bytes_of,
    flatten,
    json_object,
    json_scraps,
    lines,
    mask_json,
    remask,
    stated_mac,
    text_of,
)

PORT = 20002
OLD_PORT = 9999

_KEY = 171
_PATHS = ("result.", "system.get_sysinfo.", "system.", "get_sysinfo.")
_MASKED = (
    "owner", "device_id", "deviceId", "hwId", "oemId", "fwId", "alias", "device_name", "nickname", "dev_name_user",
    "connect_ssid", "ssid", "ssidname", "latitude", "longitude", "latitude_i", "longitude_i", "data", "key",
)  # fmt: skip
_HIDDEN = frozenset(name.lower() for name in _MASKED)


class TpLink(Protocol):
    """Reads answers of both searches, also already decoded ones."""

    name = "tplink"
    tier = 1
    transport = Transport.UDP
    ports: ClassVar[tuple[int, ...]] = (PORT, OLD_PORT)
    channels: ClassVar[tuple[str, ...]] = ("tplink.discovery", "discovery.tplink", "tplink.mac")
    order = 43

    def read(self, observation: Observation) -> Iterable[Field]:
        """`tplink.<key>` for every scalar, without the path of the answer's envelope, and `mac`."""
        if observation.channel.lower() == "tplink.mac":
            mac = stated_mac(observation.value)
            return [("mac", mac)] if mac else []
        if observation.value.startswith("hex:"):
            data = bytes_of(observation)
            return bounded(_fields((data if _plain(data) else decode(data)).decode("latin-1")))
        return bounded(_fields(text_of(observation)))

    def mask(self, observation: Observation) -> Observation:
        """Without owner, cloud and device ids, given names, networks and places."""
        data = bytes_of(observation)
        if observation.value.startswith("hex:") and not _plain(data):
            text = mask_json(decode(data).decode("latin-1"), _MASKED)
            return msgspec.structs.replace(observation, value="hex:" + encode(text.encode("latin-1")).hex())
        return remask(observation, lambda text: mask_json(text, _MASKED))


def encode(text: bytes) -> bytes:
    """The running XOR of Kasa: each byte with the one sent before it, the first with 171."""
    out, key = bytearray(), _KEY
    for byte in text:
        key ^= byte
        out.append(key)
    return bytes(out)


def decode(data: bytes) -> bytes:
    """The reverse of `encode`."""
    return bytes(byte ^ key for byte, key in zip(data, bytes((_KEY,)) + data[:-1], strict=True)) if data else b""


def _plain(data: bytes) -> bool:
    return b'{"' in data[:64] or data[16:17] == b"{"


def _fields(text: str) -> Iterator[Field]:
    document = json_object(text)
    pairs = flatten(document) if document is not None else json_scraps(text) if '"' in text else lines(text)
    for path, value in pairs:
        name = path.lower().replace(" ", "_")
        for head in _PATHS:
            name = name.removeprefix(head)
        if name.rsplit(".", 1)[-1] in _HIDDEN:
            continue
        yield f"tplink.{name}", value
        if name in {"mac", "ethernet_mac"}:
            mac = stated_mac(value)
            if mac:
                yield "mac", mac


PROTOCOL = TpLink()
