"""SIP (RFC 3261; UDP and TCP 5060): the headers of phones and gateways, and the device information of GB/T 28181.

Asked is OPTIONS alone, by UDP, once and last: what a device can do, which it says without ringing, registering or
logging in. `Max-Forwards: 0` keeps it with whoever hears it (16.3), and a challenge is read and never answered. Over
TCP nothing is asked: a device that speaks SIP at all speaks it over UDP (18).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Alone, Field, Protocol, Question, Reply, Service, observed
from scanner.protocols.fields import bounded, escape, headers, leaves, masked, named, recognised, remask, text_of
from scanner.protocols.messages import USER_AGENT
from scanner.values import to_bytes

PORT = 5060

_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "c": "content-type"}
_NONCE = re.compile(r'(?i)(\bnonce\s{0,4}=\s{0,4}"?)([^",\r\n]{1,256})')
_NUMBER = re.compile(r"(?<=lanveto-)[0-9a-f]{16}")
"""What we number our questions by; an answer repeats it."""
_CREDENTIALS = re.compile(rb"(?im)(?:^|[\r\n])[ \t]{0,8}(?:proxy-)?authorization[ \t]{0,8}:")
_HEAD = re.compile(r"[A-Za-z][A-Za-z-]{0,31}[ \t]{0,8}:|[ \t]")
_ECHOED = ("via", "from", "to", "call-id", "cseq")
"""Headers that an answer takes over from the question (8.2.6.2)."""
_GB28181 = frozenset({"manufacturer", "model", "firmware", "devicename", "deviceid", "devicetype", "cmdtype"})


class Sip(Protocol):
    """Asks single hosts last what they can do, reads answers and requests of devices, and answers as recorded."""

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
        """Without the nonce of a challenge, and without the numbers of our own question."""

        def hidden(text: str) -> str:
            text = _NONCE.sub(lambda m: m[1] + masked(m[2]), text)
            return _NUMBER.sub(lambda m: masked(m[0]), text)

        return remask(observation, hidden)

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """OPTIONS, only to hosts whose maker is still open when all else was asked."""
        number = f"lanveto-{random.getrandbits(64):016x}"
        lines = (
            "OPTIONS sip:lanveto.invalid SIP/2.0",
            f"Via: SIP/2.0/UDP lanveto.invalid;rport;branch=z9hG4bK{number}",  # rport: RFC 3581
            "Max-Forwards: 0",
            f"From: <sip:lanveto.invalid>;tag={number}",
            "To: <sip:lanveto.invalid>",
            f"Call-ID: {number}",
            "CSeq: 1 OPTIONS",
            "Accept: application/sdp",
            f"User-Agent: {USER_AGENT}",
            "Content-Length: 0",
        )
        payload = ("\r\n".join(lines) + "\r\n\r\n").encode()
        return [Question("sip.response", "OPTIONS", payload, PORT, alone=Alone.LAST)]

    def recognise(self, data: bytes) -> str | None:
        """`sip.response` for an answer."""
        return "sip.response" if data[:8].upper() == b"SIP/2.0 " else None

    def services(self, device: Recording) -> Sequence[Service]:
        """UDP 5060, where an answer or a piece of one was recorded."""
        spoken = next(observed(device, "sip.response", "sip.header.*", "sip.gb28181.*"), None) is not None
        return (Service(Transport.UDP, PORT),) if spoken else ()

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """The recorded answer, else one made of the recorded pieces; to OPTIONS only."""
        if not request.startswith(b"OPTIONS "):
            return None
        whole = next(iter(recognised(self, device, "sip.response")), None)
        return Reply(whole if whole is not None else _composed(request, device))

    def violation(self, request: bytes, service: Service) -> str | None:
        """Everything but OPTIONS: registrations and calls are not for a scanner; neither are credentials."""
        if not request.startswith(b"OPTIONS ") or _CREDENTIALS.search(request):
            return f"SIP: {request[:40]!r} must never be sent"
        return None


def _composed(request: bytes, device: Recording) -> bytes:
    """The smallest answer around pieces: those that are headers, with what is missing taken over from the question;
    the others as its body.
    """
    head: list[str] = []
    body: list[str] = []
    for seen in observed(device, "sip.response"):
        for line in to_bytes(seen.value).decode("utf-8", "replace").splitlines():
            (head if _HEAD.match(line) and not body else body).append(line)
    head += [f"{o.channel.removeprefix('sip.header.')}: {o.value}" for o in observed(device, "sip.header.*")]
    elements = ((o.channel.removeprefix("sip.gb28181."), escape(o.value)) for o in observed(device, "sip.gb28181.*"))
    body += [f"<{name}>{value}</{name}>" for name, value in elements]
    told = {name.lower() for name, _value in headers("\n".join(head))}
    asked = {name.lower(): value for name, value in headers(request[:4096].decode("latin-1"))}
    head += [f"{name}: {asked[name]}" for name in _ECHOED if name in asked and name not in told]
    code = "401 Unauthorized" if "www-authenticate" in told else "200 OK"
    return "\r\n".join([f"SIP/2.0 {code}", *head, "", *body]).encode()


def _fields(text: str) -> Iterator[Field]:
    for name, value in headers(text):
        lower = name.lower()
        yield f"sip.header.{_COMPACT.get(lower, lower)}", value
    if "<" in text:
        known = (pair for pair in leaves(text) if pair[0].lower() in _GB28181)
        yield from named("sip.gb28181", known)


PROTOCOL = Sip()
