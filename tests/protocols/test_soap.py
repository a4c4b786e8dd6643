from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.protocols import soap

FAULT = soap.envelope(
    "<{s}:Fault><{s}:Code><{s}:Value>s:Sender</{s}:Value><{s}:Subcode><{s}:Value>ter:NotAuthorized</{s}:Value>"
    "</{s}:Subcode></{s}:Code><{s}:Reason><{s}:Text xml:lang='en'>Sender not\n  Authorized &amp; more.</{s}:Text>"
    "</{s}:Reason></{s}:Fault>"
)


def test_namespaces_stand_in_document_order_once() -> None:
    assert soap.namespaces('<a xmlns="u" xmlns:b=\'v\' xmlns="u"><c xmlns:d = "w"/></a>') == "=u b=v d=w"
    assert soap.namespaces("no xmlns here") == ""


def test_an_envelope_keeps_recorded_namespaces_and_takes_its_prefix_from_them() -> None:
    listed = f"env={soap.ENVELOPE} tds={soap.DEVICE} tnshik=http://www.hikvision.com/2011/event/topics"
    made = soap.envelope("<{s}:x/>", listed)
    assert soap.namespaces(made) == listed
    assert "<env:Body><env:x/></env:Body>" in made
    assert soap.namespaces(soap.envelope("", "s=http://else a&b=x")) == f"env={soap.ENVELOPE} s=http://else"


def test_the_first_element_of_the_body_is_the_operation() -> None:
    assert soap.operation(soap.envelope("\n <tds:GetScopes/>")) == "GetScopes"
    assert soap.operation("<SOAP-ENV:Body x='1'><GetUsers xmlns='u'></GetUsers>") == "GetUsers"
    assert soap.operation("<Body></Body>") == ""
    assert soap.operation("nothing") == ""


def test_messages_are_told_from_other_requests() -> None:
    assert soap.is_message(b"POST /onvif HTTP/1.1\r\n\r\n" + soap.envelope("").encode())
    assert not soap.is_message(b"GET / HTTP/1.1\r\n\r\n" + soap.envelope("").encode())
    assert not soap.is_message(b"POST / HTTP/1.1\r\n\r\n{}")


def test_faults_read_as_codes_and_reasons() -> None:
    assert soap.fault(FAULT) == "s:Sender ter:NotAuthorized Sender not Authorized & more."
    assert soap.fault(FAULT[60:-30]) == soap.fault(FAULT)
    assert soap.fault(FAULT.lower()) == soap.fault(FAULT).lower()
    old = "<S:Fault><faultcode>S:Client</faultcode><faultstring>no</faultstring></S:Fault>"
    assert soap.fault(old) == "S:Client no"
    assert soap.fault("<a>Fault</a>") == ""


def test_elements_of_whole_messages_and_of_pieces() -> None:
    head = '<?xml version="1.0" encoding="GB2312"?>\n<a xmlns:b="u">'
    whole = head + "<b:c>1</b:c><!-- <x>2</x> --><d><![CDATA[<3>]]></d></a>"
    assert list(soap.elements(whole)) == [("c", "1"), ("d", "<3>")]
    assert list(soap.elements("<tds:Model>x</tds:Model>\n <cut>")) == [("Model", "x")]
    assert list(soap.elements("")) == []


@pytest.mark.parametrize(
    "bomb",
    [
        '<!DOCTYPE a [<!ENTITY b "xx"><!ENTITY c "&b;&b;">]><a><Model>&c;</Model></a>',
        '<!DOCTYPE a SYSTEM "http://192.0.2.1/x.dtd"><a><Model>&c;</Model></a>',
        '<!DOCTYPE a [<!ENTITY c SYSTEM "file:///etc/passwd">]><a><Model>&c;</Model></a>',
    ],
)
def test_nothing_is_expanded_or_fetched(bomb: str) -> None:
    assert ("Model", "&c;") in list(soap.elements(bomb))


def test_deep_messages_are_searched_instead_of_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr("defusedxml.ElementTree.fromstring", refuse)
    deep = "<a>" * 10_000 + "<Model>x</Model>" + "</a>" * 10_000
    assert list(soap.elements(deep)) == [("Model", "x")]


@pytest.mark.parametrize(
    "unit", ["<a ", "<Body ", "<Body> ", ' xmlns:a="', "<Fault>", "<", "</a>", "<a:", "&amp;", "<x>"]
)
def test_hostile_repetitions_take_no_time(unit: str) -> None:
    text = unit * (65_536 // len(unit))
    began = time.thread_time()
    soap.operation(text)
    soap.namespaces(text)
    soap.fault(text)
    list(soap.elements(text))
    assert time.thread_time() - began < 5


@settings(max_examples=100, deadline=None)
@given(
    st.text() | st.lists(st.sampled_from(["<a>", "</a>", "<?xml", "?>", "x", "&", "<!", "-->", "<Fault>"])).map("".join)
)
def test_nothing_raises(text: str) -> None:
    list(soap.elements(text))
    soap.fault(text)
    soap.envelope("", text)
