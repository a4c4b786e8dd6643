"""What varies is taken out of an answer and comes back exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.store.varying import MARK, join, split

PIECES = st.sampled_from([
    "HTTP/1.1 200 OK\r\n", "Date: Sat, 28 Nov 2026 01:24:47 GMT\r\n", "expires: 0\r\n", "<a:MessageID>uuid:1</a:MessageID>",
    "<tt:Hour>7</tt:Hour>", MARK, "hex:", "<Uuid>", "text ", "Date:", "\r\n", "Mon, 01 Jan 2024 00:00:00",
])  # fmt: skip


@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_nothing_is_lost(value: str) -> None:
    assert join(*split(value)) == value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HTTP/1.1 401\r\nDate: Sat, 28 Nov 2026 01:24:47 GMT\r\nServer: x\r\n", "HTTP/1.1 401\r\nDate: Thu, 01 Jan 1970 00:00:07 GMT\r\nServer: x\r\n"),
        ("<w:RelatesTo>urn:uuid:aa</w:RelatesTo>", "<w:RelatesTo>urn:uuid:bb</w:RelatesTo>"),
        ("<tt:Minute>1</tt:Minute><tt:Second>59</tt:Second>", "<tt:Minute>2</tt:Minute><tt:Second>0</tt:Second>"),
    ],
)  # fmt: skip
def test_the_same_answer_at_another_time_is_stored_as_one(one: str, other: str) -> None:
    assert split(one)[0] == split(other)[0]


def test_what_tells_devices_apart_stays() -> None:
    text = 'HTTP/1.1 401\r\nLast-Modified: x\r\nWWW-Authenticate: Digest realm="Login to ND0119"\r\n'
    assert split(text) == (text, ())
