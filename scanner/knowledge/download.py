"""Fetches one file for an update that the user asked for: https only, bounded in bytes and in seconds.

Plain http is taken from this machine itself only (a mirror on a loopback address), where nobody on the way can change
the bytes. Redirects are held to the same rule.
"""

from __future__ import annotations

import datetime
import email.utils
import http.client
import ipaddress
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import IO
from urllib.parse import urlsplit

import scanner
from scanner.errors import InputProblem, UsageProblem
from scanner.values import one_line

TIMEOUT = 30.0
"""Seconds without a byte."""
WHOLE = 300.0
"""Seconds for one whole file."""
MAX_BYTES = 64 * 1024 * 1024
CHUNK = 64 * 1024
ELSEWHERE = "without a network, fetch the files elsewhere and name them with --from"


@dataclass(frozen=True, slots=True)
class Fetched:
    """One file, and the day its server says it is of."""

    url: str
    data: bytes
    modified: datetime.date | None


def is_url(text: str) -> bool:
    """Whether this names something on a server, not a file."""
    return "://" in text


def check(url: str) -> None:
    """Raises `UsageProblem` for an address that may not be fetched."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageProblem(f"{url}: is no address: {error}") from error
    if not host:
        raise UsageProblem(f"{url}: names no host")
    if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(host)):
        raise UsageProblem(f"{url}: only https is fetched (http from this machine itself, 127.0.0.1)")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to where the user could have pointed, and never from elsewhere to this machine."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        check(newurl)
        if _loopback(urlsplit(newurl).hostname or "") and not _loopback(req.host.rpartition(":")[0] or req.host):
            raise UsageProblem(f"{req.full_url}: leads to this machine itself ({newurl}); that is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, *, limit: int = MAX_BYTES, timeout: float = TIMEOUT, whole: float = WHOLE) -> Fetched:
    """The file at an https address. Raises `UsageProblem` (a bad address) and `InputProblem` (it cannot be had)."""
    check(url)
    handlers: list[urllib.request.BaseHandler] = [_Redirects()]
    if _loopback(urlsplit(url).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    opener = urllib.request.build_opener(*handlers)
    agent = f"lanveto/{scanner.__version__} (update of the registry)"
    try:
        request = urllib.request.Request(url, headers={"User-Agent": agent})  # noqa: S310 - the scheme is checked
        with opener.open(request, timeout=timeout) as answer:
            data = _body(answer, url, limit, time.monotonic() + whole)
            return Fetched(url, data, _day(answer.headers.get("Last-Modified")))
    except urllib.error.HTTPError as error:
        with error:
            raise InputProblem(
                f"{url}: the server answers {error.code} {one_line(str(error.reason), 80)}; {ELSEWHERE}"
            ) from error
    except urllib.error.URLError as error:
        raise InputProblem(f"{url}: cannot be fetched: {error.reason}; {ELSEWHERE}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise InputProblem(f"{url}: cannot be fetched: {error or type(error).__name__}; {ELSEWHERE}") from error


def _body(answer: http.client.HTTPResponse, url: str, limit: int, deadline: float) -> bytes:
    stated = answer.headers.get("Content-Length", "")
    body = bytearray()
    while chunk := answer.read1(CHUNK):
        body += chunk
        if len(body) > limit:
            raise InputProblem(f"{url}: is larger than {limit:,} bytes: that is no registry")
        if time.monotonic() > deadline:
            raise InputProblem(f"{url}: took too long; {ELSEWHERE}")
    if stated.isascii() and stated.isdigit() and len(body) != int(stated):
        raise InputProblem(f"{url}: is cut off: {len(body):,} of {int(stated):,} bytes came; try again")
    return bytes(body)


def _day(text: str | None) -> datetime.date | None:
    """The day of a `Last-Modified` header (RFC 9110, 8.8.2), or None."""
    try:
        return email.utils.parsedate_to_datetime(text).date() if text else None
    except (ValueError, TypeError, OverflowError):
        return None
