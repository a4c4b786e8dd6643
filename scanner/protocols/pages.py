"""What a page of a device leads to, on that device alone: redirects, refreshes, scripts that only redirect, icons."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import quote, urljoin, urlsplit

import mmh3

from scanner.protocols import forbidden
from scanner.protocols.base import Field
from scanner.protocols.messages import Message, content, content_length, text

MAX_PATH = 512
"""Characters of a path that is asked for."""
SMALL_PAGE = 8192
"""Characters of a page that may consist of a redirect; in a larger one, scripts mean something else."""

_TITLE = re.compile(r"<title\b[^>]{0,256}>([^<]{1,2048})", re.I)
_META = re.compile(r"<meta\b([^<>]{1,512})>?", re.I)
_REFRESH = re.compile(r"http-equiv\s{0,4}=\s{0,4}[\"']?\s{0,4}refresh\b", re.I)
_URL = re.compile(r"\burl\s{0,4}=\s{0,4}[\"']?([^\"'<>\s;]{1,512})", re.I)
_SCRIPT = re.compile(
    r"\blocation(?:\.href)?\s{0,8}(?:=|\.(?:replace|assign)\s{0,4}\()\s{0,8}([\"'])([^\"'<>\s]{1,512})\1\s{0,8}(\+?)",
    re.I,
)
_CLICKABLE = re.compile(r"<(?:a|area|form|input|button|select)\b|\bon(?!load\b|pageshow\b)[a-z]{3,20}\s{0,4}=", re.I)
_LINK = re.compile(r"<link\b([^<>]{1,1024})>?", re.I)
_REL_ICON = re.compile(r"\brel\s{0,4}=\s{0,4}[\"']?[\w -]{0,32}?\bicon\b", re.I)
_HREF = re.compile(r"\bhref\s{0,4}=\s{0,4}(?:[\"']([^\"'<>]{1,2048})[\"']|([^\"'<>\s]{1,512}))", re.I)
_ICON_NAME = re.compile(r"\.(?:ico|png|gif|jpe?g|svg|bmp|webp)(?:\?|$)", re.I)
# What devices call themselves by mistake.
_OWN_NAMES = frozenset({"", "0.0.0.0", "::", "localhost", "127.0.0.1"})  # noqa: S104


@dataclass(frozen=True, slots=True)
class Place:
    """One page of one device."""

    port: int
    tls: bool
    path: str


def title(page: str) -> str:
    """The title of a page on one line, entities decoded; empty where there is none."""
    found = _TITLE.search(page, 0, 65_536)
    return plain(found[1]) if found else ""


def plain(marked: str) -> str:
    """Text of HTML without entities, every kind of blank as one blank."""
    return " ".join(html.unescape(marked).split())


def leads_to(message: Message, host: str, here: Place) -> Place | None:
    """Where an answer leads on the same host: by `Location`, a refresh, or a small page whose script only redirects.

    None where it leads nowhere, to another host, to where it stands, or to what is never asked for.
    """
    if 300 <= message.code < 400:
        target = message.header("location")
        return resolve(target, host, here) if target else None
    if message.code not in {0, 200}:
        return None
    page = text(message, content(message))
    for attributes in _META.findall(page[:65_536]):
        if _REFRESH.search(attributes):
            found = _URL.search(html.unescape(attributes))
            if found:
                return resolve(found[1], host, here)
    # A script behind a button may be a logout or worse: only a page on which there is nothing to click is followed.
    if len(page) > SMALL_PAGE or _CLICKABLE.search(page):
        return None
    script = _SCRIPT.search(page)
    if script is None:
        return None
    target = script[2].partition("?")[0] if script[3] else script[2]  # what is added to it is a moment's number
    return resolve(target, host, here)


def resolve(target: str, host: str, here: Place) -> Place | None:
    """A link found at `here`; None where it names another host, is no web address, or is never asked for."""
    shown = f"[{_unscoped(host)}]" if ":" in host else host
    base = f"{'https' if here.tls else 'http'}://{shown}:{here.port}{here.path}"
    try:
        parts = urlsplit(urljoin(base, re.sub(r"[\t\r\n]", "", target.strip())))
        name, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or "@" in parts.netloc or not _same(name, host):
        return None
    tls = parts.scheme == "https"
    if port is None:
        port = 443 if tls else 80
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        path += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    place = Place(port, tls, path)
    if not 0 < port < 65_536 or not path.startswith("/") or len(path) > MAX_PATH or place == here:
        return None
    return None if forbidden.path(path) else place


def _unscoped(host: str) -> str:
    return host.partition("%")[0]


def _same(name: str, host: str) -> bool:
    if name in _OWN_NAMES:
        return True
    try:
        return ip_address(_unscoped(name)) == ip_address(_unscoped(host))
    except ValueError:
        return name.lower() == host.lower()


def icon(message: Message, host: str, here: Place) -> Place | None:
    """The icon of a page: the one it names where that is on the same port, else `/favicon.ico`.

    None where it carries its icon inside itself or has it elsewhere.
    """
    page = text(message, content(message))
    for attributes in _LINK.findall(page[:65_536]):
        if not _REL_ICON.search(attributes):
            continue
        href = _HREF.search(attributes)
        if href:
            place = resolve(html.unescape(href[1] or href[2]), host, here)
            return place if place and (place.port, place.tls) == (here.port, here.tls) else None
    return Place(here.port, here.tls, "/favicon.ico")


def is_icon(message: Message, path: str, body: bytes) -> bool:
    """Whether an answer to a request for `path` is an image and not the page that many servers send for everything."""
    if not _ICON_NAME.search(path) and not message.header("content-type").lower().startswith("image/"):
        return False
    start = body[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return not start.startswith(b"<") or b"<svg" in start


def hashes(message: Message, body: bytes) -> Iterator[Field]:
    """`http.favicon.mmh3` (signed MurmurHash3 of the base64 in lines of 76, as public lists have it) and
    `http.favicon.md5`; nothing for an icon that was cut off.
    """
    length = content_length(message)
    if length is not None and not message.header("content-encoding"):
        if length > len(body):
            return
        body = body[:length]
    if body:
        yield "http.favicon.mmh3", str(mmh3.hash(base64.encodebytes(body)))
        yield "http.favicon.md5", hashlib.md5(body, usedforsecurity=False).hexdigest()
