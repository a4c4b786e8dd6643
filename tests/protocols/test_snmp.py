from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Alone, Service
from scanner.protocols.snmp import PORT, PROTOCOL

SERVICE = Service(Transport.UDP, PORT)
ENGINE = "800007db030cc6ccc68e10"
QUESTION = bytes.fromhex(
    "303a020103300f02024a69020300ffe30401040201030410300e0400020100020100040004000400"
    "301204000400a00c020237f00201000201003000"
)
"""Engine discovery as it is known from other scanners: 60 bytes."""
REPORT = bytes.fromhex(
    "30820068020103300f02024a69020300ffe3040100020103041d301b040b" + ENGINE + "02010702030dbba0040004000400"
    "3033040b" + ENGINE + "0400a822020237f002010002010030163014060a2b060106030f010104004106" + "0000000001a3"
)
"""A Report as another agent writes it: other lengths, a counter of six bytes."""


def device(value: str = ENGINE, channel: str = "snmp.engineid") -> Recording:
    return Recording(id="d", observations=(Observation(channel=channel, value=value),))


def pairs(value: str, channel: str = "snmp.walk") -> list[tuple[str, str]]:
    return list(PROTOCOL.read(Observation(channel=channel, value=value)))


@pytest.mark.parametrize(
    "walk",
    [
        "1.3.6.1.2.1.1.1.0 = Hikvision company products\n1.3.6.1.2.1.1.2.0 = 1.3.6.1.4.1.50001",
        "1.3.6.1.2.1.1.1.0=Hikvision company products\n1.3.6.1.2.1.1.2.0=.1.3.6.1.4.1.50001\n",
        '.1.3.6.1.2.1.1.1.0 = STRING: "Hikvision company products"\n.1.3.6.1.2.1.1.2.0 = OID: .1.3.6.1.4.1.50001',
        "iso.3.6.1.2.1.1.1.0 = STRING: Hikvision company products\niso.3.6.1.2.1.1.2.0 = OID: iso.3.6.1.4.1.50001",
        "SNMPv2-MIB::sysDescr.0 = STRING: Hikvision company products\n"
        "SNMPv2-MIB::sysObjectID.0 = OID: SNMPv2-SMI::enterprises.50001",
        "sysDescr.0: Hikvision company products\nsysObjectID = .1.3.6.1.4.1.50001\nother = x",
        "1.3.6.1.2.1.1.1.0|4|Hikvision company products\n1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.50001",
        "1.3.6.1.2.1.1.1.0|4x|" + b"Hikvision company products".hex() + "\n1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.50001",
    ],
)
def test_reads_every_spelling(walk: str) -> None:
    found = dict(pairs(walk))
    assert found["snmp.sysdescr"] == "Hikvision company products"
    assert found["snmp.sysobjectid"] == "1.3.6.1.4.1.50001"
    assert found["snmp.oid.1.3.6.1.2.1.1.2.0"] == "1.3.6.1.4.1.50001"


def test_values_may_go_on_over_lines() -> None:
    walk = '.1.3.6.1.2.1.1.1.0 = STRING: "S5720-56C\r\nHuawei\r\n5.170 (S5720)"\n1.3.6.1.4.1.39165.1.3.0 = V5.5.3\n'
    found = dict(pairs(walk))
    assert found["snmp.sysdescr"] == "S5720-56C\nHuawei\n5.170 (S5720)"
    assert found["snmp.oid.1.3.6.1.4.1.39165.1.3.0"] == "V5.5.3"


@pytest.mark.parametrize("value", ["Hex-STRING: 58 50 ED 11 22 33 ", "58:50:ed:11:22:33", '"58-50-ED-11-22-33"'])
@pytest.mark.parametrize("oid", ["1.3.6.1.2.1.2.2.1.6.1", "1.3.6.1.4.1.39165.1.4.0"])
def test_addresses_of_interfaces_are_macs(oid: str, value: str) -> None:
    assert ("mac", "58:50:ed:11:22:33") in pairs(f"{oid} = {value}")


def test_addresses_without_leading_zeros() -> None:
    assert ("mac", "00:1b:d8:01:02:33") in pairs("IF-MIB::ifPhysAddress.2 = STRING: 0:1b:d8:1:2:33")


def test_people_and_places_are_left_out() -> None:
    assert pairs("1.3.6.1.2.1.1.4.0 = Jane Doe\n1.3.6.1.2.1.1.6.0 = Room 3") == []


