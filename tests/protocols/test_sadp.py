from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec
import pytest

from scanner.model import Observation, Recording, Transport, Via
from scanner.protocols.base import Alone, Service
from scanner.protocols.sadp import ETHERTYPE, GROUP, PORT, PROTOCOL, inquiry
from scanner.values import from_bytes

SERVICE = Service(Transport.UDP, PORT, groups=(GROUP,))
ANSWER = (
    '<?xml version="1.0" encoding="UTF-8"?>\r\n<ProbeMatch><Uuid>e8ecfe09-90e4</Uuid>\r\n<Types>inquiry</Types>\r\n'
    "<DeviceType>141945</DeviceType>\r\n<DeviceDescription>DS-2CD2385G1-I</DeviceDescription>\r\n"
    "<DeviceSN>DS-2CD2385G1-I20200414AAWRA00000000</DeviceSN>\r\n<MAC>58-50-ed-11-22-33</MAC>\r\n"
    "<SoftwareVersion>V5.6.2build 190701</SoftwareVersion>\r\n<HCPlatformEnable>flase</HCPlatformEnable>\r\n"
    "<Salt>d8eebc414effc857</Salt>\r\n</ProbeMatch>\r\n"
)


def read(text: str, channel: str = "sadp.response") -> list[tuple[str, str]]:
    return list(PROTOCOL.read(Observation(channel=channel, value=text)))


def device(*observations: Observation) -> Recording:
    return Recording(id="d", observations=observations)


def ask(recording: Recording, kind: str = "inquiry") -> bytes | None:
    question = next(q for q in PROTOCOL.questions() if q.request == kind)
    reply = PROTOCOL.answer(question.payload, recording, SERVICE)
    return reply.data if reply else None


def test_reads_every_field_and_the_mac_but_not_the_salt() -> None:
    found = dict(read(ANSWER))
    assert found["sadp.devicedescription"] == "DS-2CD2385G1-I"
    assert found["sadp.softwareversion"] == "V5.6.2build 190701"
    assert found["sadp.hcplatformenable"] == "flase"
    assert found["mac"] == "58:50:ed:11:22:33"
    assert "sadp.salt" not in found
    assert "sadp.truncated" not in found


@pytest.mark.parametrize(
    "text",
    [
        "hex:" + (b"\x00\x21\xff\x02" + ANSWER.encode()).hex(),
        ANSWER.lower(),
        ANSWER.replace("ProbeMatch", "Hello").replace("inquiry", "hello"),
        ANSWER.replace("</DeviceType>", "</DeviceType><DeviceType>&</DeviceType><stray & bytes\x07"),
        ANSWER[ANSWER.index("<DeviceDescription>") :],
        "DeviceDescription: DS-2CD2385G1-I\nMAC: 58:50:ED:11:22:33\n",
        '{"DeviceDescription": "DS-2CD2385G1-I", "MAC": "58-50-ed-11-22-33"}',
    ],
)
def test_reads_other_spellings(text: str) -> None:
    found = dict(read(text))
    assert found["sadp.devicedescription"].upper() == "DS-2CD2385G1-I"
    assert found["mac"] == "58:50:ed:11:22:33"


def test_duplicate_elements_are_all_read() -> None:
    twice = read("<Hello><DeviceType>1</DeviceType><DeviceType>2</DeviceType></Hello>")
    assert [value for name, value in twice if name == "sadp.devicetype"] == ["1", "2"]


def test_a_cut_off_answer_says_so_and_gives_whole_elements_only() -> None:
    found = dict(read(ANSWER[: ANSWER.index("</SoftwareVersion>") - 3]))
    assert found["sadp.truncated"] == "true"
    assert "sadp.devicesn" in found
    assert "sadp.softwareversion" not in found


def test_questions_of_others_are_no_fields() -> None:
    for question in PROTOCOL.questions():
        assert read(from_bytes(question.payload)) == []


def test_a_single_field_states_its_mac() -> None:
    assert read("58-50-ed-11-22-33", "sadp.mac") == [("mac", "58:50:ed:11:22:33")]
    assert read("00-00-00-00-00-00", "sadp.mac") == []


def test_questions_are_the_exact_form_with_one_fresh_id() -> None:
    first, second, frame = PROTOCOL.questions()
    form = rb'<\?xml version="1\.0" encoding="utf-8"\?><Probe><Uuid>([0-9A-F-]{36})</Uuid><Types>(\w+)</Types></Probe>'
    one, two = re.fullmatch(form, first.payload), re.fullmatch(form, second.payload)
    assert one
    assert two
    assert (one[2], two[2]) == (b"inquiry", b"inquiry_v32")
    assert one[1] == two[1]
    assert one[1] not in PROTOCOL.questions()[0].payload
    for question in (first, second):
        assert (question.port, question.groups, question.broadcast) == (PORT, (GROUP,), True)
        assert (question.listen, question.join) == ((PORT,), (GROUP,))
    assert (first.alone, second.alone) == (Alone.FIRST, Alone.AWAY)
    assert PROTOCOL.questions(frozenset({"hikvision"}))[1].alone is Alone.FIRST
    assert (frame.ethertype, frame.alone, frame.port) == (ETHERTYPE, Alone.NEVER, 0)


