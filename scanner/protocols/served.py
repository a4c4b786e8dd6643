"""A simulated device's web server: answers as recorded, else the smallest page that carries the recorded fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from scanner.model import Observation, Recording, Transport
from scanner.protocols import forbidden, messages
from scanner.protocols.base import Reply, Service, observed
from scanner.values import to_bytes

_TLS_PORTS = frozenset({443, 8443})
_CODE = re.compile(r"(?<!\S)([1-5]\d\d)(?!\S)")
_REASONS = {200: "OK", 302: "Found", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def services(device: Recording) -> Sequence[Service]:
    """The ports on which HTTP was heard or asked for in vain, and those that showed a certificate."""
    secure = {seen.port or 443 for seen in observed(device, "tls.*")}
    found = dict.fromkeys(secure, True)
    for seen in device.observations:
        if seen.channel.startswith("http."):
            port = seen.port or (443 if seen.tls else 80)
            found[port] = found.get(port, False) or seen.tls or port in _TLS_PORTS
    return tuple(Service(Transport.TCP, port, tls=tls) for port, tls in sorted(found.items()))


def answer(request: bytes, device: Recording, service: Service) -> Reply | None:
    """The answer to one request: as recorded, else composed; empty where silence was recorded, None for the unknown."""
    method, target, _message = messages.request(request)
    path = re.sub(r"(?i)^https?://[^/]*", "", target) or "/"
    asked = f"{method} {path}"
    heard = [o for o in device.observations if o.channel == "http.response" and o.port in {service.port, None}]
    if any(o.silent and o.request in {asked, None} for o in heard):
        return Reply(b"")
    raw = next((o for o in heard if _request_of(o) == asked), None)
    if raw is not None:
        return Reply(whole(to_bytes(raw.value)), close=True)
    page = _composed(device, service.port, path) if method == "GET" else None
    return Reply(page, close=True) if page is not None else None


def refuse(request: bytes) -> Reply | None:
    """What a web server says to a request that nobody on its port knows; None to what is no HTTP."""
    return Reply(NOT_FOUND, close=True) if messages.request(request)[0] else None


def whole(data: bytes, protocol: str = "HTTP/1.1") -> bytes:
    """A recorded answer, or a piece of one, as a client can read it: with a status line and an end of its head."""
    message = messages.parse(data)
    if message.status:
        return data if message.whole_head or message.body else data.rstrip(b"\r\n") + b"\r\n\r\n"
    if message.headers:
        code = 401 if message.header("www-authenticate") else 302 if message.header("location") else 200
        data = f"{protocol} {code} {_REASONS[code]}\r\n".encode() + data.lstrip()
        return data if message.whole_head else data.rstrip(b"\r\n") + b"\r\n\r\n"
    return f"{protocol} 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


def _request_of(seen: Observation) -> str | None:
    """What a recorded answer answers; without a label, the front page."""
    if seen.silent:
        return None
    words = (seen.request or "GET /").split()
    return f"{words[0].upper()} {words[1]}" if len(words) > 1 else "GET /"


def _values(device: Recording, channel: str, port: int) -> list[str]:
    return [seen.value for seen in observed(device, channel, port=port)]


def _composed(device: Recording, port: int, path: str) -> bytes | None:
    paths = _paths(device, port)
    if path != "/" and path not in paths:
        return None
    front = path == "/"
    headers = [(o.channel.removeprefix("http.header."), o.value) for o in observed(device, "http.header.*", port=port)]
    names = {name for name, _value in headers}
    code = paths.get(path, 0) or (401 if "www-authenticate" in names else 302 if "location" in names else 200)
    status = next(iter(_values(device, "http.status", port)), "") if front else ""
    said = bool(headers or status or any(o for o in observed(device, "http.body", "http.title", port=port)))
    if front and path not in paths and not said and not paths:
        return None
    if not front and code != 401:
        headers = [(name, value) for name, value in headers if name not in {"www-authenticate", "location"}]
    body = _page(device, port) if front else ""
    if code == 200 and not status:
        body += _refresh(path, paths)
    reason = _REASONS.get(code, "Status")
    head = [f"HTTP/1.1 {status or f'{code} {reason}'}"]
    head += [f"{name}: {value}" for name, value in _ordered(device, port, headers, len(body.encode()))]
    return ("\r\n".join(re.sub(r"[\r\n]+", " ", line) for line in head) + "\r\n\r\n" + body).encode()


def _ordered(device: Recording, port: int, headers: list[tuple[str, str]], length: int) -> Iterator[tuple[str, str]]:
    """The recorded headers, in the recorded order where there is one, and a length."""
    headers = [(name, value) for name, value in headers if name not in {"content-length", "transfer-encoding"}]
    order = next(iter(_values(device, "http.headers", port)), None)
    if order is None:
        yield from headers
        yield "content-length", str(length)
        return
    left = list(headers)
    for name in re.split(r"[\s,;|]+", order):
        if name.lower() == "content-length":
            yield name, str(length)
        elif name and name.lower() != "transfer-encoding":
            found = next((pair for pair in left if pair[0] == name.lower()), None)
            if found:
                left.remove(found)
            yield name, found[1] if found else ""
    yield from left


def _page(device: Recording, port: int) -> str:
    pieces = _values(device, "http.body", port)
    title = next(iter(_values(device, "http.title", port)), None)
    if title is not None and not any("<title" in piece.lower() for piece in pieces):
        pieces.append(f"<title>{escape(title, quote=False)}</title>")
    return "\n".join(pieces)


def _paths(device: Recording, port: int) -> dict[str, int]:
    """Recorded paths with their codes (0 where none was said); what did not answer is left out."""
    found: dict[str, int] = {}
    for value in _values(device, "http.path", port):
        path, _, rest = value.strip().partition(" ")
        code = _CODE.search(rest)
        if path.startswith("/") and (code or not rest.strip()):
            found.setdefault(path, int(code[1]) if code else 0)
    return found


def _refresh(path: str, paths: dict[str, int]) -> str:
    """How a page leads to the next recorded path: a scan sees no path that nothing leads to."""
    chain = ["/", *(p for p, code in paths.items() if p != "/" and code < 404 and forbidden.path(p) is None)]
    place = chain.index(path) + 1 if path in chain else len(chain)
    return f'\n<meta http-equiv="refresh" content="0;url={escape(chain[place])}">' if place < len(chain) else ""
