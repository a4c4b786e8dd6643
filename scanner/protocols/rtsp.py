"""RTSP 1.0 (RFC 2326): OPTIONS, then DESCRIBE of the root, on one connection; no path is guessed, nothing is played."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from scanner.model import Observation, Recording, Transport
from scanner.protocols import masking, messages
from scanner.protocols.base import Answer, Ask, Conversation, Field, Protocol, Reply, Service, Stream, observed
from scanner.protocols.served import whole
from scanner.values import to_bytes

PORTS: tuple[int, ...] = (554, 8554, 10554, 5554, 7070)
TLS_PORTS: tuple[int, ...] = (322,)
ROOTS = re.compile(r"\*|/|rtsps?://[^/\s@]{1,255}/?", re.I)
"""The only targets that are asked for."""

_METHODS = frozenset({"OPTIONS", "DESCRIBE"})
_SDP = re.compile(r"\s{0,16}v=\d|(?:.{0,256}\n)?(?:[osm]=\S|a=[a-z])", re.I)
_ASKED = re.compile(r"^\s{0,4}([A-Z_]{3,16})(?:\s{1,4}(?:rtsps?://[^/\s]{0,255})?(/\S{0,1023}))?", re.I)
_LINE = re.compile(rb"([A-Z_]{2,20}) {1,4}(\S{1,2048}) {1,4}RTSP/\d", re.I)
_CSEQ = re.compile(rb"(?im)^(CSeq[ \t]{0,8}:[ \t]{0,8})(\d{1,10})")
# Makers write several blanks after the colon of these; of all other headers only the text counts.
_TELLING_BLANKS = frozenset({"date", "session"})
_SPELLED = {"www-authenticate": "WWW-Authenticate", "cseq": "CSeq", "rtp-info": "RTP-Info"}


class Rtsp(Protocol):
    """Reads whole answers and pieces of them; asks what a device offers and whether it shows its stream."""

    name = "rtsp"
    tier = 2
    transport = Transport.TCP
    ports: ClassVar[tuple[int, ...]] = PORTS
    tls_ports: ClassVar[tuple[int, ...]] = TLS_PORTS
    channels: ClassVar[tuple[str, ...]] = ("rtsp.response",)
    order = 20

    def read(self, observation: Observation) -> Iterable[Field]:
        """`rtsp.status` (`401 Unauthorized`), one `rtsp.header.<name>` for each header (`Date` and `Session` with the
        blanks beyond the first: makers differ in them), `rtsp.sdp`, and `rtsp.path` with the code where a path other
        than the root was asked for.
        """
        return list(_fields(observation))

    def mask(self, observation: Observation) -> Observation:
        """Without nonces and session numbers; their length and kind of characters stay."""
        return masking.answer(observation)

    def converse(self, stream: Stream) -> Conversation:
        """OPTIONS; then DESCRIBE where that was answered without the realm that both would tell."""
        answer: Answer = yield _ask(stream, "OPTIONS", 1)
        message = messages.parse(answer.data)
        if answer.data[:5].upper() != b"RTSP/" or message.header("www-authenticate"):
            return
        yield _ask(stream, "DESCRIBE", 2)

    def complete(self, data: bytes, ask: Ask) -> bool:
        """Whether head and stated body are there; without a stated length there is no body."""
        return messages.complete(data, bare_head=True)

    def services(self, device: Recording) -> Sequence[Service]:
        """Every port with something of RTSP on it, answered or not."""
        found = {o.port or 554: o.tls for o in device.observations if o.channel.startswith("rtsp.")}
        return tuple(Service(Transport.TCP, port, tls=tls) for port, tls in sorted(found.items()))

    def request_length(self, data: bytes) -> int:
        """Head and announced body."""
        return messages.request_length(data)

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """As recorded for this method, else composed of the recorded fields; `CSeq` is the request's."""
        line = _LINE.match(request)
        if line is None:
            return None
        method, path = line[1].decode().upper(), re.sub(r"(?i)^rtsps?://[^/]*", "", line[2].decode("latin-1"))
        heard = [o for o in device.observations if o.channel == "rtsp.response" and o.port in {service.port, None}]
        if any(o.silent and o.request in {method, None} for o in heard):
            return Reply(b"")
        if path.rstrip("/*"):
            raw = b"RTSP/1.0 404 Not Found\r\n\r\n"
        else:
            raw = _recorded(heard, method) or _composed(device, service.port, method)
        number = _CSEQ.search(request)
        data = _numbered(raw, number[2] if number else b"1")
        return Reply(data, close=not messages.complete(data, bare_head=True))  # recordings may end early

    def violation(self, request: bytes, service: Service) -> str | None:
        """Credentials, every method but OPTIONS and DESCRIBE, and every path but the root."""
        line = _LINE.match(request)
        if line is None:
            return f"RTSP: {request[:40]!r} is no request"
        method, target, message = messages.request(request)
        if any(name.lower() in {"authorization", "proxy-authorization"} for name, _value in message.headers):
            return "RTSP: credentials"
        if method not in _METHODS:
            return f"RTSP: the method {method}"
        return None if ROOTS.fullmatch(target) else f"RTSP: the path of {target[:120]} is guessed"


