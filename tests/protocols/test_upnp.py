from __future__ import annotations

import gzip
from collections.abc import Sequence

import pytest

from scanner.model import Observation, Reading, Recording, Transport
from scanner.protocols import read_all
from scanner.protocols.base import Alone, Answer, Lead, Service, Stream
from scanner.protocols.upnp import GROUP, GROUP6, PORT, PROTOCOL
from scanner.values import from_bytes

SERVICE = Service(Transport.UDP, PORT, groups=(GROUP, GROUP6))


def test_both_groups_are_searched_each_by_its_own_name() -> None:
    first, second = PROTOCOL.questions()

    assert (first.groups, second.groups) == ((GROUP,), (GROUP6,))
    assert b"HOST: [ff02::c]:1900\r\n" in second.payload
    assert second.alone is Alone.NEVER
    assert not any(PROTOCOL.violation(question.payload, SERVICE) for question in (first, second))

ANSWER = (
    "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nLOCATION: http://192.0.2.19:80/desc.xml\r\n"
    "SERVER: Linux, UPnP/1.0, Private Upnp SDK\r\nST: upnp:rootdevice\r\n"
    "USN: uuid:device_3_0-AMC::upnp:rootdevice\r\n\r\n"
)
DESCRIPTION = (
    '<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major></specVersion>'
    "<device><deviceType>urn:schemas-upnp-org:device:EmbeddedNetDevice:1</deviceType>"
    "<friendlyName>SWANN 192.168.4.20</friendlyName><manufacturer>SWANN</manufacturer>"
    "<manufacturerURL>http://x/?a=1&amp;b=2</manufacturerURL><modelName>SWANN DVR8-1550</modelName>"
    "<iconList><icon><mimetype>image/png</mimetype><width>32</width></icon></iconList>"
    "<UDN>uuid:Upnp-BasicDevice-1_0-ACCC8E112233</UDN></device></root>"
)


def read(channel: str, text: str) -> dict[str, str]:
    return dict(PROTOCOL.read(Observation(channel=channel, value=text)))


def search(target: str) -> bytes:
    return (
        f'M-SEARCH * HTTP/1.1\r\nHOST: {GROUP}:1900\r\nMAN: "ssdp:discover"\r\nMX: 2\r\nST: {target}\r\n\r\n'.encode()
    )


@pytest.mark.parametrize("text", [ANSWER, ANSWER.lower(), ANSWER.partition("\r\n")[2], ANSWER.replace("\r\n", "\n")])
def test_ssdp_headers_become_fields(text: str) -> None:
    found = read("upnp.ssdp", text)
    assert found["upnp.server"].lower() == "linux, upnp/1.0, private upnp sdk"
    assert found["upnp.st"] == "upnp:rootdevice"
    assert found["upnp.location"] == "http://192.0.2.19:80/desc.xml"
    assert found["upnp.usn"].startswith("uuid:device_3_0-")
    assert "upnp.cache-control" not in found


def test_ssdp_written_as_pairs() -> None:
    assert read("upnp.ssdp", "server=Linux UPnP/1.0 X\nst=upnp:rootdevice")["upnp.server"] == "Linux UPnP/1.0 X"


def test_searches_are_no_fields() -> None:
    assert read("upnp.ssdp", search("ssdp:all").decode()) == {}


@pytest.mark.parametrize(
    "text",
    [
        DESCRIPTION,
        "HTTP/1.1 200 OK\r\nServer: X\r\n\r\n" + DESCRIPTION,
        DESCRIPTION[DESCRIPTION.index("<deviceType>") : DESCRIPTION.index("<iconList>")],
        "deviceType=urn:schemas-upnp-org:device:EmbeddedNetDevice:1\nmanufacturer=SWANN\nmodelName=SWANN DVR8-1550",
    ],
)
def test_descriptions_become_fields(text: str) -> None:
    found = read("upnp.description", text)
    assert found["upnp.devicetype"].endswith("EmbeddedNetDevice:1")
    assert found["upnp.manufacturer"] == "SWANN"
    assert found["upnp.modelname"] == "SWANN DVR8-1550"
    assert "upnp.mimetype" not in found
    assert found.get("upnp.server") == ("X" if text.startswith("HTTP") else None)


