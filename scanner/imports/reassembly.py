"""Answers of servers out of TCP segments: only streams that begin like an answer somebody reads, and only so much.

A stream is followed from the segment that begins an answer (`HTTP/1.`, `RTSP/1.`, `SSH-`, `220`, a TLS hello); all
others cost one look into a table. Order is restored by sequence numbers, repetitions are dropped, and an answer is told
when it is complete by its own account, when the stream ends, or when it is as long as anybody reads.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.model import Observation
from scanner.protocols import messages, tls
from scanner.values import from_bytes

MAX_FLOWS = 4096
"""Streams that are followed at once; the oldest is told as far as it got."""
MAX_BYTES = 32 << 20
"""Bytes of all of them together."""
MAX_ANSWER = 131_072
"""Bytes of one answer, as much as a scan would read."""
MAX_GREETING = 2048
MAX_HANDSHAKE = 32_768
MAX_ANSWERS = 12
"""Answers of one server on one port that are told."""
MAX_HEADS = 2
"""Of pictures, films and programs only the heads, and of one server only so many."""
MAX_ASKED = 4096

_HTTP, _RTSP, _GREETING, _TLS, _REQUEST, _TELNET = range(6)
_METHODS = (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"DESC", b"SETU", b"PLAY")

STARTS: dict[bytes, int] = {
    b"HTTP": _HTTP, b"RTSP": _RTSP, b"SSH-": _GREETING, b"220 ": _GREETING, b"220-": _GREETING,
    **dict.fromkeys(_METHODS, _REQUEST),
    **{bytes((0x16, 3, minor, high)): _TLS for minor in range(4) for high in range(0x41)},
}  # fmt: skip
"""First four bytes of a segment → what kind of stream it may begin."""

_TCP = struct.Struct("!HHIIBBH")
_DULL = ("image/", "video/", "audio/", "font/", "application/octet-stream", "application/zip", "javascript", "text/css")

Mark = tuple[bytes, float | None]
"""MAC and time of the segment."""
Answered = tuple[bytes, list[Observation], Mark]
"""Server, what it said, and the mark of where it began."""


class Flow:
    """One direction of a stream, from the beginning of an answer on."""

    __slots__ = ("asked", "base", "early", "kind", "mark", "need", "parts", "port", "server", "size")

    def __init__(self, server: bytes, port: int) -> None:
        self.server = server
        self.port = port
        self.kind: int | None = None
        """None: a question was heard, the answer has not begun."""
        self.base = 0
        self.parts: dict[int, bytes] = {}
        self.size = 0
        self.need: int | None = None
        self.asked: list[str] = []
        self.early: list[tuple[int, bytes]] = []
        self.mark: Mark = (bytes(6), None)

    def data(self) -> bytes:
        """What is there without a gap, from the beginning."""
        out: list[bytes] = []
        place = 0
        for offset in sorted(self.parts):
            part = self.parts[offset]
            if offset > place:
                break
            if offset + len(part) > place:
                out.append(part[place - offset :])
                place = offset + len(part)
        return b"".join(out)


class Streams:
    """All streams that are followed."""

    def __init__(self) -> None:
        self.flows: dict[bytes, Flow] = {}
        """By source, target and their ports: what a server sends."""
        self._bytes = 0
        self._answers: dict[tuple[bytes, int, int], int] = {}
        self._done: dict[bytes, int] = {}
        """Stream → sequence number of the last answer that was told: its beginning may be sent again."""

    def segment(self, source: bytes, target: bytes, tcp: bytes, mark: Mark) -> Iterator[Answered]:
        """What one segment completes."""
        sport, dport, sequence, _ack, offset, flags, _window = _TCP.unpack_from(tcp)
        payload = tcp[(offset >> 4) * 4 :]
        key = source + target + tcp[:4]
        flow = self.flows.get(key)
        if payload:
            kind = STARTS.get(payload[:4])
            if kind == _REQUEST:
                self._request(target + source + tcp[2:4] + tcp[:2], target, dport, payload)
                return
            if kind == _TLS and (len(payload) < 6 or payload[5] != 2):
                kind = None
            if kind is None and flow is None and sport in {23, 2323}:
                kind = _TELNET
            if flow is None or flow.kind is None:
                if kind is None:
                    if flow is not None and len(flow.early) < 16:
                        flow.early.append((sequence, payload))  # it came before the beginning
                        self._bytes += len(payload)
                        yield from self._bounded()
                    return
                if self._done.get(key) == sequence or self._told_enough(source, sport, kind):
                    self._drop(key)
                    return
                flow = self._begin(key, flow, source, sport, kind, sequence, mark)
                for number, piece in flow.early:
                    self._bytes -= len(piece)
                    self._add(flow, number, piece)
                flow.early = []
            self._add(flow, sequence, payload)
        if flow is not None and flow.kind is not None:
            ended = bool(flags & 5)  # FIN, RST
            if ended or self._complete(flow):
                yield from self._tell(key, flow, ended=ended)
        elif flow is not None and flags & 5:
            self._drop(key)
        yield from self._bounded()

    def _bounded(self) -> Iterator[Answered]:
        """What is told before its end because there are too many streams, or too much of them."""
        if len(self.flows) > MAX_FLOWS or self._bytes > MAX_BYTES:
            oldest = next(iter(self.flows))
            yield from self._tell(oldest, self.flows[oldest], ended=False)

    def finish(self) -> Iterator[Answered]:
        """What is there of all streams when the capture ends."""
        for key, flow in list(self.flows.items()):
            yield from self._tell(key, flow, ended=False)

    def _request(self, key: bytes, server: bytes, port: int, payload: bytes) -> None:
        words = payload[:2048].split(b"\r\n", 1)[0].split(b" ")
        if len(words) < 3 or not words[2].startswith((b"HTTP/1", b"RTSP/1")):
            return
        flow = self.flows.get(key)
        if flow is None:
            if self._told_enough(server, port, _HTTP) and self._told_enough(server, port, _RTSP):
                return
            flow = self.flows[key] = Flow(server, port)
        if len(flow.asked) < 32:
            target = words[1][:512].decode("latin-1")
            rtsp = words[2].startswith(b"RTSP")
            flow.asked.append(words[0].decode("latin-1") if rtsp else f"{words[0].decode('latin-1')} {target}")

    def _begin(
        self, key: bytes, flow: Flow | None, server: bytes, port: int, kind: int, sequence: int, mark: Mark
    ) -> Flow:
        if flow is None:
            flow = self.flows[key] = Flow(server, port)
        flow.kind, flow.base, flow.mark = kind, sequence, mark
        return flow

    def _add(self, flow: Flow, sequence: int, payload: bytes) -> None:
        offset = (sequence - flow.base) & 0xFFFFFFFF
        limit = _LIMITS[flow.kind or 0]
        if offset >= limit or offset > 0x7FFFFFFF:  # before the beginning, or more than anybody reads
            if offset < 0x7FFFFFFF:
                flow.size = max(flow.size, limit)
            return
        known = flow.parts.get(offset)
        if known is not None and len(known) >= len(payload):
            return  # sent again
        flow.parts[offset] = payload
        added = len(payload) - (len(known) if known else 0)
        flow.size += added
        self._bytes += added

    def _complete(self, flow: Flow) -> bool:
        if flow.size >= _LIMITS[flow.kind or 0] or len(flow.parts) > 512:
            return True
        if flow.kind in {_GREETING, _TELNET}:
            return (flow.kind == _TELNET and flow.size > 64) or b"\n" in flow.parts.get(0, b"")
        data = flow.data()
        if flow.kind == _TLS:
            return certificate(data)[1]
        if flow.need is None:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return False
            message = messages.parse(data[: end + 4])
            if message.code in {100, 204, 304} or message.code == 0:
                return True
            if "chunked" in message.header("transfer-encoding").lower():
                flow.need = 0
            else:
                length = messages.content_length(message)
                if length is None:
                    return flow.kind == _RTSP
                flow.need = end + 4 + length
        if flow.need == 0:
            return data.endswith(b"0\r\n\r\n")
        return len(data) >= flow.need

    def _tell(self, key: bytes, flow: Flow, *, ended: bool) -> Iterator[Answered]:
        kind = flow.kind
        data = flow.data()[: _LIMITS[kind or 0]]
        asked = flow.asked[0] if flow.asked else None
        self._drop(key)
        if kind is None or not data:
            return
        if len(self._done) >= MAX_FLOWS:
            self._done.clear()
        self._done[key] = flow.base
        if not ended and len(flow.asked) > 1:
            rest = self.flows[key] = Flow(flow.server, flow.port)
            rest.asked = flow.asked[1:]
        seen = _observations(flow, kind, data, asked)
        if kind in {_HTTP, _RTSP} and seen and seen[0].truncated and flow.need and _is_dull(data):
            if not self._count(flow.server, flow.port, _REQUEST, MAX_HEADS):
                return
        elif not self._count(flow.server, flow.port, kind, MAX_ANSWERS):
            return
        if seen:
            yield flow.server, seen, flow.mark

    def _count(self, server: bytes, port: int, kind: int, most: int) -> bool:
        number = self._answers.get((server, port, kind), 0)
        if number == 0 and len(self._answers) > 262_144:
            self._answers.clear()
        self._answers[server, port, kind] = number + 1
        return number < most

    def _told_enough(self, server: bytes, port: int, kind: int) -> bool:
        return self._answers.get((server, port, kind), 0) >= MAX_ANSWERS

    def _drop(self, key: bytes) -> None:
        flow = self.flows.pop(key, None)
        if flow is not None:
            self._bytes -= sum(map(len, flow.parts.values())) + sum(len(piece) for _, piece in flow.early)


_LIMITS = {
    _HTTP: MAX_ANSWER, _RTSP: MAX_HANDSHAKE, _GREETING: MAX_GREETING, _TLS: MAX_HANDSHAKE, _TELNET: MAX_GREETING,
}  # fmt: skip


def _is_dull(data: bytes) -> bool:
    return any(word in messages.parse(data[:4096]).header("content-type").lower() for word in _DULL)


def _observations(flow: Flow, kind: int, data: bytes, asked: str | None) -> list[Observation]:
    if kind == _TLS:
        der, _done = certificate(data)
        fields = tls.certificate_fields(der) if der else [("tls.version", "1.3")] if is_tls13(data) else []
        return [Observation(channel=channel, value=value, port=flow.port) for channel, value in fields]
    if kind in {_GREETING, _TELNET}:
        if kind == _GREETING:
            data = data[: data.find(b"\n", 0) + 1] or data if data.startswith(b"SSH-") else data
        return [Observation(channel="tcp.banner", value=from_bytes(data), port=flow.port)]
    cut = flow.need is not None and flow.need > len(data)
    if flow.need and len(data) > flow.need:
        data = data[: flow.need]
    if kind == _HTTP and _is_dull(data) and not (asked and "favicon" in asked.lower()):
        end = data.find(b"\r\n\r\n")
        data, cut = data[: end + 4] if end >= 0 else data, True
    channel = "rtsp.response" if kind == _RTSP else "http.response"
    if asked is None and kind == _HTTP:
        asked = "GET ?"  # a page, but nobody heard which
    return [
        Observation(
            channel=channel, value=from_bytes(data), port=flow.port, request=asked if asked != "GET ?" else None,
            truncated=cut,
        )
    ]  # fmt: skip


def is_tls13(data: bytes) -> bool:
    """Whether a stream of a server begins with a ServerHello that chooses TLS 1.3 (RFC 8446, 4.1.3 and 4.2.1)."""
    hello = data[9 : 9 + int.from_bytes(data[6:9], "big")] if data[5:6] == b"\2" else b""
    place = 35 + (hello[34] if len(hello) > 34 else 0) + 3 + 2  # version, random, session, cipher, compression, length
    while place + 4 <= len(hello):
        kind, size = hello[place] << 8 | hello[place + 1], hello[place + 2] << 8 | hello[place + 3]
        if kind == 43:
            return hello[place + 4 : place + 4 + size] == b"\3\4"
        place += 4 + size
    return False


def certificate(data: bytes) -> tuple[bytes, bool]:
    """The server's own certificate in a TLS stream (RFC 5246, 7.4.2), and whether nothing more of use will come.

    TLS 1.3 encrypts it: then there is none.
    """
    handshake = bytearray()
    place = 0
    done = False
    while place + 5 <= len(data):
        kind, length = data[place], data[place + 3] << 8 | data[place + 4]
        if data[place + 1] != 3 or length > 0x4800:
            done = True
            break
        if kind != 22:
            done = True
            break
        handshake += data[place + 5 : place + 5 + length]
        place += 5 + length
    spot = 0
    while spot + 4 <= len(handshake):
        size = int.from_bytes(handshake[spot + 1 : spot + 4], "big")
        body = bytes(handshake[spot + 4 : spot + 4 + size])
        if handshake[spot] == 11:
            first = int.from_bytes(body[3:6], "big")
            der = body[6 : 6 + first]
            if len(der) == first and first:
                return der, True
            return b"", done or len(body) == size
        if len(body) < size:
            break
        if handshake[spot] == 14:
            return b"", True
        spot += 4 + size
    return b"", done
