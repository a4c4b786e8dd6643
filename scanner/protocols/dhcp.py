"""DHCP (RFC 2131, 2132), overheard only: what a client says about itself when it asks for an address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from scanner.model import Observation, Transport
from scanner.protocols.base import Field, Protocol
from scanner.protocols.fields import bounded, bytes_of, lines, packed_mac, stated_mac, text_of

_COOKIE = b"\x63\x82\x53\x63"
_HEADER = 236  # bytes of BOOTP before the cookie
_HOSTNAME, _PARAMETERS, _VENDOR = 12, 55, 60
_NAMES = {
    "vendor class": "dhcp.vendor_class", "vendor class identifier": "dhcp.vendor_class",
    "vendor_class": "dhcp.vendor_class", "vendor-class": "dhcp.vendor_class", "vendor": "dhcp.vendor_class",
    "host name": "dhcp.hostname", "hostname": "dhcp.hostname", "host-name": "dhcp.hostname",
    "parameter request list": "dhcp.parameters", "parameter_request_list": "dhcp.parameters",
    "option 60": "dhcp.vendor_class", "60": "dhcp.vendor_class", "option 12": "dhcp.hostname", "12": "dhcp.hostname",
    "option 55": "dhcp.parameters", "55": "dhcp.parameters",
    "client mac address": "mac", "mac": "mac", "mac address": "mac", "chaddr": "mac",
}  # fmt: skip


class Dhcp(Protocol):
    """Reads what clients send; answers of servers say nothing about the client's maker."""

    name = "dhcp"
    tier = 0
    transport = Transport.UDP
    channels: ClassVar[tuple[str, ...]] = ("dhcp.packet",)
    order = 70

    def read(self, observation: Observation) -> Iterable[Field]:
        """`dhcp.vendor_class`, `dhcp.hostname`, `dhcp.parameters` (option 55, numbers in order sent) and `mac`."""
        if observation.value.startswith("hex:"):
            return bounded(_packet(bytes_of(observation)))
        return bounded(_listing(text_of(observation)))


def _packet(data: bytes) -> Iterator[Field]:
    """A packet from its BOOTP header on, or with the headers of the layers below before it."""
    start = data.find(_COOKIE, _HEADER) - _HEADER
    if start < 0 or data[start] != 1:
        return
    if data[start + 2] == 6:
        mac = packed_mac(data[start + 28 : start + 34])
        if mac:
            yield "mac", mac
    place = start + _HEADER + 4
    while place + 1 < len(data) and data[place] != 255:
        if data[place] == 0:
            place += 1
            continue
        code, value = data[place], data[place + 2 : place + 2 + data[place + 1]]
        place += 2 + data[place + 1]
        if code == _HOSTNAME:
            yield "dhcp.hostname", value.decode("utf-8", "replace")
        elif code == _VENDOR:
            yield "dhcp.vendor_class", value.decode("utf-8", "replace")
        elif code == _PARAMETERS:
            yield "dhcp.parameters", ",".join(str(byte) for byte in value)


def _listing(text: str) -> Iterator[Field]:
    for name, value in lines(text):
        channel = _NAMES.get(name.lower())
        if channel == "mac":
            mac = stated_mac(value)
            if mac:
                yield channel, mac
        elif channel:
            yield channel, value


PROTOCOL = Dhcp()
