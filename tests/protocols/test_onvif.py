from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.model import Observation, Reading, Recording, Transport
from scanner.protocols import read, read_all, soap
from scanner.protocols.base import Answer, Ask, Service, Stream
from scanner.protocols.onvif import OPERATIONS, PROTOCOL
from scanner.values import from_bytes

HOST = "192.0.2.42"
SERVICE = Service(Transport.TCP, 80)
SPACES = (
    f"env={soap.ENVELOPE} tds={soap.DEVICE} wsadis=http://schemas.xmlsoap.org/ws/2004/08/addressing "
    "tnshik=http://www.hikvision.com/2011/event/topics"
)
INFORMATION = (
    "<tds:GetDeviceInformationResponse><tds:Manufacturer>HIKVISION</tds:Manufacturer><tds:Model>DS-2CD3T45P1-I</tds:Model>"
    "<tds:FirmwareVersion>V5.5.31 build 180903</tds:FirmwareVersion><tds:SerialNumber>DS-2CD3T45P1-I2021 &amp; x"
    "</tds:SerialNumber><tds:HardwareId>88</tds:HardwareId></tds:GetDeviceInformationResponse>"
)
LINES = (
    "Manufacturer=HIKVISION\nModel=DS-2CD3T45P1-I\nFirmwareVersion=V5.5.31 build 180903\n"
    "SerialNumber=DS-2CD3T45P1-I2021 & x\nHardwareId=88"
)
TIME = (
    "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType><tt:DaylightSavings>"
    "false</tt:DaylightSavings><tt:TimeZone><tt:TZ>CST-8:00:00</tt:TZ></tt:TimeZone><tt:UTCDateTime><tt:Time><tt:Hour>7"
    "</tt:Hour><tt:Minute>8</tt:Minute><tt:Second>9</tt:Second></tt:Time><tt:Date><tt:Year>2023</tt:Year><tt:Month>5"
    "</tt:Month><tt:Day>28</tt:Day></tt:Date></tt:UTCDateTime><tt:LocalDateTime><tt:Time><tt:Hour>15</tt:Hour></tt:Time>"
    "</tt:LocalDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
)
SCOPES = (
    "<tds:GetScopesResponse><tds:Scopes><tt:ScopeDef>Fixed</tt:ScopeDef><tt:ScopeItem>onvif://www.onvif.org/name/x"
    "</tt:ScopeItem></tds:Scopes><tds:Scopes><tt:ScopeItem>onvif://www.onvif.org/MAC/58:50:ed:11:22:33</tt:ScopeItem>"
    "</tds:Scopes></tds:GetScopesResponse>"
)
REFUSED = (
    "<{s}:Fault><{s}:Code><{s}:Value>{s}:Sender</{s}:Value><{s}:Subcode><{s}:Value>ter:NotAuthorized</{s}:Value></{s}:Subcode>"
    "</{s}:Code><{s}:Reason><{s}:Text xml:lang='en'>Sender not Authorized.</{s}:Text></{s}:Reason></{s}:Fault>"
)
TT = "tt=http://www.onvif.org/ver10/schema"


def answer(body: str, status: str = "200 OK", *, spaces: str = f"{SPACES} {TT}") -> str:
    head = f"HTTP/1.1 {status}\r\nServer: gSOAP/2.7\r\nContent-Type: application/soap+xml\r\n\r\n"
    return head + soap.envelope(body, spaces)


def fields(value: str, channel: str = "onvif.response") -> list[tuple[str, str]]:
    return list(PROTOCOL.read(Observation(channel=channel, value=value)))


def seen(
    channel: str, value: str, port: int | None = 80, request: str | None = None, *, silent: bool = False
) -> Observation:
    return Observation(channel=channel, value=value, port=port, request=request, silent=silent)


def device(*observations: Observation) -> Recording:
    return Recording(id="d", observations=observations)


# -- reading -----------------------------------------------------------------------------------------------------


def test_an_answer_brings_its_headers_namespaces_and_information() -> None:
    assert fields(answer(INFORMATION)) == [
        ("http.status", "200 OK"),
        ("http.header.server", "gSOAP/2.7"),
        ("http.header.content-type", "application/soap+xml"),
        ("soap.namespaces", f"{SPACES} {TT}"),
        ("onvif.device_information", LINES),
    ]


