"""SADP, Hikvision's search for devices: XML over UDP 37020, asked to a group and answered by every unit that carries
the firmware, whatever its label says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar
from uuid import uuid4

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Field, Protocol, Question, Reply, Service, observed
from scanner.protocols.fields import (
    bounded,
    bytes_of,
    escape,
    loose,
    mask_xml,
    named,
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
        return bounded(_fields(text_of(observation)))

    def mask(self, observation: Observation) -> Observation:
        """Without the salt of a login and the id of the search."""
        return remask(observation, lambda text: mask_xml(text, _MASKED))

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """Both inquiries under one id; older devices answer to the group, so its port is listened to as well."""
        uuid = str(uuid4()).upper()
        return [
            Question(
                channel="sadp.response",
                request=kind,
                payload=(
                    f'<?xml version="1.0" encoding="utf-8"?><Probe><Uuid>{uuid}</Uuid><Types>{kind}</Types></Probe>'
                ).encode(),
                port=PORT,
                groups=(GROUP,),
                broadcast=True,
                listen=(PORT,),
                join=(GROUP,),
            )
            for kind in INQUIRIES
        ]

    def recognise(self, data: bytes) -> str | None:
        """`sadp.response` for a `ProbeMatch` or `Hello` outside SOAP, also behind a binary prefix or cut off."""
        root = _root(data)
        return "sadp.response" if root in {"probematch", "hello"} else None

    def services(self, device: Recording) -> Sequence[Service]:
        """UDP 37020 on the group, where the device said anything in SADP."""
        if next(observed(device, "sadp.*"), None) is None:
            return ()
        return (Service(Transport.UDP, PORT, groups=(GROUP,)),)

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """The recorded answer to this type of inquiry with the asked id, else one composed of the recorded fields."""
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

    def violation(self, request: bytes, service: Service) -> str | None:
        """Everything but the two inquiries (answers of other devices to the group are none of ours)."""
        if self.recognise(request):
            return None
        kinds = _TYPES.findall(request.decode("utf-8", "replace")) if _root(request) == "probe" else []
        if not kinds:
            return f"SADP: {request[:40]!r} is no inquiry"
        return next((f"SADP: type {k!r} must never be sent" for k in kinds if k.strip() not in INQUIRIES), None)


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
