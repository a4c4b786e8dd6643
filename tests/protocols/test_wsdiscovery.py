from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Alone, Question, Service
from scanner.protocols.wsdiscovery import GROUP, GROUP6, PORT, PROTOCOL, epr_mac, scope_macs
from scanner.values import from_bytes

SERVICE = Service(Transport.UDP, PORT, groups=(GROUP, GROUP6))
MATCH = (
    "<d:ProbeMatch><wsadis:EndpointReference><wsadis:Address>urn:uuid:ec4914fd-936b-11b5-8467-2857be33e0b0"
    "</wsadis:Address>\r\n</wsadis:EndpointReference>\r\n<d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>\r\n"
    "<d:Scopes>onvif://www.onvif.org/type/video_encoder\r\n  onvif://www.onvif.org/hardware/DS-2CD2T32-I3 "
    "onvif://www.onvif.org/name/HIKVISION%20DS-2CD2T32-I3</d:Scopes>\r\n"
    "<d:XAddrs>http://192.168.100.31/onvif/device_service http://[fe80::2a57:beff:fe33:e0b0]/onvif/device_service"
    "</d:XAddrs>\r\n<d:MetadataVersion>10</d:MetadataVersion>\r\n</d:ProbeMatch>"
)
ANSWER = (
    '<?xml version="1.0" encoding="UTF-8"?>\r\n<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:dn="http://www.onvif.org/ver10/network/wsdl" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" '
    'xmlns:wsadis="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    "xmlns:tnshik='http://www.hikvision.com/2011/event/topics'><env:Header>"
    "<wsadis:MessageID>urn:uuid:ec4914fd-936b-11b5-8467-2857be33e0b0</wsadis:MessageID>\r\n"
    "<wsadis:RelatesTo>urn:uuid:11111111-2222-4333-8444-555555555557</wsadis:RelatesTo>\r\n"
    "<wsadis:ReplyTo><wsadis:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</wsadis:Address>"
    "</wsadis:ReplyTo></env:Header>\r\n"
    f"<env:Body><d:ProbeMatches>{MATCH}</d:ProbeMatches></env:Body></env:Envelope>"
)
HELLO = (
    ANSWER.replace("ProbeMatches>", "X>").replace("ProbeMatch>", "Hello>").replace("<d:X>", "").replace("</d:X>", "")
)
FAULT = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value>'
    "<s:Subcode><s:Value>d:MatchingRuleNotSupported</s:Value></s:Subcode></s:Code><s:Reason>"
    "<s:Text xml:lang='en'>the xml format error</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>"
)


def pairs(text: str, channel: str = "wsdiscovery.response") -> list[tuple[str, str]]:
    return list(PROTOCOL.read(Observation(channel=channel, value=text)))


def read(text: str) -> dict[str, str]:
    return dict(pairs(text))


def device(*observations: Observation) -> Recording:
    return Recording(id="d", observations=observations)


def probes() -> dict[str, Question]:
    return {question.request: question for question in PROTOCOL.questions()}


def ask(recording: Recording, request: str = "Probe dn:NetworkVideoTransmitter") -> str | None:
    reply = PROTOCOL.answer(probes()[request].payload, recording, SERVICE)
    return from_bytes(reply.data) if reply else None


@pytest.mark.parametrize("text", [ANSWER, HELLO, MATCH, "hex:" + ANSWER.encode().hex(), "junk\x00" + ANSWER])
def test_reads_matches_announcements_and_pieces(text: str) -> None:
    found = read(text)
    assert found["onvif.types"] == "dn:NetworkVideoTransmitter tds:Device"
    assert found["onvif.scopes"] == (
        "onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/hardware/DS-2CD2T32-I3 "
        "onvif://www.onvif.org/name/HIKVISION%20DS-2CD2T32-I3"
    )
    assert found["onvif.xaddrs"].startswith("http://192.168.100.31/")
    assert found["wsdiscovery.epr"] == "urn:uuid:ec4914fd-936b-11b5-8467-2857be33e0b0"
    assert found["mac"] == "28:57:be:33:e0:b0"


