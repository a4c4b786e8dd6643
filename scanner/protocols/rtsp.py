"""RTSP: OPTIONS, then DESCRIBE of the root, on one connection; no path is guessed and nothing is played."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import msgspec

from scanner.model import Observation, Recording
from scanner.protocols import messages
from scanner.protocols.base import Answer, Ask, Conversation, Field, Protocol, Reply, Service, Stream, observed
from scanner.protocols.http import USER_AGENT, services, whole
from scanner.values import to_bytes

PORTS: tuple[int, ...] = (554, 8554, 10554, 5554, 7070)
METHODS = frozenset({"OPTIONS", "DESCRIBE"})

_REQUEST = re.compile(rb"^([A-Z_]{2,20}) (\S{1,500}) RTSP/", re.I)
_CSEQ = re.compile(rb"(?im)^(CSeq[ \t]{0,8}:[ \t]{0,8})\d{1,10}")
_ROOT = re.compile(rb"^(?:\*|rtsps?://[^/\s]{1,200}/?)$", re.I)
_NONCE = re.compile(r'(?i)\b((?:nonce|opaque)\s{0,4}=\s{0,4}")([^"]{0,400})')
_SESSION = re.compile(r"(?im)^(Session:[ \t]{0,40})([^\r\n;]{1,200})")


class Rtsp(Protocol):
    """Reads answers with and without a stream description."""

    name = "rtsp"
    ports: ClassVar[tuple[int, ...]] = PORTS
    channels: ClassVar[tuple[str, ...]] = ("rtsp.response",)
    order = 25

    def read(self, observation: Observation) -> Iterable[Field]:
        """`rtsp.status`, `rtsp.header.*`, `rtsp.sdp`."""
        return list(_fields(observation))

    def mask(self, observation: Observation) -> Observation:
        """Without nonces and session numbers; their form stays."""
        if observation.value.startswith("hex:"):
            return observation
        value = _NONCE.sub(lambda m: m[1] + _plain(m[2]), observation.value)
        value = _SESSION.sub(lambda m: m[1] + re.sub(r"\d", "0", m[2]), value)
        return observation if value == observation.value else msgspec.structs.replace(observation, value=value)

    def converse(self, stream: Stream) -> Conversation:
        """OPTIONS, then DESCRIBE where RTSP was answered."""
        url = f"rtsp://{'[' + stream.host + ']' if ':' in stream.host else stream.host}:{stream.port}/"
        answer: Answer = yield _ask("OPTIONS", url, 1)
        if not answer.data[:64].upper().startswith(b"RTSP/"):
            return
        yield _ask("DESCRIBE", url, 2)

    def complete(self, data: bytes, ask: Ask) -> bool:
        """By length; an answer without one has no body."""
        return messages.complete(data)

    def services(self, device: Recording) -> Sequence[Service]:
        """Every port with something of RTSP on it."""
        return services(device, "rtsp.", default=554)

    def request_length(self, data: bytes) -> int:
        """Head and announced body."""
        return messages.request_length(data)

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """As recorded for this method, else composed; CSeq is the request's."""
        found = _REQUEST.match(request)
        if found is None:
            return None
        method = found[1].decode().upper()
        raw = _recorded(device, service.port, method) or _composed(device, service.port, method)
        number = _CSEQ.search(request)
        cseq = re.sub(rb"\D", b"", number[0]) if number else b"1"
        if _CSEQ.search(raw):
            raw = _CSEQ.sub(lambda m: m[1] + cseq, raw, count=1)
        else:
            line, _, rest = raw.partition(b"\r\n")
            raw = line + b"\r\nCSeq: " + cseq + b"\r\n" + rest
        return Reply(raw)

    def violation(self, request: bytes, service: Service) -> str | None:
        """Credentials, playing, and any path but the root."""
        found = _REQUEST.match(request)
        if found is None:
            return None
        if re.search(rb"(?im)^authorization[ \t]{0,8}:", request):
            return "credentials"
        if found[1].decode().upper() not in METHODS:
            return f"the method {found[1].decode()}"
        return None if _ROOT.match(found[2]) else "a guessed path"


def _ask(method: str, url: str, number: int) -> Ask:
    accept = "Accept: application/sdp\r\n" if method == "DESCRIBE" else ""
    text = f"{method} {url} RTSP/1.0\r\nCSeq: {number}\r\nUser-Agent: {USER_AGENT}\r\n{accept}\r\n"
    return Ask("rtsp.response", method, text.encode(), limit=32_768, seconds=4.0)


def _fields(observation: Observation) -> Iterator[Field]:
    message = messages.parse(to_bytes(observation.value[:262_144]))
    if message.status is not None:
        yield "rtsp.status", f"{message.status} {message.reason}".strip()
    for name, value in message.headers:
        yield f"rtsp.header.{name.lower()}", value
    text = message.text
    if message.body and (text.lstrip().startswith("v=") or "\nm=" in text or "\ns=" in text or "a=" in text[:200]):
        yield "rtsp.sdp", text


def _plain(nonce: str) -> str:
    return re.sub(r"[0-9]", "0", re.sub(r"[b-f]", "a", re.sub(r"[B-F]", "A", nonce)))


def _recorded(device: Recording, port: int, method: str) -> bytes | None:
    raws = list(observed(device, "rtsp.response", port=port))
    for seen in raws:
        if (seen.request or "").upper() == method:
            return whole(to_bytes(seen.value))
    unlabelled = [seen for seen in raws if not seen.request]
    if not unlabelled:
        return None
    # Without a label the first answer is the first question's; a description belongs to DESCRIBE.
    described = [seen for seen in unlabelled if b"\nm=" in to_bytes(seen.value)]
    rest = [seen for seen in unlabelled if seen not in described]
    chosen = (described or rest[1:] or rest) if method == "DESCRIBE" else (rest or None)
    return whole(to_bytes(chosen[0].value)) if chosen else None


def _composed(device: Recording, port: int, method: str) -> bytes:
    headers = [(o.channel[12:], o.value) for o in observed(device, "rtsp.header.*", port=port)]
    sdp = next((o.value for o in observed(device, "rtsp.sdp", port=port)), None)
    asks = any(name == "www-authenticate" for name, _ in headers)
    body = sdp if sdp is not None and method == "DESCRIBE" and not asks else ""
    status = "401 Unauthorized" if asks else "200 OK"
    lines = [f"RTSP/1.0 {status}", *(f"{_spelled(n)}: {v}" for n, v in headers if n not in {"cseq", "content-length"})]
    if sdp is not None and asks and method == "DESCRIBE":
        body = sdp
    if body:
        lines += ["Content-Type: application/sdp", f"Content-Length: {len(body.encode())}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + (body or "")).encode()


def _spelled(name: str) -> str:
    return "WWW-Authenticate" if name == "www-authenticate" else name.title()


PROTOCOL = Rtsp()
