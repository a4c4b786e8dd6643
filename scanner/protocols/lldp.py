"""LLDP (IEEE 802.1AB), overheard only: what a switch, phone or camera announces about itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from scanner.model import Observation, Transport
from scanner.protocols.base import Field, Protocol
from scanner.protocols.fields import bounded, bytes_of, lines, packed_mac, stated_mac, text_of

_ETHERTYPE = b"\x88\xcc"
_TEXTS = {4: "lldp.portdescr", 5: "lldp.sysname", 6: "lldp.sysdescr"}
_MED = b"\x00\x12\xbb"  # TIA-1057; inventory subtypes below
_INVENTORY = {5: "hardware", 6: "firmware", 7: "software", 8: "serial", 9: "manufacturer", 10: "model"}
_NAMES = {
    "system name": "lldp.sysname", "sysname": "lldp.sysname", "systemname": "lldp.sysname",
    "system description": "lldp.sysdescr", "sysdescr": "lldp.sysdescr", "sysdesc": "lldp.sysdescr",
    "port description": "lldp.portdescr", "portdescr": "lldp.portdescr", "port desc": "lldp.portdescr",
    "manufacturer name": "lldp.med.manufacturer", "model name": "lldp.med.model", "serialnum": "lldp.med.serial",
    "chassis id": "mac", "chassisid": "mac",
}  # fmt: skip


class Lldp(Protocol):
    """Reads frames, with or without their Ethernet header."""

    name = "lldp"
    tier = 0
    transport = Transport.L2
    channels: ClassVar[tuple[str, ...]] = ("lldp.frame",)
    order = 71

    def read(self, observation: Observation) -> Iterable[Field]:
        """`lldp.sysname`, `lldp.sysdescr`, `lldp.portdescr`, `lldp.med.<inventory>`, and `mac` (chassis, sender)."""
        if observation.value.startswith("hex:"):
            return bounded(_frame(bytes_of(observation)))
        return bounded(_listing(text_of(observation)))


def _frame(data: bytes) -> Iterator[Field]:
    place = 0
    for offset in (12, 16):  # plain, and behind a VLAN tag
        if data[offset : offset + 2] == _ETHERTYPE:
            place = offset + 2
            mac = packed_mac(data[6:12])
            if mac:
                yield "mac", mac
            break
    while place + 2 <= len(data):
        head = int.from_bytes(data[place : place + 2], "big")
        kind, length = head >> 9, head & 0x1FF
        value = data[place + 2 : place + 2 + length]
        place += 2 + length
        if kind == 0 or len(value) < length:
            return
        if kind in _TEXTS:
            yield _TEXTS[kind], value.decode("utf-8", "replace")
        elif kind in {1, 2} and value[:1] == (b"\x04" if kind == 1 else b"\x03"):
            mac = packed_mac(value[1:])
            if mac:
                yield "mac", mac
        elif kind == 127 and value[:3] == _MED and value[3:4] and value[3] in _INVENTORY:
            yield f"lldp.med.{_INVENTORY[value[3]]}", value[4:].decode("utf-8", "replace")


def _listing(text: str) -> Iterator[Field]:
    for name, value in lines(text):
        channel = _NAMES.get(name.strip().lower())
        if channel == "mac":
            mac = stated_mac(value.removeprefix("mac ").strip())
            if mac:
                yield channel, mac
        elif channel:
            yield channel, value


PROTOCOL = Lldp()
