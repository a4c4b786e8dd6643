"""ONVIF over HTTP (ONVIF Core, device service): three reads that need no login; each stops at the first refusal.

Namespaces and faults are kept even where nothing is allowed: they betray the firmware below the label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar
from urllib.parse import urlsplit

from scanner.model import Observation, Recording, Transport
from scanner.protocols import forbidden, masking, messages, served, soap
from scanner.protocols.base import Answer, Ask, Conversation, Field, Protocol, Reply, Service, Stream, observed
from scanner.protocols.fields import escape, lines, unescape
from scanner.protocols.http import web_ports
from scanner.protocols.pages import Place, resolve
from scanner.protocols.wsdiscovery import scope_macs
from scanner.values import to_bytes, to_text

PORTS: tuple[int, ...] = (80, 8080, 8899, 2020, 8000, 5000, 8081, 8088)
PATHS = {2020: "/onvif/service"}
"""Where the device service stands on ports of one maker; elsewhere at `PATH`."""
PATH = "/onvif/device_service"
OPERATIONS = ("GetSystemDateAndTime", "GetDeviceInformation", "GetScopes")
INFORMATION = ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber", "HardwareId")
"""What GetDeviceInformation tells, in the specification's order."""

_ONLY_ONVIF = frozenset({2020, 8899})  # ports on which nobody asks for a front page first
_SDK_PORT = 8000  # Hikvision's own protocol, which is not provoked
_INFORMATION = {name.lower(): name for name in INFORMATION}
_DATE = {"datetimetype": "DateTimeType", "daylightsavings": "DaylightSavings", "tz": "TZ"}
_CLOCK = ("year", "month", "day", "hour", "minute", "second")
_UTC = re.compile(r"<(?:[\w.-]{1,64}:)?utcdatetime[^<>]{0,512}>", re.I)
_TAGS = re.compile(r"<[^<>]{0,512}>")
_END = re.compile(rb"</(?:[\w.-]{1,64}:)?envelope\s{0,8}>\s{0,8}\Z", re.I)


