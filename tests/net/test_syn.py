from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.net import interfaces, syn
from scanner.net.syn import Answer, Sequences, SynSocket, Way
from scanner.values import internet_checksum

Build = Callable[[dict[str, str]], Any]
DEVICES = {f"10.77.0.{n}": f"3c:ef:8c:00:00:{n:02x}" for n in range(1, 4)}
OWN = "10.77.255.254"

LISTEN = """
import socket, sys
servers = []
for port in sys.argv[1].split(","):
    server = socket.create_server(("0.0.0.0", int(port)), backlog=4096)
    servers.append(server)
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
sock.bind(("d0", 0x0800))
print("up", flush=True)
while True:
    frame, origin = sock.recvfrom(200)
    if origin[2] != 4:
        print(frame.hex(), flush=True)
"""


def number(address: str) -> int:
    return int(IPv4Address(address))


def on_link(devices: dict[str, str]) -> Way:
    link = next(found for found in interfaces.read().links if found.name == "s0")
    return Way(link, OWN, macs={number(a): bytes.fromhex(mac.replace(":", "")) for a, mac in devices.items()})


def probes(sock: SynSocket, *addresses: str) -> list[tuple[int, int, int]]:
    return [
        (number(a), port, sock.sequences.of(number(a))[place])
        for place, port in enumerate(sock.sequences.ports) for a in addresses
    ]  # fmt: skip


def test_sequence_numbers_depend_on_host_port_and_key() -> None:
    ports = tuple(range(1, 40))
    one, same, other = Sequences(ports, bytes(16)), Sequences(ports, bytes(16)), Sequences(ports, b"\1" * 16)

    assert one.of(1)[:39] == same.of(1)[:39]
    assert len(set(one.of(1)[:39] + one.of(2)[:39] + other.of(1)[:39])) == 3 * 39
    assert [one.expects(7, port) for port in ports] == list(one.of(7)[:39])
    assert one.expects(7, 40) is None
    assert Sequences(ports).of(1) != Sequences(ports).of(1)


@given(st.binary(max_size=80))
def test_no_packet_breaks_the_parser(data: bytes) -> None:
    syn.parse(data)
    syn.parse(b"\x45" + data)


@pytest.mark.root
def test_probes_and_resets_are_well_formed_and_go_to_the_hosts_own_mac(segment: Build) -> None:
    log = segment(DEVICES).start(LISTEN, "80")
    with SynSocket(on_link(DEVICES), (80, 81)) as sock:
        assert sock.ask(probes(sock, "10.77.0.1")) == 2
        time.sleep(0.2)
        answers = sorted(sock.answers(), key=lambda a: a.port)
        assert [(a.address, a.port, a.open) for a in answers] == [
            (number("10.77.0.1"), 80, True), (number("10.77.0.1"), 81, False)
        ]  # fmt: skip
        assert sock.reset(answers[:1]) == 1
        frames = [bytes.fromhex(log.stdout.readline().decode()) for _ in range(3)]

    assert {frame[:6].hex(":") for frame in frames} == {"3c:ef:8c:00:00:01"}
    for frame, flags in zip(frames, (2, 2, 4), strict=True):
        packet = frame[14 : 14 + int.from_bytes(frame[16:18], "big")]
        pseudo = packet[12:20] + struct.pack("!HH", 6, len(packet) - 20)
        assert internet_checksum(packet[:20]) == 0
        assert internet_checksum(pseudo + packet[20:]) == 0
        assert packet[33] == flags
    # The reset carries the number the device expects, or it would be ignored (RFC 5961).
    assert frames[2][38:42] == (answers[0].acknowledged).to_bytes(4, "big")


@pytest.mark.root
def test_the_device_forgets_the_half_open_connection_and_the_kernel_keeps_still(segment: Build) -> None:
    made = segment(DEVICES)
    log = made.start(LISTEN, "80")
    with SynSocket(on_link(DEVICES), (80,)) as sock:
        sock.ask(probes(sock, "10.77.0.1"))
        time.sleep(0.3)
        assert "SYN-RECV" in made.inside("ss", "-tan")
        answers = list(sock.answers())
        sock.reset(answers)
        time.sleep(0.1)
        assert "SYN-RECV" not in made.inside("ss", "-tan")
        time.sleep(1.2)  # no repetition comes, for nothing is left to repeat
        assert list(sock.answers()) == []
    sock_frames = [log.stdout.readline(), log.stdout.readline()]
    made.inside("true")
    log.terminate()

    assert len(sock_frames) == 2
    assert log.stdout.read() == b""  # one SYN, one reset, and nothing else


@pytest.mark.root
def test_an_answer_without_our_number_counts_for_nothing(segment: Build) -> None:
    segment(DEVICES).start(LISTEN, "80")
    with SynSocket(on_link(DEVICES), (80, 81)) as sock:
        sock.ask([(host, port, seq ^ 5) for host, port, seq in probes(sock, "10.77.0.1")])
        time.sleep(0.2)
        assert list(sock.answers()) == []


@pytest.mark.root
def test_where_a_link_has_no_hardware_addresses_the_kernel_sends(segment: Build) -> None:
    segment(DEVICES).start(LISTEN, "80")
    link = next(found for found in interfaces.read().links if found.name == "s0")
    with SynSocket(Way(link, OWN), (80, 81)) as sock:
        sock.ask(probes(sock, "10.77.0.1"))
        time.sleep(0.3)
        answers = list(sock.answers())
        assert {a.port: a.open for a in answers} == {80: True, 81: False}
        assert sock.reset([a for a in answers if a.open]) == 1


@pytest.mark.root
def test_our_port_is_held_while_the_sweep_lasts(segment: Build) -> None:
    segment(DEVICES)
    with SynSocket(on_link(DEVICES), (80,)) as sock, socket.socket() as other, pytest.raises(OSError):
        other.bind((OWN, sock.port))


def test_a_host_without_a_known_way_is_an_error() -> None:
    link = interfaces.Link("x", 1, "aa:bb:cc:dd:ee:ff", True, True, True)
    with pytest.raises(KeyError):
        Way(link, OWN, macs={1: b"123456"}).mac(2)
    assert Way(link, OWN, gateway=b"654321", macs={1: b"123456"}).mac(2) == b"654321"
    assert Answer(1, 2, True, 3).open
