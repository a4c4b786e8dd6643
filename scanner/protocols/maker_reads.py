"""One read that a maker's own devices answer to anybody, put only where something points to that maker.

The answer is a refusal more often than not; its realm and its form are what tells. Never a login, never what a maker
regards as a leak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from scanner.model import Transport
from scanner.protocols import messages
from scanner.protocols.base import Answer, Ask, Conversation, Protocol, Stream
from scanner.protocols.http import PORTS, TLS_PORTS, get
from scanner.protocols.pages import Place


@dataclass(frozen=True, slots=True)
class Read:
    """A question to devices of one maker."""

    path: str
    body: str = ""
    """JSON to post; empty: a GET."""
    then: str | None = None
    """A second path, for devices that answered the first one neither with a refusal nor with a description."""


READS: Mapping[str, Read] = {
    "hikvision": Read("/ISAPI/System/deviceInfo", then="/ISAPI/System/activateStatus"),
    "dahua": Read("/cgi-bin/magicBox.cgi?action=getDeviceType"),
    "uniview": Read("/LAPI/V1.0/System/DeviceBasicInfo"),
    "axis": Read(
        "/axis-cgi/basicdeviceinfo.cgi",
        '{"apiVersion":"1.0","context":"lanveto","method":"getAllUnrestrictedProperties"}',
    ),
    "hanwha": Read("/init-cgi/pw_init.cgi?msubmenu=statuscheck&action=view"),
}
"""Maker → the read; each is answered without credentials, or refused in the maker's own way."""


class MakerReads(Protocol):
    """Reads of single makers; answers are recorded and read as HTTP, and simulated by it."""

    name = "maker-reads"
    tier = 2
    transport = Transport.TCP
    ports: ClassVar[tuple[int, ...]] = PORTS
    tls_ports: ClassVar[tuple[int, ...]] = TLS_PORTS
    order = 40

    def converse(self, stream: Stream) -> Conversation:
        """One question for each suspected maker, on the first port where HTTP was heard, once for a device."""
        makers = sorted(stream.hints & READS.keys())
        if not makers or not _serves(stream):
            return
        asked = {r.observation.request for r in stream.heard if r.channel == "http.response"}
        for maker in makers:
            read = READS[maker]
            question = _ask(stream, read)
            if question.request in asked:
                continue
            answer: Answer = yield question
            code = messages.parse(answer.data).code
            if read.then is not None and code in {400, 403, 500, 503} and f"GET {read.then}" not in asked:
                yield get(stream, Place(stream.port, stream.tls, read.then))

    def complete(self, data: bytes, ask: Ask) -> bool:
        """As HTTP."""
        return messages.complete(data)


def _serves(stream: Stream) -> bool:
    """Whether this port answers with pages of its own: some only send everybody to another one."""
    codes = {r.value[:1] for r in stream.heard if r.channel == "http.status" and r.observation.port == stream.port}
    return bool(codes - {"3"})


def _ask(stream: Stream, read: Read) -> Ask:
    if not read.body:
        return get(stream, Place(stream.port, stream.tls, read.path))
    payload = (
        f"POST {read.path} HTTP/1.1\r\nHost: {stream.url_host()}\r\nUser-Agent: {messages.USER_AGENT}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(read.body)}\r\nConnection: close\r\n\r\n{read.body}"
    )
    return Ask(channel="http.response", request=f"POST {read.path}", payload=payload.encode("ascii", "replace"))


PROTOCOL = MakerReads()
