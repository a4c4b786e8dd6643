"""UPnP: the announcements of SSDP (UDP 1900) and the device description they point to.

The description is fetched by one plain GET, where an answer's LOCATION names the very address that the answer came
from: any other host would be one that nobody asked to scan. No redirect is followed, nothing in the description is
fetched or expanded, and a port that is only looked at stays unspoken to, whatever an answer says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import ClassVar
from urllib.parse import urlsplit

from scanner import ports
from scanner.model import Observation, Reading, Recording, Transport
from scanner.protocols import forbidden, http, masking, messages, onvif, served
from scanner.protocols.base import (
    Alone,
    Ask,
    Conversation,
    Field,
    Lead,
    Protocol,
    Question,
    Reply,
    Service,
    Stream,
    observed,
)
from scanner.protocols.fields import (
    MAX_INPUT,
    bounded,
    bytes_of,
    escape,
    headers,
    lines,
    loose,
    named,
    raw_answers,
    stated_mac,
    text_of,
)
from scanner.protocols.pages import Place, resolve

PORT = 1900
GROUP, GROUP6 = "239.255.255.250", "ff02::c"
ROOT = "upnp:rootdevice"
DESCRIPTIONS = 2
"""Descriptions of one device that are fetched: a gateway may have one for each of its roles."""
MAX_DESCRIPTION = 65_536
"""Bytes of one."""

_WEB = frozenset({*http.PORTS, *onvif.PORTS})
_HOME = Place(49_152, False, "/description.xml")
"""Where a simulated device has its description if nothing was recorded about that."""
_SAID_BY_SSDP = frozenset({"ssdp", "server", "usn", "st", "nt", "nts", "location", "date", "cache-control", "ext"})

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
    """Asks for root devices, fetches their descriptions, reads both, and answers as recorded."""

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
            return bounded(_description(text, bytes_of(observation)))
        return bounded(_macs(text))

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """Root devices only: asked for everything, a gateway answers once for every service it has."""
        return [
            Question("upnp.ssdp", f"M-SEARCH {ROOT}", _search(host), PORT, groups=(group,), alone=alone, ttl=2)
            for group, host, alone in ((GROUP, GROUP, Alone.AWAY), (GROUP6, f"[{GROUP6}]", Alone.NEVER))
        ]

    def recognise(self, data: bytes) -> str | None:
        """`upnp.ssdp` for an answer or announcement; searches are none."""
        head = data[:2048].upper()
        answer = head.startswith(b"HTTP/1.") and (b"\nST:" in head or b"\nUSN:" in head)
        return "upnp.ssdp" if answer or head.startswith(b"NOTIFY ") else None

    def mask(self, observation: Observation) -> Observation:
        """A description without cookies, tokens and names of owners and networks."""
        return masking.answer(observation) if observation.channel.lower() == "upnp.description" else observation

    def leads(self, host: str, heard: Sequence[Reading]) -> Sequence[Lead]:
        """Where the device says that its descriptions are."""
        return list(dict.fromkeys(Lead(place.port) for place in _locations(host, heard)))

    def converse(self, stream: Stream) -> Conversation:
        """The descriptions on this port that have not been heard yet, each by one GET."""
        for place in _locations(stream.host, stream.heard):
            ask = replace(http.get(stream, place), channel="upnp.description", limit=MAX_DESCRIPTION)
            if (place.port, place.tls) == (stream.port, stream.tls) and not _known(stream.heard, ask.request, place):
                yield ask

    def complete(self, data: bytes, ask: Ask) -> bool:
        """As HTTP."""
        return messages.complete(data)

    def services(self, device: Recording) -> Sequence[Service]:
        """UDP 1900 on the group, where anything of UPnP was recorded; where a description was, its port too."""
        if next(observed(device, "upnp.*"), None) is None:
            return ()
        place = _home(device)
        described = () if place is None else (Service(Transport.TCP, place.port),)
        return (Service(Transport.UDP, PORT, groups=(GROUP, GROUP6)), *described)

    def request_length(self, data: bytes) -> int:
        """Head and announced body."""
        return messages.request_length(data)

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """The recorded answer, where the search was for everything, for root devices, or for what it is; the recorded
        description where that is asked for. Both are composed where only their fields were recorded.
        """
        if service.transport is Transport.TCP:
            place, (method, path, _message) = _home(device), messages.request(request)
            known = place is not None and (method, path) == ("GET", place.path)
            return Reply(_page(device), close=True) if known else None
        head = {name.lower(): value.strip() for name, value in headers(request[:4096].decode("latin-1"))}
        if not request.upper().startswith(b"M-SEARCH "):
            return None
        target = head.get("st", "ssdp:all").encode()
        for whole in _announcements(device):
            if target in {b"ssdp:all", b"upnp:rootdevice"} or target in whole:
                return Reply(whole)
        return None

    def refuse(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """Not found: where a description stands is a web server."""
        return served.refuse(request)

    def violation(self, request: bytes, service: Service) -> str | None:
        """Everything but a search (announcements to the group are none of ours); of a description's port, what HTTP
        forbids.
        """
        if service.transport is Transport.TCP:
            return forbidden.request(request)
        if request.upper().startswith(b"M-SEARCH ") or self.recognise(request):
            return None
        return f"SSDP: {request[:40]!r} is no search"


def _locations(host: str, heard: Sequence[Reading]) -> Sequence[Place]:
    """The first few places on this very host that its SSDP answers name."""
    told = (r.value for r in heard if r.channel == "upnp.location" and r.observation.channel == "upnp.ssdp")
    places = (_place(location) for location in told if _names(location, host))
    return list(dict.fromkeys(place for place in places if place is not None))[:DESCRIPTIONS]


def _names(location: str, host: str) -> bool:
    """Whether a LOCATION names this address, as an address."""
    try:
        return ip_address(urlsplit(location.strip()).hostname or "") == ip_address(host.partition("%")[0])
    except ValueError:
        return False


def _place(location: str) -> Place | None:
    """Port and path of a LOCATION whose host is settled; None where nothing may be asked there."""
    try:
        parts = urlsplit(location.strip())
        place = resolve(location, parts.hostname or "", Place(0, False, ""))
    except ValueError:
        return None
    if place is None or place.tls or parts.scheme.lower() != "http":
        return None
    free = place.port >= 1024 and place.port not in ports.ASKED and place.port not in ports.FORBIDDEN
    return place if free or place.port in _WEB else None


def _known(heard: Sequence[Reading], request: str, place: Place) -> bool:
    return any(
        r.channel == "upnp.description" and r.observation.request == request and r.observation.port == place.port
        for r in heard
    )


def _search(host: str) -> bytes:
    return f'M-SEARCH * HTTP/1.1\r\nHOST: {host}:{PORT}\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: {ROOT}\r\n\r\n'.encode()


# -- a simulated device --------------------------------------------------------------------------------------------


def _home(device: Recording) -> Place | None:
    """Where a device has its description: where its LOCATION says, else where it was heard; None where it has none."""
    seen = next((o for o in observed(device, "upnp.*") if o.channel.removeprefix("upnp.") not in _SAID_BY_SSDP), None)
    if seen is None:
        return None
    for data in raw_answers(device, "upnp.ssdp"):
        told = {name.lower(): value for name, value in headers(data[:4096].decode("latin-1"))}
        place = _place(told.get("location", ""))
        if place is not None:
            return place
    words = (seen.request or "").split()
    path = words[1] if len(words) > 1 and words[0].upper() == "GET" and not forbidden.path(words[1]) else _HOME.path
    return Place(seen.port or _HOME.port, False, path)


def _announcements(device: Recording) -> Iterator[bytes]:
    """The recorded SSDP answers; where a description is served, their LOCATION leads to it."""
    fields = [
        f"{o.channel.removeprefix('upnp.').upper()}: {o.value}".encode()
        for o in observed(device, "upnp.*") if o.channel.removeprefix("upnp.") in _SAID_BY_SSDP - {"ssdp"}
    ]  # fmt: skip
    place, own = _home(device), device.ip
    for data in raw_answers(device, "upnp.ssdp") or [b"\r\n".join(fields)]:
        whole = data if PROTOCOL.recognise(data) else _whole(data)
        if place is not None and own is not None:
            line = f"LOCATION: http://{f'[{own}]' if ':' in own else own}:{place.port}{place.path}\r\n".encode()
            first, _, rest = whole.partition(b"\n")
            whole = first + b"\n" + line + re.sub(rb"(?im)^location[ \t]{0,8}:[^\n]{0,4096}\n", b"", rest)
        yield whole


def _page(device: Recording) -> bytes:
    """The recorded description, or one around the pieces of it that were recorded."""
    raws = raw_answers(device, "upnp.description")
    whole = next((data for data in raws if messages.parse(data).status), None)
    if whole is not None:
        return served.whole(whole)
    names = (
        (o.channel.removeprefix("upnp."), o.value) for o in observed(device, "upnp.*")
        if o.channel != "upnp.description" and o.channel.removeprefix("upnp.") not in _SAID_BY_SSDP
    )  # fmt: skip
    pieces = [f"<{name}>{escape(value)}</{name}>".encode() for name, value in names]
    return served.whole(b"\n".join([*raws, *pieces]))


# -- reading -------------------------------------------------------------------------------------------------------


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


def _description(text: str, data: bytes) -> Iterator[Field]:
    if text.startswith("HTTP/"):
        yield from (pair for pair in named("upnp", headers(text)) if pair[0] == "upnp.server")
        message = messages.parse(data)
        if message.code not in {0, 200}:
            return  # a page that says why there is none
        text = messages.text(message, messages.content(message))[:MAX_INPUT]
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
