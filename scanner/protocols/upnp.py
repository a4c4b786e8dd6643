"""UPnP: the announcements of SSDP (UDP 1900) and the device description they point to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Alone, Field, Protocol, Question, Reply, Service, observed
from scanner.protocols.fields import bounded, headers, lines, loose, named, raw_answers, stated_mac, text_of

PORT = 1900
GROUP = "239.255.255.250"
ROOT = "upnp:rootdevice"

_NOISE = frozenset(
    {"mimetype", "width", "height", "depth", "url", "major", "minor", "scpdurl", "controlurl", "eventsuburl"}
)
# Identifiers that are text with the address at the end, and fixed heads of gateways; random ones say nothing.
_UDN_MAC = re.compile(
    r"(?:upnp-[a-z]{4,40}(?:-1_0)?|00e0fc37-2[0-9a-f]{3}-28[0-9a-f]{2}-2[0-9a-f]{3}|00000000-0000-1000-[08]000)"
    r"-([0-9a-f]{12})(?![0-9a-f])",
    re.I,
)


class Upnp(Protocol):
    """Asks for root devices, reads SSDP answers and announcements, and device descriptions."""

    name = "upnp"
    tier = 1
    transport = Transport.UDP
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("upnp.ssdp", "upnp.description", "upnp.udn", "upnp.usn")
    order = 40

    def read(self, observation: Observation) -> Iterable[Field]:
        """`upnp.<header>` or `upnp.<element>`, and `mac` where the device's identifier is built from it."""
        channel = observation.channel.lower()
        text = text_of(observation)
        if channel == "upnp.ssdp":
            return bounded(_ssdp(text))
        if channel == "upnp.description":
            return bounded(_description(text))
        return bounded(_macs(text))

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """Root devices only: asked for everything, a gateway answers once for every service it has."""
        payload = (
            f'M-SEARCH * HTTP/1.1\r\nHOST: {GROUP}:{PORT}\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: {ROOT}\r\n\r\n'
        ).encode()
        return [Question("upnp.ssdp", f"M-SEARCH {ROOT}", payload, PORT, groups=(GROUP,), alone=Alone.AWAY, ttl=2)]

    def recognise(self, data: bytes) -> str | None:
        """`upnp.ssdp` for an answer or announcement; searches are none."""
        head = data[:2048].upper()
        answer = head.startswith(b"HTTP/1.") and (b"\nST:" in head or b"\nUSN:" in head)
        return "upnp.ssdp" if answer or head.startswith(b"NOTIFY ") else None

    def services(self, device: Recording) -> Sequence[Service]:
        """UDP 1900 on the group, where an answer or a piece of one was recorded."""
        spoken = next(observed(device, "upnp.ssdp"), None) is not None
        return (Service(Transport.UDP, PORT, groups=(GROUP,)),) if spoken else ()

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """The recorded answer, where the search was for everything, for root devices, or for what it is."""
        head = {name.lower(): value.strip() for name, value in headers(request[:4096].decode("latin-1"))}
        if not request.upper().startswith(b"M-SEARCH "):
            return None
        for data in raw_answers(device, "upnp.ssdp"):
            whole = data if self.recognise(data) else _whole(data)
            target = head.get("st", "ssdp:all").encode()
            if target in {b"ssdp:all", b"upnp:rootdevice"} or target in whole:
                return Reply(whole)
        return None

    def violation(self, request: bytes, service: Service) -> str | None:
        """Everything but a search (announcements to the group are none of ours)."""
        if request.upper().startswith(b"M-SEARCH ") or self.recognise(request):
            return None
        return f"SSDP: {request[:40]!r} is no search"


def _whole(piece: bytes) -> bytes:
    """An answer around pieces of one; without a target or an identifier it would be none."""
    head = b"HTTP/1.1 200 OK\r\n" + piece.strip() + b"\r\n"
    told = re.search(rb"(?i)\n(?:st|usn):", head)
    return head + (b"" if told else b"ST: " + ROOT.encode() + b"\r\n") + b"\r\n"


def _ssdp(text: str) -> Iterator[Field]:
    if text.lstrip()[:9].upper().startswith("M-SEARCH "):
        return
    for field, value in named("upnp", list(headers(text)) or lines(text)):
        if field in {"upnp.date", "upnp.cache-control", "upnp.ext"}:
            continue
        yield field, value
        if field == "upnp.usn":
            yield from _macs(value)


def _description(text: str) -> Iterator[Field]:
    if text.startswith("HTTP/"):
        yield from (pair for pair in named("upnp", headers(text)) if pair[0] == "upnp.server")
    for field, value in named("upnp", loose(text)):
        name = field[5:].rsplit(".", 1)[-1]
        if name in _NOISE:
            continue
        yield f"upnp.{name}", value
        if name == "udn":
            yield from _macs(value)


def _macs(identifier: str) -> Iterator[Field]:
    found = _UDN_MAC.search(identifier[:512])
    mac = stated_mac(found[1]) if found else None
    if mac:
        yield "mac", mac


PROTOCOL = Upnp()
