from __future__ import annotations

from scanner.model import Observation, Recording
from scanner.protocols.reolink import PROTOCOL
from scanner.values import from_bytes

FIELDS = {"ident": "IPC", "name": "Front door", "mac": "ec:71:db:11:22:33", "ip": "192.0.2.9"}


def answer() -> bytes:
    told = tuple(Observation(channel=f"discovery.reolink.{name}", value=value) for name, value in FIELDS.items())
    device = Recording(id="r", observations=told)
    reply = PROTOCOL.answer(b"\xaa\xaa\0\0", device, PROTOCOL.services(device)[0])
    assert reply is not None
    assert reply.port == 3000
    return reply.data


def test_the_answer_is_read_and_its_cloud_id_is_masked() -> None:
    data = bytearray(answer())
    data[228:244] = b"95270000ABCDEFGH"
    seen = Observation(channel="discovery.reolink", value=from_bytes(bytes(data)))
    assert PROTOCOL.recognise(bytes(data)) == "discovery.reolink"
    found = dict(PROTOCOL.read(seen))
    assert {name: found[f"discovery.reolink.{name}"] for name in FIELDS} == FIELDS
    assert not any("95270000" in value for value in found.values())
    assert b"95270000".hex() not in PROTOCOL.mask(seen).value


def test_an_answer_echoes_the_search() -> None:
    data = bytearray(answer())
    data[104] = 0
    assert PROTOCOL.recognise(bytes(data)) is None
    assert PROTOCOL.recognise(bytes(answer())[:-1]) is None
    assert PROTOCOL.questions()[0].listen == (3000,)