def test_recognises_answers_and_no_questions() -> None:
    assert PROTOCOL.recognise(ANSWER.encode()) == "sadp.response"
    assert PROTOCOL.recognise(b"\x00\x21\x07" + ANSWER.encode()) == "sadp.response"
    assert PROTOCOL.recognise(b"<Hello><Types>hello</Types>") == "sadp.response"
    assert PROTOCOL.recognise(PROTOCOL.questions()[0].payload) is None
    assert PROTOCOL.recognise(b'<s:Envelope xmlns="x"><Hello></Hello>') is None
    assert PROTOCOL.recognise(b"HTTP/1.1 200 OK\r\n") is None


def test_mask_hides_salt_and_id_in_place() -> None:
    seen = Observation(channel="sadp.response", value=ANSWER)
    masked = PROTOCOL.mask(seen).value
    assert "<Salt>0000000000000000</Salt>" in masked
    assert "<Uuid>00000000-0000</Uuid>" in masked
    assert len(masked) == len(ANSWER)
    assert dict(read(masked))["sadp.devicesn"] == dict(read(ANSWER))["sadp.devicesn"]


def test_a_recorded_answer_is_served_with_the_asked_id() -> None:
    data = ask(device(Observation(channel="sadp.response", value=ANSWER)))
    assert data is not None
    question = PROTOCOL.questions()[0].payload
    reply = PROTOCOL.answer(question, device(Observation(channel="sadp.response", value=ANSWER)), SERVICE)
    assert reply is not None
    uuid = question[question.index(b"<Uuid>") : question.index(b"</Uuid>")]
    assert reply.data == ANSWER.encode().replace(b"<Uuid>e8ecfe09-90e4", uuid)
    assert reply.group is None


def test_old_firmware_answers_one_type_only_and_to_the_group() -> None:
    old = device(Observation(channel="sadp.response", value=ANSWER, via=Via.MULTICAST))
    assert ask(old, "inquiry_v32") is None
    reply = PROTOCOL.answer(PROTOCOL.questions()[0].payload, old, SERVICE)
    assert reply is not None
    assert reply.group == GROUP


def test_both_types_are_answered_with_their_own_recording() -> None:
    newer = ANSWER.replace("inquiry", "inquiry_v32").replace("141945", "7")
    both = device(
        Observation(channel="sadp.response", value=ANSWER, request="inquiry"),
        Observation(channel="sadp.response", value=newer, request="inquiry_v32"),
    )
    first, second = ask(both), ask(both, "inquiry_v32")
    assert first is not None
    assert second is not None
    assert b"141945" in first
    assert b"<DeviceType>7<" in second


def test_recorded_silence_stays_silence() -> None:
    silent = Observation(channel="sadp.response", value="", request="inquiry_v32", silent=True)
    mute = device(Observation(channel="sadp.devicesn", value="X"), silent)
    assert ask(mute, "inquiry_v32") is None
    assert ask(mute) is not None
    assert PROTOCOL.services(device(silent)) == ()


def test_single_fields_and_announcements_are_composed() -> None:
    fields = device(
        Observation(channel="sadp.devicedescription", value="A<&>B"),
        Observation(channel="sadp.mac", value="58-50-ed-11-22-33"),
    )
    for kind in ("inquiry", "inquiry_v32"):
        data = ask(fields, kind)
        assert data is not None
        assert PROTOCOL.recognise(data) == "sadp.response"
        found = dict(read(from_bytes(data)))
        assert found["sadp.devicedescription"] == "A<&>B"
        assert found["mac"] == "58:50:ed:11:22:33"
    heard = device(Observation(channel="sadp.response", value=ANSWER.replace("ProbeMatch", "Hello"), via=Via.HEARD))
    announced = ask(heard)
    assert announced is not None
    assert b"<ProbeMatch>" in announced
    assert b"DS-2CD2385G1-I" in announced


@pytest.mark.parametrize(
    "payload",
    [
        b"<Probe><Uuid>1</Uuid><Types>exchangecode</Types></Probe>",
        b"<Probe><Types>inquiry</Types><Types>reboot</Types></Probe>",
        b"<Probe><Types>INQUIRY2</Types></Probe>",
        b"<Probe><MAC>1</MAC></Probe>",
        b"",
        b"\xff",
        b"<:/>",
    ],
)
def test_violations(payload: bytes) -> None:
    assert PROTOCOL.violation(payload, SERVICE)
    assert PROTOCOL.answer(payload, device(Observation(channel="sadp.devicesn", value="X")), SERVICE) is None or (
        b"<Types>inquiry</Types><" in payload
    )


