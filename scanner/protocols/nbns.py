"""NetBIOS node status (RFC 1002, 4.2.18; UDP 137): the names of a file service (recorders have one), and its MAC."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Alone, Field, Protocol, Question, Reply, Service, observed
from scanner.protocols.fields import bounded, bytes_of, packed_mac, recognised, stated_mac, text_of
from scanner.protocols.search import packed_mac as packed_mac_of

PORT = 137

_NODE_STATUS = bytes.fromhex("80f000100001000000000000" "20" "434b" + "41" * 30 + "00" "00210001")
"""The question of RFC 1002, 4.2.17, for every name ("*")."""
_ANSWER = bytes.fromhex("80f084000000000100000000") + _NODE_STATUS[12:46] + bytes.fromhex("0021000100000000")
"""An answer up to the length of its data."""
_LINE = re.compile(r"^\s{0,16}([^\s<>=:][^<>=:]{0,14}?)\s{0,16}<[0-9a-f]{2}>", re.I)
_MAC = re.compile(r"mac[ _]?(?:address)?\s{0,8}[=:]\s{0,8}([0-9a-f]{2}(?:[:-][0-9a-f]{2}){5})", re.I)


class Nbns(Protocol):
    """Asks single hosts last, reads node status answers, and answers as recorded."""

    name = "nbns"
    tier = 1
    transport = Transport.UDP
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("nbns.response",)
    order = 45

    def read(self, observation: Observation) -> Iterable[Field]:
        """`netbios.name` of every name, and `mac` unless it is all zeros (Samba)."""
        if observation.value.startswith("hex:"):
            return bounded(_status(bytes_of(observation)))
        return bounded(_listing(text_of(observation)))

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """Only to hosts whose maker is still open when all else was asked: there is no asking everybody."""
        return [Question("nbns.response", "node status", _NODE_STATUS, PORT, alone=Alone.LAST)]

    def recognise(self, data: bytes) -> str | None:
        """`nbns.response` for a node status answer."""
        return "nbns.response" if _answer(data) is not None else None

    def services(self, device: Recording) -> Sequence[Service]:
        """UDP 137, where anything of an answer was recorded."""
        spoken = next(observed(device, "nbns.response", "netbios.name"), None) is not None
        return (Service(Transport.UDP, PORT),) if spoken else ()

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """The recorded answer with the question's id, else one composed of the recorded names."""
        if len(request) < 50 or request[2] & 0x80:
            return None
        raw = next(iter(recognised(self, device, "nbns.response")), None)
        return Reply(request[:2] + (raw or self._composed(device))[2:])

    def _composed(self, device: Recording) -> bytes:
        said = [pair for seen in observed(device, "nbns.response") for pair in self.read(seen)]
        said += [("netbios.name", seen.value) for seen in observed(device, "netbios.name")]
        names = list(dict.fromkeys(value.encode()[:15] for channel, value in said if channel == "netbios.name"))[:32]
        mac = packed_mac_of(next((value for channel, value in said if channel == "mac"), device.mac))
        entries = b"".join(name.ljust(15) + b"\0\x04\0" for name in names)
        status = bytes((len(names),)) + entries + mac
        return _ANSWER + struct.pack("!H", len(status)) + status

    def violation(self, request: bytes, service: Service) -> str | None:
        """Everything but a node status request: names are registered and released on this port too."""
        if self.recognise(request) or (len(request) == len(_NODE_STATUS) and request[2:] == _NODE_STATUS[2:]):
            return None
        return f"NBNS: {request[:40]!r} is no node status request"


def _status(data: bytes) -> Iterator[Field]:
    place = _answer(data)
    if place is None or place >= len(data):
        return
    count, place = data[place], place + 1
    for _ in range(count):
        entry = data[place : place + 18]
        if len(entry) < 18:
            return
        yield "netbios.name", entry[:15].decode("latin-1")
        place += 18
    mac = packed_mac(data[place : place + 6])
    if mac:
        yield "mac", mac


def _answer(data: bytes) -> int | None:
    """Where the data of the status record begins, or None where there is no such record."""
    if len(data) < 13 or not data[2] & 0x80:
        return None
    place = 12
    while place < len(data) and data[place]:
        if data[place] & 0xC0:
            place += 1
            break
        place += data[place] + 1
    place += 1
    return place + 10 if data[place : place + 2] == b"\0\x21" else None


def _listing(text: str) -> Iterator[Field]:
    """The listing that nbtstat and nmblookup print, or just a name."""
    found = False
    for line in text.splitlines()[:200]:
        name = _LINE.match(line)
        if name:
            found = True
            yield "netbios.name", name[1]
        mac = _MAC.search(line[:256])
        normal = stated_mac(mac[1]) if mac else None
        if normal:
            found = True
            yield "mac", normal
    if not found and "\n" not in text.strip():
        yield "netbios.name", text[:64]


PROTOCOL = Nbns()
