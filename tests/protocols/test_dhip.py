from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Alone, Service
from scanner.protocols.dhip import GROUP, OLD_PORT, PORT, PROTOCOL
from scanner.values import from_bytes

SERVICE, OLD = Service(Transport.UDP, PORT, groups=(GROUP,)), Service(Transport.UDP, OLD_PORT)
INFO = {
    "DeviceClass": "IPC",
    "DeviceType": "IPC-HDW1431T1-S4",
    "IPv4Address": {"DefaultGateway": "192.168.124.1", "DhcpEnable": True},
    "IPv6Address": {"DefaultGateway": None, "IPAddress": "\\/0"},
    "Manufacturer": "Private",
    "Port": 37777,
    "SerialNo": "6C01E93PAA00000",
    "Vendor": "Private",
    "Version": "2.800.0000000.13.R",
    "random": "12345678",
}
TEXT = json.dumps({"mac": "08:ed:ed:11:22:33", "method": "client.notifyDevInfo", "params": {"deviceInfo": INFO}})
SEARCH = bytes.fromhex(
    "20000000444849500000000000000000490000000000000049000000000000007b20226d6574686f6422203a20224448446973636f7665722e"
    "736561726368222c2022706172616d7322203a207b20226d616322203a2022222c2022756e6922203a2031207d207d0a"
)
OLD_ANSWER = bytes.fromhex(
    "b300180058000000000000000000000002000000580000000000000000000000"
    "00000000000000005669727475616c000000000000000000f0000300ff000000"
    "7f000001000000000a070809b822320000000000000032000000000000005000"
    "bb0191930a00909392930000efff2a2a3a8f00000000000030303a31313a3232"
    "3a33333a34343a35355669727475616c4e616d653a44616875610d0a44657669"
    "63653a5669727475616c0d0a49507636416464723a666538303a3a312f36343b"
    "676174657761793a666538303a3a0d0a0d0a53657269616c4e6f3a3132333435"
    "363738390d0a0d0a"
)


def frame(body: bytes, length: int = 32) -> bytes:
    size = len(body).to_bytes(4, "little")
    return (length.to_bytes(4, "little") + b"DHIP" + bytes(8) + size + bytes(4) + size + bytes(length))[:length] + body


def read(text: str, channel: str = "dhip.response") -> dict[str, str]:
    return dict(PROTOCOL.read(Observation(channel=channel, value=text)))


def device(*observations: Observation) -> Recording:
    return Recording(id="d", observations=observations)


@pytest.mark.parametrize(
    "value",
    [
        TEXT,
        TEXT.lower(),
        "hex:" + frame(TEXT.encode() + b"\n\0").hex(),
        "hex:" + frame(TEXT.encode() + b"\n\0", 40).hex(),
        "hex:" + frame(TEXT.encode()[:-2]).hex(),
        json.dumps({"mac": "08:ed:ed:11:22:33", **INFO}),
        TEXT[:-30],
        TEXT[TEXT.index('"IPv4') :] + ', "Mac": "08:ED:ED:11:22:33", "DeviceType": "IPC-HDW1431T1-S4"',
        "mac=08:ED:ED:11:22:33\ntype=IPC-HDW1431T1-S4\nserial=6C01E93PAA00000\nvendor=Private",
    ],
)
def test_reads_every_form(value: str) -> None:
    found = read(value)
    assert found["dhip.devicetype"].upper() == "IPC-HDW1431T1-S4"
    assert found["dhip.serialno"].upper() == "6C01E93PAA00000"
    assert found["dhip.vendor"].lower() == "private"
    assert found["mac"] == "08:ed:ed:11:22:33"
    assert "dhip.random" not in found


def test_nested_keys_keep_their_path_and_null_is_left_out() -> None:
    found = read(TEXT)
    assert found["dhip.ipv4address.dhcpenable"] == "true"
    assert "dhip.ipv6address.defaultgateway" not in found


@pytest.mark.parametrize("size", [0x7B, 0x7B7B])
def test_a_brace_in_the_header_is_not_the_json(size: int) -> None:
    head = bytearray(frame(b""))
    head[16:20] = size.to_bytes(4, "little")
    assert read("hex:" + (bytes(head) + TEXT.encode()).hex())["dhip.devicetype"] == "IPC-HDW1431T1-S4"


def test_reads_the_older_answer() -> None:
    found = read("hex:" + OLD_ANSWER.hex(), "discovery.dahua")
    assert found == {
        "dhip.machinename": "Virtual",
        "dhip.httpport": "80",
        "dhip.port": "37777",
        "dhip.mac": "00:11:22:33:44:55",
        "mac": "00:11:22:33:44:55",
        "dhip.devicetype": "Virtual",
        "dhip.name": "Dahua",
        "dhip.ipv6addr": "fe80::1/64;gateway:fe80::",
        "dhip.serialno": "123456789",
    }


@pytest.mark.parametrize("cut", range(0, len(OLD_ANSWER), 7))
def test_a_cut_off_older_answer_gives_what_is_whole(cut: int) -> None:
    whole = read("hex:" + OLD_ANSWER.hex())
    assert read("hex:" + OLD_ANSWER[:cut].hex()).keys() <= whole.keys()


def test_the_question_is_the_exact_form_of_105_bytes() -> None:
    search, old = PROTOCOL.questions()
    assert search.payload == SEARCH
    assert len(search.payload) == 105
    assert (search.port, search.groups, search.broadcast, search.alone) == (PORT, (GROUP,), True, Alone.FIRST)
    assert (search.listen, search.join) == ((PORT,), (GROUP,))
    assert old.payload.hex() == "a3010001" + "00" * 12 + "02" + "00" * 15
    assert (old.port, old.alone, old.groups, old.broadcast) == (OLD_PORT, Alone.NEVER, (), True)


