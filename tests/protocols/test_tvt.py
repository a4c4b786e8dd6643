from __future__ import annotations

from scanner.model import Observation, Recording
from scanner.protocols.base import Service
from scanner.protocols.tvt import PROTOCOL
from scanner.values import from_bytes

FIELDS = {
    "name": "IPC", "mac": "00:18:ae:11:22:33", "firmware": "1.4.10.0", "builddate": "20180115", "httpport": "80",
    "devicetype": "IPC", "product": "TD-9421", "customer": "LABEL", "manufacturer": "TVT",
}  # fmt: skip


def answer() -> bytes:
    told = tuple(Observation(channel=f"discovery.tvt.{name}", value=value) for name, value in FIELDS.items())
    device = Recording(id="t", observations=told)
    service: Service = PROTOCOL.services(device)[0]
    reply = PROTOCOL.answer(PROTOCOL.searches()[0], device, service)
    assert reply is not None
    assert reply.group == "234.55.55.56"
    return reply.data


def test_the_answer_is_read_as_documented() -> None:
    data = answer()
    assert (len(data), data[52:56].hex()) == (240, "000a0401")
    found = dict(PROTOCOL.read(Observation(channel="discovery.tvt", value=from_bytes(data))))
    assert {name: found[f"discovery.tvt.{name}"] for name in FIELDS} == FIELDS
    assert PROTOCOL.recognise(data[:140]) == "discovery.tvt"


def test_the_password_slot_is_neither_read_nor_kept() -> None:
    data = bytearray(answer())
    data[84:90] = b"secret"
    seen = Observation(channel="discovery.tvt", value=from_bytes(bytes(data)))
    assert not any("secret" in value for _, value in PROTOCOL.read(seen))
    assert b"secret".hex() not in PROTOCOL.mask(seen).value


def test_only_the_search_may_be_sent() -> None:
    search = PROTOCOL.searches()[0]
    assert search.hex() == "4d484544" "07000100" "01000000" + "00" * 128
    service = Service(PROTOCOL.transport, 23456)
    for command in (0, 3, 4, 5, 16):
        assert PROTOCOL.violation(search[:8] + bytes((command,)) + search[9:], service)
    (question,) = PROTOCOL.questions()
    assert (question.groups, question.join, question.listen) == (("234.55.55.55",), ("234.55.55.56", "234.55.55.55"), ())
