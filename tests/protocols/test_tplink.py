from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Service
from scanner.protocols.tplink import OLD_PORT, PORT, PROTOCOL, decode, encode
from scanner.values import from_bytes

NEW, OLD = Service(Transport.UDP, PORT), Service(Transport.UDP, OLD_PORT)
QUERY = bytes.fromhex("020000010000000000000000463cb5d3")
OLD_QUERY = bytes.fromhex("d0f281f88bff9af7d5ef94b6d1b4c09fec95e68fe187e8caf08bf68bf6")
RESULT = {
    "device_id": "abc0",
    "device_model": "C100",
    "mac": "F0-A7-31-00-00-01",
    "owner": "AB12",
    "firmware_version": "1.3",
}
TEXT = json.dumps({"error_code": 0, "result": RESULT})
OLD_TEXT = json.dumps({"system": {"get_sysinfo": {"model": "EC60(US)", "mac": "74:FE:CE:00:00:01", "latitude": 51.5}}})
FRAME = bytes.fromhex("0200000100001100") + bytes(8) + TEXT.encode()


def read(value: str, channel: str = "tplink.discovery") -> dict[str, str]:
    return dict(PROTOCOL.read(Observation(channel=channel, value=value)))


def test_the_running_xor_is_the_documented_one() -> None:
    assert encode(b'{"system":{"get_sysinfo":{}}}') == OLD_QUERY
    assert decode(OLD_QUERY) == b'{"system":{"get_sysinfo":{}}}'
    assert decode(b"") == b""


@pytest.mark.parametrize("value", [TEXT, "hex:" + FRAME.hex(), TEXT[:-3], TEXT.lower()])
def test_reads_the_newer_answer(value: str) -> None:
    found = read(value)
    assert found["tplink.device_model"].upper() == "C100"
    assert found["mac"] == "f0:a7:31:00:00:01"
    assert not {"tplink.owner", "tplink.device_id"} & found.keys()


@pytest.mark.parametrize("value", [OLD_TEXT, "hex:" + encode(OLD_TEXT.encode()).hex()])
def test_reads_the_older_answer(value: str) -> None:
    found = read(value)
    assert found["tplink.model"] == "EC60(US)"
    assert found["mac"] == "74:fe:ce:00:00:01"
    assert "tplink.latitude" not in found


def test_mask_hides_owner_ids_and_places_in_every_form() -> None:
    for value in (TEXT, "hex:" + FRAME.hex()):
        masked = PROTOCOL.mask(Observation(channel="tplink.discovery", value=value)).value
        assert len(masked) == len(value)
        text = bytes.fromhex(masked[4:]).decode("latin-1") if masked.startswith("hex:") else masked
        assert '"owner": "0000"' in text
        assert '"device_id": "0000"' in text
        assert read(masked) == read(value)
    old = Observation(channel="tplink.discovery", value="hex:" + encode(OLD_TEXT.encode()).hex())
    assert b"51.5" not in decode(bytes.fromhex(PROTOCOL.mask(old).value[4:]))
    assert read(PROTOCOL.mask(old).value) == read(old.value)


def test_recognises_answers_and_no_searches() -> None:
    assert PROTOCOL.recognise(FRAME) == "tplink.discovery"
    assert PROTOCOL.recognise(encode(OLD_TEXT.replace(" ", "").encode())) == "tplink.discovery"
    for question in (QUERY, OLD_QUERY, b""):
        assert PROTOCOL.recognise(question) is None


def test_scanning_the_corpus_reads_what_the_recordings_say(corpus: Iterable[Recording]) -> None:
    asked = 0
    for case in corpus:
        for service in PROTOCOL.services(case):
            asked += 1
            reply = PROTOCOL.answer(OLD_QUERY if service.port == OLD_PORT else QUERY, case, service)
            assert reply is not None
            assert PROTOCOL.recognise(reply.data) == "tplink.discovery"
            wanted = {f for o in case.observations if o.channel == "tplink.discovery" for f in PROTOCOL.read(o)}
            assert wanted == set(read(from_bytes(reply.data)).items())
    assert asked >= 5


def test_each_port_answers_its_own_search_and_fields_are_composed() -> None:
    device = Recording(id="d", observations=(Observation(channel="tplink.device_model", value="C210"),))
    assert PROTOCOL.services(device) == [NEW]
    assert PROTOCOL.answer(OLD_QUERY, device, NEW) is None
    reply = PROTOCOL.answer(QUERY, device, NEW)
    assert reply is not None
    assert read(from_bytes(reply.data))["tplink.device_model"] == "C210"
    older = Recording(id="o", observations=(Observation(channel="tplink.model", value="EC60", port=OLD_PORT),))
    assert PROTOCOL.services(older) == [OLD]
    reply = PROTOCOL.answer(OLD_QUERY, older, OLD)
    assert reply is not None
    assert read(from_bytes(reply.data))["tplink.model"] == "EC60"
