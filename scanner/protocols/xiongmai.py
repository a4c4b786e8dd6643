"""Xiongmai's search for devices (UDP 34569): a 20-byte header and JSON."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Alone, Field, Protocol, Question, Reply, Service, observed
from scanner.protocols.fields import bounded, loose, raw_answers, recorded, stated_mac, text_of

PORT = 34569
SEARCH, FOUND = 1530, 1531
"""The message that may be sent, and its answer; 1532 would change the device's network settings."""

_SECRET = frozenset({"sessionid"})


class Xiongmai(Protocol):
    """Asks everybody on a link, reads answers, and answers as a device would."""

    name = "xiongmai"
    tier = 1
    transport = Transport.UDP
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("xm.discovery", "xm.mac")
    order = 42

    def read(self, observation: Observation) -> Iterable[Field]:
        """`xm.<key>` for every scalar, without the path of `NetWork.NetCommon`, and `mac`."""
        if observation.channel.lower() == "xm.mac":
            mac = stated_mac(observation.value)
            return [("mac", mac)] if mac else []
        return bounded(_fields(text_of(observation)))

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """The search; a host that it did not reach is asked alone where something points to this maker."""
        return [
            Question(
                channel="xm.discovery",
                request="search",
                payload=struct.pack("<B13xHI", 0xFF, SEARCH, 0),
                port=PORT,
                broadcast=True,
                alone=Alone.AWAY if "xiongmai" in hints else Alone.NEVER,
                listen=(PORT,),
            )
        ]

    def recognise(self, data: bytes) -> str | None:
        """`xm.discovery` for an answer to a search."""
        return "xm.discovery" if _message(data) == FOUND and b"{" in data[20:64] else None

    def services(self, device: Recording) -> Sequence[Service]:
        """UDP 34569, where the device said anything in this protocol."""
        spoken = next(observed(device, "xm.*"), None) is not None
        return (Service(Transport.UDP, PORT),) if spoken else ()

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """The recorded answer in its frame, else one composed of the recorded fields."""
        if _message(request) != SEARCH:
            return None
        for data in raw_answers(device, "xm.discovery"):
            if self.recognise(data):
                return Reply(data)
            if data.lstrip()[:1] == b"{":
                return Reply(_framed(data))
        fields = recorded(device, self, "xm.")
        return Reply(_framed(json.dumps({"NetWork.NetCommon": fields, "Ret": 100}).encode())) if fields else None

    def violation(self, request: bytes, service: Service) -> str | None:
        """Every message but the search (answers of other devices are none of ours)."""
        message = _message(request)
        return None if message in {SEARCH, FOUND} else f"XM: message {message} must never be sent"


def _message(data: bytes) -> int | None:
    return int.from_bytes(data[14:16], "little") if len(data) >= 20 and data[0] == 0xFF else None


def _framed(body: bytes) -> bytes:
    body = body.rstrip(b"\n\0") + b"\n\0"
    return struct.pack("<B13xHI", 0xFF, FOUND, len(body)) + body


def _fields(text: str) -> Iterator[Field]:
    for path, value in loose(text):
        name = path.lower().removeprefix("network.netcommon.").replace(" ", "")
        if name in _SECRET:
            continue
        yield f"xm.{name}", value
        if name == "mac":
            mac = stated_mac(value)
            if mac:
                yield "mac", mac


PROTOCOL = Xiongmai()
