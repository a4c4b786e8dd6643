"""SADP, Hikvision's search for devices: XML over UDP 37020, asked to a group and answered by every unit that carries
the firmware, whatever its label says; and the same search in bare Ethernet frames (0x8033), which also finds units
whose address is not of this network. As frames it needs root and never leaves the link.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from typing import ClassVar
from uuid import uuid4

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Alone, Field, Protocol, Question, Reply, Service, observed
from scanner.protocols.fields import (
    bounded,
    bytes_of,
    escape,
    loose,
    mask_xml,
    named,
    packed_mac,
    recorded,
    remask,
    stated_mac,
    text_of,
)

PORT = 37020
GROUP = "239.255.255.250"
INQUIRIES = ("inquiry", "inquiry_v32")
"""The only two types that may be sent: older firmware knows the first, newer firmware tells more to the second.
Everything else the protocol knows changes the device, resets it or starts a key exchange.
"""

ETHERTYPE = 0x8033
"""Registered to another company, so that the header below makes a frame one of SADP's, not this number."""
INQUIRY, INQUIRY_ANSWER, ONLINE = 3, 4, 2
"""Operations of frames; others change addresses, passwords and servers, and are never sent."""

_HEAD = 38  # bytes of a frame before its data
_TAIL = 360  # bytes of data with the extension of newer devices
_TEXTS = ((0, 48, "devicesn"), (64, 48, "softwareversion"), (112, 48, "dspversion"), (160, 48, "boottime"))
_NUMBERS = ((48, "devicetype"), (52, "commandport"), (56, "encodernumber"), (60, "disknumber"))
_TAIL_TEXTS = ((312, 24, "devicedescription"), (336, 24, "oeminfo"))
_ROOT = re.compile(r"<(probematch|hello|probe)[\s>]", re.I)
_TYPES = re.compile(r"<types>([^<]*)</types>", re.I)
_UUID = re.compile(r"(<uuid>)([^<]*)(</uuid>)", re.I)
_SECRET = frozenset({"salt"})
_MASKED = ("Salt", "Uuid")
_ELEMENTS = (
    "DeviceType", "DeviceDescription", "DeviceSN", "CommandPort", "HttpPort", "MAC", "IPv4Address", "IPv4SubnetMask",
    "IPv4Gateway", "IPv6Address", "IPv6Gateway", "IPv6MaskLen", "DHCP", "AnalogChannelNum", "DigitalChannelNum",
    "SoftwareVersion", "DSPVersion", "BootTime", "Encrypt", "ResetAbility", "DiskNumber", "Activated",
    "PasswordResetAbility", "OEMInfo", "OEMCode", "DetailOEMCode", "EZVIZCode", "DeviceLock", "SDKOverTLSPort",
)  # fmt: skip
_CASE = {name.lower(): name for name in _ELEMENTS}


