from __future__ import annotations

import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Service
from scanner.protocols.upnp import GROUP, PORT, PROTOCOL
from scanner.values import from_bytes

SERVICE = Service(Transport.UDP, PORT, groups=(GROUP,))
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
