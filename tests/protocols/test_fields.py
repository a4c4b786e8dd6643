from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.model import Observation, Recording
from scanner.protocols import fields
from scanner.protocols.sadp import PROTOCOL as SADP


def test_leaves_take_whole_elements_of_broken_documents() -> None:
    text = "\x01\x02<a><b>1 & 2</b><ns:C x='y'>&lt;&#x41;&#66;&amp;</ns:C><d>no end<e>5</e><b>again</b><f>cut"
    assert list(fields.leaves(text)) == [("b", "1 & 2"), ("C", "<AB&"), ("e", "5"), ("b", "again")]


def test_leaves_never_expand_entities_of_a_document_type() -> None:
    bomb = '<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><l><x>&b;</x></l>'
    assert list(fields.leaves(bomb)) == [("x", "&b;")]


def test_unescape_drops_what_is_no_character() -> None:
    assert fields.unescape("&#0;&#xD800;&#1114112;a&unknown;&quot;") == 'a&unknown;"'


def test_escape_is_undone_by_reading() -> None:
    text = """<a b="c">&amp;'</a>"""
    assert list(fields.leaves(f"<x>{fields.escape(text)}</x>")) == [("x", text)]


def test_json_object_is_found_among_other_bytes() -> None:
    assert fields.json_object('{ junk {} \x00{"a": 1}\n\x00') == {"a": 1}
    assert fields.json_object("[1, 2]") is None
    assert fields.json_object("[" * 100_000) is None
    assert fields.json_object('{"a":' * 50_000) is None


def test_json_object_is_no_inner_part() -> None:
    assert fields.json_object('{"a": {"b": 1}, "c": "cut o') is None
    assert fields.json_object('"a": {"b": 1}, "c": 2') is None
    assert fields.json_object('header: {"b": 1}', 7) == {"b": 1}


def test_flatten_joins_paths_and_lists() -> None:
    document = {"a": {"B": True, "n": None}, "l": [1, "x", {"k": 2.5}], "big": 10**4000}
    assert list(fields.flatten(document)) == [("a.B", "true"), ("l", "1,x"), ("l.k", "2.5")]


def test_scraps_of_cut_off_json() -> None:
    text = '..."Vendor" : "Da\\/h\\"ua", "Port": 37777, "ok":true, "Cut": "no en'
    assert list(fields.json_scraps(text)) == [("Vendor", 'Da/h"ua'), ("Port", "37777"), ("ok", "true")]


def test_headers_join_folded_lines_and_end_at_the_blank_one() -> None:
    text = 'SIP/2.0 401 No\r\nServer:  x\r\nWWW-Authenticate: Digest\r\n realm="a"\r\n\r\nBody: no'
    assert list(fields.headers(text)) == [("Server", "x"), ("WWW-Authenticate", 'Digest realm="a"')]


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("<a>1</a>", [("a", "1")]),
        ('{"a": {"b": 1}}', [("a.b", "1")]),
        ('"a": 1, ', [("a", "1")]),
        ("a = 1\nb: 2 = 3\nplain", [("a", "1"), ("b", "2 = 3")]),
    ],
)
def test_loose_reads_every_form(text: str, pairs: list[tuple[str, str]]) -> None:
    assert list(fields.loose(text)) == pairs


@pytest.mark.parametrize(
    ("text", "mac"),
    [
        ("58-50-ED-11-22-33", "58:50:ed:11:22:33"),
        ("5850ed112233", "58:50:ed:11:22:33"),
        ("00:00:00:00:00:00", None),
        ("ff:ff:ff:ff:ff:ff", None),
        ("01:00:5e:7f:ff:fa", None),
        ("AV334455-FW10000", None),
        ("5" * 100, None),
    ],
)
def test_stated_mac(text: str, mac: str | None) -> None:
    assert fields.stated_mac(text) == mac


@pytest.mark.parametrize(
    ("literal", "macs"),
    [
        ("fe80::2a57:beff:fe33:e0b0", ["28:57:be:33:e0:b0"]),
        ("http://[fe80::0aed:edff:fe11:2233]/x", ["08:ed:ed:11:22:33"]),
        ("fe80::c62f:90ff:fea7:b5d1/64", ["c4:2f:90:a7:b5:d1"]),
        ("fe80::1", []),
        ("fe80::1234:5678:9abc:def0", []),
        ("2001:db8::2a57:beff:fe33:e0b0", []),
    ],
)
def test_eui64(literal: str, macs: list[str]) -> None:
    assert list(fields.eui64_macs(literal)) == macs


