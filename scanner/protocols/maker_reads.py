"""One read that a maker's own devices answer to anybody, asked only after something pointed to that maker.

The answer is a refusal more often than not; its realm and its form are what tells. Never a login, never what a maker
regards as a leak.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from scanner.protocols import messages
from scanner.protocols.base import Ask, Conversation, Protocol, Stream
from scanner.protocols.http import PORTS, TLS_PORTS, USER_AGENT, get

READS: Mapping[str, Sequence[str]] = {
    "hikvision": ("/ISAPI/System/deviceInfo",),
    "dahua": ("/cgi-bin/magicBox.cgi?action=getDeviceType",),
    "uniview": ("/LAPI/V1.0/System/DeviceBasicInfo",),
    "hanwha": ("/init-cgi/pw_init.cgi?msubmenu=statuscheck&action=view",),
}
"""Maker → paths that answer without credentials, or refuse in the maker's own way."""
AXIS_PATH = "/axis-cgi/basicdeviceinfo.cgi"
AXIS_BODY = '{"apiVersion":"1.0","context":"lanveto","method":"getAllUnrestrictedProperties"}'


class MakerReads(Protocol):
    """Reads of one maker; answers are recorded and read as HTTP."""

    name = "maker-reads"
    ports: ClassVar[tuple[int, ...]] = PORTS
    tls_ports: ClassVar[tuple[int, ...]] = TLS_PORTS
    order = 40

    def converse(self, stream: Stream) -> Conversation:
        """One question per suspected maker on a port where HTTP was heard, unless it has been put already."""
        web = {r.observation.port for r in stream.heard if r.channel == "http.status"}
        if stream.port not in web:
            return
        asked = {r.value.split(" ")[0] for r in stream.heard if r.channel == "http.path"}
        for maker in sorted(stream.hints & {*READS, "axis"}):
            for path in READS.get(maker, (AXIS_PATH,)):
                if path in asked:
                    continue
                yield _axis(stream) if maker == "axis" else get(path, stream, limit=32_768)

    def complete(self, data: bytes, ask: Ask) -> bool:
        """As HTTP."""
        return messages.complete(data)


def _axis(stream: Stream) -> Ask:
    head = (
        f"POST {AXIS_PATH} HTTP/1.1\r\nHost: {stream.url_host()}\r\nUser-Agent: {USER_AGENT}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(AXIS_BODY)}\r\nConnection: close\r\n\r\n"
    )
    return Ask("http.response", f"POST {AXIS_PATH}", (head + AXIS_BODY).encode(), limit=32_768)


PROTOCOL = MakerReads()
