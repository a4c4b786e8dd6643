from __future__ import annotations

from scanner.model import Observation
from scanner.protocols.sony import PROTOCOL

ANSWER = bytes.fromhex(
    "024d41433a61612d62622d63632d64642d65652d6666ff4d4f44454c3a5669727475616cff53455249414c3a313233343536"
    "373839ff494e464f3a616c6c696e666fff444843503a4f4646ff49504144523a3234302e302e31312e30ff4d41534b3a3235"
    "352e302e302e30ff474154455741593aff444e534155544f3a4f4646ff444e53313aff444e53323aff574542504f52543a38"
    "30ff54494d453a30303030303030303030303030ff54494d455a4f4e453a30ff4454464f524d41543a796d64ff534f465456"
    "455253494f4e3a332e302e30ff03"
)
"""A published sample of an answer (its serial, addresses and MAC are invented)."""


def test_the_published_answer_is_read() -> None:
    assert PROTOCOL.recognise(ANSWER) == "discovery.sony"
    found = dict(PROTOCOL.read(Observation(channel="discovery.sony", value="hex:" + ANSWER.hex())))
    for name, value in {"model": "Virtual", "serial": "123456789", "firmware": "3.0.0", "httpport": "80"}.items():
        assert found[f"discovery.sony.{name}"] == value
    assert found["mac"] == "aa:bb:cc:dd:ee:ff"


def test_the_search_is_the_documented_one() -> None:
    assert PROTOCOL.searches()[0].hex() == "02454e513a616c6c696e666fff03"
