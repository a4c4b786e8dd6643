from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.values import (
    IPV4,
    counted,
    escaped_json,
    eui64_mac,
    file_name,
    from_bytes,
    internet_checksum,
    normal_address,
    normal_mac,
    one_line,
    places,
    to_bytes,
    to_text,
)


@given(st.binary(max_size=300))
def test_bytes_come_back(data: bytes) -> None:
    assert to_bytes(from_bytes(data)) == data


def test_text_stays_text_and_bytes_become_hex() -> None:
    assert from_bytes(b"HTTP/1.1 200 OK\r\n") == "HTTP/1.1 200 OK\r\n"
    assert from_bytes(b"\x00\x01") == "hex:0001"
    assert from_bytes(b"hex:lie") == "hex:" + b"hex:lie".hex()


def test_latin1_is_read_when_utf8_fails() -> None:
    assert to_text("hex:e9") == "é"
    assert to_text("hex:zz") == "hex:zz"


def test_mac_spellings() -> None:
    for text in ("3C-EF-8C-11-22-33", "3cef.8c11.2233", "3cef8c112233", " 3c:ef:8c:11:22:33 "):
        assert normal_mac(text) == "3c:ef:8c:11:22:33"
    assert normal_mac("3c:ef:8c:11:22") is None
    assert normal_mac("realm") is None


def test_numbers_are_ascii_digits_within_bounds() -> None:
    assert [counted(text, 4094) for text in ("0", "007", "4094")] == [0, 7, 4094]
    assert {counted(text, 4094) for text in ("", "4095", "-1", "\u00b2", "\u0663", "1 0", "1" * 5000)} == {None}


@given(st.text(max_size=200))
def test_one_line_is_safe_to_print(text: str) -> None:
    shown = one_line(text, 80)
    assert len(shown) <= 80
    assert all(c.isprintable() or c == " " or ord(c) > 0x9F for c in shown)
    assert not set(shown) & set("\x1b\r\n\u202e\u200b")


def test_terminal_escapes_are_shown_not_run() -> None:
    assert one_line("\x1b[2Jgone\u202e") == "\\x1b[2Jgone\\u202e"
    assert one_line("a\udcff") == "a\\udcff"
    assert one_line("  indented \r\n\t next") == "  indented next"


def test_megabytes_cost_nothing_to_show() -> None:
    began = time.thread_time()
    for text in (" " * 3_000_000, "\r\n" * 1_000_000, "\t " * 1_000_000, "x" * 3_000_000):
        assert len(one_line(text, 2000)) <= 2000
    assert one_line("x" * 3_000_000, 10) == "x" * 9 + "…"
    assert time.thread_time() - began < 5


@given(st.text(max_size=200))
def test_escaped_json_means_the_same(text: str) -> None:
    encoded = escaped_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(encoded) == text
    assert not set(encoded) & set("\x1b\x9b\u202e\u200b")


def test_any_file_name_can_be_said() -> None:
    assert file_name("a\udcff/ü") == "a\\udcff/ü"


@pytest.mark.parametrize(
    ("address", "mac"),
    [
        ("fe80::c62f:90ff:fea7:b5d1", "c4:2f:90:a7:b5:d1"), ("fe80::5a50:edff:fe11:2233%eth0", "58:50:ed:11:22:33"),
        ("2001:db8::2a57:beff:fe33:e0b0", "28:57:be:33:e0:b0"), ("fe80::1", None),
        ("fe80::a1b2:c3d4:e5f6:0718", None), ("fe80::0300:00ff:fe00:0001", None),  # a group's MAC
    ],
)  # fmt: skip
def test_an_address_made_of_a_mac_tells_it(address: str, mac: str | None) -> None:
    assert eui64_mac(address) == mac


def test_the_checksum_of_a_published_header_is_right() -> None:
    header = bytes.fromhex("450000730000400040110000c0a80001c0a800c7")
    assert internet_checksum(header) == 0xB861
    assert internet_checksum(header[:10] + b"\xb8\x61" + header[12:]) == 0
    assert internet_checksum(b"\xff") == 0x00FF


@given(st.one_of(
    st.text("0123456789abcdefABCDEF:.- \t\x1d\u2003\u0661g", max_size=24),
    st.lists(st.text("0123456789abcdefABCDEF", min_size=2, max_size=2), min_size=5, max_size=7).map(":".join),
))  # fmt: skip
def test_a_mac_is_twelve_digits_and_nothing_but_marks_and_blanks_between(text: str) -> None:
    digits = re.sub(r"[:.\-\s]", "", text).lower()
    known = re.fullmatch(r"[0-9a-f]{12}", digits) is not None
    assert normal_mac(text) == (":".join(digits[i : i + 2] for i in range(0, 12, 2)) if known else None)


@given(st.one_of(
    st.lists(st.sampled_from(["0", "1", "9", "10", "99", "100", "199", "249", "255", "256", "300", "00", "01", "\u0661", ""]), min_size=3, max_size=5)
    .map(".".join),
    st.ip_addresses(v=4).map(str), st.text("0123456789.\n ", max_size=16),
))  # fmt: skip
def test_an_address_in_its_usual_form_is_what_the_library_takes(text: str) -> None:
    usual = False
    with contextlib.suppress(ValueError):
        usual = str(ipaddress.IPv4Address(text)) == text
    assert (IPV4.fullmatch(text) is not None) is usual


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=60), st.integers(2, 40))
def test_what_can_be_printed_is_only_cut(text: str, width: int) -> None:
    shown = one_line(text, width)
    assert len(shown) <= width
    if len(text) <= width:
        assert shown == text
    else:
        assert shown == text[: width - 1] + "…"


def test_addresses_and_who_is_meant() -> None:
    assert normal_address(" 2001:DB8:0:0::1 ") == "2001:db8::1"
    assert normal_address("192.0.2.1/24") is None
    assert normal_address("192.0.2.1/24", network=True) == "192.0.2.1"
    assert normal_address("fe80::1%eth0") == "fe80::1%eth0"
    assert normal_address("camera", network=True) is None
    assert places("3C-EF-8C-11-22-33", None, "192.0.2.1", "2001:DB8::1", "192.0.2.1") == [
        "3c:ef:8c:11:22:33", "192.0.2.1", "2001:db8::1",
    ]  # fmt: skip
    assert places(None) == []
