from __future__ import annotations

from scanner.model import Observation
from scanner.protocols.bosch import PROTOCOL

ANSWER = bytes.fromhex(
    "9939a4276008ad0a00112233445503fff0000700ff0000007f00000100030071"
)
"""A published sample of an answer (its serial, addresses and MAC are invented)."""


def test_the_published_answer_is_read() -> None:
    assert PROTOCOL.recognise(ANSWER) == "discovery.bosch"
    found = dict(PROTOCOL.read(Observation(channel="discovery.bosch", value="hex:" + ANSWER.hex())))
    for name, value in {"ip": "240.0.7.0", "gateway": "127.0.0.1"}.items():
        assert found[f"discovery.bosch.{name}"] == value
    assert found["mac"] == "00:11:22:33:44:55"


def test_the_search_is_the_documented_one() -> None:
    assert (PROTOCOL.searches()[0][:4].hex(), PROTOCOL.searches()[0][8:].hex()) == ("9939a427", "ff0006de")


XML = (
    '<?xml version="1.0" encoding="UTF-8"?><root xmlns="OEMExt00:device-1-0"><device><friendlyName>NBN-733V</friendlyName>'
    "<serialNumber>044123</serialNumber><physAddress>00-07-5f-11-22-33</physAddress><sessionKey>00af</sessionKey>"
    "</device></root>"
)


def test_the_xml_is_read_without_the_key_of_its_session() -> None:
    assert PROTOCOL.recognise(XML.encode()) == "discovery.bosch"
    seen = Observation(channel="discovery.bosch", value=XML)
    found = dict(PROTOCOL.read(seen))
    assert found["discovery.bosch.model"] == "NBN-733V"
    assert found["discovery.bosch.serial"] == "044123"
    assert found["mac"] == "00:07:5f:11:22:33"
    assert "<sessionKey>0000</sessionKey>" in PROTOCOL.mask(seen).value
