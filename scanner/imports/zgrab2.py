"""What zgrab2 heard: one JSON object a line, `{"ip": …, "data": {"http": {"result": …}}}`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from scanner.imports.base import Head, Heard, Input
from scanner.imports.tables import moment, normal_address, told
from scanner.model import Observation
from scanner.protocols import tls
from scanner.values import from_bytes

_PORTS = {"http": 80, "ssh": 22, "ftp": 21, "telnet": 23, "smtp": 25, "tls": 443}
_GREETINGS = {"ssh": "ssh.banner", "ftp": "ftp.banner", "telnet": "telnet.banner", "smtp": "smtp.banner"}


class Zgrab2:
    """The modules http, tls, ssh, ftp, telnet, smtp and banner; others are counted."""

    name = "zgrab2"
    summary = "zgrab2 JSON lines"

    def score(self, head: Head) -> float:
        """The share of lines that are results of zgrab2."""
        lines = head.lines(10)
        hits = sum(1 for line in lines if _result(line) is not None)
        if (
            not hits
            and len(lines) <= 1
            and '"data":{' in head.text[:512].replace(" ", "")
            and '"ip":' in head.text[:128]
        ):
            return 0.9  # the first line is longer than what is looked at
        return hits / len(lines) if lines else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` for each host."""
        for number, line in source.lines():
            if not line.strip():
                continue
            result = _result(line)
            address = normal_address(str(result.get("ip", ""))) if result else None
            if result is None or address is None:
                source.skip(f"line {number}", line)
                continue
            seen: list[Observation] = []
            at: str | None = None
            for module, grab in result["data"].items():
                if not isinstance(grab, dict):
                    continue
                at = moment(str(grab.get("timestamp", ""))[:25]) or at
                body = grab.get("result")
                if isinstance(body, dict):
                    seen += _heard(str(grab.get("protocol") or module), body, grab.get("port"), at)
            yield Heard(None, address, tuple(seen), None, at)


def _result(line: str) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("data"), dict) and "ip" in found else None


def _heard(protocol: str, body: Mapping[str, Any], port: object, at: str | None) -> Iterator[Observation]:
    number = port if isinstance(port, int) and 0 < port < 65_536 else _PORTS.get(protocol)
    handshake = _inner(body, "handshake_log") or _inner(body, "tls", "handshake_log")
    response = _inner(body, "response")
    if response:
        handshake = handshake or _inner(response, "request", "tls_log", "handshake_log")
        yield from _http(response, number, at, secure=bool(handshake))
    if handshake:
        raw = _inner(handshake, "server_certificates", "certificate").get("raw")
        try:
            der = base64.b64decode(raw, validate=True) if isinstance(raw, str) else b""
        except (binascii.Error, ValueError):
            der = b""
        for channel, value in tls.certificate_fields(der) if der else ():
            yield told(channel, value, port=number, at=at)
    channel = _GREETINGS.get(protocol, "tcp.banner")
    said = body.get("banner") or _inner(body, "server_id").get("raw")
    if isinstance(said, str) and said and (number is not None or channel != "tcp.banner"):
        yield told(channel, said[:4096], port=number, at=at)


def _http(response: Mapping[str, Any], port: int | None, at: str | None, *, secure: bool) -> Iterator[Observation]:
    """The answer written out again: zgrab2 keeps neither the order nor the spelling of headers."""
    line = str(response.get("status_line", ""))[:256]
    if not line:
        return
    head = [f"HTTP/1.1 {line}"]
    headers = response.get("headers")
    for name, values in headers.items() if isinstance(headers, dict) else ():
        if name == "unknown" and isinstance(values, list):
            pairs = [(v.get("key"), v.get("value")) for v in values if isinstance(v, dict)]
            head += [
                f"{key}: {value}" for key, several in pairs for value in (several if isinstance(several, list) else [])
            ]
        elif isinstance(values, list) and name not in {"content_length", "transfer_encoding", "content_encoding"}:
            head += [f"{name.replace('_', '-')}: {value}" for value in values if isinstance(value, str)]
    body = str(response.get("body", ""))[:131_072]
    path = _inner(response, "request", "url").get("path")
    text = "\r\n".join(piece.replace("\r", " ").replace("\n", " ") for piece in head[:128]) + "\r\n\r\n" + body
    yield Observation(
        channel="http.response", value=from_bytes(text.encode("utf-8", "replace")), port=port, at=at, tls=secure,
        request=f"GET {path if isinstance(path, str) and path.startswith('/') else '/'}",
    )  # fmt: skip


def _inner(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    found: Any = value
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


IMPORTER = Zgrab2()
