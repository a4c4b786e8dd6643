"""Header-and-body messages as HTTP and RTSP write them, read tolerantly: bare line feeds, no status line, folded or
repeated headers, chunked and compressed bodies, and pieces that somebody published.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MAX_BODY = 262_144
"""Bytes of a body after decompression; more is cut off."""
MAX_HEADERS = 100
MAX_LINE = 4_096

_STATUS = re.compile(r"^(?:HTTP|RTSP|SIP)/\d(?:\.\d)?\s{1,4}(\d{3})(?:\s{1,4}(.*))?$", re.I)
_HEADER = re.compile(r"^([A-Za-z0-9!#$%&'*+.^_`|~-]{1,64})[ \t]{0,8}:[ \t]*(.*)$")
_LENGTH = re.compile(rb"(?im)^content-length[ \t]{0,8}:[ \t]{0,8}(\d{1,10})[ \t]{0,8}\r?$")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding[ \t]{0,8}:[^\r\n]{0,64}chunked")
_END = re.compile(rb"\r?\n\r?\n")
_CODE = re.compile(rb"^(?:HTTP|RTSP)/\d(?:\.\d)? {1,4}(\d{3})", re.I)


@dataclass(frozen=True, slots=True)
class Message:
    """One answer."""

    status: int | None
    reason: str
    headers: tuple[tuple[str, str], ...]
    """Names and values as sent, in order."""
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever the case of its name."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    @property
    def text(self) -> str:
        """The body as text: UTF-8, else Latin-1."""
        try:
            return self.body.decode("utf-8")
        except UnicodeDecodeError:
            return self.body.decode("latin-1")


def parse(data: bytes) -> Message:
    """The message in `data`, however incomplete; never raises."""
    head, body = _split(data)
    lines = head.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode("utf-8").splitlines()
    status, reason, start = None, "", 0
    if lines:
        found = _STATUS.match(lines[0][:MAX_LINE])
        if found:
            status, reason, start = int(found[1]), (found[2] or "").strip(), 1
    headers = tuple(_headers(lines[start:]))
    if status is None and not headers:
        return Message(None, "", (), data[:MAX_BODY])
    return Message(status, reason, headers, _decoded(body, headers))


def _split(data: bytes) -> tuple[bytes, bytes]:
    found = _END.search(data[:131_072])
    return (data[: found.start()], data[found.end() :]) if found else (data[:131_072], b"")


def _headers(lines: list[str]) -> Iterator[tuple[str, str]]:
    name, value = "", ""
    for count, line in enumerate(lines):
        if count > MAX_HEADERS:
            break
        if line[:1] in {" ", "\t"} and name:
            value = f"{value} {line.strip()}"[:MAX_LINE]
            continue
        if name:
            yield name, value
            name = ""
        found = _HEADER.match(line[:MAX_LINE])
        if found is None:
            continue
        name, value = found[1], found[2].strip()
    if name:
        yield name, value


def _decoded(body: bytes, headers: tuple[tuple[str, str], ...]) -> bytes:
    lowered = {key.lower(): value.lower() for key, value in headers}
    if "chunked" in lowered.get("transfer-encoding", ""):
        body = unchunk(body)
    if any(word in lowered.get("content-encoding", "") for word in ("gzip", "deflate")):
        body = inflate(body)
    return body[:MAX_BODY]


def unchunk(data: bytes) -> bytes:
    """The content of a chunked body; what is not chunked after all comes back as it is."""
    out, place = bytearray(), 0
    while place < len(data) and len(out) < MAX_BODY:
        end = data.find(b"\n", place, place + 128)
        if end < 0:
            break
        size = data[place:end].split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
            return bytes(out) if out else data
        length = int(size, 16)
        if length == 0:
            break
        out += data[end + 1 : end + 1 + length]
        place = end + 1 + length
        place += 2 if data[place : place + 2] == b"\r\n" else 1
    return bytes(out)


def inflate(data: bytes) -> bytes:
    """The decompressed body, cut at `MAX_BODY` (a bomb costs no more); what does not decompress, as it is."""
    for bits in (47, -15):  # gzip or zlib by its header, else raw deflate
        engine = zlib.decompressobj(bits)
        try:
            return engine.decompress(data, MAX_BODY)
        except zlib.error:
            continue
    return data


def complete(data: bytes) -> bool:
    """Whether `data` holds a whole answer, so that nobody waits for more."""
    found = _END.search(data)
    if found is None:
        return False
    head, body = data[: found.start()], data[found.end() :]
    code = _CODE.match(head)
    if code and (code[1] in {b"204", b"304"} or code[1].startswith(b"1")):
        return not code[1].startswith(b"1") or complete(body)
    length = _LENGTH.search(head)
    if length:
        return len(body) >= int(length[1])
    if _CHUNKED.search(head):
        return body.endswith((b"0\r\n\r\n", b"0\n\n")) or b"\r\n0\r\n" in body[-64:]
    return head[:4].upper() == b"RTSP"  # RTSP has no body without a length; HTTP's ends with the connection


def request_length(data: bytes) -> int:
    """Length of the first whole request in `data`, 0 while it is incomplete."""
    found = _END.search(data)
    if found is None:
        return 0
    length = _LENGTH.search(data[: found.start()])
    size = found.end() + (int(length[1]) if length else 0)
    return size if len(data) >= size else 0
