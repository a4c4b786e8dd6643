from __future__ import annotations

from scanner.model import Observation
from scanner.protocols.vivotek import PROTOCOL

ANSWER = bytes.fromhex(
    "024a5d8f1c01115669727475616c2d5669727475616c2d3102060011223344550304f0000a00041b060250000802656e0907"
    "5669727475616c1004030082000a0100050400000000"
)
"""A published sample of an answer (its serial, addresses and MAC are invented)."""


def test_the_published_answer_is_read() -> None:
    assert PROTOCOL.recognise(ANSWER) == "discovery.vivotek"
    found = dict(PROTOCOL.read(Observation(channel="discovery.vivotek", value="hex:" + ANSWER.hex())))
    for name, value in {"model": "Virtual", "name": "Virtual-Virtual-1", "httpport": "80", "ip": "240.0.10.0"}.items():
        assert found[f"discovery.vivotek.{name}"] == value
    assert found["mac"] == "00:11:22:33:44:55"


def test_the_search_is_the_documented_one() -> None:
    assert PROTOCOL.searches()[0][1:].hex() == "4a5d8f1c"