@pytest.mark.parametrize(
    ("identifier", "mac"),
    [
        ("uuid:Upnp-BasicDevice-1_0-ACCC8E112233::upnp:rootdevice", "ac:cc:8e:11:22:33"),
        ("uuid:00e0fc37-2525-2828-2500-0C31DC12AB34", "0c:31:dc:12:ab:34"),
        ("uuid:00000000-0000-1000-0000-e894f612ab34", "e8:94:f6:12:ab:34"),
        ("uuid:upnp-InternetGatewayDevice-E944A9000000", None),  # group bit: a masked address
        ("uuid:278b1b37-153c-452d-b316-d2ed4e99e6a2", None),  # random
    ],
)
def test_identifiers_built_from_the_mac_state_it(identifier: str, mac: str | None) -> None:
    for channel in ("upnp.udn", "upnp.usn"):
        assert read(channel, identifier).get("mac") == mac
    assert read("upnp.description", f"<UDN>{identifier}</UDN>").get("mac") == mac
    assert read("upnp.ssdp", f"USN: {identifier}").get("mac") == mac


def test_recognises_answers_and_no_searches() -> None:
    assert PROTOCOL.recognise(ANSWER.encode()) == "upnp.ssdp"
    assert PROTOCOL.recognise(b"NOTIFY * HTTP/1.1\r\nNT: x\r\n\r\n") == "upnp.ssdp"
    assert PROTOCOL.recognise(search("ssdp:all")) is None
    assert PROTOCOL.recognise(b"HTTP/1.1 200 OK\r\n\r\n<html>") is None


@pytest.mark.parametrize("value", [ANSWER, "SERVER: Linux UPnP/1.0 Huawei-ATP-IGD\r\nST: upnp:rootdevice"])
def test_recorded_answers_are_served(value: str) -> None:
    device = Recording(id="d", observations=(Observation(channel="upnp.ssdp", value=value),))
    assert PROTOCOL.services(device) == (SERVICE,)
    for target in ("ssdp:all", "upnp:rootdevice"):
        reply = PROTOCOL.answer(search(target), device, SERVICE)
        assert reply is not None
        assert PROTOCOL.recognise(reply.data) == "upnp.ssdp"
        assert read("upnp.ssdp", from_bytes(reply.data)) == read("upnp.ssdp", value)
    assert PROTOCOL.answer(search("urn:axis-com:service:BasicService:1"), device, SERVICE) is None
    assert PROTOCOL.answer(b"GET / HTTP/1.1\r\n\r\n", device, SERVICE) is None


def test_violations() -> None:
    assert PROTOCOL.violation(b"POST /ctl HTTP/1.1\r\n\r\n", SERVICE)
    assert PROTOCOL.violation(search("ssdp:all"), SERVICE) is None
    assert PROTOCOL.violation(ANSWER.encode(), SERVICE) is None


HOST = "192.0.2.19"


def heard(*locations: str, host: str = HOST, channel: str = "upnp.ssdp") -> tuple[Reading, ...]:
    said = [Observation(channel=channel, value=f"LOCATION: {at}\r\nST: x\r\n", port=PORT) for at in locations]
    return read_all(Recording(id="d", ip=host, observations=tuple(said)))