@pytest.mark.parametrize("value", [INFORMATION, INFORMATION[:-12], LINES, LINES.replace("=", ": "), f"\n{LINES}\n"])
def test_pieces_of_information_are_read_in_every_spelling(value: str) -> None:
    assert ("onvif.device_information", LINES) in fields(value)


def test_lower_cased_evidence_is_read() -> None:
    assert ("onvif.device_information", "Manufacturer=h264\nModel=xm530") in fields(
        "<tds:manufacturer>h264</tds:manufacturer><tds:model>xm530</tds:model>"
    )


def test_published_information_in_xml_is_read_as_lines_once() -> None:
    xml = Observation(channel="onvif.device_information", value=INFORMATION)
    assert [r.value for r in read(xml)] == [INFORMATION, LINES]
    assert not fields(LINES, "onvif.device_information")
    assert not fields("free text", "onvif.device_information")


def test_the_clock_tells_zone_and_time() -> None:
    told = dict(fields(answer(TIME)))["onvif.datetime"]
    assert told == "DateTimeType=NTP\nDaylightSavings=false\nTZ=CST-8:00:00\nUTC=2023-05-28T07:08:09Z"
    assert "UTC" not in dict(fields(answer(TIME.replace(">2023<", ">x<"))))["onvif.datetime"]


def test_scopes_and_the_address_they_state() -> None:
    found = fields(answer(SCOPES))
    assert ("onvif.scopes", "onvif://www.onvif.org/name/x onvif://www.onvif.org/MAC/58:50:ed:11:22:33") in found
    assert ("mac", "58:50:ed:11:22:33") in found


def test_faults_in_soap_and_in_pages() -> None:
    assert ("onvif.fault", "env:Sender ter:NotAuthorized Sender not Authorized.") in fields(
        answer(REFUSED.replace("{s}:Sender", "env:Sender"), "400 Bad Request")
    )
    page = (
        "HTTP/1.1 401 Unauthorized\r\n\r\n<html><p>This onvif request requires\n authentication&nbsp;information</html>"
    )
    assert dict(fields(page.replace("&nbsp;", " ")))["onvif.fault"] == (
        "This onvif request requires authentication information"
    )
    assert "onvif.fault" not in dict(fields("HTTP/1.1 404 Not Found\r\n\r\n<html>nothing here</html>"))


@pytest.mark.parametrize(
    "unit", ["<a>", "<Model>", "<tt:UTCDateTime>", "Model=", " xmlns:a='", "<ScopeItem>x</ScopeItem>"]
)
def test_hostile_answers_take_no_time(unit: str) -> None:
    text = "systemdateandtime " + unit * (65_536 // len(unit))
    began = time.thread_time()
    for value in (text, f"HTTP/1.1 400 x\r\n\r\nonvif{text}"):
        found = fields(value)
        assert sum(len(v) for _c, v in found) < 100_000
    assert time.thread_time() - began < 5


@settings(max_examples=120, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [b"HTTP/1.1 400 x\r\n\r\n", b"<a>", b"</a>", b"<Model>", b"SystemDateAndTime", b"<UTCDateTime>"]
        )
        | st.binary(max_size=9)
    ).map(b"".join)
)
def test_no_answer_raises(data: bytes) -> None:
    fields(from_bytes(data))
    fields(from_bytes(data), "onvif.device_information")


# -- asking ------------------------------------------------------------------------------------------------------


def heard(channel: str, value: str, port: int | None = 80, raw: str | None = None) -> Reading:
    return Reading(channel, value, Observation(channel=raw or channel, value=value, port=port))


WEB = heard("http.status", "401 Unauthorized")


def conversation(stream: Stream, *answers: str) -> list[Ask]:
    talk = PROTOCOL.converse(stream)
    put: list[Ask] = []
    try:
        ask = next(talk)
        for data in (*answers, "", "", ""):
            put.append(ask)
            ask = talk.send(Answer(data=data.encode()))
        raise AssertionError("does not stop asking")
    except StopIteration:
        return put


