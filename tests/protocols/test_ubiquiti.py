from __future__ import annotations

from scanner.model import Observation
from scanner.protocols.ubiquiti import PROTOCOL

ANSWER = bytes.fromhex(
    "0206008502000a001122334455f0000c000100060011223344550a000400000e100b000455424e540c00075649525455414c"
    "0300144669726d776172655f76657273696f6e2e312e30160003312e301500075649525455414c1700010018000100190001"
    "011a000101130006001122334455120004000000011b0003312e302400075649525455414c"
)
"""A published sample of an answer (its serial, addresses and MAC are invented)."""


def test_the_published_answer_is_read() -> None:
    assert PROTOCOL.recognise(ANSWER) == "discovery.ubiquiti"
    found = dict(PROTOCOL.read(Observation(channel="discovery.ubiquiti", value="hex:" + ANSWER.hex())))
    for name, value in {"name": "UBNT", "model": "VIRTUAL", "firmware": "Firmware_version.1.0"}.items():
        assert found[f"discovery.ubiquiti.{name}"] == value
    assert found["mac"] == "00:11:22:33:44:55"


def test_the_search_is_the_documented_one() -> None:
    assert [s.hex() for s in PROTOCOL.searches()] == ["01000000", "02080000"]


def test_the_name_of_its_network_is_masked() -> None:
    told = ANSWER[:2] + (len(ANSWER) - 4 + 7).to_bytes(2, "big") + ANSWER[4:] + b"\x0d\0\x04home"
    value = PROTOCOL.mask(Observation(channel="discovery.ubiquiti", value="hex:" + told.hex())).value
    assert value == "hex:" + told.replace(b"home", b"0000").hex()
