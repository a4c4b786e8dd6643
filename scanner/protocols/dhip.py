"""DHIP, Dahua's search for devices: a 32-byte header and JSON over UDP 37810, and the binary search of older units
over UDP 5050.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Alone, Field, Protocol, Question, Reply, Service, observed
from scanner.protocols.fields import (
    bounded,
    bytes_of,
    flatten,
    json_object,
    json_scraps,
    leaves,
    lines,
    mask_json,
    recorded,
    remask,
    stated_mac,
    text_of,
)

PORT = 37810
GROUP = "239.255.255.251"
OLD_PORT = 5050
METHOD = "DHDiscover.search"
"""The only method that may be sent; the others set, initialise or recover passwords."""

_MAGIC = b"DHIP"
_SEARCH = b'{ "method" : "DHDiscover.search", "params" : { "mac" : "", "uni" : 1 } }\n'
_OLD_SEARCH = bytes.fromhex("a3010001000000000000000000000000 02000000000000000000000000000000")
_OLD_MAGIC = b"\xb3\x00"
_OLD_FIXED = 0x58  # length of the first part of an old answer
_METHOD = re.compile(r'"method"\s{0,16}:\s{0,16}"([^"]{0,128})"')
_ALIAS = {"type": "devicetype", "device": "devicetype", "model": "devicetype", "serial": "serialno", "sn": "serialno"}
_MASKED = ("random",)
_KEYS = (
    "AlarmInputChannels", "AlarmOutputChannels", "DeviceClass", "DeviceID", "DeviceType", "Find", "FindVersion",
    "HttpPort", "IPv4Address", "IPv6Address", "DefaultGateway", "DhcpEnable", "IPAddress", "SubnetMask",
    "LinkLocalAddress", "Init", "MachineGroup", "MachineName", "Manufacturer", "Port", "RemoteVideoInputChannels",
    "SerialNo", "UnLoginFuncMask", "Vendor", "Version", "VideoInputChannels", "VideoOutputChannels",
)  # fmt: skip
_CASE = {key.lower(): key for key in _KEYS}


class Dhip(Protocol):
    """Asks, reads answers and announcements (`client.notifyDevInfo`), and answers as a device would."""

    name = "dhip"
    tier = 1
    transport = Transport.UDP
    ports: ClassVar[tuple[int, ...]] = (PORT, OLD_PORT)
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

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """The search of the maker's own tool, and by broadcast only the one that units before it know."""
        return [
            Question(
                channel="dhip.response",
                request=METHOD,
                payload=_framed(_SEARCH),
                port=PORT,
                groups=(GROUP,),
                broadcast=True,
                listen=(PORT,),
                join=(GROUP,),
            ),
            Question(
                channel="discovery.dahua",
                request="search",
                payload=_OLD_SEARCH,
                port=OLD_PORT,
                broadcast=True,
                alone=Alone.NEVER,
                listen=(OLD_PORT,),
            ),
        ]

    def recognise(self, data: bytes) -> str | None:
        """`dhip.response` (announcement or refusal) or `discovery.dahua`; what is asked of a device is none."""
        if data[:2] == _OLD_MAGIC and len(data) >= 0x78 and data[4:8] == _OLD_FIXED.to_bytes(4, "little"):
            return "discovery.dahua"
        method = _method(data)
        refused = data[4:8] == _MAGIC and method is None and b'"result"' in data
        return "dhip.response" if refused or method == "client.notifyDevInfo" else None

    def services(self, device: Recording) -> Sequence[Service]:
        """UDP 37810 on the group, or UDP 5050, where the device said anything in the one or the other."""
        new = any(not _old(seen) for seen in observed(device, "dhip.*"))
        old = any(_old(seen) for seen in observed(device, "dhip.*", "discovery.dahua"))
        services = [Service(Transport.UDP, PORT, groups=(GROUP,))] if new else []
        return services + ([Service(Transport.UDP, OLD_PORT)] if old else [])

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """The recorded answer in its frame, else one composed of the recorded fields; other methods get none."""
        if service.port == OLD_PORT:
            return self._old_answer(request, device)
        if request[4:8] != _MAGIC or _method(request) != METHOD:
            return None
        for seen in observed(device, "dhip.response"):
            data = bytes_of(seen)
            if not _old(seen) and self.recognise(data):
                return Reply(data if data[4:8] == _MAGIC else _framed(data.rstrip(b"\n\0") + b"\n\0"))
        fields = recorded(device, self, "dhip.")
        return Reply(_framed(_compose(fields) + b"\n\0")) if fields else None

    def _old_answer(self, request: bytes, device: Recording) -> Reply | None:
        if request[:2] != _OLD_SEARCH[:2]:
            return None
        for seen in observed(device, "discovery.dahua", "dhip.response"):
            data = bytes_of(seen)
            if data[:2] == _OLD_MAGIC:
                return Reply(data)
        fields = recorded(device, self, "dhip.")
        return Reply(_old_compose(fields)) if fields else None

    def violation(self, request: bytes, service: Service) -> str | None:
        """Everything but a framed search (answers of other devices to the group are none of ours)."""
        if self.recognise(request):
            return None
        if service.port == OLD_PORT:
            search = len(request) == len(_OLD_SEARCH) and request[:2] == _OLD_SEARCH[:2]
            return None if search else f"DHIP: {request[:40]!r} is no search"
        method = _method(request)
        if method is None:
            return f"DHIP: {request[:40]!r} is no search"
        if method != METHOD:
            return f"DHIP: method {method!r} must never be sent"
        return None if request[4:8] == _MAGIC else "DHIP: a search without its header"


