from __future__ import annotations

from scanner.model import Observation
from scanner.protocols.hanwha import PROTOCOL

ANSWER = bytes.fromhex(
    "0b00000000000000000000000000000000000030303a31313a32323a33333a34343a3535003234302e302e392e3000000000"
    "0000003235352e302e302e3100000000000000302e302e302e30000000000000000000000000000000000000000000000000"
    "0000000000000000005669727475616c0000000000000000000000000000000000687474703a2f2f3132372e302e302e312f"
    "696e6465782e68746d0000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000"
)
"""A published sample of an answer (its serial, addresses and MAC are invented)."""


def test_the_published_answer_is_read() -> None:
    assert PROTOCOL.recognise(ANSWER) == "discovery.hanwha"
    found = dict(PROTOCOL.read(Observation(channel="discovery.hanwha", value="hex:" + ANSWER.hex())))
    for name, value in {"model": "Virtual", "ip": "240.0.9.0"}.items():
        assert found[f"discovery.hanwha.{name}"] == value
    assert found["mac"] == "00:11:22:33:44:55"


def test_the_search_is_the_documented_one() -> None:
    assert PROTOCOL.searches() == [b"\x01" + bytes(261)]
