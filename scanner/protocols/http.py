"""HTTP and HTTPS: one GET of the front page, at most two steps on the same host, and the icon.

Header order and spelling are kept: they tell firmwares apart. Nothing here logs in, and no redirect, script or link
leads to another host.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar
from urllib.parse import urljoin, urlsplit

import mmh3
import msgspec

import scanner
from scanner.model import Observation, Recording, Transport
from scanner.protocols import messages
from scanner.protocols.base import Answer, Ask, Conversation, Field, Protocol, Reply, Service, Stream, observed
from scanner.protocols.messages import Message
from scanner.values import to_bytes

USER_AGENT = f"lanveto/{scanner.__version__} (network inventory; ask your network administrator)"
"""Honest, and the same for every question."""
MAX_STEPS = 2
"""Redirects that are followed, all on the same host."""
MAX_PAGE = 262_144
MAX_ICON = 131_072

PORTS: tuple[int, ...] = (80, 8080, 81, 88, 8000, 5000, 8899, 2020, 9000, 8081, 90, 8088)
TLS_PORTS: tuple[int, ...] = (443, 8443)

_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,2000})", re.I)
_ICON = re.compile(r"<link\s[^>]{0,400}?rel\s{0,4}=\s{0,4}[\"']?(?:shortcut )?icon\b[^>]{0,400}>", re.I)
_HREF = re.compile(r"href\s{0,4}=\s{0,4}[\"']?([^\"'\s>]{1,300})", re.I)
_SCRIPT = re.compile(
    r"(?:window\.|document\.|top\.|self\.)?location(?:\.href)?\s{0,4}=\s{0,4}[\"']([^\"'\s]{1,200})[\"']", re.I
)
_REFRESH = re.compile(
    r"<meta\s[^>]{0,200}?http-equiv\s{0,4}=\s{0,4}[\"']?refresh[^>]{0,200}?url\s{0,4}=\s{0,4}[\"']?([^\"'\s>]{1,200})",
    re.I,
)
_REQUEST = re.compile(r"^(GET|POST|HEAD|OPTIONS) (\S{1,500})(?: (?:HTTP|RTSP)/[\d.]+)?", re.I)
_ICON_PATH = re.compile(r"\.(?:ico|png|gif|svg|jpe?g)(?:\?|$)", re.I)
_NONCE = re.compile(r'(?i)\b((?:c?nonce|opaque)\s{0,4}=\s{0,4}")([^"]{0,400})')
_COOKIE = re.compile(r"(?im)^(set-cookie[ \t]{0,8}:[ \t]{0,8}[^=\s;]{1,64}=)([^;\r\n]{0,1000})")
_FORBIDDEN = (
    (re.compile(rb"(?im)^(?:proxy-)?authorization[ \t]{0,8}:"), "credentials"),
    (re.compile(rb"(?i)^\S{1,8} \S{0,400}[?&]auth="), "an authentication bypass"),
    (re.compile(rb"(?i)^\S{1,8} \S{0,200}/System/configurationFile"), "a configuration dump"),
    (re.compile(rb"(?i)^\S{1,8} \S{0,200}/onvif-http/snapshot"), "a snapshot"),
    (re.compile(rb"(?i)^\S{1,8} \S{0,200}/SDK/webLanguage"), "an exploit path"),
    (re.compile(rb"(?i)^\S{1,8} \S{0,200}/(?:ISAPI/)?Security/(?:sessionLogin|userCheck)"), "a login step"),
    (re.compile(rb"(?i)RPC2(?:_Login)?\b|global\.login"), "a login step"),
    (
        re.compile(rb"(?i)^\S{1,8} \S{0,200}/(?:web_caps/webCapsConfig|current_config|mtd/|cgi-bin/audio\.cgi)"),
        "a leak",
    ),
    (re.compile(rb"(?i)^\S{1,8} \S{0,200}/cgi-bin/main-cgi"), "an exploit path"),
    (re.compile(rb"(?i)^(?:PUT|DELETE|PATCH) "), "a change"),
)


_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Http(Protocol):
    """Asks for the front page and the icon; reads every answer that looks like HTTP."""

    name = "http"
    ports: ClassVar[tuple[int, ...]] = PORTS
    tls_ports: ClassVar[tuple[int, ...]] = TLS_PORTS
    channels: ClassVar[tuple[str, ...]] = ("http.response",)
    order = 20

    def read(self, observation: Observation) -> Iterable[Field]:
        """`http.status`, `http.headers`, `http.header.*`, `http.title`, `http.body`, `http.path`, `http.favicon.*`."""
        return list(_fields(observation))

    def mask(self, observation: Observation) -> Observation:
        """Without nonces and cookie values; their length and kind of characters stay, for they are signals."""
        value = observation.value
        if value.startswith("hex:"):
            return observation
        masked = _COOKIE.sub(lambda m: m[1] + "0" * len(m[2]), _NONCE.sub(_mask_nonce, value))
        return observation if masked == value else msgspec.structs.replace(observation, value=masked)

    def converse(self, stream: Stream) -> Conversation:
        """The front page, what it leads to on this host, and the icon."""
        yield from _pages(stream)

    def complete(self, data: bytes, ask: Ask) -> bool:
        """By length, chunks or status; else the end of the connection tells."""
        return messages.complete(data)

    def services(self, device: Recording) -> Sequence[Service]:
        """Every port with something of HTTP on it."""
        return services(device, "http.", default=80)

    def request_length(self, data: bytes) -> int:
        """Head and announced body."""
        return messages.request_length(data)

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """As recorded for this path, else composed from recorded fields for the front page, else 404."""
        found = _REQUEST.match(request[:600].decode("latin-1"))
        if found is None:
            return Reply(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", close=True)
        method, path = found[1].upper(), found[2]
        recorded = _recorded(device, service.port, path, method="POST" if method == "POST" else "GET")
        if method == "POST":
            return Reply(recorded, close=True) if recorded else None
        return Reply(recorded or _composed(device, service.port, path), close=True)

    def refuse(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """What nobody here knows is not found."""
        return Reply(_NOT_FOUND, close=True) if _REQUEST.match(request[:600].decode("latin-1")) else None

    def violation(self, request: bytes, service: Service) -> str | None:
        """Credentials, login steps, changes, and the paths of exploits and leaks."""
        return next((what for pattern, what in _FORBIDDEN if pattern.search(request[:8192])), None)


def get(path: str, stream: Stream, *, port: int | None = None, tls: bool | None = None, limit: int = MAX_PAGE) -> Ask:
    """The question for one path, and only that."""
    real = Stream(stream.host, port or stream.port, stream.tls if tls is None else tls)
    head = (
        f"GET {path} HTTP/1.1\r\nHost: {real.url_host()}\r\nUser-Agent: {USER_AGENT}\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    )
    return Ask("http.response", f"GET {path}", head.encode("ascii", "replace"), limit=limit, port=port, tls=tls)


def _pages(stream: Stream) -> Conversation:
    place = (stream.port, stream.tls, "/")
    seen = {place}
    page: Message | None = None
    for _ in range(MAX_STEPS + 1):
        port, tls, path = place
        answer: Answer = yield get(path, stream, port=None if port == stream.port else port, tls=tls)
        if not answer.data:
            return
        message = messages.parse(answer.data)
        if message.status is None and not message.headers:
            return
        page = message
        target = next_step(message, stream.host, place)
        if target is None or target in seen:
            break
        seen.add(target)
        place = target
    if page is None:
        return
    port, tls, path = place
    icon = icon_path(page, stream.host, place)
    if icon is not None:
        yield get(icon, stream, port=None if port == stream.port else port, tls=tls, limit=MAX_ICON)


def next_step(message: Message, host: str, place: tuple[int, bool, str]) -> tuple[int, bool, str] | None:
    """Where an answer leads to on the same host: (port, TLS, path); None for nowhere or for another host."""
    target = message.header("location") if message.status in {301, 302, 303, 307, 308} else None
    if target is None and message.status == 200 and len(message.body) < 4096:
        text = message.text
        found = _REFRESH.search(text) or _SCRIPT.search(text)
        target = found[1] if found else None
    return resolve(target, host, place) if target else None


def resolve(target: str, host: str, place: tuple[int, bool, str]) -> tuple[int, bool, str] | None:
    """A link of a page at `place` as (port, TLS, path); None where it names another host or is no web address."""
    port, tls, path = place
    shown = f"[{host}]" if ":" in host else host
    base = f"{'https' if tls else 'http'}://{shown}:{port}{path}"
    try:
        parts = urlsplit(urljoin(base, target.strip()))
        named, there = parts.hostname or "", parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or named != host.lower():
        return None
    secure = parts.scheme == "https"
    wanted = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not re.fullmatch(r"[!-~]{1,400}", wanted) or any(p.search(f"GET {wanted}".encode()) for p, _ in _FORBIDDEN):
        return None
    return there or (443 if secure else 80), secure, wanted


def icon_path(page: Message, host: str, place: tuple[int, bool, str]) -> str | None:
    """The path of a page's icon on the same host and port; `/favicon.ico` where it names none."""
    link = _ICON.search(page.text[:65_536])
    href = _HREF.search(link[0]) if link else None
    if href is None:
        return "/favicon.ico"
    found = resolve(html.unescape(href[1]), host, place)
    return found[2] if found is not None and found[:2] == place[:2] else None