@pytest.mark.parametrize(
    ("engine", "fields"),
    [
        ("8000994d035850ed112233", [("snmp.enterprise", "39245"), ("mac", "58:50:ed:11:22:33")]),
        ("0x80:00:99:4d:03:58:50:ed:11:22:33", [("snmp.enterprise", "39245"), ("mac", "58:50:ed:11:22:33")]),
        ("8000994d045850ed112233", [("snmp.enterprise", "39245")]),  # format 4 is text
        ("8000994d035850ed1122", [("snmp.enterprise", "39245")]),  # too short for an address
        ("8000994d03015ed1122333", [("snmp.enterprise", "39245")]),  # a group's
        ("80001f888059dc486145a26322", [("snmp.enterprise", "8072")]),  # net-snmp's own format
        ("0000994d035850ed112233", []),  # before RFC 3411: no format to go by
        ("8000994d", []),
        ("80" * 33, []),
        ("no such thing", []),
    ],
)
def test_engine_ids_hold_the_enterprise_number_and_in_format_3_the_mac(
    engine: str, fields: list[tuple[str, str]]
) -> None:
    assert pairs(engine, "snmp.engineid") == fields
    walked = pairs(f"1.3.6.1.6.3.10.2.1.1.0 = Hex-STRING: {engine.removeprefix('0x')}")
    assert [pair for pair in walked if pair[0] in {"mac", "snmp.enterprise"}] == fields


def test_a_single_object_id_is_normalised() -> None:
    for spelling in (".1.3.6.1.4.1.368", "iso.3.6.1.4.1.368", "OID: .1.3.6.1.4.1.368", "SNMPv2-SMI::enterprises.368"):
        assert pairs(spelling, "snmp.sysobjectid") == [("snmp.sysobjectid", "1.3.6.1.4.1.368")]
    assert pairs("no such thing", "snmp.sysobjectid") == []


def test_the_question_is_engine_discovery_and_nothing_else() -> None:
    (question,) = PROTOCOL.questions()
    assert (question.port, question.alone, question.together) == (PORT, Alone.LAST, False)
    assert len(question.payload) == 60
    numbered = bytearray(question.payload)
    numbered[9:11], numbered[50:52] = QUESTION[9:11], QUESTION[50:52]
    assert bytes(numbered) == QUESTION
    assert question.payload != PROTOCOL.questions()[0].payload


def test_of_a_report_the_engine_id_is_kept_and_nothing_of_how_long_it_runs() -> None:
    assert PROTOCOL.recognise(REPORT) == "snmp.engineid"
    assert PROTOCOL.kept(REPORT) == ENGINE
    whole = pairs("hex:" + REPORT.hex(), "snmp.engineid")  # as it stands in somebody's `udp.payload`
    assert whole == [("snmp.engineid", ENGINE), ("snmp.enterprise", "2011"), ("mac", "0c:c6:cc:c6:8e:10")]


@pytest.mark.parametrize(
    "told",
    [
        QUESTION,
        REPORT.replace(b"\xa8\x22", b"\xa2\x22"),  # a response: it may carry another engine's id
        REPORT.replace(b"\x02\x01\x03\x30", b"\x02\x01\x01\x30", 1),  # v2c
        REPORT.replace(bytes.fromhex(ENGINE), bytes(11)),
        REPORT.replace(bytes.fromhex(ENGINE), b"\xff" * 11),
        REPORT + b"\0",
        b"",
        b"\x30\x80" + REPORT[4:] + b"\0\0",  # an indefinite length
        b"\x30\x84\xff\xff\xff\xff" + REPORT[4:],
        b"\x30\x82\x04\x00" * 300,
    ],
)
def test_whatever_else_is_said_is_no_answer(told: bytes) -> None:
    assert PROTOCOL.recognise(told) is None
    assert PROTOCOL.kept(told) == ""


@pytest.mark.parametrize("cut", range(len(REPORT)))
def test_a_cut_off_report_is_none(cut: int) -> None:
    assert PROTOCOL.recognise(REPORT[:cut]) is None


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 6))
def test_damaged_messages_are_read_or_refused(seed: int, changes: int) -> None:
    chance = random.Random(seed)
    damaged = bytearray(chance.choice((REPORT, QUESTION)))
    for _ in range(changes):
        place = chance.randrange(len(damaged))
        match chance.randrange(3):
            case 0:
                damaged[place] = chance.randrange(256)
            case 1:
                del damaged[place]
            case _:
                damaged[place:place] = chance.randbytes(chance.randrange(1, 8))
    data = bytes(damaged)
    if PROTOCOL.recognise(data) is not None:
        assert 10 <= len(PROTOCOL.kept(data)) <= 64
    PROTOCOL.violation(data, SERVICE)
    PROTOCOL.answer(data, device(), SERVICE)


def test_a_device_with_an_engine_id_answers_engine_discovery_with_its_own_number() -> None:
    walk = f".1.3.6.1.6.3.10.2.1.1.0 = Hex-STRING: {bytes.fromhex(ENGINE).hex(' ')}"
    for one in (device(), device("0x" + ENGINE.upper()), device(walk, "snmp.walk")):
        assert PROTOCOL.services(one) == (SERVICE,)
        reply = PROTOCOL.answer(QUESTION, one, SERVICE)
        assert reply is not None
        assert QUESTION[7:11] in reply.data
        assert PROTOCOL.kept(reply.data) == ENGINE
    assert PROTOCOL.services(device("x", "snmp.sysdescr")) == ()
    assert PROTOCOL.services(device("nothing of the kind")) == ()
    assert PROTOCOL.answer(REPORT, device(), SERVICE) is None
    longest = "80" * 32
    reply = PROTOCOL.answer(QUESTION, device(longest), SERVICE)
    assert reply is not None
    assert PROTOCOL.kept(reply.data) == longest


