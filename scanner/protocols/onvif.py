"""ONVIF over HTTP: three read-only operations without credentials (ONVIF Core, device management service).

The answer's namespaces and faults are kept: they betray the firmware below the label even where nothing is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar
from urllib.parse import urlsplit

from scanner.model import Observation, Recording
from scanner.protocols import messages
from scanner.protocols.base import Answer, Ask, Conversation, Field, Protocol, Reply, Service, Stream, observed
from scanner.protocols.fields import bounded, escape, leaves, lines
from scanner.protocols.http import PROTOCOL as HTTP
from scanner.protocols.http import USER_AGENT, services, whole
from scanner.protocols.wsdiscovery import namespaces, scope_macs
from scanner.values import to_bytes

PATH = "/onvif/device_service"
PORTS: tuple[int, ...] = (80, 8080, 8899, 2020, 8000, 5000, 8081, 8088)
OPERATIONS = ("GetSystemDateAndTime", "GetDeviceInformation", "GetScopes")
ALLOWED = frozenset({
    *OPERATIONS, "GetCapabilities", "GetServices", "GetHostname", "GetServiceCapabilities", "GetWsdlUrl",
    "GetEndpointReference", "GetNetworkInterfaces",
})  # fmt: skip
DEVICE = "http://www.onvif.org/ver10/device/wsdl"
SOAP = "http://www.w3.org/2003/05/soap-envelope"
INFORMATION = ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber", "HardwareId")
SDK_PORT = 8000
"""Hikvision's own port: nothing is posted there once something points to that maker."""

_OPERATION = re.compile(rb"<(?:[\w.-]{1,64}:)?Body[^>]{0,2000}>\s{0,64}<(?:[\w.-]{1,64}:)?([A-Za-z]{3,64})")
_SECURITY = re.compile(rb"<(?:[\w.-]{1,64}:)?(?:Security|UsernameToken)\b", re.I)


class Onvif(Protocol):
    """Asks the device service; reads its answers, whole or in pieces."""

    name = "onvif"
    ports: ClassVar[tuple[int, ...]] = PORTS
    channels: ClassVar[tuple[str, ...]] = ("onvif.response",)
    order = 22

    def read(self, observation: Observation) -> Iterable[Field]:
        """`soap.namespaces`, `onvif.device_information`, `onvif.datetime`, `onvif.fault`, `onvif.scopes`, headers."""
        return bounded(_fields(observation))

    def mask(self, observation: Observation) -> Observation:
        """As HTTP: nonces and cookies."""
        return HTTP.mask(observation)

    def converse(self, stream: Stream) -> Conversation:
        """The time, and if that is answered once the device's description and scopes; stops at the first refusal."""
        if stream.tls or not _offered(stream):
            return
        path = _path(stream)
        for operation in OPERATIONS:
            answer: Answer = yield _ask(operation, path, stream)
            message = messages.parse(answer.data)
            if message.status != 200 or b"Envelope" not in message.body or b"Fault" in message.body:
                return

    def complete(self, data: bytes, ask: Ask) -> bool:
        """By length, chunks, or the end of the envelope."""
        return messages.complete(data) or bool(re.search(rb"</(?:[\w.-]{1,64}:)?Envelope>\s*$", data[-200:]))

    def services(self, device: Recording) -> Sequence[Service]:
        """Ports on which the device service was heard, or that a recorded answer names."""
        found = list(services(device, "onvif.response", default=80))
        named = _ports_of_xaddrs(device)
        spoken = any(True for _ in observed(device, "onvif.device_information", "onvif.datetime", "onvif.fault"))
        if spoken and not found:
            ports = {o.port for o in observed(device, "onvif.device_information", "onvif.fault") if o.port} - {3702}
            found += [Service(HTTP.transport, port) for port in sorted(ports or named or {80})]
        return tuple(found)

    def request_length(self, data: bytes) -> int:
        """Head and announced body."""
        return messages.request_length(data)

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """As recorded for this operation, else composed; a refusal where nothing is known."""
        if not request.startswith(b"POST ") or b"Envelope" not in request:
            return None
        found = _OPERATION.search(request)
        operation = found[1].decode() if found else ""
        raw = _recorded(device, service.port, operation)
        return Reply(raw or _composed(device, operation), close=True)

    def violation(self, request: bytes, service: Service) -> str | None:
        """Credentials, and every operation that is not a read open to anybody."""
        if not request.startswith(b"POST "):
            return None
        if _SECURITY.search(request):
            return "credentials"
        found = _OPERATION.search(request)
        if found and found[1].decode() not in ALLOWED:
            return f"the operation {found[1].decode()}"
        return None


def _offered(stream: Stream) -> bool:
    """Whether to ask here: the port is a usual one or was named, and it is not a maker's own protocol."""
    if stream.port == SDK_PORT and "hikvision" in stream.hints:
        return False
    silent = {o.observation.port for o in stream.heard if o.channel == "http.status"}
    return stream.port in silent or not stream.heard or _named(stream) is not None