def favicon(data: bytes) -> Iterator[Field]:
    """Both hashes of an icon: MurmurHash3 of its MIME base64 (signed 32 bits) and MD5."""
    yield "http.favicon.mmh3", str(mmh3.hash(base64.encodebytes(data)))
    yield "http.favicon.md5", hashlib.md5(data, usedforsecurity=False).hexdigest()


def _fields(observation: Observation) -> Iterator[Field]:
    message = messages.parse(to_bytes(observation.value[: 4 + 2 * 1_048_576]))
    if message.status is not None:
        yield "http.status", str(message.status)
    if message.headers:
        yield "http.headers", ",".join(name for name, _ in message.headers)
    for name, value in message.headers:
        yield f"http.header.{name.lower()}", value
    asked = _REQUEST.match(observation.request or "")
    if asked and message.status is not None:
        yield "http.path", f"{asked[2]} {message.status}"
    if not message.body:
        return
    if asked and message.status == 200 and is_icon(asked[2], message):
        yield from favicon(message.body)
        return
    text = message.text
    title = _TITLE.search(text)
    if title:
        plain = " ".join(html.unescape(title[1]).split())
        if plain:
            yield "http.title", plain
    yield "http.body", text


def is_icon(path: str, message: Message) -> bool:
    """Whether an answer is an icon: asked as one, and neither a page nor an error text."""
    start = message.body[:64].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")) and b"svg" not in message.body[:512].lower():
        return False
    kind = (message.header("content-type") or "").lower()
    return bool(_ICON_PATH.search(path)) and "text/html" not in kind


