"""Multicast DNS and DNS-SD (RFC 6762, 6763; UDP 5353): which services a device offers, under which names."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Alone, Field, Protocol, Question, Reply, Service, observed
from scanner.protocols.fields import bounded, bytes_of, recognised, stated_mac, text_of
from scanner.protocols.search import packed_ip

if TYPE_CHECKING:
    import dns.name

PORT = 5353
GROUP, GROUP6 = "224.0.0.251", "ff02::fb"

SERVICES = ("_axis-video._tcp", "_psia._tcp", "_cgi._tcp", "_rtsp._tcp", "_workstation._tcp", "_http._tcp")
"""Service types whose instances tell makers, most telling first."""

_GROUPS = (GROUP, GROUP6)
_MAX_RECORDS = 200
_PTR, _TXT, _SRV, _A, _AAAA = 12, 16, 33, 1, 28
_ENUMERATION = "_services._dns-sd._udp."
_TXT_MAC = re.compile(r"^(?:macaddress|mac|mac_address)=([0-9a-f:.\-]{12,17})$", re.I)
_WORKSTATION = re.compile(r"\[([0-9a-f]{2}(?::[0-9a-f]{2}){5})\]\._workstation\._tcp", re.I)
_SERVICE = re.compile(r"(?<![\w-])_[\w-]{1,32}\._(?:tcp|udp)(?:\.local)?\.?", re.I)


class Mdns(Protocol):
    """Asks for services, reads answers and announcements, and answers as recorded."""

    name = "mdns"
    tier = 1
    transport = Transport.UDP
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("mdns.response", "mdns.txt", "mdns.name")
    order = 41

    def prepare(self) -> None:
        """Load the DNS library."""
        import dns.name
        import dns.rdata
        import dns.wire  # noqa: F401

    def read(self, observation: Observation) -> Iterable[Field]:
        """`mdns.service`, `mdns.name` (instances and hosts), `mdns.txt` (one `key=value` each), and a stated `mac`."""
        channel = observation.channel.lower()
        if channel != "mdns.response":
            return bounded(_macs([(channel, text_of(observation))], only_macs=True))
        if observation.value.startswith("hex:"):
            return bounded(_macs(_message(bytes_of(observation))))
        return bounded(_macs(_text(text_of(observation))))

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """Which services there are, and the telling ones by name: pointers only, answered to the port that asks
        (RFC 6762, 5.1); answers to the group are heard as well.
        """
        return [
            Question("mdns.response", request, payload, PORT, groups=_GROUPS, alone=alone, join=_GROUPS)
            for request, payload, alone in (
                ("PTR _services._dns-sd._udp", question("_services._dns-sd._udp"), Alone.NEVER),
                ("PTR of services", question("_services._dns-sd._udp", *SERVICES), Alone.AWAY),
            )
        ]

    def recognise(self, data: bytes) -> str | None:
        """`mdns.response` for a DNS answer with names that end in `local`; questions are none."""
        answer = len(data) > 12 and data[2] & 0xF8 == 0x80 and data[6:8] != b"\0\0"
        return "mdns.response" if answer and b"\x05local\0" in data else None

    def services(self, device: Recording) -> Sequence[Service]:
        """UDP 5353 on the group, where anything of an answer was recorded."""
        spoken = next(observed(device, "mdns.*"), None) is not None
        return (Service(Transport.UDP, PORT, groups=_GROUPS),) if spoken else ()

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """The recorded answers, the first with the question's id (RFC 6762, 6.7), whatever was asked for; else one
        composed of the recorded fields.
        """
        if len(request) < 17 or request[2] & 0x80:
            return None
        found = recognised(self, device, "mdns.response")
        found = found or _composed(device)
        return Reply(request[:2] + found[0][2:], more=tuple(found[1:8])) if found else None

    def violation(self, request: bytes, service: Service) -> str | None:
        """Everything but a question: updates change what others say (other devices' answers are none of ours)."""
        if len(request) < 12:
            return f"mDNS: {request[:40]!r} is no question"
        asks = not request[2] & 0x78 and request[4:6] != b"\0\0" and request[8:10] == b"\0\0"
        return None if request[2] & 0x80 or asks else "mDNS: only questions may be sent"


def question(*services: str) -> bytes:
    """One message that asks for the instances of these services, answers to be sent to the asker alone."""
    body = b"".join(
        b"".join(bytes((len(label),)) + label.encode() for label in (*service.split("."), "local"))
        + b"\0" + struct.pack("!HH", _PTR, 0x8001)
        for service in services
    )  # fmt: skip
    return struct.pack("!6H", 0, 0, len(services), 0, 0, 0) + body


def _composed(device: Recording) -> list[bytes]:
    """The smallest answer that carries the recorded fields, where they have the form of names in `local`."""
    said: dict[str, dict[str, None]] = {"mdns.service": {}, "mdns.name": {}, "mdns.txt": {}}
    for seen in observed(device, "mdns.*"):
        raw = seen.channel == "mdns.response"
        for channel, value in PROTOCOL.read(seen) if raw else [(seen.channel, text_of(seen))]:
            said.get(channel, {})[value] = None
    records = [_record_of(f"{_ENUMERATION}local.", _PTR, _packed(service)) for service in said["mdns.service"]]
    holder = next(iter([*said["mdns.name"], *said["mdns.service"]]), "device.local.")
    for name in said["mdns.name"]:
        instance = _SERVICE.search(name)
        if instance and instance.start():
            records.append(_record_of(instance[0], _PTR, _packed(name)))
        else:
            packed = packed_ip(device.ip)
            records.append(_record_of(name, _A if len(packed) == 4 else _AAAA, packed))
    strings = [text.encode()[:255] for text in said["mdns.txt"]]
    if strings:
        records.append(_record_of(holder, _TXT, b"".join(bytes((len(text),)) + text for text in strings)))
    whole = [record for record in records if record]
    answer = struct.pack("!6H", 0, 0x8400, 0, len(whole), 0, 0) + b"".join(whole)
    return [answer] if PROTOCOL.recognise(answer) else []


def _record_of(owner: str, kind: int, data: bytes) -> bytes:
    """One record; nothing where a name cannot be one."""
    name = _packed(owner)
    return name + struct.pack("!HHIH", kind, 1, 120, len(data)) + data if name and data else b""


def _packed(name: str) -> bytes:
    """A name on the wire, where dots before a service's type belong to the instance; nothing for an impossible one."""
    service = _SERVICE.search(name)
    first = [name[: service.start()].rstrip(".")] if service and service.start() else []
    rest = name[service.start() :] if service else name
    labels = [label.encode() for label in [*first, *rest.rstrip(".").split(".")]]
    if not all(0 < len(label) < 64 for label in labels):
        return b""
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _macs(fields: Iterable[Field], *, only_macs: bool = False) -> Iterator[Field]:
    for channel, value in fields:
        if not only_macs:
            yield channel, value
        found = None
        if channel == "mdns.txt":
            found = _TXT_MAC.match(value.strip()[:64])
        elif channel == "mdns.name":
            found = _WORKSTATION.search(value[:512])
        mac = stated_mac(found[1]) if found else None
        if mac:
            yield "mac", mac


def _message(data: bytes) -> list[Field]:
    """The fields of a DNS message; what stands before the first broken record where it is broken."""
    import dns.exception
    import dns.name
    import dns.rdata
    import dns.wire

    fields: list[Field] = []
    try:
        parser = dns.wire.Parser(data)
        _ident, flags, questions, *sections = parser.get_struct("!HHHHHH")
        if not flags & 0x8000:  # a question, perhaps our own
            return []
        for _ in range(min(questions, _MAX_RECORDS)):
            dns.name.from_wire_parser(parser)
            parser.get_struct("!HH")
        for _ in range(min(sum(sections), _MAX_RECORDS)):
            owner = _name(dns.name.from_wire_parser(parser))
            kind, class_, _ttl, length = parser.get_struct("!HHIH")
            if kind not in {_PTR, _TXT, _SRV, _A, _AAAA}:
                parser.get_bytes(length)
                continue
            with parser.restrict_to(length):
                # The top bit of the class is "flush your cache" here (RFC 6762, 10.2).
                rdata = dns.rdata.from_wire_parser(class_ & 0x7FFF, kind, parser)
            fields.extend(_record(owner, kind, rdata))
    except (dns.exception.DNSException, ValueError, IndexError, NotImplementedError):
        pass
    return fields


def _record(owner: str, kind: int, rdata: object) -> Iterator[Field]:
    if kind == _PTR:
        target = _name(rdata.target)  # type: ignore[attr-defined]
        if owner.lower().startswith(_ENUMERATION):
            yield "mdns.service", target
        elif owner.startswith("_"):
            yield "mdns.service", owner
            yield "mdns.name", target
    elif kind == _TXT:
        for string in rdata.strings:  # type: ignore[attr-defined]
            yield "mdns.txt", string.decode("utf-8", "replace")
    elif kind == _SRV:
        yield "mdns.name", owner
        yield "mdns.name", _name(rdata.target)  # type: ignore[attr-defined]
    else:
        yield "mdns.name", owner


def _name(name: dns.name.Name) -> str:
    return ".".join(label.decode("utf-8", "replace") for label in name.labels)


def _text(text: str) -> Iterator[Field]:
    """Pieces as people write them down: service types, `key=value`, instance names."""
    for line in text.splitlines():
        piece = line.strip()[:1024]
        service = _SERVICE.search(piece)
        if service:
            yield "mdns.service", service[0]
            if service.start():
                yield "mdns.name", piece
        elif "=" in piece:
            yield "mdns.txt", piece
        elif piece:
            yield "mdns.name", piece


PROTOCOL = Mdns()
