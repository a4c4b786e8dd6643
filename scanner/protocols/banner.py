"""What a service says unasked, and datagrams of unknown kind: told apart by what they say, not by their port alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

import msgspec

from scanner.model import Observation, Transport
from scanner.protocols import protocols, reader
from scanner.protocols.base import Field, Protocol
from scanner.protocols.fields import bounded, bytes_of, text_of

_SSH = re.compile(r"^SSH-\d\.\d{1,2}-[^\r\n]{0,255}", re.M | re.I)
_REPLY = re.compile(r"\s{0,8}(?:220|421|554)[ -]")
_SMTP = re.compile(r"\be?smtp\b|\bmail\b", re.I)
_FTP = re.compile(r"ftp", re.I)
_PROMPT = re.compile(r"(?:login|username|user name|password|account)\s{0,4}:\s{0,16}$", re.I)
_HTTP = re.compile(r"\s{0,4}HTTP/1\.[01] \d{3}", re.I)
_RTSP = re.compile(r"\s{0,4}RTSP/1\.\d \d{3}", re.I)
_IAC = 255


class Banner(Protocol):
    """Reads greetings, and datagrams that nobody asked for by name."""

    name = "banner"
    tier = 2
    transport = Transport.TCP
    channels: ClassVar[tuple[str, ...]] = ("tcp.banner", "udp.payload", "discovery.*", "telnet.banner")
    order = 90

    def read(self, observation: Observation) -> Iterable[Field]:
        """`ssh.banner`, `ftp.banner`, `smtp.banner` or `telnet.banner` of a greeting; the fields of an answer whose
        protocol can be told from its bytes. Of a `telnet.banner` in bytes, its text.
        """
        channel = observation.channel.lower()
        if channel == "telnet.banner":
            return bounded([("telnet.banner", _telnet(observation))] if observation.value.startswith("hex:") else [])
        return bounded(_fields(observation, datagram=channel != "tcp.banner"))


def _fields(observation: Observation, *, datagram: bool) -> Iterator[Field]:
    text = text_of(observation)
    if datagram:
        yield from _recognised(observation)
        return
    for pattern, channel in ((_HTTP, "http.response"), (_RTSP, "rtsp.response")):
        if pattern.match(text):
            yield from _read_as(observation, channel)
            return
    kind = _kind(observation, text)
    if kind == "ssh":
        found = _SSH.search(text)
        yield "ssh.banner", found[0] if found else text
    elif kind == "telnet":
        yield "telnet.banner", _telnet(observation)
    elif kind:
        yield f"{kind}.banner", text


def _kind(observation: Observation, text: str) -> str | None:
    port = observation.port
    if _SSH.match(text) or (port == 22 and _SSH.search(text)):
        return "ssh"
    if _REPLY.match(text):
        if port == 21 or (_FTP.search(text[:512]) and port not in {25, 587}):
            return "ftp"
        return "smtp" if port in {25, 465, 587} or _SMTP.search(text[:512]) else None
    if port in {23, 2323} or bytes_of(observation)[:1] == bytes((_IAC,)) or _PROMPT.search(text[-64:]):
        return "telnet"
    return None


def _telnet(observation: Observation) -> str:
    """The text of a telnet greeting without its negotiation (RFC 854)."""
    data, out, place = bytes_of(observation), bytearray(), 0
    while place < len(data):
        byte = data[place]
        if byte != _IAC:
            out.append(byte)
            place += 1
            continue
        command = data[place + 1 : place + 2]
        if command == b"\xff":
            out.append(_IAC)
        if command == b"\xfa":  # sub-negotiation up to IAC SE
            end = data.find(b"\xff\xf0", place)
            place = len(data) if end < 0 else end + 2
        else:
            place += 3 if command and 251 <= command[0] <= 254 else 2
    return out.decode("utf-8", "replace")


def _recognised(observation: Observation) -> Iterator[Field]:
    data = bytes_of(observation)
    for protocol in protocols().values():
        channel = protocol.recognise(data)
        if channel is not None:
            yield from _read_as(observation, channel)
            return


def _read_as(observation: Observation, channel: str) -> Iterable[Field]:
    protocol = reader(channel)
    if protocol is None or isinstance(protocol, Banner):
        return ()
    return protocol.read(msgspec.structs.replace(observation, channel=channel))


PROTOCOL = Banner()
