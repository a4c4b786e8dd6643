from __future__ import annotations

import pytest

from scanner.model import Observation, Recording, Transport
from scanner.protocols.sadp import ETHERTYPE, inquiry
from scanner.simulate.lab import Lab

pytestmark = pytest.mark.root

ASK = """
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind(("s0", 0x8033))
own = sock.getsockname()[4]
sock.settimeout(1)
target, payload = bytes.fromhex(sys.argv[1]), bytes.fromhex(sys.argv[2])
sock.send((target + own + b"\\x80\\x33" + payload).ljust(60, b"\\0"))
try:
    while True:
        frame, address = sock.recvfrom(2000)
        if address[2] != socket.PACKET_OUTGOING:
            print(frame[6:12].hex(":"), frame[:6] == own, frame[14:].hex())
except TimeoutError:
    pass
"""


def camera(number: int, how: str | None = None) -> Recording:
    told = (
        Observation(channel="sadp.devicesn", value=f"DS-{number}", transport=Transport.L2),
        Observation(channel="ssh.banner", value="SSH-2.0-cam", port=22),
    )
    return Recording(id=f"cam{number}", mac=f"58:50:ed:00:00:0{number}", observations=told, behaviour=how)


def test_every_device_answers_from_its_own_hardware_address() -> None:
    with Lab([camera(1), camera(2), camera(3, "silent")]) as lab:
        question = inquiry(lab.scanner_address, "02:00:00:00:00:fe").hex()
        everybody = lab.run(["python3", "-c", ASK, "ff" * 6, question]).stdout.split("\n")[:-1]
        one = lab.run(["python3", "-c", ASK, "5850ed000002", question]).stdout.split("\n")[:-1]
        quiet = lab.violations()
        other = bytearray.fromhex(question)
        other[10] = 6
        lab.run(["python3", "-c", ASK, "5850ed000001", other.hex()])
        told = lab.violations()

    assert sorted(line.split()[0] for line in everybody) == ["58:50:ed:00:00:01", "58:50:ed:00:00:02"]
    assert [line.split()[0] for line in one] == ["58:50:ed:00:00:02"]
    for line in everybody:
        mac, mine, data = line.split()
        assert mine == "True"
        assert b"DS-" + mac[-1:].encode() in bytes.fromhex(data)
    assert quiet == []
    assert [(v.device, v.port, v.transport) for v in told] == [("cam1", ETHERTYPE, Transport.L2)]
    assert "must never be sent" in told[0].reason


def test_on_loopback_there_are_no_frames() -> None:
    from scanner.simulate.lab import Loopback

    with Loopback([camera(1)], kind="high") as there:
        assert list(there.port_map["127.64.0.1"]) == [22]