def test_bounded_drops_repetitions_controls_and_impossible_names() -> None:
    raw = [("a.B", " x\x00\x1b "), ("a.b", "x"), ("a.*", "x"), ("a b", "x"), ("a.c", "  "), ("a.d", "l1\r\nl2")]
    assert list(fields.bounded(raw)) == [("a.b", "x"), ("a.d", "l1\r\nl2")]


def test_bounded_holds_both_bounds() -> None:
    assert len(list(fields.bounded((f"x.{n}", "v") for n in range(10_000)))) == fields.MAX_FIELDS
    long = list(fields.bounded((f"x.{n}", "v" * 20_000) for n in range(10)))
    assert sum(len(value) for _name, value in long) <= fields.MAX_OUTPUT
    assert long


def test_masks_keep_the_length_and_the_shape() -> None:
    assert fields.masked("aB-9.") == "00-0."
    xml = "<A><Salt>d8eE</Salt><sAlT>1</sAlT><Saltx>keep</Saltx></A>"
    assert fields.mask_xml(xml, ("Salt",)) == "<A><Salt>0000</Salt><sAlT>0</sAlT><Saltx>keep</Saltx></A>"
    text = '{"owner" : "ab\\"c", "n":"keep", "OWNER":12.5}'
    assert fields.mask_json(text, ("owner",)) == '{"owner" : "00\\"0", "n":"keep", "OWNER":00.0}'


def test_remask_works_inside_hex() -> None:
    seen = Observation(channel="sadp.response", value="hex:" + b"\xff<Salt>ab</Salt>".hex())
    changed = fields.remask(seen, lambda text: fields.mask_xml(text, ("Salt",)))
    assert bytes.fromhex(changed.value[4:]) == b"\xff<Salt>00</Salt>"
    broken = Observation(channel="sadp.response", value="hex:<Salt>ab</Salt>")
    assert fields.remask(broken, lambda text: text.upper()) is broken


def test_recorded_merges_pieces_and_single_fields() -> None:
    device = Recording(
        id="x",
        observations=(
            Observation(channel="sadp.response", value="<DeviceSN>S1</DeviceSN>"),
            Observation(channel="sadp.mac", value="58-50-ed-11-22-33"),
            Observation(channel="sadp.devicesn", value="S2"),
            Observation(channel="sadp.dhcp", value="", silent=True),
        ),
    )
    assert fields.recorded(device, SADP, "sadp.") == {"devicesn": "S1", "mac": "58-50-ed-11-22-33"}


@given(st.text(alphabet='<>/ab:"{}[],\\=\n &;#x0', max_size=300))
def test_helpers_never_raise(text: str) -> None:
    for helper in (fields.leaves, fields.loose, fields.headers, fields.json_scraps, fields.lines, fields.eui64_macs):
        list(helper(text))
    fields.json_object(text)
    fields.mask_xml(text, ("a",))
    fields.mask_json(text, ("a",))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda c: st.dictionaries(st.text(), c)))
def test_flatten_takes_any_document(value: object) -> None:
    found = fields.json_object(json.dumps({"root": value}))
    assert found is not None
    assert all(isinstance(text, str) for _path, text in fields.flatten(found))


PIECES = ("<a>", "<a", "</", '"a":"', '"a":', "{", "[", "\\", "&#", "a: ", "a=", " ", "\n", "fe80::", "<a></b>", '\\"')


@pytest.mark.parametrize("piece", PIECES)
def test_nothing_runs_away(piece: str) -> None:
    text = piece * (fields.MAX_INPUT // len(piece))
    start = time.thread_time()
    for helper in (fields.leaves, fields.loose, fields.headers, fields.json_scraps, fields.lines, fields.eui64_macs):
        list(helper(text))
    fields.mask_xml(text, ("a",))
    fields.mask_json(text, ("a",))
    assert time.thread_time() - start < 5  # some 0.1 s; a quadratic helper would need minutes