def test_the_questions_are_the_three_reads_without_credentials() -> None:
    asked = conversation(Stream(HOST, 80, heard=[WEB]), answer(TIME), answer(INFORMATION), answer(SCOPES))
    assert tuple(ask.request for ask in asked) == OPERATIONS
    for ask in asked:
        head, _, body = ask.payload.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /onvif/device_service HTTP/1.1\r\nHost: 192.0.2.42\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert soap.operation(body.decode()) == ask.request
        assert PROTOCOL.violation(ask.payload, SERVICE) is None
        assert PROTOCOL.request_length(ask.payload) == len(ask.payload)


@pytest.mark.parametrize(
    "first",
    [
        "",
        answer(REFUSED, "400 Bad Request"),
        answer(REFUSED),
        "HTTP/1.1 401 No\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n<html>",
    ],
)
def test_the_first_refusal_is_the_last_question(first: str) -> None:
    assert len(conversation(Stream(HOST, 80, heard=[WEB]), first)) == 1
    assert len(conversation(Stream(HOST, 80, heard=[WEB]), answer(TIME), first)) == 2


def test_scopes_that_discovery_told_are_not_asked_for() -> None:
    stream = Stream(HOST, 80, heard=[WEB, heard("onvif.scopes", "onvif://x", 3702)])
    assert [ask.request for ask in conversation(stream, answer(TIME), answer(INFORMATION))] == list(OPERATIONS[:2])


@pytest.mark.parametrize(
    ("port", "readings", "hints", "place"),
    [
        (80, [], (), None),
        (80, [WEB], (), (None, "/onvif/device_service")),
        (8080, [WEB], (), None),
        (2020, [], (), (None, "/onvif/service")),
        (8899, [], (), (None, "/onvif/device_service")),
        (8000, [heard("http.status", "404 x", 8000)], (), (None, "/onvif/device_service")),
        (8000, [heard("http.status", "404 x", 8000)], ("hikvision",), None),
        (80, [WEB, heard("onvif.xaddrs", f"http://{HOST}/onvif/dev", 3702)], (), (None, "/onvif/dev")),
        (80, [heard("onvif.xaddrs", "http://0.0.0.0/onvif/dev", 3702)], (), (None, "/onvif/dev")),
        (80, [WEB, heard("onvif.xaddrs", f"http://{HOST}:8899/onvif/dev", 3702)], (), None),
        (8000, [heard("onvif.xaddrs", f"http://{HOST}:8000/x", 3702)], ("hikvision",), (None, "/x")),
        (80, [WEB, heard("onvif.xaddrs", f"http://{HOST}:10080/onvif/dev", 3702)], (), (10080, "/onvif/dev")),
        (80, [WEB, heard("onvif.xaddrs", f"https://{HOST}/onvif/dev", 3702)], (), (443, "/onvif/dev")),
        (80, [WEB, heard("onvif.xaddrs", "http://192.0.2.43/evil http://evil.example/", 3702)], (),
         (None, "/onvif/device_service")),
        (80, [WEB, heard("onvif.xaddrs", f"http://{HOST}/RPC2_Login", 3702)], (), (None, "/onvif/device_service")),
        (80, [WEB, heard("soap.namespaces", "s=x", 8080, "onvif.response")], (), None),
        (80, [WEB, heard("soap.namespaces", "s=x", 3702, "wsdiscovery.response")], (), (None, "/onvif/device_service")),
    ],
)  # fmt: skip
def test_where_it_is_asked(
    port: int, readings: list[Reading], hints: tuple[str, ...], place: tuple[int | None, str] | None
) -> None:
    asked = conversation(Stream(HOST, port, heard=readings, hints=frozenset(hints)))
    assert [(ask.port, ask.payload.split()[1].decode()) for ask in asked] == ([place] if place else [])
    assert not asked or asked[0].tls in ({True} if asked[0].port == 443 else {None, False})


def test_an_envelope_that_ended_is_a_whole_answer() -> None:
    (ask,) = conversation(Stream(HOST, 80, heard=[WEB]))
    whole = answer(TIME).encode()
    assert PROTOCOL.complete(whole + b"\r\n", ask)
    assert not PROTOCOL.complete(whole[:-1], ask)


# -- being a device ----------------------------------------------------------------------------------------------


