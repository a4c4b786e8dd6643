"""What a service says unasked, and datagrams of unknown kind: told apart by what they say, not by their port alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import msgspec

from scanner.channels import transport as transport_of
from scanner.model import Observation, Recording, Transport
from scanner.protocols import protocols, reader
from scanner.protocols.base import Ask, Conversation, Field, Protocol, Service, Stream, observed
from scanner.protocols.fields import bounded, bytes_of, loose, stated_mac, text_of

_SSH = re.compile(r"^SSH-\d\.\d{1,2}-[^\r\n]{0,255}", re.M | re.I)
_REPLY = re.compile(r"\s{0,8}(?:220|421|554)[ -]")
_CODE = re.compile(r"\s{0,8}\d{3}[ -]")
_SMTP = re.compile(r"\be?smtp\b|\bmail\b", re.I)
_FTP = re.compile(r"ftp", re.I)
_PROMPT = re.compile(r"(?:login|username|user name|password|account)\s{0,4}:\s{0,16}$", re.I)
_HTTP = re.compile(r"\s{0,4}HTTP/1\.[01] \d{3}", re.I)
_RTSP = re.compile(r"\s{0,4}RTSP/1\.\d \d{3}", re.I)
_IAC = 255
_GREETINGS = {"ssh.banner": 22, "telnet.banner": 23, "ftp.banner": 21, "smtp.banner": 25}


_WHOLE = re.compile(rb"(?:[^\n]{0,255}\n){0,16}?(?:SSH-\d\.\d{1,2}-[^\n]{0,255}\n|(?:220|421|554) [^\n]{0,1024}\n)")


class Banner(Protocol):
    """Reads greetings, and datagrams that nobody asked for by name; says nothing itself."""

    name = "banner"
    tier = 2
    transport = Transport.TCP
    ports: ClassVar[tuple[int, ...]] = (22, 23, 21)
    channels: ClassVar[tuple[str, ...]] = ("tcp.banner", "udp.payload", "discovery.*", "telnet.banner", "ftp.banner")
    order = 90

    def read(self, observation: Observation) -> Iterable[Field]:
        """`ssh.banner`, `ftp.banner`, `smtp.banner` or `telnet.banner` of a greeting; the fields of an answer whose
        protocol can be told from its bytes. Of a `telnet.banner` in bytes, its text. Of an `ftp.banner` that was
        published without its reply code, the greeting as the server sends it (RFC 959, 4.2: 220).
        """
        channel = observation.channel.lower()
        if channel == "ftp.banner":
            text = text_of(observation)
            return bounded([] if _CODE.match(text) else [("ftp.banner", f"220 {text}")])
        if channel == "telnet.banner":
            return bounded([("telnet.banner", _telnet(observation))] if observation.value.startswith("hex:") else [])
        return bounded(_fields(observation, datagram=channel != "tcp.banner"))

    def mask(self, observation: Observation) -> Observation:
        """Masked as the protocol does that the bytes belong to."""
        channel = _datagram_channel(bytes_of(observation)) if observation.channel.lower() != "tcp.banner" else None
        owner = reader(channel) if channel else None
        if channel is None or owner is None:
            return observation
        inner = owner.mask(msgspec.structs.replace(observation, channel=channel))
        return msgspec.structs.replace(inner, channel=observation.channel)

    def converse(self, stream: Stream) -> Conversation:
        """Nothing is asked: the greeting is read."""
        yield Ask(channel="tcp.banner", request="greeting", payload=b"", limit=2048, seconds=4.0)

    def complete(self, data: bytes, ask: Ask) -> bool:
        """With the line of an SSH or FTP server, or the prompt of a terminal."""
        return _WHOLE.match(data[:8192]) is not None or _PROMPT.search(data[-64:].decode("latin-1")) is not None

    def violation(self, request: bytes, service: Service) -> str | None:
        """Whatever is said: a greeting is read and left alone."""
        return f"{request[:40]!r} was sent to a port whose greeting is only read"

    def services(self, device: Recording) -> Sequence[Service]:
        """The ports on which the device greets, without those where it was heard to speak another protocol."""
        taken = {seen.port for seen in device.observations if seen.port and not _greeting(seen) and _on_stream(seen)}
        ports = {port for port, _seen in _greetings(device)} - taken
        return [Service(Transport.TCP, port) for port in sorted(ports)]

    def greet(self, device: Recording, service: Service) -> bytes:
        """The recorded greeting of this port."""
        for port, seen in _greetings(device):
            if port == service.port:
                data = bytes_of(seen)
                line = seen.channel in {"ssh.banner", "ftp.banner", "smtp.banner"} and not data.endswith(b"\n")
                return data + b"\r\n" if line else data
        return b""


def _greeting(seen: Observation) -> bool:
    return seen.channel in _GREETINGS or seen.channel == "tcp.banner"


def _on_stream(seen: Observation) -> bool:
    return (seen.transport or transport_of(seen.channel)) is Transport.TCP and seen.channel not in {
        "tcp.open",
        "nmap.service",
    }


def _greetings(device: Recording) -> Iterator[tuple[int, Observation]]:
    for seen in observed(device, "tcp.banner", *_GREETINGS):
        port = seen.port or _GREETINGS.get(seen.channel)
        if port:
            yield port, seen


def _fields(observation: Observation, *, datagram: bool) -> Iterator[Field]:
    text = text_of(observation)
    if datagram:
        known = _datagram_channel(bytes_of(observation))
        yield from _read_as(observation, known) if known else _stated(text)
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


def _stated(text: str) -> Iterator[Field]:
    """Of a datagram nobody knows only the address it gives as the device's, where it says so in words."""
    for name, value in loose(text):
        if name.rsplit(".", 1)[-1].lower() in {"mac", "macaddress", "mac_address", "macaddr", "physaddress"}:
            mac = stated_mac(value)
            if mac:
                yield "mac", mac


def _datagram_channel(data: bytes) -> str | None:
    return next((channel for p in protocols().values() if (channel := p.recognise(data)) is not None), None)


def _read_as(observation: Observation, channel: str) -> Iterable[Field]:
    protocol = reader(channel)
    if protocol is None or isinstance(protocol, Banner):
        return ()
    return protocol.read(msgspec.structs.replace(observation, channel=channel))


PROTOCOL = Banner()
