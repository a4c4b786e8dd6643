from __future__ import annotations

from scanner.model import Observation
from scanner.protocols.foscam import PROTOCOL

ANSWER = bytes.fromhex(
    "4d4f5f4901000000000000000000004000000000000000303132333435363738390000005669727475616c20646576696365"
    "00000000000000f0001400ffffff00f0001400080808080800000001000000010000000050"
)
"""A published sample of an answer (its serial, addresses and MAC are invented)."""


def test_the_published_answer_is_read() -> None:
    assert PROTOCOL.recognise(ANSWER) == "discovery.foscam"
    found = dict(PROTOCOL.read(Observation(channel="discovery.foscam", value="hex:" + ANSWER.hex())))
    for name, value in {"serial": "0123456789", "name": "Virtual device", "firmware": "1.0.0.0", "httpport": "80"}.items():
        assert found[f"discovery.foscam.{name}"] == value
    assert "mac" not in found


def test_the_search_is_the_documented_one() -> None:
    assert PROTOCOL.searches() == [bytes.fromhex("4d4f5f490000000000000000000000040000000000000000000001".ljust(54, "0"))]