def asks(readings: Sequence[Reading], host: str = HOST) -> list[tuple[int, str]]:
    """What would be asked, wherever an answer leads."""
    found: list[tuple[int, str]] = []
    for lead in PROTOCOL.leads(host, readings):
        found += [(lead.port, ask.request) for ask in PROTOCOL.converse(Stream(host, lead.port, lead.tls, readings))]
    return found


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        (f"http://{HOST}:49152/desc.xml", (49152, "GET /desc.xml")),
        (f"HTTP://{HOST}/a/b.xml?c=d", (80, "GET /a/b.xml?c=d")),
        (f"http://{HOST}:1900/igd.xml", (1900, "GET /igd.xml")),
        (f" http://{HOST}:8000/x.xml ", (8000, "GET /x.xml")),
        ("http://[2001:db8::19]:49152/desc.xml", None),
        ("http://192.0.2.20:49152/desc.xml", None),
        ("http://192.0.2.190/desc.xml", None),
        ("http://127.0.0.1:49152/desc.xml", None),
        ("http://0.0.0.0:49152/desc.xml", None),
        ("http://localhost:49152/desc.xml", None),
        ("http://camera.example/desc.xml", None),
        (f"http://{HOST}.example/desc.xml", None),
        (f"http://{HOST}@192.0.2.20/desc.xml", None),
        (f"http://admin:12345@{HOST}/desc.xml", None),
        (f"https://{HOST}/desc.xml", None),
        (f"ftp://{HOST}/desc.xml", None),
        (f"file://{HOST}/etc/passwd", None),
        ("/desc.xml", None),
        (f"//{HOST}/desc.xml", None),
        ("", None),
        ("http://[", None),
        (f"http://{HOST}:99999/x", None),
        (f"http://{HOST}:0/x", None),
        *((f"http://{HOST}:{port}/desc.xml", None) for port in
          (9100, 9103, 102, 502, 20000, 44818, 47808, 21, 22, 23, 25, 443, 554, 8554, 7547, 9000, 34567, 37777)),
        (f"http://{HOST}/ISAPI/Security/userCheck", None),
        (f"http://{HOST}/System/configurationFile?auth=YWRtaW46MTEK", None),
        (f"http://{HOST}/reboot.cgi", None),
        (f"http://{HOST}/{'a' * 600}", None),
    ],
)  # fmt: skip
def test_a_description_is_asked_for_on_the_device_itself_alone(location: str, asked: tuple[int, str] | None) -> None:
    assert asks(heard(location)) == ([asked] if asked else [])


def test_a_description_has_an_address_of_version_six_too() -> None:
    host = "fe80::1%eth0"
    assert asks(heard("http://[FE80::1]:49152/desc.xml", host=host), host) == [(49152, "GET /desc.xml")]
    (ask,) = PROTOCOL.converse(Stream(host, 49152, heard=heard("http://[fe80::1]:49152/desc.xml", host=host)))
    assert b"Host: [fe80::1]:49152\r\n" in ask.payload


def test_the_first_descriptions_are_asked_for_once_each_and_no_more() -> None:
    many = heard(*(f"http://{HOST}:{49152 + n}/{n}.xml" for n in (0, 0, 1, 2, 3)))
    assert asks(many) == [(49152, "GET /0.xml"), (49153, "GET /1.xml")]
    both = heard(f"http://{HOST}:49152/a.xml", f"http://{HOST}:49152/b.xml")
    assert PROTOCOL.leads(HOST, both) == [Lead(49152)]
    assert asks(both) == [(49152, "GET /a.xml"), (49152, "GET /b.xml")]
    known = Observation(channel="upnp.description", value="x", port=49152, request="GET /a.xml")
    assert asks((*both, Reading("upnp.description", "x", known))) == [(49152, "GET /b.xml")]


def test_only_ssdp_leads_anywhere() -> None:
    assert asks(heard(f"http://{HOST}:49152/x.xml", channel="upnp.description")) == []
    assert asks(()) == []


def test_one_plain_get_and_no_more_whatever_is_answered() -> None:
    stream = Stream(HOST, 49152, heard=heard(f"http://{HOST}:49152/desc.xml"))
    conversation = PROTOCOL.converse(stream)
    ask = next(conversation)
    assert (ask.channel, ask.port, ask.limit) == ("upnp.description", None, 65_536)
    assert ask.payload.startswith(b"GET /desc.xml HTTP/1.1\r\nHost: 192.0.2.19:49152\r\n")
    assert PROTOCOL.violation(ask.payload, Service(Transport.TCP, 49152)) is None
    redirect = b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.19/other.xml\r\nContent-Length: 0\r\n\r\n"
    assert PROTOCOL.complete(redirect, ask)
    with pytest.raises(StopIteration):
        conversation.send(_answer(redirect))


def _answer(data: bytes) -> Answer:
    return Answer(data=data, closed=True)


