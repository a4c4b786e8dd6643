"""Xiongmai's search for devices (UDP 34569): a 20-byte header and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from scanner.model import Observation, Transport
from scanner.protocols.base import Field, Protocol
from scanner.protocols.fields import bounded, loose, stated_mac, text_of

PORT = 34569

_SECRET = frozenset({"sessionid"})


class Xiongmai(Protocol):
    """Reads answers."""

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