def _named(stream: Stream) -> str | None:
    """The path of an address that discovery named on this host and port, or None."""
    for reading in stream.heard:
        if reading.channel != "onvif.xaddrs":
            continue
        for address in reading.value.split()[:8]:
            try:
                parts = urlsplit(address)
                port = parts.port or 80
            except ValueError:
                continue
            same = parts.hostname in {stream.host, "0.0.0.0"}  # noqa: S104 - devices name themselves so
            if same and port == stream.port and re.fullmatch(r"/[!-~]{0,200}", parts.path or ""):
                return parts.path
    return None


def _path(stream: Stream) -> str:
    return _named(stream) or PATH


def _ask(operation: str, path: str, stream: Stream) -> Ask:
    body = (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP}" xmlns:tds="{DEVICE}">'
        f"<s:Body><tds:{operation}/></s:Body></s:Envelope>"
    )
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {stream.url_host()}\r\nUser-Agent: {USER_AGENT}\r\n"
        f'Content-Type: application/soap+xml; charset=utf-8; action="{DEVICE}/{operation}"\r\n'
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return Ask("onvif.response", operation, (head + body).encode(), limit=65_536)


def _fields(observation: Observation) -> Iterator[Field]:
    data = to_bytes(observation.value[:262_144])
    message = messages.parse(data)
    if message.status is not None:
        yield "http.status", str(message.status)
    for name, value in message.headers:
        if message.status is not None:
            yield f"http.header.{name.lower()}", value
    text = message.text if message.status is not None or message.headers else data.decode("utf-8", "replace")
    declared = namespaces(text)
    if declared:
        yield "soap.namespaces", declared
    found = list(leaves(text)) if "<" in text else list(lines(text))
    said = dict(found)
    told = [f"{key}={said[key].strip()}" for key in INFORMATION if said.get(key, "").strip()]
    if told:
        yield "onvif.device_information", "\n".join(told)
    scopes = [value.strip() for key, value in found if key == "ScopeItem"]
    if scopes:
        yield "onvif.scopes", " ".join(scopes)
        for mac in scope_macs(" ".join(scopes)):
            yield "mac", mac
    zone = said.get("TZ")
    if zone or "SystemDateAndTime" in text:
        yield "onvif.datetime", f"TZ={zone or ''}"
    if "Fault" in text:
        parts = [value.strip() for key, value in found if key in {"Value", "Text", "faultcode", "faultstring"}]
        if parts:
            yield "onvif.fault", " ".join(part for part in parts if part)


def _ports_of_xaddrs(device: Recording) -> set[int]:
    ports: set[int] = set()
    for seen in observed(device, "onvif.xaddrs"):
        for address in seen.value.split()[:8]:
            try:
                parts = urlsplit(address)
                ports.add(parts.port or (443 if parts.scheme == "https" else 80))
            except ValueError:
                continue
    return {port for port in ports if port != 443}


def _recorded(device: Recording, port: int, operation: str) -> bytes | None:
    raws = list(observed(device, "onvif.response", port=port))
    for seen in raws:
        if (seen.request or operation) == operation:
            return whole(to_bytes(seen.value))
    return None


def _composed(device: Recording, operation: str) -> bytes:
    declared = next((o.value for o in observed(device, "soap.namespaces")), "")
    spaces = [part.partition("=") for part in declared.split() if "=" in part]
    prefix = next((name for name, _, uri in spaces if uri == SOAP and name), "s")
    known = " ".join(f'xmlns:{name}="{escape(uri)}"' for name, _, uri in spaces if name)
    if not known:
        known = f'xmlns:s="{SOAP}"'
    fault = next((o.value for o in observed(device, "onvif.fault")), None)
    information = next((o.value for o in observed(device, "onvif.device_information")), None)
    status, inner = "400 Bad Request", _fault(prefix, fault or "ter:NotAuthorized Sender not Authorized")
    if operation == "GetSystemDateAndTime" and fault is None:
        zone = next((o.value for o in observed(device, "onvif.datetime")), "TZ=UTC0").partition("TZ=")[2]
        status = "200 OK"
        inner = (
            f'<tds:GetSystemDateAndTimeResponse xmlns:tds="{DEVICE}"><tds:SystemDateAndTime><TimeZone><TZ>'
            f"{escape(zone)}</TZ></TimeZone></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
        )
    elif operation == "GetDeviceInformation" and information is not None:
        status = "200 OK"
        items = "".join(f"<tds:{k.strip()}>{escape(v.strip())}</tds:{k.strip()}>" for k, v in lines(information))
        inner = f'<tds:GetDeviceInformationResponse xmlns:tds="{DEVICE}">{items}</tds:GetDeviceInformationResponse>'
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{prefix}:Envelope {known}><{prefix}:Body>{inner}</{prefix}:Body></{prefix}:Envelope>'  # noqa: E501
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/soap+xml; charset=utf-8\r\nContent-Length: {len(body.encode())}\r\nConnection: close\r\n\r\n"  # noqa: E501
    return (head + body).encode()


def _fault(prefix: str, text: str) -> str:
    code, _, reason = text.partition(" ")
    return (
        f"<{prefix}:Fault><{prefix}:Code><{prefix}:Value>{escape(code)}</{prefix}:Value></{prefix}:Code><{prefix}:Reason>"
        f"<{prefix}:Text>{escape(reason)}</{prefix}:Text></{prefix}:Reason></{prefix}:Fault>"
    )


PROTOCOL = Onvif()
