"""WS-Discovery (2005/04, SOAP over UDP 3702): the question every ONVIF device answers, and printers and Windows too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar
from urllib.parse import unquote

from scanner.model import Observation, Transport
from scanner.protocols.base import Field, Protocol
from scanner.protocols.fields import bounded, eui64_macs, leaves, lines, stated_mac, text_of

PORT = 3702
GROUP = "239.255.255.250"

_XMLNS = re.compile(r"""\sxmlns(?::([A-Za-z_][\w.-]{0,63}))?\s{0,8}=\s{0,8}(?:"([^"<>]{0,512})"|'([^'<>]{0,512})')""")
_QUESTION = re.compile(r"<(?:[\w.-]{1,64}:)?(?:probe|resolve)[\s/>]", re.I)
_SCOPE_MAC = re.compile(r"/mac(?:addr(?:ess)?)?/([0-9a-f:.\-]{12,17})(?=[\s/]|$)", re.I)
# The last group is the device's address only in identifiers that are built from it: version-1 identifiers of a clock
# that starts in 1970 (Hikvision's own), and Uniview's fixed head. Random identifiers would give random makers.
_EPR_MAC = re.compile(
    r"(?:[0-9a-f]{8}-[0-9a-f]{4}-11b[0-9a-f]-[89ab][0-9a-f]{3}|00010010-0001-1020-8000)-([0-9a-f]{12})(?![0-9a-f])",
    re.I,
)
_TAIL = re.compile(r"<(?:[\w.-]{1,64}:)?(types|scopes|xaddrs)(?:\s[^<>]{0,512})?>([^<]+)\Z", re.I)
_FIELDS = {"types": "onvif.types", "scopes": "onvif.scopes", "xaddrs": "onvif.xaddrs", "address": "wsdiscovery.epr"}


class WsDiscovery(Protocol):
    """Reads matches, announcements (`Hello`) and faults, whole or in pieces."""

    name = "wsdiscovery"
    tier = 1
    transport = Transport.UDP
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("wsdiscovery.response", "wsdiscovery.epr", "onvif.scopes", "onvif.xaddrs")
    order = 12

    def read(self, observation: Observation) -> Iterable[Field]:
        """`onvif.types`, `onvif.scopes`, `onvif.xaddrs`, `wsdiscovery.epr`, `soap.namespaces` and `mac` of every match.

        Of a single field (scopes, addresses, endpoint) only the `mac` it states.
        """
        channel = observation.channel.lower()
        text = text_of(observation)
        if channel == "wsdiscovery.response":
            return bounded(_fields(text))
        return bounded(("mac", mac) for mac in _macs(channel, text))


def scope_macs(scopes: str) -> Iterator[str]:
    """The MAC addresses that scopes state (`…/MAC/58:50:ed:11:22:33`, `…/macaddr/e4f14c776608`)."""
    for found in _SCOPE_MAC.findall(unquote(scopes[:16_384])):
        mac = stated_mac(found)
        if mac:
            yield mac


def epr_mac(endpoint: str) -> str | None:
    """The MAC address at the end of an endpoint identifier of a known fixed form, else None."""
    found = _EPR_MAC.search(endpoint[:512])
    return stated_mac(found[1]) if found else None


def namespaces(text: str) -> str:
    """All namespace declarations in document order, `prefix=uri` (`=uri` without a prefix), blank-separated."""
    seen: dict[str, None] = {}
    for prefix, double, single in _XMLNS.findall(text):
        seen[f"{prefix}={double or single}"] = None
        if len(seen) == 200:
            break
    return " ".join(seen)


def _macs(channel: str, value: str) -> Iterator[str]:
    if channel == "onvif.scopes":
        yield from scope_macs(value)
    elif channel == "onvif.xaddrs":
        yield from eui64_macs(value)
    elif channel == "wsdiscovery.epr":
        mac = epr_mac(value)
        if mac:
            yield mac


def _elements(text: str) -> Iterator[tuple[str, str]]:
    """All complete elements, and of a list that is cut off at the very end its complete items."""
    if "<" not in text:
        yield from lines(text)
        return
    yield from leaves(text)
    tail = _TAIL.search(text, max(0, text.rfind("<") - 1))
    if tail:
        yield tail[1], tail[2].rpartition(" ")[0]


def _fields(text: str) -> Iterator[Field]:
    if _QUESTION.search(text):
        return
    declared = namespaces(text)
    if declared:
        yield "soap.namespaces", declared
    fault: list[str] = []
    for name, value in _elements(text):
        channel = _FIELDS.get(name.lower())
        value = " ".join(value.split())
        if channel is None:
            if name.lower() in {"value", "text", "faultcode", "faultstring"}:
                fault.append(value)
            continue
        if channel == "wsdiscovery.epr" and "anonymous" in value.lower():
            continue  # the ReplyTo of the header
        yield channel, value
        for mac in _macs(channel, value):
            yield "mac", mac
    if fault and "fault" in text.lower():
        yield "onvif.fault", " ".join(fault)


PROTOCOL = WsDiscovery()
