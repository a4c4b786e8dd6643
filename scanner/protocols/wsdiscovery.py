"""WS-Discovery (2005/04, SOAP over UDP 3702): the question every ONVIF device answers, and printers and Windows too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar
from urllib.parse import unquote
from uuid import uuid4

from scanner.model import Observation, Recording, Transport
from scanner.protocols import soap
from scanner.protocols.base import Alone, Field, Protocol, Question, Reply, Service, observed
from scanner.protocols.fields import bounded, bytes_of, escape, eui64_macs, leaves, lines, stated_mac, text_of

PORT = 3702
GROUP, GROUP6 = "239.255.255.250", "ff02::c"

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"

_NAME = r"<(?:[\w.-]{1,64}:)?"
_QUESTION = re.compile(rf"{_NAME}(?:probe|resolve)[\s/>]", re.I)
_ANSWER = re.compile(rf"{_NAME}(?:(?:probe|resolve)match(?:es)?|hello|fault)[\s/>]", re.I)
_ENVELOPE = re.compile(rf"{_NAME}envelope[\s/>]", re.I)
_MESSAGE_ID = re.compile(rf"{_NAME}messageid(?:\s[^<>]{{0,512}})?>([^<]{{1,256}})<", re.I)
_RELATES_TO = re.compile(rf"({_NAME}relatesto(?:\s[^<>]{{0,512}})?>)[^<]*", re.I)
_ASKED_TYPES = re.compile(rf"{_NAME}types(?:\s[^<>]{{0,512}})?>([^<]{{0,1024}})<", re.I)
_HELLO = re.compile(r"<(/?)([\w.-]{1,64}:)?hello([\s>])", re.I)
_SCOPE_MAC = re.compile(r"/mac(?:addr(?:ess)?)?/([0-9a-f:.\-]{12,17})(?=[\s/]|$)", re.I)
# The last group is the device's address only in identifiers that are built from it: version-1 identifiers of a clock
# that starts in 1970 (Hikvision's own), and Uniview's fixed head. Random identifiers would give random makers.
_EPR_MAC = re.compile(
    r"(?:[0-9a-f]{8}-[0-9a-f]{4}-11b[0-9a-f]-[89ab][0-9a-f]{3}|00010010-0001-1020-8000)-([0-9a-f]{12})(?![0-9a-f])",
    re.I,
)
_TAIL = re.compile(rf"{_NAME}(types|scopes|xaddrs)(?:\s[^<>]{{0,512}})?>([^<]+)\Z", re.I)
_FIELDS = {"types": "onvif.types", "scopes": "onvif.scopes", "xaddrs": "onvif.xaddrs", "address": "wsdiscovery.epr"}

# Firmware is picky about the form of a probe, so there are four: typed, untyped (the widest net), DPWS (the one that
# is known to work by unicast) and the type of recorders that leave the first out.
_TYPED = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    f'<e:Envelope xmlns:e="{SOAP}" xmlns:w="{ADDRESSING}" xmlns:d="{DISCOVERY}" xmlns:dn="{{namespace}}">'
    "<e:Header><w:MessageID>uuid:{id}</w:MessageID>"
    '<w:To e:mustUnderstand="true">urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>'
    f'<w:Action e:mustUnderstand="true">{DISCOVERY}/Probe</w:Action></e:Header>'
    "<e:Body><d:Probe><d:Types>dn:{type}</d:Types></d:Probe></e:Body></e:Envelope>"
)
_UNTYPED = (
    f'<?xml version="1.0" ?><s:Envelope xmlns:s="{SOAP}"><s:Header xmlns:a="{ADDRESSING}">'
    f"<a:Action>{DISCOVERY}/Probe</a:Action><a:MessageID>urn:uuid:{{id}}</a:MessageID>"
    "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>"
    f'<s:Body><d:Probe xmlns:d="{DISCOVERY}"><d:Types /><d:Scopes /></d:Probe></s:Body></s:Envelope>'
)
_DPWS = (
    '<?xml version="1.0" encoding="utf-8"?>'
    f'<soap:Envelope xmlns:soap="{SOAP}" xmlns:wsa="{ADDRESSING}" xmlns:wsd="{DISCOVERY}" '
    'xmlns:wsdp="http://schemas.xmlsoap.org/ws/2006/02/devprof"><soap:Header>'
    "<wsa:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</wsa:To>"
    f"<wsa:Action>{DISCOVERY}/Probe</wsa:Action><wsa:MessageID>urn:uuid:{{id}}</wsa:MessageID></soap:Header>"
    "<soap:Body><wsd:Probe><wsd:Types>wsdp:Device</wsd:Types></wsd:Probe></soap:Body></soap:Envelope>"
)
_NETWORK_WSDL = "http://www.onvif.org/ver10/network/wsdl"
_DEVICE_WSDL = "http://www.onvif.org/ver10/device/wsdl"


class WsDiscovery(Protocol):
    """Asks, reads matches, announcements (`Hello`) and faults, whole or in pieces, and answers as a device would."""

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

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """Four probes, each with its own message id; the group hears three of them, a single host two, and three
        where the group could not be asked.
        """
        typed = _TYPED.replace("{namespace}", _NETWORK_WSDL).replace("{type}", "NetworkVideoTransmitter")
        device = _TYPED.replace("{namespace}", _DEVICE_WSDL).replace("{type}", "Device")
        return [
            _question("Probe dn:NetworkVideoTransmitter", typed),
            _question("Probe", _UNTYPED, alone=Alone.AWAY),
            _question("Probe tds:Device", device, alone=Alone.NEVER),
            _question("Probe wsdp:Device", _DPWS, multicast=False),
        ]

    def recognise(self, data: bytes) -> str | None:
        """`wsdiscovery.response` for a match, announcement or fault inside SOAP; probes are none."""
        text = data[:65_536].decode("latin-1")
        if not _ENVELOPE.search(text) or _QUESTION.search(text) or not _ANSWER.search(text):
            return None
        return "wsdiscovery.response"

    def services(self, device: Recording) -> Sequence[Service]:
        """UDP 3702 on the group, where the device said anything that a match carries."""
        if next(observed(device, *_SPOKEN), None) is None:
            return ()
        return (Service(Transport.UDP, PORT, groups=(GROUP, GROUP6)),)

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """The recorded answer to this form of probe, else the match composed of the recorded fields; None where the
        device is not of an asked type, or stayed silent to this form.
        """
        text = request[:65_536].decode("utf-8", "replace")
        if not re.search(rf"{_NAME}probe[\s/>]", text, re.I):
            return None
        asked = _ASKED_TYPES.search(text)
        types = _local_names(asked[1]) if asked else frozenset()
        fields = _recorded(device)
        own = _local_names(fields.get("onvif.types", "")) or frozenset({"networkvideotransmitter", "device"})
        if not types <= own or any(
            o.silent and o.channel == "wsdiscovery.response" and _local_names(o.request or "") - {"probe"} == types
            for o in device.observations
        ):
            return None
        message = _MESSAGE_ID.search(text)
        relates = escape(message[1].strip()) if message else ""
        raw = _raw(device, types)
        if raw is None:
            return Reply(_compose(fields, relates)) if fields else None
        if not _ENVELOPE.search(raw):
            raw = _wrapped(raw, relates)
        return Reply(_RELATES_TO.sub(lambda m: m[1] + relates, _as_match(raw)).encode("latin-1", "replace"))

    def violation(self, request: bytes, service: Service) -> str | None:
        """Everything but a probe without credentials (other devices' answers and announcements are none of ours)."""
        text = request[:65_536].decode("latin-1")
        if re.search(rf"{_NAME}(?:security|usernametoken)[\s/>]", text, re.I):
            return "WS-Discovery: credentials must never be sent"
        if self.recognise(request) or re.search(rf"{_NAME}bye[\s/>]", text, re.I):
            return None
        if _ENVELOPE.search(text) and _QUESTION.search(text):
            return None
        return f"WS-Discovery: {request[:40]!r} is no probe"


_SPOKEN = ("wsdiscovery.response", "wsdiscovery.epr", "onvif.scopes", "onvif.types", "onvif.xaddrs")


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


def _question(request: str, form: str, *, alone: Alone = Alone.FIRST, multicast: bool = True) -> Question:
    return Question(
        channel="wsdiscovery.response",
        request=request,
        payload=form.replace("{id}", str(uuid4())).encode(),
        port=PORT,
        groups=(GROUP, GROUP6) if multicast else (),
        alone=alone,
        listen=(PORT,),
        join=(GROUP, GROUP6),
    )


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
        scopes = " ".join(word for word in text.split() if word.lower().startswith("onvif://"))
        yield from ((name, value) for name, value in lines(text) if name.lower() != "scopes")
        if scopes:
            yield "scopes", scopes
        return
    yield from leaves(text)
    tail = _TAIL.search(text, max(0, text.rfind("<") - 1))
    if tail:
        yield tail[1], tail[2].rpartition(" ")[0]


def _fields(text: str) -> Iterator[Field]:
    if _QUESTION.search(text):
        return
    declared = soap.namespaces(text)
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


def _local_names(types: str) -> frozenset[str]:
    return frozenset(name.rsplit(":", 1)[-1].lower() for name in types.split())


def _recorded(device: Recording) -> dict[str, str]:
    """What a match carries, by channel, the first of each; raw pieces are read, single fields taken as they are."""
    fields: dict[str, str] = {}
    for seen in observed(device, *_SPOKEN, "soap.namespaces"):
        pairs = _fields(text_of(seen)) if seen.channel == "wsdiscovery.response" else [(seen.channel, seen.value)]
        for channel, value in pairs:
            if channel in _SPOKEN or channel == "soap.namespaces":
                fields.setdefault(channel, value)
    return fields


def _raw(device: Recording, types: frozenset[str]) -> str | None:
    """The recorded answer: the one to a probe for these types where that is known, else the first."""
    raws = [o for o in observed(device, "wsdiscovery.response") if _ANSWER.search(text_of(o))]
    exact = [o for o in raws if o.request and _local_names(o.request) - {"probe"} == types]
    best = next(iter(exact or raws), None)
    return bytes_of(best).decode("latin-1") if best is not None else None


def _as_match(text: str) -> str:
    """An announcement as the answer that carries the same fields; anything else as it is."""
    if not _HELLO.search(text):
        return text

    def match(found: re.Match[str]) -> str:
        close, prefix, end = found[1], found[2] or "", found[3]
        return f"</{prefix}ProbeMatch></{prefix}ProbeMatches{end}" if close else (
            f"<{prefix}ProbeMatches><{prefix}ProbeMatch{end}"
        )

    return re.sub(r"(?i)(/discovery)/hello(?=\s*<)", r"\1/ProbeMatches", _HELLO.sub(match, text))


def _wrapped(piece: str, relates: str, attributes: str = "") -> str:
    """A whole message around a match, or around pieces of one; it declares no prefix that the device did not."""
    match = piece if _ANSWER.search(piece) else f"<ProbeMatch>{piece}</ProbeMatch>"
    return (
        f'<?xml version="1.0" encoding="utf-8"?><Envelope xmlns="{SOAP}"{attributes}><Header>'
        f'<RelatesTo xmlns="{ADDRESSING}">{relates}</RelatesTo></Header>'
        f'<Body><ProbeMatches xmlns="{DISCOVERY}">{match}</ProbeMatches></Body></Envelope>'
    )


def _compose(fields: Mapping[str, str], relates: str) -> bytes:
    """The smallest answer that carries these fields, with the recorded namespaces where there are any."""
    declared = ""
    for item in fields.get("soap.namespaces", "").split():
        prefix, _, uri = item.partition("=")
        if prefix and re.fullmatch(r"[A-Za-z_][\w.-]*", prefix):
            declared += f' xmlns:{prefix}="{escape(uri)}"'
    epr = fields.get("wsdiscovery.epr")
    address = f"<EndpointReference><Address>{escape(epr)}</Address></EndpointReference>" if epr else ""
    body = "".join(
        f"<{name}>{escape(fields[channel])}</{name}>"
        for name, channel in (("Types", "onvif.types"), ("Scopes", "onvif.scopes"), ("XAddrs", "onvif.xaddrs"))
        if channel in fields
    )
    return _wrapped(address + body, relates, declared).encode()


PROTOCOL = WsDiscovery()