def test_recognises_answers_and_no_questions() -> None:
    assert PROTOCOL.recognise(frame(TEXT.encode() + b"\n\0")) == "dhip.response"
    assert PROTOCOL.recognise(TEXT.encode()) == "dhip.response"
    assert PROTOCOL.recognise(OLD_ANSWER) == "discovery.dahua"
    for question in PROTOCOL.questions():
        assert PROTOCOL.recognise(question.payload) is None
    assert PROTOCOL.recognise(frame(b'{"method":"DHDiscover.setConfig"}')) is None
    assert PROTOCOL.recognise(b"DHIP") is None
    assert PROTOCOL.recognise(b"") is None


def test_mask_hides_the_random_number_only() -> None:
    masked = PROTOCOL.mask(Observation(channel="dhip.response", value=TEXT)).value
    assert masked == TEXT.replace("12345678", "00000000")


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (TEXT, frame(TEXT.encode() + b"\n\0")),
        (from_bytes(frame(TEXT.encode() + b"\n\0", 40)), frame(TEXT.encode() + b"\n\0", 40)),
    ],
)
def test_a_recorded_answer_is_served_in_its_frame(value: str, data: bytes) -> None:
    reply = PROTOCOL.answer(SEARCH, device(Observation(channel="dhip.response", value=value)), SERVICE)
    assert reply is not None
    assert reply.data == data
    assert reply.group is None


def test_single_fields_are_composed() -> None:
    fields = device(
        Observation(channel="dhip.devicetype", value="VTO2000A"),
        Observation(channel="dhip.mac", value="3c:ef:8c:00:00:01"),
        Observation(channel="dhip.ipv4address.dhcpenable", value="true"),
    )
    reply = PROTOCOL.answer(SEARCH, fields, SERVICE)
    assert reply is not None
    assert PROTOCOL.recognise(reply.data) == "dhip.response"
    found = read(from_bytes(reply.data))
    assert found["dhip.devicetype"] == "VTO2000A"
    assert found["mac"] == "3c:ef:8c:00:00:01"
    assert found["dhip.ipv4address.dhcpenable"] == "true"


def test_older_units_answer_on_their_port_only() -> None:
    old = device(Observation(channel="dhip.response", port=OLD_PORT, value="mac=BC:32:5F:00:00:01\ntype=IP Camera"))
    assert [service.port for service in PROTOCOL.services(old)] == [OLD_PORT]
    reply = PROTOCOL.answer(PROTOCOL.questions()[1].payload, old, OLD)
    assert reply is not None
    assert PROTOCOL.recognise(reply.data) == "discovery.dahua"
    found = read(from_bytes(reply.data), "discovery.dahua")
    assert found["dhip.devicetype"] == "IP Camera"
    assert found["mac"] == "bc:32:5f:00:00:01"
    raw = device(Observation(channel="discovery.dahua", value=from_bytes(OLD_ANSWER)))
    reply = PROTOCOL.answer(PROTOCOL.questions()[1].payload, raw, OLD)
    assert reply is not None
    assert reply.data == OLD_ANSWER


@pytest.mark.parametrize(
    ("payload", "service"),
    [
        (b"\xff", SERVICE),
        (b"DHIP", SERVICE),
        (b"", SERVICE),
        (SEARCH[32:], SERVICE),
        (frame(b'{"method":"DHDiscover.setConfig","params":{}}'), SERVICE),
        (frame(b'{"method":"PasswdFind.getDescript"}'), SERVICE),
        (frame(b'{"method":"global.login"}'), SERVICE),
        (frame(b'{"method":"DHDiscover.getVersion"}'), SERVICE),
        (b"\xa3\x01", OLD),
        (b"\xa0\x00" + bytes(30), OLD),
        (SEARCH, OLD),
    ],
)
def test_violations_are_named_and_not_answered(payload: bytes, service: Service) -> None:
    everything = device(
        Observation(channel="dhip.response", value=TEXT), Observation(channel="discovery.dahua", value="Name:Dahua")
    )
    if payload[4:8] == b"DHIP" and b"global.login" in payload:
        assert PROTOCOL.recognise(payload) is None
    assert PROTOCOL.violation(payload, service)
    if len(payload) != 2:
        assert PROTOCOL.answer(payload, everything, service) is None


def test_polite_questions_and_other_peoples_answers_are_no_violations() -> None:
    assert PROTOCOL.violation(SEARCH, SERVICE) is None
    assert PROTOCOL.violation(PROTOCOL.questions()[1].payload, OLD) is None
    assert PROTOCOL.violation(frame(TEXT.encode()), SERVICE) is None
    assert PROTOCOL.violation(OLD_ANSWER, OLD) is None


def test_scanning_the_corpus_reads_what_the_recordings_say(corpus: Iterable[Recording]) -> None:
    asked = 0
    for case in corpus:
        services = PROTOCOL.services(case)
        if not services:
            continue
        asked += 1
        recorded = {f for o in case.observations if o.channel == "dhip.response" for f in PROTOCOL.read(o)}
        heard: set[tuple[str, str]] = set()
        for question in PROTOCOL.questions():
            for service in services:
                if service.port == question.port:
                    reply = PROTOCOL.answer(question.payload, case, service)
                    assert reply is not None
                    assert PROTOCOL.recognise(reply.data) == question.channel
                    heard |= set(read(from_bytes(reply.data), question.channel).items())
        assert recorded - heard == set(), case.id
    assert asked >= 9