def test_reads_scopes_without_any_markup() -> None:
    text = "Types: dn:NetworkVideoTransmitter\nScopes: onvif://www.onvif.org/name/A onvif://www.onvif.org/type/ptz"
    assert read(text) == {
        "onvif.types": "dn:NetworkVideoTransmitter",
        "onvif.scopes": "onvif://www.onvif.org/name/A onvif://www.onvif.org/type/ptz",
    }


def test_lower_cased_evidence_reads_the_same_fields() -> None:
    assert read(ANSWER.lower()).keys() == read(ANSWER).keys()


def test_namespaces_stand_in_document_order() -> None:
    assert [item.split("=")[0] for item in read(ANSWER)["soap.namespaces"].split()] == [
        "env", "dn", "d", "wsadis", "tnshik",
    ]  # fmt: skip


def test_every_match_of_an_answer_is_read() -> None:
    two = ANSWER.replace(MATCH, MATCH + MATCH.replace("28", "2c").replace("DS-2CD2T32", "DS-7604"))
    assert len([1 for name, _value in pairs(two) if name == "onvif.scopes"]) == 2


def test_a_cut_off_list_gives_its_whole_items() -> None:
    cut = ANSWER[: ANSWER.index("DS-2CD2T32-I3</d:Scopes>")]
    assert read(cut)["onvif.scopes"] == (
        "onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/hardware/DS-2CD2T32-I3"
    )
    assert "onvif.xaddrs" not in read(cut)


def test_a_fault_is_read() -> None:
    assert read(FAULT)["onvif.fault"] == "s:Sender d:MatchingRuleNotSupported the xml format error"


def test_probes_are_no_fields() -> None:
    for question in PROTOCOL.questions():
        assert read(question.payload.decode()) == {}


def test_entities_of_a_document_type_stay_unexpanded() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>' + ANSWER.replace("DS-2CD2T32-I3</d:Scopes>", "&a;</d:Scopes>")
    assert read(bomb)["onvif.scopes"].endswith("&a;")


@pytest.mark.parametrize(
    ("scopes", "macs"),
    [
        ("onvif://www.onvif.org/MAC/58:50:ed:11:22:33 onvif://x/name/y", ["58:50:ed:11:22:33"]),
        ("onvif://www.onvif.org/macaddr/e4f14c776608", ["e4:f1:4c:77:66:08"]),
        ("onvif://www.onvif.org/avigilon/mac/00-18-85-31-42-53", ["00:18:85:31:42:53"]),
        ("onvif://www.onvif.org/MAC/58%3A50%3aed%3a11%3a22%3a33", ["58:50:ed:11:22:33"]),
        ("onvif://www.onvif.org/name/machine/123456789012", []),
        ("onvif://www.onvif.org/hardware/MAC/notamacatall", []),
        ("onvif://www.onvif.org/mac/0000000000001", []),
    ],
)
def test_macs_that_scopes_state(scopes: str, macs: list[str]) -> None:
    assert list(scope_macs(scopes)) == macs
    assert [value for _name, value in pairs(scopes, "onvif.scopes")] == macs


@pytest.mark.parametrize(
    ("endpoint", "mac"),
    [
        ("urn:uuid:ec4914fd-936b-11b5-8467-2857be33e0b0", "28:57:be:33:e0:b0"),
        ("uuid:EC4914FD-936B-11B3-8467-2857BE33E0B0", "28:57:be:33:e0:b0"),
        ("urn:uuid:00010010-0001-1020-8000-e4f14c776608", "e4:f1:4c:77:66:08"),
        ("uuid:278b1b37-153c-452d-b316-d2ed4e99e6a2", None),  # random
        ("uuid:b926eb6a-cb4b-54db-3130-0023cd112233", None),  # not a form that is known to hold an address
        ("urn:uuid:ec4914fd-936b-11ef-8467-2857be33e0b0", None),  # a clock that is right: any host's identifier
        ("urn:uuid:ec4914fd-936b-11b5-8467-2957be33e0b0", None),  # group bit: a random node
    ],
)
def test_only_fixed_endpoint_forms_state_a_mac(endpoint: str, mac: str | None) -> None:
    assert epr_mac(endpoint) == mac
    assert pairs(endpoint, "wsdiscovery.epr") == ([("mac", mac)] if mac else [])