class Sadp(Protocol):
    """Asks, reads answers (`ProbeMatch`) and announcements (`Hello`), and answers as a device would."""

    name = "sadp"
    tier = 1
    transport = Transport.UDP
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("sadp.response", "sadp.mac")
    order = 10

    def read(self, observation: Observation) -> Iterable[Field]:
        """`sadp.<element>` for every complete element, and `mac`; `sadp.truncated` where the root is not closed."""
        if observation.channel.lower() == "sadp.mac":
            mac = stated_mac(observation.value)
            return [("mac", mac)] if mac else []
        data = bytes_of(observation)
        return bounded(_frame_fields(data) if _operation(data) is not None else _fields(text_of(observation)))

    def mask(self, observation: Observation) -> Observation:
        """Without the salt of a login and the id of the search."""
        return remask(observation, lambda text: mask_xml(text, _MASKED))

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """Both inquiries under one id, and the frame. Older devices answer to the group, so its port is listened to as
        well. One host is asked the first alone: every firmware answers that; the second only where something points to
        this maker.
        """
        uuid = str(uuid4()).upper()
        asked = [
            Question(
                channel="sadp.response",
                request=kind,
                payload=(
                    f'<?xml version="1.0" encoding="utf-8"?><Probe><Uuid>{uuid}</Uuid><Types>{kind}</Types></Probe>'
                ).encode(),
                port=PORT,
                groups=(GROUP,),
                broadcast=True,
                alone=Alone.FIRST if kind == INQUIRIES[0] or "hikvision" in hints else Alone.AWAY,
                listen=(PORT,),
                join=(GROUP,),
            )
            for kind in INQUIRIES
        ]
        frame = Question(
            channel="sadp.response",
            request="inquiry",
            payload=inquiry("0.0.0.0", "00:00:00:00:00:00"),  # noqa: S104 - no address, not a bind
            ethertype=ETHERTYPE,
            signed=inquiry,
            alone=Alone.NEVER,
        )
        return [*asked, frame]

    def recognise(self, data: bytes) -> str | None:
        """`sadp.response` for a `ProbeMatch` or `Hello` outside SOAP, also behind a binary prefix or cut off; and
        for an answer in a frame.
        """
        if _operation(data) == INQUIRY_ANSWER:
            return "sadp.response"
        root = _root(data)
        return "sadp.response" if root in {"probematch", "hello"} else None

    def stated(self, data: bytes) -> str | None:
        """The IPv4 address in a frame's header; it may be empty."""
        return str(IPv4Address(data[20:24])) if _operation(data) is not None else None

    def services(self, device: Recording) -> Sequence[Service]:
        """UDP 37020 on the group, or frames, where the device said anything in the one or the other."""
        spoken = {seen.transport is Transport.L2 for seen in observed(device, "sadp.*")}
        datagrams = (Service(Transport.UDP, PORT, groups=(GROUP,)),) if False in spoken else ()
        return (*datagrams, Service(Transport.L2, ETHERTYPE)) if True in spoken else datagrams

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """The recorded answer to this type of inquiry with the asked id, else one composed of the recorded fields."""
        if service.transport is Transport.L2:
            return self._frame_answer(request, device)
        if _root(request) != "probe":
            return None
        text = request.decode("utf-8", "replace")
        types, uuid = _TYPES.search(text), _UUID.search(text)
        asked = types[1].strip() if types else ""
        if asked not in INQUIRIES or any(o.silent and o.request == asked for o in device.observations):
            return None
        identifier = re.sub(r"[^\w-]", "", uuid[2])[:64] if uuid else ""
        whole = [(o, o.request or _type_of(o)) for o in observed(device, "sadp.response") if _is_match(o)]
        for seen, kind in whole:
            if kind == asked or kind not in INQUIRIES:
                data = _UUID.sub(rf"\g<1>{identifier}\g<3>", bytes_of(seen).decode("latin-1"))
                return _reply(data.encode("latin-1"), device)
        if whole:
            return None  # a device that was heard to answer the other type only
        fields = recorded(device, self, "sadp.")
        return _reply(_compose(fields, asked, identifier), device) if fields else None

    def _frame_answer(self, request: bytes, device: Recording) -> Reply | None:
        if _operation(request) != INQUIRY:
            return None
        frames = (o for o in observed(device, "sadp.response") if o.transport is Transport.L2)
        whole = next((data for o in frames if _operation(data := bytes_of(o)) == INQUIRY_ANSWER), None)
        if whole is not None:
            return Reply(_at(whole, device))
        fields = recorded(device, self, "sadp.")
        return Reply(_compose_frame(fields, device)) if fields else None

    def violation(self, request: bytes, service: Service) -> str | None:
        """Everything but the two inquiries (answers of other devices to the group are none of ours)."""
        if self.recognise(request):
            return None
        if service.transport is Transport.L2:
            operation = _operation(request)
            return None if operation in {INQUIRY, ONLINE} else f"SADP: operation {operation} must never be sent"
        kinds = _TYPES.findall(request.decode("utf-8", "replace")) if _root(request) == "probe" else []
        if not kinds:
            return f"SADP: {request[:40]!r} is no inquiry"
        return next((f"SADP: type {k!r} must never be sent" for k in kinds if k.strip() not in INQUIRIES), None)


def inquiry(address: str, mac: str) -> bytes:
    """The question in a frame, behind its Ethernet header, as somebody with this address asks it."""
    return _sealed(_header(INQUIRY, 2, 28, address, mac) + bytes(28))


def _header(operation: int, kind: int, length: int, address: str, mac: str) -> bytes:
    own = bytes.fromhex(mac.replace(":", ""))
    head: bytes = struct.pack(
        "!4BI4BH6s4s6s8x", 0x21, kind, 1, _HEAD + length, 1, 6, 4, operation, 0, 0, own, IPv4Address(address).packed,
        b"\xff" * 6,
    )  # fmt: skip
    return head