def _old(seen: Observation) -> bool:
    return seen.channel == "discovery.dahua" or seen.port == OLD_PORT or bytes_of(seen)[:2] == _OLD_MAGIC


def _framed(body: bytes) -> bytes:
    return struct.pack("<I4s6I", 32, _MAGIC, 0, 0, len(body), 0, len(body), 0) + body


def _method(data: bytes) -> str | None:
    found = _METHOD.search(data[:8192].decode("latin-1"))
    return found[1] if found else None


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
        version = struct.unpack_from("<4H", data, 0x20)
        if any(version):
            yield "version", ".".join(str(part) for part in version)
        yield "machinename", _text(data[0x28:0x38])
    if len(data) >= 0x64:
        for name, place in (("httpport", 0x5E), ("port", 0x62)):
            port = int.from_bytes(data[place : place + 2], "little")
            if port:
                yield name, str(port)
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


def _compose(fields: Mapping[str, str]) -> bytes:
    """The smallest announcement that carries these fields."""
    info: dict[str, object] = {}
    for path, value in fields.items():
        if path in {"mac", "method"}:
            continue
        place, *rest = [_CASE.get(part, part) for part in path.split(".")]
        if rest:
            inner = info.setdefault(place, {})
            if isinstance(inner, dict):
                inner[".".join(rest)] = value
        else:
            info[place] = value
    document = {"mac": fields.get("mac", ""), "method": "client.notifyDevInfo", "params": {"deviceInfo": info}}
    return json.dumps(document, separators=(",", ":")).encode()


def _old_compose(fields: Mapping[str, str]) -> bytes:
    second = (fields.get("mac", "")[:17].ljust(17, "\0") + fields.get("devicetype", "")).encode()[:255]
    third = "".join(
        f"{name}:{fields[key]}\r\n" for name, key in (("Name", "name"), ("SerialNo", "serialno")) if key in fields
    ).encode()
    numbers = [int(part) for part in re.findall(r"\d{1,4}", fields.get("version", ""))][:4]
    first = bytearray(_OLD_FIXED)
    struct.pack_into("<4H16s", first, 0, *(numbers + [0] * 4)[:4], fields.get("machinename", "").encode()[:15])
    head = struct.pack("<2sHIQIH10x", _OLD_MAGIC, len(second), _OLD_FIXED, 0, 2, len(third))
    return head + bytes(first) + second + third


PROTOCOL = Dhip()
