"""Messages in the form of HTTP/1.x and RTSP/1.0 (RFC 9112, RFC 2326), read the way broken devices write them.

Bare line feeds, missing status lines, folded and repeated headers, bytes of no known charset and pieces that somebody
published are all fine; nothing here raises, and every step is bounded by the size of its input.
"""

from __future__ import annotations

import codecs
import re
import zlib
from dataclasses import dataclass

from scanner import __version__

USER_AGENT = f"lanveto/{__version__} (+network inventory; contact your network administrator)"
"""What we call ourselves in every request."""
MAX_DATA = 1_048_576
"""Bytes of one message that are looked at."""
MAX_BODY = 262_144
"""Bytes of a body after all decoding."""

_MAX_HEAD = 32_768
_MAX_HEADERS = 128
_MAX_VALUE = 8192
_STATUS = re.compile(
    rb"[ \t\r\n]{0,16}(?:HTTP|RTSP)/\d{1,2}(?:\.\d{1,2})?[ \t]{1,8}(\d{3})(?:[ \t]{1,8}([^\r\n]{0,256}))?", re.I
)
_HEAD_END = re.compile(rb"\r{0,2}\n\r{0,2}\n")
_VERSION = re.compile(rb"[ \t][A-Za-z]{1,8}/\d")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_CHUNK = re.compile(rb"[ \t]{0,8}([0-9a-fA-F]{1,8})[ \t]{0,8}(?:;[^\r\n]{0,256})?\r{0,2}\n")
_CHARSET = re.compile(rb"charset\s{0,4}=\s{0,4}[\"']?([A-Za-z0-9_.:-]{1,32})", re.I)
_CHARSETS = {
    "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "big5": "big5", "euc-kr": "euc_kr",
    "ks_c_5601-1987": "euc_kr", "shift_jis": "shift_jis", "euc-jp": "euc_jp", "windows-1251": "cp1251",
    "koi8-r": "koi8_r", "windows-1252": "cp1252", "iso-8859-2": "iso8859_2", "windows-1250": "cp1250",
    "utf-16": "utf-16", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be",
}  # fmt: skip
# Headers by which a piece without status line is known as headers rather than as a page.
_TELLTALE = frozenset({
    "accept-ranges", "allow", "cache-control", "connection", "content-base", "content-encoding", "content-length",
    "content-type", "cseq", "date", "etag", "expires", "keep-alive", "last-modified", "location", "p3p", "pragma",
    "public", "server", "session", "set-cookie", "transfer-encoding", "user-agent", "vary", "www-authenticate",
    "x-content-type-options", "x-frame-options", "x-powered-by", "x-xss-protection",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """One answer, taken apart; what is missing is empty."""

    status: str
    """Code and reason as sent (`401 Unauthorized`), without the protocol; empty where there was no status line."""
    headers: tuple[tuple[str, str], ...]
    """Names as sent; values without the first blank and without trailing ones (a second blank tells makers apart)."""
    body: bytes
    """As sent: neither chunks nor compression undone."""
    whole_head: bool
    """The head ended with a blank line."""

    @property
    def code(self) -> int:
        """The status code, 0 where there is none."""
        return int(self.status[:3]) if self.status else 0

    def header(self, name: str) -> str:
        """The first header of this (lower-case) name without blanks around it, or the empty text."""
        return next((value.strip() for key, value in self.headers if key.lower() == name), "")


def parse(data: bytes) -> Message:
    """The message that `data` begins with, or whatever piece of one it is."""
    data = data[:MAX_DATA]
    found = _STATUS.match(data)
    if found is None:
        if not _only_headers(data):
            return Message("", (), data, whole_head=False)
        status, start = "", 0
    else:
        reason = _text(found[2] or b"").strip()
        status, start = f"{found[1].decode()} {reason}".strip(), found.end()
    end = _HEAD_END.search(data, start, start + _MAX_HEAD)
    head = data[start : end.start() if end else start + _MAX_HEAD]
    body = data[end.end() :] if end else b""
    lines = head.split(b"\n")
    headers: list[tuple[str, str]] = []
    for number, line in enumerate(lines):
        if line.lstrip()[:1] == b"<":  # the blank line before the page is missing
            body = b"\n".join(lines[number:]) + (data[end.start() :] if end else b"")
            break
        _add(headers, line)
    return Message(status, tuple(headers), body, whole_head=end is not None)


def _add(headers: list[tuple[str, str]], line: bytes) -> None:
    text = _text(line.rstrip())[:_MAX_VALUE]
    if text[:1] in {" ", "\t"} and headers:  # a folded header (RFC 9112, 5.2)
        name, value = headers[-1]
        headers[-1] = name, f"{value} {text.strip()}"[:_MAX_VALUE]
        return
    name, colon, value = text.partition(":")
    if colon and len(headers) < _MAX_HEADERS and _NAME.fullmatch(name.strip()):
        headers.append((name.strip(), value[1:] if value[:1] == " " else value.lstrip("\t")))


def _only_headers(data: bytes) -> bool:
    lines = [line.partition(b":") for line in data[:2048].lstrip().split(b"\n")[:4]]
    if not lines[0][1] or b" " in lines[0][0].strip():
        return False
    return any(colon and _text(name).strip().lower() in _TELLTALE for name, colon, _value in lines)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def complete(data: bytes, *, bare_head: bool = False) -> bool:
    """Whether `data` holds a whole final answer by its own account (RFC 9112, 6.3); False also where only the end of
    the connection would tell. `bare_head`: without a length there is no body (RTSP).
    """
    for _ in range(4):
        found = _STATUS.match(data)
        end = _HEAD_END.search(data, found.end(), found.end() + _MAX_HEAD) if found else None
        if found is None or end is None:
            return False
        code = int(found[1])
        if 100 <= code < 200 and code != 101:  # interim answers come before the final one
            data = data[end.end() :]
            continue
        message = parse(data[: end.end()])
        body = data[end.end() :]
        if code in {101, 204, 304}:
            return True
        if "chunked" in message.header("transfer-encoding").lower():
            return _unchunk(body)[1]
        length = content_length(message)
        return bare_head if length is None else len(body) >= length
    return False


def content_length(message: Message) -> int | None:
    """The stated length of the body, or None."""
    text = message.header("content-length")
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else None


def _unchunk(data: bytes) -> tuple[bytes, bool]:
    """The content of a chunked body (RFC 9112, 7.1) as far as it goes, and whether its end was seen."""
    out = bytearray()
    place = 0
    while len(out) <= MAX_DATA:
        found = _CHUNK.match(data, place)
        if found is None:  # cut off, or a plain body of a device that announced chunks
            return bytes(out) if place else data, False
        size = int(found[1], 16)
        if size == 0:
            return bytes(out), True
        out += data[found.end() : found.end() + size]
        place = found.end() + size
        if place > len(data):
            break
        if data[place : place + 2] == b"\r\n":
            place += 2
        elif data[place : place + 1] == b"\n":
            place += 1
    return bytes(out), False


def content(message: Message) -> bytes:
    """The body without chunks and compression, at most `MAX_BODY` bytes; a broken encoding is left as it is."""
    body = message.body
    if "chunked" in message.header("transfer-encoding").lower():
        body = _unchunk(body)[0]
    coding = message.header("content-encoding").lower()
    if "gzip" in coding or "deflate" in coding:
        body = _inflate(body)
    return body[:MAX_BODY]


def _inflate(data: bytes) -> bytes:
    for bits in (47, -15):  # gzip or zlib by their own heads, else bare deflate
        try:
            plain = zlib.decompressobj(bits).decompress(data, MAX_BODY)
        except zlib.error:
            continue
        if plain:
            return plain
    return data


def text(message: Message, body: bytes) -> str:
    """A body as text: UTF-8 where it is that, else the charset it names, else Latin-1."""
    decoder = codecs.getincrementaldecoder("utf-8")()  # a body may be cut off inside a character
    try:
        return decoder.decode(body)
    except UnicodeDecodeError:
        pass
    named = _CHARSET.search(message.header("content-type").encode("latin-1", "replace")) or _CHARSET.search(body[:2048])
    codec = _CHARSETS.get(named[1].decode().lower()) if named else None
    return body.decode(codec or "latin-1", "replace")


def is_binary(body: bytes) -> bool:
    """Whether a body is no text to read: an icon, a frame of some other protocol."""
    return b"\0" in body[:1024] and not body.startswith((b"\xff\xfe", b"\xfe\xff"))


def request(data: bytes) -> tuple[str, str, Message]:
    """(method, target, headers and body) of the request that `data` begins with; empty texts where it is none."""
    line, _, rest = data[:MAX_DATA].lstrip(b"\r\n").partition(b"\n")
    words = _text(line[:4096]).split()
    if len(words) < 2 or not words[0].isalpha():
        return "", "", Message("", (), data, whole_head=False)
    end = _HEAD_END.search(b"\n" + rest, 0, _MAX_HEAD)
    head = rest[: max(0, end.start() - 1)] if end else rest[:_MAX_HEAD]
    body = rest[end.end() - 1 :] if end else b""
    headers: list[tuple[str, str]] = []
    for piece in head.split(b"\n"):
        _add(headers, piece)
    return words[0].upper(), words[1], Message("", tuple(headers), body, whole_head=end is not None)


def _no_request(data: bytes) -> bool:
    """Whether the beginning of a message shows that it is none: another protocol's bytes, a line without a version."""
    line, whole, _ = data.lstrip(b"\r\n").partition(b"\n")
    return not _VERSION.search(line) if whole else bool(line) and not line[:1].isalpha()


def request_length(data: bytes) -> int:
    """Length of the first whole request in `data`, its stated body included; 0 while it is incomplete.

    What cannot be a request any more is one as long as it is.
    """
    end = _HEAD_END.search(data, 0, _MAX_HEAD)
    if end is None:
        return len(data) if len(data) >= _MAX_HEAD or _no_request(data) else 0
    _method, _target, message = request(data[: end.end()])
    length = end.end() + (content_length(message) or 0)
    return length if len(data) >= length else 0