def test_what_is_answered_is_read_as_http() -> None:
    body = DESCRIPTION.encode()
    chunked = b"%x\r\n" % 200 + body[:200] + b"\r\n%x\r\n" % (len(body) - 200) + body[200:] + b"\r\n0\r\n\r\n"
    found = read("upnp.description", f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunked.decode()}")
    assert found == read("upnp.description", DESCRIPTION)
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(body)
    assert read("upnp.description", from_bytes(packed)) == found
    refused = "HTTP/1.1 404 Not Found\r\nServer: X\r\n\r\n<html><manufacturer>Dahua</manufacturer></html>"
    assert read("upnp.description", refused) == {"upnp.server": "X"}


def test_a_description_is_masked() -> None:
    told = "HTTP/1.1 200 OK\r\nSet-Cookie: a=12b\r\n\r\n<modelName>M</modelName><ssid>home1</ssid>"
    masked = PROTOCOL.mask(Observation(channel="upnp.description", value=told)).value
    assert masked == told.replace("12b", "00a").replace("home1", "00000")
    assert PROTOCOL.mask(Observation(channel="upnp.ssdp", value=ANSWER)).value == ANSWER


def served(device: Recording) -> tuple[str, str]:
    """The LOCATION of a device's answer, and what stands there."""
    udp, tcp = PROTOCOL.services(device)
    reply = PROTOCOL.answer(search("upnp:rootdevice"), device, udp)
    assert reply is not None
    said = read_all(Recording(id="d", observations=(Observation(channel="upnp.ssdp", value=from_bytes(reply.data)),)))
    assert device.ip is not None
    ((port, _request),) = asks(said, device.ip)
    assert (tcp.transport, tcp.port) == (Transport.TCP, port)
    (ask,) = PROTOCOL.converse(Stream(device.ip, port, heard=said))
    page = PROTOCOL.answer(ask.payload, device, tcp)
    assert page is not None
    other = PROTOCOL.answer(ask.payload.replace(b"GET /", b"GET /x"), device, tcp)
    assert other is None
    return next(r.value for r in said if r.channel == "upnp.location"), from_bytes(page.data)


@pytest.mark.parametrize(
    ("said", "location"),
    [
        ((("upnp.ssdp", ANSWER), ("upnp.description", DESCRIPTION)), "http://192.0.2.7:80/desc.xml"),
        ((("upnp.ssdp", "SERVER: x"), ("upnp.description", DESCRIPTION)), "http://192.0.2.7:49152/description.xml"),
        ((("upnp.description", DESCRIPTION),), "http://192.0.2.7:49152/description.xml"),
        ((("upnp.server", "x"), ("upnp.manufacturer", "SWANN")), "http://192.0.2.7:49152/description.xml"),
    ],
)
def test_a_recorded_description_is_served_where_its_own_answer_leads(
    said: tuple[tuple[str, str], ...], location: str
) -> None:
    device = Recording(id="d", ip="192.0.2.7", observations=tuple(Observation(channel=c, value=v) for c, v in said))
    led, page = served(device)
    assert led == location
    assert read("upnp.description", page)["upnp.manufacturer"] == "SWANN"


def test_a_description_heard_on_a_port_and_path_stands_there_again() -> None:
    seen = Observation(channel="upnp.description", value=DESCRIPTION, port=1900, request="GET /igd.xml")
    assert served(Recording(id="d", ip="192.0.2.7", observations=(seen,)))[0] == "http://192.0.2.7:1900/igd.xml"


def test_without_a_description_an_answer_is_served_as_recorded() -> None:
    device = Recording(id="d", ip="192.0.2.7", observations=(Observation(channel="upnp.ssdp", value=ANSWER),))
    assert PROTOCOL.services(device) == (SERVICE,)
    reply = PROTOCOL.answer(search("ssdp:all"), device, SERVICE)
    assert reply is not None
    assert reply.data == ANSWER.encode()


def test_violations_where_a_description_stands() -> None:
    place = Service(Transport.TCP, 49152)
    assert PROTOCOL.violation(b"GET /desc.xml HTTP/1.1\r\nAuthorization: Basic x\r\n\r\n", place)
    assert PROTOCOL.violation(b"POST /upnp/control HTTP/1.1\r\nSOAPAction: x\r\n\r\n", place)
    assert PROTOCOL.violation(b"SUBSCRIBE /upnp/event HTTP/1.1\r\n\r\n", place)