def _mask_nonce(match: re.Match[str]) -> str:
    text = match[2]
    keep = 20 if text.startswith("b252aWYtZGlnZXN0") else 0  # base64 of "onvif-digest:": the form is the signal
    return match[1] + text[:keep] + re.sub(r"[0-9]", "0", re.sub(r"[b-f]", "a", re.sub(r"[B-F]", "A", text[keep:])))


def services(device: Recording, prefix: str, *, default: int) -> tuple[Service, ...]:
    """The TCP ports on which something with this channel prefix was seen."""
    found: dict[int, bool] = {}
    for seen in observed(device, prefix + "*"):
        port = seen.port or (443 if seen.tls else default)
        found[port] = found.get(port, False) or seen.tls
    tls = {o.port or 443 for o in observed(device, "tls.*")}
    return tuple(Service(Transport.TCP, port, tls=secure or port in tls) for port, secure in found.items())


def _recorded(device: Recording, port: int, path: str, *, method: str = "GET") -> bytes | None:
    raws = list(observed(device, "http.response", port=port))
    for seen in raws:
        asked = _REQUEST.match(seen.request or "GET /")
        if asked and asked[1].upper() == method and asked[2] == path:
            return whole(to_bytes(seen.value))
    return None


def whole(data: bytes) -> bytes:
    """A recorded answer as something a client can read: with a status line and an end of its headers."""
    if not re.match(rb"(?i)(?:HTTP|RTSP)/\d", data):
        data = b"HTTP/1.1 200 OK\r\n" + data
    return data if re.search(rb"\r?\n\r?\n", data) else data.rstrip(b"\r\n") + b"\r\n\r\n"


def _composed(device: Recording, port: int, path: str) -> bytes:
    headers = [(o.channel[12:], o.value) for o in observed(device, "http.header.*", port=port)]
    statuses = {}
    for seen in observed(device, "http.path", port=port):
        name, _, code = seen.value.partition(" ")
        statuses[name] = int(code[:3]) if code[:3].isdigit() else 200
    front = path == "/"
    if not front and path not in statuses:
        return _NOT_FOUND
    title = next((o.value for o in observed(device, "http.title", port=port)), None)
    bodies = [o.value for o in observed(device, "http.body", port=port)]
    names = {name.lower() for name, _ in headers}
    default = 401 if "www-authenticate" in names else 302 if "location" in names else 200
    status = statuses.get(path, default)
    # A fragment of a page that was asked for under another path belongs there, and is told only once.
    owner = next((p for p, code in statuses.items() if code == 200), "/") if bodies else "/"
    content = (f"<title>{title}</title>" if title and front else "") + (
        "\n".join(bodies) if path == owner or front else ""
    )
    lines = [f"HTTP/1.1 {status} {'OK' if status == 200 else 'Status'}"]
    lines += [f"{name}: {value}" for name, value in headers if name not in {"content-length", "connection"}]
    lines += [f"Content-Length: {len(content.encode())}", "Connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n" + content).encode()


PROTOCOL = Http()
