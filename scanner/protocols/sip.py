"""SIP (RFC 3261; UDP and TCP 5060): the headers of phones and gateways, and the device information of GB/T 28181."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Field, Protocol, Reply, Service
from scanner.protocols.fields import bounded, headers, leaves, masked, named, raw_answers, remask, text_of

PORT = 5060

_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "c": "content-type"}
_NONCE = re.compile(r'(?i)(\bnonce\s{0,4}=\s{0,4}"?)([^",\r\n]{1,256})')
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

    def mask(self, observation: Observation) -> Observation:
        """Without the nonce of a challenge."""
        return remask(observation, lambda text: _NONCE.sub(lambda m: m[1] + masked(m[2]), text))

    def recognise(self, data: bytes) -> str | None:
        """`sip.response` for an answer."""
        return "sip.response" if data[:8].upper() == b"SIP/2.0 " else None

    def services(self, device: Recording) -> Sequence[Service]:
        """UDP 5060, where a whole answer was recorded."""
        spoken = any(self.recognise(data) for data in raw_answers(device, "sip.response"))
        return (Service(Transport.UDP, PORT),) if spoken else ()

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """The recorded answer, to OPTIONS only."""
        found = [data for data in raw_answers(device, "sip.response") if self.recognise(data)]
        return Reply(found[0]) if found and request.startswith(b"OPTIONS ") else None

    def violation(self, request: bytes, service: Service) -> str | None:
        """Everything but OPTIONS: registrations and calls are not for a scanner; neither are credentials."""
        if not request.startswith(b"OPTIONS ") or b"\nauthorization:" in request.lower():
            return f"SIP: {request[:40]!r} must never be sent"
        return None


def _fields(text: str) -> Iterator[Field]:
    for name, value in headers(text):
        lower = name.lower()
        yield f"sip.header.{_COMPACT.get(lower, lower)}", value
    if "<" in text:
        known = (pair for pair in leaves(text) if pair[0].lower() in _GB28181)
        yield from named("sip.gb28181", known)


PROTOCOL = Sip()