def test_addresses_made_from_the_mac_state_it() -> None:
    literal = "http://10.0.0.1/x http://[fe80::2a57:beff:fe33:e0b0]/onvif/device_service"
    assert pairs(literal, "onvif.xaddrs") == [("mac", "28:57:be:33:e0:b0")]


def test_questions_are_four_forms_with_fresh_ids() -> None:
    first, second = PROTOCOL.questions(), PROTOCOL.questions()
    ids = [re.findall(rb"uuid:([0-9a-f-]{36})<", q.payload) for q in (*first, *second)]
    assert all(len(found) == 1 for found in ids)
    assert len({found[0] for found in ids}) == 8
    requests = [q.request for q in first]
    assert requests == ["Probe dn:NetworkVideoTransmitter", "Probe", "Probe tds:Device", "Probe wsdp:Device"]
    assert sum(1 for q in first if q.groups) == 3
    assert [q.alone for q in first].count(Alone.FIRST) == 2
    assert all((q.port, q.listen, q.join) == (PORT, (PORT,), (GROUP, GROUP6)) for q in first)


def test_the_typed_probe_is_the_documented_one() -> None:
    payload = re.sub(rb"uuid:[0-9a-f-]{36}", b"uuid:ID", probes()["Probe dn:NetworkVideoTransmitter"].payload)
    assert payload == (
        b'<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" '
        b'xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        b'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" '
        b'xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><e:Header><w:MessageID>uuid:ID</w:MessageID>'
        b'<w:To e:mustUnderstand="true">urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>'
        b'<w:Action e:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header>'
        b"<e:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"
    )


def test_every_probe_is_well_formed() -> None:
    from defusedxml.ElementTree import fromstring

    for question in PROTOCOL.questions():
        body = fromstring(question.payload).find("{http://www.w3.org/2003/05/soap-envelope}Body")
        assert body is not None
        assert body.find("{http://schemas.xmlsoap.org/ws/2005/04/discovery}Probe") is not None


def test_recognises_answers_and_no_questions() -> None:
    for answer in (ANSWER, HELLO, FAULT, ANSWER[:1200]):
        assert PROTOCOL.recognise(answer.encode()) == "wsdiscovery.response"
    for question in PROTOCOL.questions():
        assert PROTOCOL.recognise(question.payload) is None
    assert PROTOCOL.recognise(b"<ProbeMatch><Uuid>1</Uuid></ProbeMatch>") is None  # SADP
    assert PROTOCOL.recognise(ANSWER.replace("ProbeMatch", "Bye").encode()) is None
    assert PROTOCOL.recognise(b"") is None


@pytest.mark.parametrize(
    "request_", ["Probe", "Probe dn:NetworkVideoTransmitter", "Probe tds:Device", "Probe wsdp:Device"]
)
def test_a_recorded_answer_is_served_and_relates_to_the_probe(request_: str) -> None:
    question = probes()[request_].payload
    reply = PROTOCOL.answer(question, device(Observation(channel="wsdiscovery.response", value=ANSWER)), SERVICE)
    assert reply is not None
    own = re.search(rb"MessageID>([^<]+)<", question)
    assert own
    assert reply.data == ANSWER.encode().replace(b"urn:uuid:11111111-2222-4333-8444-555555555557", own[1])


def test_an_announcement_is_served_as_a_match() -> None:
    data = ask(device(Observation(channel="wsdiscovery.response", value=HELLO)))
    assert data is not None
    assert "<d:ProbeMatches><d:ProbeMatch>" in data
    assert "</d:ProbeMatch></d:ProbeMatches>" in data
    assert read(data) == read(HELLO)


