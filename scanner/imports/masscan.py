"""What masscan found: `-oJ` and `-oD` (JSON, one record a line) and `-oL` (list)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from scanner.imports.base import Head, Heard, Input
from scanner.imports.tables import moment, normal_address, told
from scanner.model import Observation

_LIST = re.compile(r"^(open|banner|closed) (tcp|udp|icmp|sctp) (\d{1,5}) (\S{2,45}) (\d{9,10})(?: (\S{1,32}) (.*))?$")
_CHANNELS = {
    "http.server": "http.header.server", "title": "http.title", "html.title": "http.title", "ssh": "ssh.banner",
    "ftp": "ftp.banner", "telnet": "telnet.banner",
    "smtp": "smtp.banner", "http": "http.response", "snmp": "snmp.sysdescr",
}  # fmt: skip
_X509 = re.compile(r"(?:^|, )subject:\s*\[?([^\]]{1,255}?)\]?(?=, issuer:|$)")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})", re.I)


class Masscan:
    """One record, one port or one banner."""

    name = "masscan"
    summary = "masscan -oJ, -oD and -oL"

    def score(self, head: Head) -> float:
        """The share of lines that are records of masscan."""
        lines = [line for line in head.lines() if line.strip() not in {"[", "]", "{finished: 1}"} and line[:1] != "#"]
        if not lines:
            return 0.0
        hits = sum(1 for line in lines if _LIST.match(line) or _is_record(_decoded(line)))
        return 0.95 * hits / len(lines)

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` for each record; closed ports say that somebody is there."""
        for number, line in source.lines():
            bare = line.strip().strip(",").strip()
            if bare in {"", "[", "]"} or bare[0] == "#" or bare.startswith("{finished") or '"finished"' in bare[:20]:
                continue
            listed = _LIST.match(bare)
            heard = list(_listed(listed)) if listed else list(_record(_decoded(line)))
            if not heard:
                source.skip(f"line {number}", line)
            yield from heard


def _decoded(line: str) -> dict[str, Any]:
    """One record; the list's own brackets and commas stand on lines of their own or around it."""
    bare = line.strip().removeprefix("[").removeprefix(",").strip().removesuffix(",")
    for text in (bare, bare.removesuffix("]").removesuffix(",")):
        try:
            found = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            continue
        if isinstance(found, dict):
            return found
    return {}


def _is_record(record: dict[str, Any]) -> bool:
    if normal_address(str(record.get("ip", ""))) is None:
        return False
    return isinstance(record.get("ports"), list) or "rec_type" in record


def _listed(found: re.Match[str]) -> Iterator[Heard]:
    address, at = normal_address(found[4]), moment(found[5])
    if address is None:
        return
    text = _ESCAPE.sub(lambda m: chr(int(m[1], 16)), found[7] or "")
    yield Heard(None, address, tuple(_said(found[1], found[2], int(found[3]), found[6] or "", text, at)), None, at)


def _record(record: dict[str, Any]) -> Iterator[Heard]:
    address = normal_address(str(record.get("ip", "")))
    if address is None:
        return
    at = moment(str(record.get("timestamp", "")))
    if "rec_type" in record:  # -oD
        data = record.get("data")
        data = data if isinstance(data, dict) else {}
        kind = "banner" if record["rec_type"] == "banner" else str(data.get("status", "open"))
        seen = _said(kind, str(record.get("proto", "tcp")), record.get("port"), str(data.get("service_name", "")),
                     str(data.get("banner", "")), at)  # fmt: skip
        yield Heard(None, address, tuple(seen), None, at)
        return
    found: list[Observation] = []
    entries = record.get("ports")
    for entry in entries[:1024] if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        service = entry.get("service")
        if isinstance(service, dict):
            found += _said("banner", str(entry.get("proto")), entry.get("port"), str(service.get("name", "")),
                           str(service.get("banner", "")), at)  # fmt: skip
        else:
            found += _said(str(entry.get("status", "open")), str(entry.get("proto")), entry.get("port"), "", "", at)
    yield Heard(None, address, tuple(found), None, at)


def _said(kind: str, transport: str, port: object, name: str, text: str, at: str | None) -> Iterator[Observation]:
    if not isinstance(port, int) or not 0 < port < 65_536 or (transport != "tcp" and kind != "banner"):
        return
    if kind == "open":
        yield told("tcp.open", str(port), at=at)
    elif kind == "banner" and text:
        name = name.lower()
        if name in {"x509", "ssl"}:
            subject = _X509.search(text)
            if subject:
                yield told("tls.subject", subject[1], port=port, at=at)
            return
        channel = _CHANNELS.get(name)
        if channel == "http.response" and not text.startswith("HTTP/"):
            channel = "http.body"
        if channel:
            yield told(channel, text[:65_536], port=port, at=at)


IMPORTER = Masscan()