class Onvif(Protocol):
    """Reads whole answers and pieces of them; asks the device service once."""

    name = "onvif"
    tier = 2
    transport = Transport.TCP
    ports: ClassVar[tuple[int, ...]] = PORTS
    channels: ClassVar[tuple[str, ...]] = ("onvif.response", "onvif.device_information")
    order = 30

    def read(self, observation: Observation) -> Iterable[Field]:
        """Of an answer: `http.status` and `http.header.<name>`, `soap.namespaces`, `onvif.device_information` and
        `onvif.datetime` (lines `Name=value`), `onvif.scopes` (blanks between), the `mac` that scopes state, and
        `onvif.fault` (codes and reasons). Of device information published as XML, the lines.
        """
        if observation.channel.lower() == "onvif.device_information":
            known = _information(to_text(observation.value[:16_384]))
            return [("onvif.device_information", known)] if known and known != observation.value else []
        return list(_fields(observation))

    def mask(self, observation: Observation) -> Observation:
        """Without nonces, cookies and salts; their length and kind of characters stay."""
        return masking.answer(observation)

    def converse(self, stream: Stream) -> Conversation:
        """The time; if that is told, the device's description and, unless discovery told them, its scopes."""
        place = _place(stream)
        if place is None:
            return
        for operation in OPERATIONS:
            if operation == "GetScopes" and any(r.channel == "onvif.scopes" for r in stream.heard):
                return
            answer: Answer = yield _ask(stream, place, operation)
            message = messages.parse(answer.data)
            page = messages.text(message, messages.content(message))
            if message.code != 200 or not soap.is_envelope(page) or soap.fault(page):
                return

    def complete(self, data: bytes, ask: Ask) -> bool:
        """By its own account, or at the end of the envelope."""
        return messages.complete(data) or _END.search(data, max(0, len(data) - 200)) is not None

    def services(self, device: Recording) -> Sequence[Service]:
        """The ports on which the device service was heard, or where the device says it is."""
        secure = {o.port for o in observed(device, "onvif.response") if o.tls}
        return tuple(Service(Transport.TCP, port, tls=port in secure) for port in sorted(_own_ports(device)))

    def request_length(self, data: bytes) -> int:
        """Head and announced body."""
        return messages.request_length(data)

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """As recorded for this operation, else composed of the recorded fields, else a refusal."""
        if not soap.is_message(request):
            return None
        _method, _target, message = messages.request(request)
        page = messages.text(message, message.body)
        operation = soap.operation(page)
        heard = [o for o in device.observations if o.channel == "onvif.response" and o.port in {service.port, None}]
        if any(o.silent and o.request in {operation, None} for o in heard):
            return Reply(b"")
        raw = _recorded(heard, operation)
        return Reply(raw if raw is not None else _composed(device, operation), close=True)

    def refuse(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """Not found: a device service is a web server too."""
        return served.refuse(request)

    def violation(self, request: bytes, service: Service) -> str | None:
        """Credentials, and every operation that is no read open to anybody; of all else what HTTP forbids."""
        return forbidden.request(request)


def _place(stream: Stream) -> Place | None:
    """Where to ask, or None: another port knows more, or nothing suggests ONVIF here."""
    if any(r.observation.channel == "onvif.response" and r.channel == "soap.namespaces" for r in stream.heard):
        return None  # it has been asked, and answered, elsewhere
    named = list(_named(stream))
    if named:
        here = next((place for place in named if (place.port, place.tls) == (stream.port, stream.tls)), None)
        if here is not None or any(place.port in PORTS and not place.tls for place in named):
            return here
        return named[0]
    if stream.tls or (stream.port == _SDK_PORT and "hikvision" in stream.hints):
        return None
    if stream.port not in web_ports(stream) and stream.port not in _ONLY_ONVIF:
        return None
    return Place(stream.port, stream.tls, PATHS.get(stream.port, PATH))


def _named(stream: Stream) -> Iterator[Place]:
    """The addresses of the device service on this host, as the device gave them to discovery."""
    for reading in stream.heard:
        if reading.channel == "onvif.xaddrs":
            for address in reading.value.split()[:16]:
                place = resolve(address, stream.host, Place(0, False, ""))
                if place is not None and urlsplit(address).scheme:
                    yield place


def _ask(stream: Stream, place: Place, operation: str) -> Ask:
    body = soap.envelope(f"<tds:{operation}/>", f"s={soap.ENVELOPE} tds={soap.DEVICE}").encode()
    host = Stream(stream.host, place.port, place.tls).url_host()
    head = (
        f"POST {place.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {messages.USER_AGENT}\r\n"
        f'Content-Type: application/soap+xml; charset=utf-8; action="{soap.DEVICE}/{operation}"\r\n'
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    here = (place.port, place.tls) == (stream.port, stream.tls)
    return Ask(
        channel="onvif.response",
        request=operation,
        payload=head.encode("ascii", "replace") + body,
        port=None if here else place.port,
        tls=None if here else place.tls,
    )


def _fields(observation: Observation) -> Iterator[Field]:
    message = messages.parse(to_bytes(observation.value[: 4 + 2 * messages.MAX_DATA]))
    if message.status:
        yield "http.status", message.status
    for name, value in message.headers:
        yield f"http.header.{name.lower()}", value.strip()
    page = messages.text(message, messages.content(message))[: soap.MAX_XML]
    declared = soap.namespaces(page)
    if declared:
        yield "soap.namespaces", declared
    elements = list(soap.elements(page)) if "<" in page else []
    information = _information(page, elements)
    if information:
        yield "onvif.device_information", information
    yield from _datetime(page, elements)
    scopes = " ".join(" ".join(v.split()) for name, v in elements if name.lower() == "scopeitem")[:16_384].strip()
    if scopes:
        yield "onvif.scopes", scopes
        for mac in dict.fromkeys(scope_macs(scopes)):
            yield "mac", mac
    fault = soap.fault(page)
    if not fault and message.code >= 400 and "onvif" in page.lower():
        fault = " ".join(unescape(_TAGS.sub(" ", page[:8192])).split())[:1024]
    if fault:
        yield "onvif.fault", fault


def _information(page: str, elements: Iterable[tuple[str, str]] | None = None) -> str:
    """Lines `Name=value` of device information in XML or lines, in the specification's order."""
    pairs = elements or (soap.elements(page) if "<" in page else lines(page))
    found: dict[str, str] = {}
    for name, value in pairs:
        known = _INFORMATION.get(name.lower().replace(" ", ""))
        clean = " ".join(value.split())[:512]
        if known and clean:
            found.setdefault(known, clean)
    return "\n".join(f"{name}={found[name]}" for name in INFORMATION if name in found)


def _datetime(page: str, elements: Iterable[tuple[str, str]]) -> Iterator[Field]:
    if "systemdateandtime" not in page.lower():
        return
    told: dict[str, str] = {}
    for name, value in elements:
        known = _DATE.get(name.lower())
        if known:
            told.setdefault(known, " ".join(value.split())[:128])
    place = _UTC.search(page)
    if place:
        end = page.lower().find("utcdatetime", place.end(), place.end() + 2048)  # the local time comes after it
        piece = page[place.end() : end if end > 0 else place.end() + 2048]
        clock = {name.lower(): value.strip() for name, value in soap.elements(piece)}
        numbers = [int(text) for part in _CLOCK if re.fullmatch(r"[0-9]{1,4}", text := clock.get(part, ""))]
        if len(numbers) == len(_CLOCK):
            year, month, day, hour, minute, second = numbers
            told["UTC"] = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
    value = "\n".join(f"{name}={said}" for name, said in told.items() if said)
    if value:
        yield "onvif.datetime", value


def _own_ports(device: Recording) -> set[int]:
    """The ports on which the device answers ONVIF's messages: where it did, else where it says so itself."""
    spoken = [
        seen
        for seen in device.observations
        if seen.channel in {"onvif.response", "onvif.device_information", "onvif.datetime", "onvif.fault"}
    ]
    ports = {seen.port for seen in spoken if seen.port} - {3702}
    if spoken and not ports:
        ports = {
            int(port or 80)
            for seen in observed(device, "onvif.xaddrs")
            for port in re.findall(r"http://(?:\[[^\]/]{1,64}\]|[^/:\s]{1,255})(?::(\d{1,5}))?/", seen.value[:4096])
        } or {80}
    return ports


def _recorded(heard: Sequence[Observation], operation: str) -> bytes | None:
    """The answer recorded for an operation; of answers without a label the one that says it is, or a refusal."""
    for seen in heard:
        if not seen.silent and (seen.request or "").lower() == operation.lower():
            return served.whole(to_bytes(seen.value))
    for seen in heard:
        if not seen.silent and not seen.request:
            data = to_bytes(seen.value)
            page = data[: soap.MAX_XML].decode("latin-1")
            if f"{operation}Response".lower() in page.lower() or soap.fault(page):
                return served.whole(data)
    return None


def _composed(device: Recording, operation: str) -> bytes:
    said = {
        name: next((o.value for o in observed(device, f"onvif.{name}")), "")
        for name in ("datetime", "device_information", "scopes", "fault")
    }
    inner = ""
    if operation == "GetSystemDateAndTime":
        told = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in lines(said["datetime"]) if name != "UTC")
        inner = f"<SystemDateAndTime>{told}{_clock(said['datetime'])}</SystemDateAndTime>"
    elif operation == "GetDeviceInformation":
        information = _information(said["device_information"])
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in lines(information))
    elif operation == "GetScopes":
        inner = "".join(f"<Scopes><ScopeItem>{escape(scope)}</ScopeItem></Scopes>" for scope in said["scopes"].split())
    status = "200 OK" if inner else "400 Bad Request"
    inner = f"<{operation}Response>{inner}</{operation}Response>" if inner else _fault(said["fault"])
    declared = next((o.value for o in observed(device, "soap.namespaces")), "")
    body = soap.envelope(inner, declared).encode()
    kind = "Content-Type: application/soap+xml; charset=utf-8"
    return f"HTTP/1.1 {status}\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _clock(datetime: str) -> str:
    found = re.search(r"UTC=(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z", datetime)
    if found is None:
        return ""
    parts = zip(_CLOCK, found.groups(), strict=True)
    told = "".join(f"<{name.title()}>{int(number)}</{name.title()}>" for name, number in parts)
    return f"<UTCDateTime>{told}</UTCDateTime>"


def _fault(text: str) -> str:
    """A fault that reads as `text` does: codes first, then the reason."""
    words = (text or "s:Sender ter:NotAuthorized Sender not authorized").split(" ")
    codes = [word for word in words[:2] if re.fullmatch(r"[\w-]{1,16}:[\w-]{1,64}", word)]
    inside = ""
    for depth, code in reversed(list(enumerate(codes))):
        name = "Subcode" if depth else "Code"
        inside = f"<{{s}}:{name}><{{s}}:Value>{escape(code)}</{{s}}:Value>{inside}</{{s}}:{name}>"
    reason = escape(" ".join(words[len(codes) :]))
    return f"<{{s}}:Fault>{inside}<{{s}}:Reason><{{s}}:Text>{reason}</{{s}}:Text></{{s}}:Reason></{{s}}:Fault>"


PROTOCOL = Onvif()