def test_a_piece_is_wrapped_without_new_prefixes() -> None:
    data = ask(device(Observation(channel="wsdiscovery.response", value=MATCH)))
    assert data is not None
    assert MATCH in data
    assert "xmlns:" not in data
    assert PROTOCOL.recognise(data.encode())


def test_single_fields_are_composed_with_their_namespaces() -> None:
    fields = device(
        Observation(channel="onvif.scopes", value="onvif://www.onvif.org/name/A&B"),
        Observation(channel="onvif.types", value="dn:NetworkVideoTransmitter"),
        Observation(channel="wsdiscovery.epr", value="urn:uuid:1"),
        Observation(channel="soap.namespaces", value="env=http://e tnshik=http://t"),
    )
    data = ask(fields)
    assert data is not None
    found = read(data)
    assert found["onvif.scopes"] == "onvif://www.onvif.org/name/A&B"
    assert found["onvif.types"] == "dn:NetworkVideoTransmitter"
    assert found["wsdiscovery.epr"] == "urn:uuid:1"
    assert "env=http://e tnshik=http://t" in found["soap.namespaces"]
    assert ask(fields, "Probe tds:Device") is None  # not of that type


def test_a_printer_answers_what_it_is() -> None:
    printer = device(
        Observation(
            channel="wsdiscovery.response",
            value=ANSWER.replace("dn:NetworkVideoTransmitter tds:Device", "wsdp:Device wprt:PrintDeviceType"),
        )
    )
    assert ask(printer) is None
    assert ask(printer, "Probe") is not None
    assert ask(printer, "Probe wsdp:Device") is not None


def test_recorded_forms_get_their_own_answers_and_silence() -> None:
    picky = device(
        Observation(channel="wsdiscovery.response", value=FAULT, request="Probe"),
        Observation(channel="wsdiscovery.response", value=ANSWER, request="Probe dn:NetworkVideoTransmitter"),
        Observation(channel="wsdiscovery.response", value="", request="Probe tds:Device", silent=True),
    )
    assert "MatchingRuleNotSupported" in (ask(picky, "Probe") or "")
    assert "ProbeMatches" in (ask(picky) or "")
    assert ask(picky, "Probe tds:Device") is None


def test_silence_alone_is_no_service() -> None:
    assert PROTOCOL.services(device(Observation(channel="wsdiscovery.response", value="", silent=True))) == ()


@pytest.mark.parametrize(
    "payload",
    [
        b"<:/>",
        b"",
        b"\xff",
        b"<Probe><Types>inquiry</Types></Probe>",
        b"<s:Envelope><s:Body><tds:GetUsers/></s:Body></s:Envelope>",
        b"<s:Envelope><s:Header><wsse:Security/></s:Header><s:Body><d:Probe/></s:Body></s:Envelope>",
    ],
)
def test_violations(payload: bytes) -> None:
    assert PROTOCOL.violation(payload, SERVICE)


def test_polite_questions_and_other_peoples_answers_are_no_violations() -> None:
    for payload in [*(q.payload for q in PROTOCOL.questions()), ANSWER.encode(), HELLO.encode(), FAULT.encode()]:
        assert PROTOCOL.violation(payload, SERVICE) is None


def test_scanning_the_corpus_reads_what_the_recordings_say(corpus: Iterable[Recording]) -> None:
    asked = 0
    for case in corpus:
        if not PROTOCOL.services(case):
            continue
        asked += 1
        wanted: set[tuple[str, str]] = set()
        for seen in case.observations:
            if seen.channel == "wsdiscovery.response":
                wanted |= set(pairs(seen.value))
            elif seen.channel in {"onvif.scopes", "onvif.types", "onvif.xaddrs", "wsdiscovery.epr"} and not wanted:
                wanted |= {(seen.channel, seen.value), *pairs(seen.value, seen.channel)}
        answers = [data for request in probes() if (data := ask(case, request)) is not None]
        assert answers, case.id
        for data in answers:
            assert PROTOCOL.recognise(data.encode())
            assert wanted - set(pairs(data)) - {f for f in wanted if f[0] == "soap.namespaces"} == set(), case.id
    assert asked >= 20