def _ask(stream: Stream, method: str, number: int) -> Ask:
    host = stream.host.partition("%")[0]
    name = f"[{host}]" if ":" in host else host
    accept = "Accept: application/sdp\r\n" if method == "DESCRIBE" else ""
    payload = (
        f"{method} {'rtsps' if stream.tls else 'rtsp'}://{name}:{stream.port}/ RTSP/1.0\r\nCSeq: {number}\r\n"
        f"{accept}User-Agent: {messages.USER_AGENT}\r\n\r\n"
    )
    return Ask(channel="rtsp.response", request=method, payload=payload.encode("ascii", "replace"), limit=32_768)


def _fields(observation: Observation) -> Iterator[Field]:
    message = messages.parse(to_bytes(observation.value[: 4 + 2 * messages.MAX_DATA]))
    if message.status:
        yield "rtsp.status", message.status
    for name, value in message.headers:
        lower = name.lower()
        yield f"rtsp.header.{lower}", value.rstrip() if lower in _TELLING_BLANKS else value.strip()
    asked = _ASKED.match(observation.request or "")
    if asked and asked[2] and asked[2] != "/":
        yield "rtsp.path", f"{asked[2]} {message.status[:3]}".rstrip()
    body = message.body[: messages.MAX_BODY]
    if body and not messages.is_binary(body):
        described = messages.text(message, body)
        if "sdp" in message.header("content-type").lower() or _SDP.match(described):
            yield "rtsp.sdp", described


def _recorded(heard: Sequence[Observation], method: str) -> bytes | None:
    """The answer recorded for a method; of answers without a label the one that can only be its."""
    answers = [(o, messages.parse(to_bytes(o.value))) for o in heard if not o.silent]
    for seen, _message in answers:
        asked = _ASKED.match(seen.request or "")
        if asked and asked[1].upper() == method:
            return whole(to_bytes(seen.value), "RTSP/1.0")
    unlabelled = [(o, message) for o, message in answers if not o.request]
    listing = next((o for o, message in unlabelled if message.header("public")), None)
    others = [(o, message) for o, message in unlabelled if o is not listing]
    if listing is None and others and others[0][1].code != 200:
        listing = others[0][0]  # a device that refuses before it says anything
        others = others[1:] or others
    telling = [o for o, message in others if message.body or message.header("www-authenticate")]
    chosen = listing if method == "OPTIONS" else next(iter(telling), others[0][0] if others else None)
    return whole(to_bytes(chosen.value), "RTSP/1.0") if chosen is not None else None


def _composed(device: Recording, port: int, method: str) -> bytes:
    headers = [
        (o.channel.removeprefix("rtsp.header."), o.value)
        for o in observed(device, "rtsp.header.*", port=port)
        if o.channel not in {"rtsp.header.content-length", "rtsp.header.content-type"}
    ]
    status = next((o.value for o in observed(device, "rtsp.status", port=port)), "")
    refused = any(name == "www-authenticate" for name, _value in headers)
    body = next((o.value for o in observed(device, "rtsp.sdp", port=port)), "")
    if method == "OPTIONS" and body:  # a realm before the description would end the conversation
        headers = [pair for pair in headers if pair[0] != "www-authenticate"]
        body, refused = "", False
    told = bool(body) or method == "OPTIONS"
    first = status or ("401 Unauthorized" if refused and not body else "200 OK" if told else "404 Not Found")
    lines = [f"RTSP/1.0 {first}", "CSeq: 1", *(f"{_SPELLED.get(n, n.title())}: {v}" for n, v in headers if n != "cseq")]
    if body:
        lines += ["Content-Type: application/sdp", f"Content-Length: {len(body.encode())}"]
    return ("\r\n".join(re.sub(r"[\r\n]+", " ", line) for line in lines) + "\r\n\r\n" + body).encode()


def _numbered(raw: bytes, number: bytes) -> bytes:
    head, end, body = raw.partition(b"\r\n\r\n")
    return _CSEQ.sub(lambda m: m[1] + number, head, count=1) + end + body


PROTOCOL = Rtsp()