def _sealed(frame: bytes) -> bytes:
    """With its checksum: the ones' complement sum of little-endian words over the stated length, stored big-endian."""
    counted = frame[: frame[3] // 2 * 2]
    total: int = sum(struct.unpack(f"<{len(counted) // 2}H", counted))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return frame[:12] + (~total & 0xFFFF).to_bytes(2, "big") + frame[14:]


def _operation(data: bytes) -> int | None:
    """The operation of a frame, or None for everything that is none."""
    whole = len(data) >= _HEAD and data[0] == 0x21 and data[1] in {1, 2} and data[8:10] == b"\x06\x04"
    return data[10] if whole else None


def _frame_fields(data: bytes) -> Iterator[Field]:
    """The fields of an answer, under the names that XML has for them; none of a question."""
    if data[10] != INQUIRY_ANSWER:
        return
    body = data[_HEAD:]
    mac = packed_mac(data[14:20])
    if mac:
        yield "sadp.mac", mac
        yield "mac", mac
    for name, place in (("ipv4address", 20), ("ipv4subnetmask", 34)):
        if any(data[place : place + 4]):
            yield f"sadp.{name}", str(IPv4Address(data[place : place + 4]))
    for start, name in _NUMBERS:
        if len(body) >= start + 4:
            yield f"sadp.{name}", str(int.from_bytes(body[start : start + 4], "big"))
    texts: Sequence[tuple[int, int, str]] = _TEXTS
    if len(body) >= _TAIL:
        texts = (*_TEXTS, *_TAIL_TEXTS)
        yield "sadp.ipv4gateway", str(IPv4Address(body[208:212]))
        yield "sadp.dhcp", "true" if body[246] else "false"
        yield "sadp.httpport", str(int.from_bytes(body[276:278], "big"))
        yield "sadp.digitalchannelnum", str(int.from_bytes(body[278:280], "big"))
        yield "sadp.oemcode", str(body[280])
    for start, length, name in texts:
        yield f"sadp.{name}", body[start : start + length].split(b"\0", 1)[0].decode("utf-8", "replace")


def _at(frame: bytes, device: Recording) -> bytes:
    """The recorded answer with the addresses that the device has now."""
    mac = stated_mac(device.mac or "") or frame[14:20].hex()
    own = IPv4Address(device.ip).packed if device.ip and "." in device.ip else frame[20:24]
    source: bytes = bytes.fromhex(mac.replace(":", "")) + own
    return _sealed(frame[:14] + source + frame[24:])


def _compose_frame(fields: Mapping[str, str], device: Recording) -> bytes:
    body = bytearray(_TAIL)
    for start, length, name in (*_TEXTS, *_TAIL_TEXTS):
        data = fields.get(name, "").encode()[: length - 1]
        body[start : start + len(data)] = data
    for start, name in _NUMBERS:
        struct.pack_into("!I", body, start, _number(fields.get(name)) & 0xFFFFFFFF)
    for start, name in ((276, "httpport"), (278, "digitalchannelnum")):
        struct.pack_into("!H", body, start, _number(fields.get(name)) & 0xFFFF)
    head = _header(INQUIRY_ANSWER, 1, 208, "0.0.0.0", "00:00:00:00:00:00")  # noqa: S104 - both are put in next
    return _at(head + bytes(body), device)


def _number(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"[0-9]{1,10}", text) else 0


def _root(data: bytes) -> str | None:
    """The root element in lower case, or None where it is none of SADP's or stands inside SOAP."""
    text = data[:4096].decode("latin-1")
    found = _ROOT.search(text)
    return found[1].lower() if found and "envelope" not in text[: found.start()].lower() else None


def _fields(text: str) -> Iterator[Field]:
    root = _ROOT.search(text)
    if root is not None:
        name = root[1].lower()
        if name == "probe":  # somebody's question, ours included
            return
        text = text[root.start() :]
        if f"</{name}" not in text.lower():
            yield "sadp.truncated", "true"
    for field, value in named("sadp", loose(text)):
        if field[5:] in _SECRET:
            continue
        yield field, value
        if field == "sadp.mac":
            mac = stated_mac(value)
            if mac:
                yield "mac", mac


def _is_match(seen: Observation) -> bool:
    return _root(bytes_of(seen)) == "probematch"


def _type_of(seen: Observation) -> str:
    found = _TYPES.search(text_of(seen))
    return found[1].strip() if found else ""


def _compose(fields: Mapping[str, str], asked: str, uuid: str) -> bytes:
    """The smallest answer that carries these fields."""
    body = "".join(
        f"\r\n<{_CASE.get(name, name)}>{escape(value)}</{_CASE.get(name, name)}>"
        for name, value in fields.items()
        if name not in {"uuid", "types", "truncated"} and re.fullmatch(r"[a-z_][\w.-]*", name)
    )
    head = f"<Uuid>{uuid}</Uuid>\r\n<Types>{asked}</Types>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\r\n<ProbeMatch>{head}{body}\r\n</ProbeMatch>\r\n'.encode()


def _reply(data: bytes, device: Recording) -> Reply:
    """To the sender; to the group where the device was heard to answer that way (older firmware always does)."""
    to_group = any(o.via == "multicast" for o in observed(device, "sadp.response"))
    return Reply(data, group=GROUP if to_group else None)


PROTOCOL = Sadp()