def asked_of(recording: Recording, operation: str, service: Service = SERVICE) -> str:
    body = soap.envelope(f"<tds:{operation}/>", f"s={soap.ENVELOPE} tds={soap.DEVICE}")
    request = f"POST /onvif/device_service HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    reply = PROTOCOL.answer(request, recording, service)
    assert reply is not None
    return reply.data.decode()


def test_recorded_answers_by_operation() -> None:
    recording = device(
        seen("onvif.response", answer(TIME), request="GetSystemDateAndTime"),
        seen("onvif.response", answer(REFUSED, "400 Bad Request"), request="GetDeviceInformation"),
    )
    assert asked_of(recording, "GetSystemDateAndTime") == answer(TIME)
    assert asked_of(recording, "GetDeviceInformation") == answer(REFUSED, "400 Bad Request")
    assert "NotAuthorized" in asked_of(recording, "GetScopes")


def test_unlabelled_answers_find_their_question_and_pieces_are_completed() -> None:
    recording = device(seen("onvif.response", soap.envelope(INFORMATION, SPACES)))
    assert "HIKVISION" in asked_of(recording, "GetDeviceInformation")
    assert asked_of(recording, "GetDeviceInformation").startswith("HTTP/1.1 200 OK\r\n")
    assert "HIKVISION" not in asked_of(recording, "GetSystemDateAndTime")


@pytest.mark.parametrize(
    "observations",
    [
        (seen("onvif.device_information", LINES), seen("soap.namespaces", SPACES)),
        (seen("onvif.device_information", INFORMATION),),
        (
            seen("onvif.datetime", "DateTimeType=NTP\nTZ=UTC+01:00\nUTC=2023-05-28T07:08:09Z"),
            seen("onvif.fault", "ter:X no"),
        ),
        (seen("onvif.fault", "s:Sender ter:NotAuthorized Sender not Authorized. You still have 24 attempt(s)."),),
        (seen("onvif.fault", "This onvif request requires authentication information"),),
        (seen("onvif.device_information", LINES), seen("onvif.scopes", "onvif://a onvif://b")),
    ],
)
def test_single_fields_come_back_in_composed_answers(
    observations: tuple[Observation, ...], talk: Callable[..., Recording]
) -> None:
    recording = device(*observations)
    back = {(r.channel, r.value) for r in read_all(talk(recording, names=("http", "onvif")))}
    for reading in read_all(recording):
        if reading.value != INFORMATION:
            assert (reading.channel, reading.value) in back


def test_recorded_silence_is_kept() -> None:
    assert asked_of(device(seen("onvif.response", "", request="GetScopes", silent=True)), "GetScopes") == ""


def test_other_requests_meet_a_web_server() -> None:
    request, recording = b"GET / HTTP/1.1\r\n\r\n", device(seen("onvif.fault", "x"))
    assert PROTOCOL.answer(request, recording, SERVICE) is None
    reply = PROTOCOL.refuse(request, recording, SERVICE)
    assert reply is not None
    assert reply.data.startswith(b"HTTP/1.1 404 ")


def test_the_ports_of_a_device() -> None:
    def ports(*observations: Observation) -> list[int]:
        return [service.port for service in PROTOCOL.services(device(*observations))]

    told = seen("onvif.device_information", "Model=x", None)
    addresses = seen("onvif.xaddrs", "http://192.0.2.1:8899/onvif/device_service http://[fe80::1]/onvif", 3702)
    assert ports(seen("onvif.response", "x", 8000), seen("onvif.response", "", 2020, silent=True)) == [2020, 8000]
    assert ports(told) == [80]
    assert ports(told, addresses) == [80, 8899]
    assert ports(seen("onvif.fault", "x", 2020), addresses) == [2020]
    assert ports(seen("onvif.scopes", "onvif://x", 3702), addresses) == []


def test_nothing_we_ask_of_the_corpus_is_forbidden(talk: Callable[..., Recording], corpus: Iterable[Recording]) -> None:
    told = {
        r.value.partition("\n")[0]
        for case in corpus
        for r in read_all(talk(case, names=("http", "onvif")))
        if r.channel == "onvif.device_information"
    }
    assert {"Manufacturer=H264", "Manufacturer=UNIVIEW"} <= told
