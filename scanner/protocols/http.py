"""HTTP and HTTPS (RFC 9110, RFC 9112): one GET of the front page, at most two steps on the same host, and the icon.

Headers keep the order and spelling they came in: these tell firmwares apart. Nothing here logs in, and no redirect,
script or link leads to another host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from scanner.model import Observation, Recording, Transport
from scanner.protocols import forbidden, masking, messages, pages, served
from scanner.protocols.base import Answer, Ask, Conversation, Field, Protocol, Reply, Service, Stream
from scanner.protocols.pages import Place
from scanner.values import from_bytes, to_bytes

MAX_STEPS = 2
"""Redirects that are followed, all on the same host."""
MAX_PAGE = 131_072
"""Bytes of one answer, icons included."""

PORTS: tuple[int, ...] = (80, 8080, 81, 88, 8000, 5000, 82, 83, 85, 90, 8081, 8088, 8090, 8888)
TLS_PORTS: tuple[int, ...] = (443, 8443, 4443, 5001)

_NOT_WEB = {8000: "hikvision", 5000: "dahua"}  # ports of makers' own protocols, which are not provoked
# Servers that hear plain HTTP on a TLS port say so, in a TLS alert or in words.
_WANTS_TLS = re.compile(rb"\x15\x03|[^\0]{0,1024}(?:plain HTTP|HTTP request (?:was sent )?to an? (?:HTTPS|SSL))", re.I)
_REQUEST = re.compile(r"^\s{0,4}(GET|HEAD|POST|PUT|OPTIONS)\s{1,4}(?:https?://[^/\s]{1,255})?(/\S{0,1023})", re.I)
_FRAME = 256  # bytes of an answer that is no HTTP at all, kept as the greeting it is


class Http(Protocol):
    """Reads whole answers and pieces of them; asks for the front page and the icon."""

    name = "http"
    tier = 2
    transport = Transport.TCP
    ports: ClassVar[tuple[int, ...]] = PORTS
    tls_ports: ClassVar[tuple[int, ...]] = TLS_PORTS
    channels: ClassVar[tuple[str, ...]] = ("http.response", "http.title", "http.body")
    order = 25

    def read(self, observation: Observation) -> Iterable[Field]:
        """`http.status` (`401 Unauthorized`), `http.headers` (names as sent, commas between), one `http.header.<name>`
        for each header, `http.title` (entities decoded), `http.body` (decoded text), `http.path` (what was asked, and
        the code) and the favicon hashes where an icon was asked for and came. Of a published title, its plain
        text; of a published page, its title.

        What is no HTTP at all but a short frame of bytes is a `tcp.banner`.
        """
        channel = observation.channel.lower()
        if channel == "http.body":
            title = pages.title(observation.value[:MAX_PAGE])
            return [("http.title", title)] if title else []
        if channel == "http.title":
            title = pages.plain(observation.value[:2048])
            return [("http.title", title)] if title and title != observation.value else []
        return list(_fields(observation))

    def mask(self, observation: Observation) -> Observation:
        """Without nonces, cookies and salts; their length and kind of characters stay."""
        return masking.answer(observation)

    def converse(self, stream: Stream) -> Conversation:
        """The front page, what it leads to on this host, and the icon of where that ends."""
        if not _may_be_web(stream) or _asked(stream, Place(stream.port, stream.tls, "/")):
            return
        place = Place(stream.port, stream.tls, "/")
        seen: set[Place] = set()
        message: messages.Message | None = None
        for _ in range(1 + MAX_STEPS):
            seen.add(place)
            answer: Answer = yield get(stream, place)
            following = _other_way(answer, place)
            if following is None:
                message = messages.parse(answer.data)
                following = pages.leads_to(message, stream.host, place)
            if following is None or following in seen or _asked(stream, following):
                break
            place, message = following, None
        if message is None or message.code != 200 or any(r.channel.startswith("http.favicon.") for r in stream.heard):
            return
        icon = pages.icon(message, stream.host, place)
        if icon is not None and icon not in seen:
            yield get(stream, icon)

    def complete(self, data: bytes, ask: Ask) -> bool:
        """By its own account: length, chunks, or a status without body; else the end of the connection tells."""
        return messages.complete(data)

    def services(self, device: Recording) -> Sequence[Service]:
        """Every port with something of HTTP or a certificate on it."""
        return served.services(device)

    def request_length(self, data: bytes) -> int:
        """Head and announced body."""
        return messages.request_length(data)

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """As recorded for this path, else composed of the recorded fields."""
        return served.answer(request, device, service)

    def refuse(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """Not found."""
        return served.refuse(request)

    def violation(self, request: bytes, service: Service) -> str | None:
        """Credentials, steps of a login, changes, and the paths of leaks and attacks; in ONVIF's messages too."""
        return forbidden.request(request)


def get(stream: Stream, place: Place) -> Ask:
    """The question for one page of the device."""
    host = replace(stream, port=place.port, tls=place.tls).url_host()
    payload = (
        f"GET {place.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {messages.USER_AGENT}\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    )
    here = (place.port, place.tls) == (stream.port, stream.tls)
    return Ask(
        channel="http.response",
        request=f"GET {place.path}",
        payload=payload.encode("ascii", "replace"),
        limit=MAX_PAGE,
        port=None if here else place.port,
        tls=None if here else place.tls,
    )


def web_ports(stream: Stream) -> set[int]:
    """The ports on which HTTP has been heard."""
    return {r.observation.port for r in stream.heard if r.channel == "http.status" and r.observation.port is not None}


def _may_be_web(stream: Stream) -> bool:
    """Whether a question may be put on this port: where a maker has a protocol of its own, only to a device that has
    said something elsewhere, and nothing that points to that maker.
    """
    maker = _NOT_WEB.get(stream.port)
    if maker is None:
        return True
    return maker not in stream.hints and any(r.observation.port not in {None, stream.port} for r in stream.heard)


def _asked(stream: Stream, place: Place) -> bool:
    """Whether this page has been heard already: another port led to it."""
    request = f"GET {place.path}"
    return any(
        r.observation.port == place.port and r.observation.request == request
        for r in stream.heard
        if r.channel == "http.response"
    )


def _other_way(answer: Answer, place: Place) -> Place | None:
    """The same page inside TLS, or without, where the answer shows that the port wants it so."""
    if place.path != "/":
        return None
    if place.tls and answer.error == "tls":
        return replace(place, tls=False)
    return replace(place, tls=True) if not place.tls and _WANTS_TLS.match(answer.data[:2048]) else None


def _fields(observation: Observation) -> Iterator[Field]:
    data = to_bytes(observation.value[: 4 + 2 * messages.MAX_DATA])
    message = messages.parse(data)
    if not message.status and not message.headers and len(data) <= _FRAME and messages.is_binary(data):
        yield "tcp.banner", from_bytes(data)
        return
    if message.status:
        yield "http.status", message.status
    if message.headers:
        yield "http.headers", ",".join(name for name, _value in message.headers)
        for name, value in message.headers:
            yield f"http.header.{name.lower()}", value.strip()
    asked = _REQUEST.match(observation.request or "")
    if asked:
        yield "http.path", f"{asked[2]} {message.status[:3]}".rstrip()
    body = messages.content(message)
    if not body:
        return
    icon = asked is not None and pages.is_icon(message, asked[2], body)
    if icon and not observation.truncated and message.code in {0, 200}:
        yield from pages.hashes(message, body)
    if icon or messages.is_binary(body):
        return
    page = messages.text(message, body)
    title = pages.title(page)
    if title:
        yield "http.title", title
    yield "http.body", page


PROTOCOL = Http()