def test_polite_questions_and_other_peoples_answers_are_no_violations() -> None:
    for payload in [*(q.payload for q in PROTOCOL.questions() if q.ethertype is None), ANSWER.encode()]:
        assert PROTOCOL.violation(payload, SERVICE) is None


def test_scanning_the_corpus_reads_what_the_recordings_say(corpus: Iterable[Recording]) -> None:
    asked = 0
    for case in corpus:
        if not PROTOCOL.services(case):
            continue
        asked += 1
        recorded = {f for o in case.observations if o.channel == "sadp.response" for f in PROTOCOL.read(o)}
        heard: set[tuple[str, str]] = set()
        for kind in ("inquiry", "inquiry_v32"):
            data = ask(msgspec.structs.replace(case, behaviour=None), kind)
            if data is not None:
                assert PROTOCOL.recognise(data)
                heard |= set(read(from_bytes(data)))
        assert {f for f in recorded - heard if f[0] not in {"sadp.uuid", "sadp.types"}} == set(), case.id
    assert asked >= 3


VECTOR = (
    "210201420000000106040300ab1002000000 0001c000020a ffffffffffff 0000000000000000" + "00" * 28
).replace(" ", "")
"""Computed by the documented algorithm for 02:00:00:00:00:01, 192.0.2.10."""
FRAME_SERVICE = Service(Transport.L2, ETHERTYPE)


def framed(**fields: str) -> Recording:
    told = [Observation(channel=f"sadp.{name}", value=value, transport=Transport.L2) for name, value in fields.items()]
    return Recording(id="f", ip="192.168.1.64", mac="58:50:ed:11:22:33", observations=tuple(told))


def test_the_frame_is_the_documented_one() -> None:
    assert inquiry("192.0.2.10", "02:00:00:00:00:01").hex() == VECTOR
    assert PROTOCOL.recognise(bytes.fromhex(VECTOR)) is None
    assert PROTOCOL.stated(bytes.fromhex(VECTOR)) == "192.0.2.10"
    assert PROTOCOL.stated(b"<ProbeMatch>") is None


def test_a_device_heard_in_frames_answers_in_frames_only() -> None:
    device = framed(devicedescription="DS-2CD2385G1-I", softwareversion="V5.6.2build 190701", commandport="8000")
    assert PROTOCOL.services(device) == (FRAME_SERVICE,)
    reply = PROTOCOL.answer(bytes.fromhex(VECTOR), device, FRAME_SERVICE)
    assert reply is not None
    assert PROTOCOL.recognise(reply.data) == "sadp.response"
    assert PROTOCOL.stated(reply.data) == "192.168.1.64"
    found = dict(read(from_bytes(reply.data)))
    assert found["sadp.devicedescription"] == "DS-2CD2385G1-I"
    assert found["sadp.softwareversion"] == "V5.6.2build 190701"
    assert (found["sadp.commandport"], found["mac"]) == ("8000", "58:50:ed:11:22:33")

    moved = msgspec.structs.replace(
        device, ip="10.0.0.7", mac="02:00:00:00:00:07",
        observations=(Observation(channel="sadp.response", value=from_bytes(reply.data), transport=Transport.L2),),
    )  # fmt: skip
    again = PROTOCOL.answer(bytes.fromhex(VECTOR), moved, FRAME_SERVICE)
    assert again is not None
    assert PROTOCOL.stated(again.data) == "10.0.0.7"
    assert again.data[38:] == reply.data[38:]


def test_short_frames_bring_what_they_hold_and_questions_nothing() -> None:
    device = framed(devicesn="DS-1", devicedescription="DS-1", oeminfo="N/A")
    reply = PROTOCOL.answer(bytes.fromhex(VECTOR), device, FRAME_SERVICE)
    assert reply is not None
    old = dict(read(from_bytes(reply.data[: 38 + 208])))
    assert old["sadp.devicesn"] == "DS-1"
    assert "sadp.devicedescription" not in old
    assert read("hex:" + VECTOR) == []
    assert dict(read(from_bytes(reply.data[:60]))) == {
        "sadp.mac": "58:50:ed:11:22:33", "mac": "58:50:ed:11:22:33", "sadp.ipv4address": "192.168.1.64",
        "sadp.devicesn": "DS-1",
    }  # fmt: skip


@pytest.mark.parametrize("operation", [0, 1, 5, 6, 7, 10, 12, 16])
def test_other_operations_of_frames_are_violations(operation: int) -> None:
    frame = bytearray.fromhex(VECTOR)
    frame[10] = operation
    assert PROTOCOL.violation(bytes(frame), FRAME_SERVICE)
    assert PROTOCOL.answer(bytes(frame), framed(devicesn="X"), FRAME_SERVICE) is None
    assert PROTOCOL.violation(bytes.fromhex(VECTOR), FRAME_SERVICE) is None
    assert PROTOCOL.violation(b"\x21", FRAME_SERVICE)