V1 = bytes.fromhex("302902010004067075626c6963a01c0204565adc5d020100020100300e300c06082b060102010101000500")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (V1, "community"),
        (V1.replace(b"\x02\x01\x00\x04", b"\x02\x01\x01\x04", 1), "community"),
        (V1.replace(b"\x06public", b"\x06\0\0\0\0\0\0"), "community"),
        (QUESTION.replace(b"\x04\x01\x04\x02", b"\x04\x01\x05\x02"), "login"),  # authenticated
        (QUESTION.replace(b"\x04\x01\x04\x02", b"\x04\x01\x07\x02"), "login"),  # and encrypted
        (bytes.fromhex("303f020103300f02024a69020300ffe3040104020103041530130400020100020100"
                       "040561646d696e04000400301204000400a00c020237f00201000201003000"), "login"),  # user "admin"
        (QUESTION.replace(b"\xa0\x0c", b"\xa3\x0c"), "more than"),  # a SET
        (QUESTION.replace(b"\xa0\x0c", b"\xa5\x0c"), "more than"),
        (b"", "no engine discovery"),
        (b"\0" * 60, "no engine discovery"),
        (QUESTION[:-1], "no engine discovery"),
    ],
)  # fmt: skip
def test_violations(asked: bytes, why: str) -> None:
    assert why in str(PROTOCOL.violation(asked, SERVICE))
    assert PROTOCOL.answer(asked, device(), SERVICE) is None
    assert PROTOCOL.violation(QUESTION, SERVICE) is None


def _v2c(*bindings: tuple[str, int, str], version: str = "01", kind: str = "a2", community: bytes = b"s3cret") -> bytes:
    """An answer, built by hand: (object identifier in hex, tag, value in hex)."""

    def element(tag: str, content: str) -> str:
        size = len(content) // 2
        return tag + (f"{size:02x}" if size < 128 else f"82{size:04x}") + content

    pairs_ = "".join(element("30", element("06", oid) + element(f"{tag:02x}", value)) for oid, tag, value in bindings)
    pdu = element(kind, "0201070201000201 00".replace(" ", "") + element("30", pairs_))
    return bytes.fromhex(element("30", element("02", version) + element("04", community.hex()) + pdu))


DESCR, OBJECT, NAME = "2b06010201010100", "2b06010201010200", "2b06010201010500"
ADDRESS = "2b060102010202010602"
SAID = _v2c(
    (DESCR, 4, b"Huawei AR1220\r\nVersion 5".hex()), (OBJECT, 6, "2b060104018f5b02"), (NAME, 4, b"hq-router".hex()),
    (ADDRESS, 4, "0cc6ccc68e10"), (DESCR, 2, "05"),
)  # fmt: skip


@pytest.mark.parametrize("version", ["00", "01"])
def test_of_somebody_elses_answer_maker_and_model_are_kept_and_no_secret(version: str) -> None:
    said = SAID.replace(b"\x02\x01\x01\x04\x06s3cret", bytes.fromhex("0201" + version) + b"\x04\x06s3cret")
    assert PROTOCOL.recognise(said) == "snmp.walk"
    kept = PROTOCOL.kept(said)
    assert pairs(kept, "snmp.walk")[:2] == [
        ("snmp.sysdescr", "Huawei AR1220\r\nVersion 5"), ("snmp.oid.1.3.6.1.2.1.1.1.0", "Huawei AR1220\r\nVersion 5"),
    ]  # fmt: skip
    assert ("snmp.sysobjectid", "1.3.6.1.4.1.2011.2") in pairs(kept, "snmp.walk")
    assert ("mac", "0c:c6:cc:c6:8e:10") in pairs(kept, "snmp.walk")
    assert b"s3cret".hex() not in kept.replace(" ", "").lower()
    assert b"hq-router".hex() not in kept.replace(" ", "").lower()


@pytest.mark.parametrize("said", [
    _v2c((DESCR, 4, "41"), kind="a0"), _v2c((DESCR, 4, "41"), version="02"), _v2c((NAME, 4, "41")), _v2c(), SAID + b"\0", _v2c((DESCR, 5, "")),
    _v2c(*[(DESCR, 4, "41")] * 65),
])  # fmt: skip
def test_questions_and_answers_that_name_nobody_are_not_read(said: bytes) -> None:
    assert PROTOCOL.recognise(said) is None
    assert PROTOCOL.kept(said) == ""


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_damaged_answers_break_nothing(seed: int) -> None:
    chance = random.Random(seed)
    damaged = bytearray(SAID)
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(damaged))
        damaged[place] = chance.randrange(256)
    assert len(PROTOCOL.kept(bytes(damaged))) < 8192
