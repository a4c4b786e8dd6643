"""SIP (RFC 3261; UDP and TCP 5060): the headers of phones and gateways, and the device information of GB/T 28181."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from scanner.model import Observation, Transport
from scanner.protocols.base import Field, Protocol
from scanner.protocols.fields import bounded, headers, leaves, named, text_of

PORT = 5060

_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "c": "content-type"}
_GB28181 = frozenset({"manufacturer", "model", "firmware", "devicename", "deviceid", "devicetype", "cmdtype"})


class Sip(Protocol):
    """Reads answers and requests of devices."""

    name = "sip"
    tier = 1
    transport = Transport.UDP
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("sip.response",)
    order = 46

    def read(self, observation: Observation) -> Iterable[Field]:
        """`sip.header.<name>`, and `sip.gb28181.<element>` of a body that describes a camera."""
        return bounded(_fields(text_of(observation)))


def _fields(text: str) -> Iterator[Field]:
    for name, value in headers(text):
        lower = name.lower()
        yield f"sip.header.{_COMPACT.get(lower, lower)}", value
    if "<" in text:
        known = (pair for pair in leaves(text) if pair[0].lower() in _GB28181)
        yield from named("sip.gb28181", known)


PROTOCOL = Sip()
