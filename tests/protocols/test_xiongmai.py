from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Service
from scanner.protocols.xiongmai import PORT, PROTOCOL
from scanner.values import from_bytes

SERVICE = Service(Transport.UDP, PORT)
SEARCH = bytes.fromhex("ff00000000000000000000000000fa0500000000")
TEXT = json.dumps(
    {
        "NetWork.NetCommon": {"HostIP": "0x6D0BA8C0", "MAC": "00:12:31:08:bb:97", "SN": "41e6", "Version": "V5"},
        "Ret": 100,
    }
)
FRAME = (
    bytes.fromhex("ff00000000000000000000000000fb05") + (len(TEXT) + 2).to_bytes(4, "little") + TEXT.encode() + b"\n\0"
)


def read(value: str, channel: str = "xm.discovery") -> dict[str, str]:
    return dict(PROTOCOL.read(Observation(channel=channel, value=value)))


@pytest.mark.parametrize(
    "value",
    [
        TEXT,
        "hex:" + FRAME.hex(),
        TEXT[TEXT.index('"MAC') : -20] + ',"Version":"V5"',
        "MAC: 00:12:31:08:BB:97\nVersion=V5",
    ],
)
def test_reads_every_form(value: str) -> None:
    found = read(value)
    assert found["mac"] == "00:12:31:08:bb:97"
    assert found["xm.version"] == "V5"


def test_a_single_field_states_its_mac() -> None:
    assert read("00:12:31:08:BB:97", "xm.mac") == {"mac": "00:12:31:08:bb:97"}


def test_recognises_answers_and_no_searches() -> None:
    assert PROTOCOL.recognise(FRAME) == "xm.discovery"
    assert PROTOCOL.recognise(SEARCH) is None
    assert PROTOCOL.recognise(FRAME[:19]) is None


@pytest.mark.parametrize("value", [TEXT, from_bytes(FRAME)])
def test_recorded_answers_are_served_in_their_frame(value: str) -> None:
    device = Recording(id="d", observations=(Observation(channel="xm.discovery", value=value),))
    assert PROTOCOL.services(device) == (SERVICE,)
    reply = PROTOCOL.answer(SEARCH, device, SERVICE)
    assert reply is not None
    assert reply.data == FRAME
    assert PROTOCOL.answer(FRAME, device, SERVICE) is None


def test_scanning_the_corpus_reads_what_the_recordings_say(corpus: Iterable[Recording]) -> None:
    cases = [case for case in corpus if PROTOCOL.services(case)]
    for case in cases:
        reply = PROTOCOL.answer(SEARCH, case, SERVICE)
        assert reply is not None
        wanted = {f for o in case.observations if o.channel == "xm.discovery" for f in PROTOCOL.read(o)}
        assert wanted == set(read(from_bytes(reply.data)).items())
    assert cases


def test_violations() -> None:
    assert PROTOCOL.violation(SEARCH, SERVICE) is None
    assert PROTOCOL.violation(FRAME, SERVICE) is None
    for message in (1000, 1532):
        assert PROTOCOL.violation(SEARCH[:14] + message.to_bytes(2, "little") + SEARCH[16:], SERVICE)
    assert PROTOCOL.violation(b"\xff", SERVICE)
