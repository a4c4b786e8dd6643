"""TP-Link's two searches: Kasa (UDP 9999, JSON behind a running XOR) and Tapo, VIGI and newer Kasa (UDP 20002 and
20004, a 16-byte header and JSON).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Alone, Field, Protocol, Question, Reply, Service, observed
from scanner.protocols.fields import (
    bounded,
    bytes_of,
    flatten,
    json_object,
    json_scraps,
    lines,
    mask_json,
    recorded,
    remask,
    stated_mac,
    text_of,
)

PORT = 20002
SECOND_PORT = 20004
OLD_PORT = 9999

_KEY = 171
_SEARCH = bytes.fromhex("020000010000000000000000463cb5d3")
_OLD_SEARCH = b'{"system":{"get_sysinfo":{}}}'
_PATHS = ("result.", "system.get_sysinfo.", "system.", "get_sysinfo.")
_MASKED = (
    "owner", "device_id", "deviceId", "hwId", "oemId", "fwId", "alias", "device_name", "nickname", "dev_name_user",
    "connect_ssid", "ssid", "ssidname", "latitude", "longitude", "latitude_i", "longitude_i", "data", "key",
)  # fmt: skip
_HIDDEN = frozenset(name.lower() for name in _MASKED)


class TpLink(Protocol):
    """Asks everybody on a link, reads answers of both searches, also already decoded ones, and answers."""

    name = "tplink"
    tier = 1
    transport = Transport.UDP
    ports: ClassVar[tuple[int, ...]] = (PORT, SECOND_PORT, OLD_PORT)
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
        if observation.value.startswith("hex:") and not _plain(bytes_of(observation)):
            return remask(observation, _mask_encoded)
        return remask(observation, lambda text: mask_json(text, _MASKED))

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """Both searches; a host that they did not reach is asked alone where something points to this maker."""
        alone = Alone.AWAY if "tp-link" in hints else Alone.NEVER
        old = encode(_OLD_SEARCH)
        asked = ((PORT, "search", _SEARCH), (SECOND_PORT, "search", _SEARCH), (OLD_PORT, "sysinfo", old))
        return [
            Question("tplink.discovery", request, payload, port, broadcast=True, alone=alone)
            for port, request, payload in asked
        ]

    def recognise(self, data: bytes) -> str | None:
        """`tplink.discovery` for an answer of either search."""
        if data[:1] == b"\x02" and data[16:17] == b"{" and b'"result"' in data[:128]:
            return "tplink.discovery"
        if data[:1] == b"\xd0" and decode(data[:512]).replace(b" ", b"").startswith(b'{"system":{"get_sysinfo":{"'):
            return "tplink.discovery"
        return None

    def services(self, device: Recording) -> Sequence[Service]:
        """The port of either search, where the device said anything in it."""
        spoken = list(observed(device, "tplink.*", "discovery.tplink"))
        old = any(_old(seen) for seen in spoken)
        new = any(not _old(seen) for seen in spoken)
        return [Service(Transport.UDP, port) for port, there in ((PORT, new), (OLD_PORT, old)) if there]

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """The recorded answer in its frame, else one composed of the recorded fields."""
        old = service.port == OLD_PORT
        if old != (request[:1] == b"\xd0"):
            return None
        if self.recognise(request) or self.violation(request, service):
            return None
        for seen in observed(device, "tplink.discovery", "discovery.tplink"):
            data = bytes_of(seen)
            if _old(seen) == old:
                if self.recognise(data):
                    return Reply(data)
                if data.lstrip()[:1] == b"{":
                    return Reply(_framed(_sysinfo(data) if old else data, old=old))
        fields: object = recorded(device, self, "tplink.")
        document = {"system": {"get_sysinfo": fields}} if old else {"error_code": 0, "result": fields}
        return Reply(_framed(json.dumps(document, separators=(",", ":")).encode(), old=old)) if fields else None

    def violation(self, request: bytes, service: Service) -> str | None:
        """Everything but the two searches: the same ports switch, set and bind devices."""
        if _is_search(request) or self.recognise(request):
            return None
        return f"TP-Link: {request[:40]!r} is no search"


def _is_search(request: bytes) -> bool:
    return request == _SEARCH or decode(request[:512]).replace(b" ", b"") == _OLD_SEARCH


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


def _old(seen: Observation) -> bool:
    return seen.port == OLD_PORT or bytes_of(seen)[:1] == b"\xd0"


def _sysinfo(data: bytes) -> bytes:
    """The answer with its inner envelope, which published ones often lack."""
    head = b'{"system":{'
    if b"get_sysinfo" in data or not data.startswith(head) or not data.endswith(b"}"):
        return data
    return head + b'"get_sysinfo":{' + data[len(head) :] + b"}"


def _framed(body: bytes, *, old: bool) -> bytes:
    return encode(body) if old else struct.pack("!BBHHBxII", 2, 0, 1, len(body), 17, 0, 0) + body


def _mask_encoded(text: str) -> str:
    plain = decode(text.encode("latin-1")).decode("latin-1")
    return encode(mask_json(plain, _MASKED).encode("latin-1")).decode("latin-1")


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
