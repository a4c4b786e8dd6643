from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from scanner.errors import UsageProblem
from scanner.model import Observation, Recording, Transport
from scanner.simulate.lab import Lab, Loopback, best_loopback

pytestmark = pytest.mark.root

SADP = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ProbeMatch>\n<Uuid>X</Uuid>\n<Types>inquiry</Types>\n'
    "<DeviceSN>DS-{}</DeviceSN></ProbeMatch>"
)


def camera(number: int, *, via: str = "unicast", how: str | None = None) -> Recording:
    seen = (
        Observation(channel="ssh.banner", value=f"SSH-2.0-cam{number}", port=22),
        Observation(channel="sadp.response", port=37020, via=via, value=SADP.format(number)),  # type: ignore[arg-type]
    )
    return Recording(
        id=f"cam{number}", mac=f"3c:ef:8c:00:{number >> 8:02x}:{number & 255:02x}", observations=seen, behaviour=how
    )


ASK = """
import socket, sys, time
own, *targets = sys.argv[1:]
q = b'<?xml version="1.0" encoding="utf-8"?><Probe><Uuid>AA</Uuid><Types>inquiry</Types></Probe>'
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
g = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
g.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
g.bind(("", 37020))
g.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.255.255.250") + socket.inet_aton(own))
for target in targets:
    s.sendto(q, (target, 37020))
    for sock in (s, g):
        sock.settimeout(0.4)
        heard = set()
        try:
            while True:
                data, source = sock.recvfrom(65535)
                if b"ProbeMatch" in data and b"<Uuid>AA<" in data:
                    heard.add((source[0], data[data.index(b"DS-"):].split(b"<")[0].decode()))
        except TimeoutError:
            pass
        print("alone" if sock is s else "group", target, sorted(heard))
"""
TCP = """
import socket, sys
for place in sys.argv[1:]:
    host, port = place.split(":")
    s = socket.socket(); s.settimeout(1)
    try:
        s.connect((host, int(port))); print(place, s.recv(99))
    except OSError as error:
        print(place, type(error).__name__)
    s.close()
print(sorted(line.split()[0] + " " + line.split()[3] for line in open("/proc/net/arp") if " s0" in line))
"""


def test_every_device_has_its_own_address_and_mac_and_answers() -> None:
    with Lab([camera(n) for n in range(3)], network="10.77.0.0/24") as lab:
        said = lab.run([sys.executable, "-c", TCP, "10.77.0.1:22", "10.77.0.3:22", "10.77.0.3:23", "10.77.0.4:22"])

        assert said.stdout.splitlines() == [
            "10.77.0.1:22 b'SSH-2.0-cam0\\r\\n'",
            "10.77.0.3:22 b'SSH-2.0-cam2\\r\\n'",
            "10.77.0.3:23 ConnectionRefusedError",
            "10.77.0.4:22 TimeoutError",  # nobody there: no answer to ARP either
            "['10.77.0.1 3c:ef:8c:00:00:00', '10.77.0.3 3c:ef:8c:00:00:02', '10.77.0.4 00:00:00:00:00:00']",
        ], said.stderr
        assert lab.devices["cam2"].ip == "10.77.0.3"
        assert lab.devices["cam2"].mac == "3c:ef:8c:00:00:02"
        assert lab.violations() == []


def test_datagrams_reach_one_all_and_the_group_and_some_answer_to_the_group() -> None:
    with Lab([camera(0), camera(1, via="multicast")], network="10.77.0.0/24") as lab:
        said = lab.run([
            sys.executable, "-c", ASK, lab.scanner_address, "239.255.255.250", "10.77.0.255", "10.77.0.1", "10.77.0.2"
        ])  # fmt: skip
        assert said.stdout.splitlines() == [
            line.format(target)
            for target, alone, group in (
                ("239.255.255.250", True, True), ("10.77.0.255", True, True), ("10.77.0.1", True, False),
                ("10.77.0.2", False, True),
            )
            for line in (
                "alone {} " + ("[('10.77.0.1', 'DS-0')]" if alone else "[]"),
                "group {} " + ("[('10.77.0.2', 'DS-1')]" if group else "[]"),
            )
        ], said.stderr  # fmt: skip


def test_a_dark_device_answers_arp_and_nothing_else() -> None:
    dark = Recording(id="dark", mac="3c:ef:8c:00:00:99", behaviour="silent")
    with Lab([dark], network="10.77.0.0/24") as lab:
        said = lab.run([sys.executable, "-c", TCP, "10.77.0.1:80"]).stdout

    assert said.splitlines() == ["10.77.0.1:80 TimeoutError", "['10.77.0.1 3c:ef:8c:00:00:99']"]


def test_behind_a_router_devices_answer_without_macs() -> None:
    with Lab([camera(0)], network="10.77.0.0/24", routed=True) as lab:
        said = lab.run([sys.executable, "-c", TCP, "10.77.0.1:22", "10.77.0.9:22"]).stdout

        assert said.splitlines()[:2] == ["10.77.0.1:22 b'SSH-2.0-cam0\\r\\n'", "10.77.0.9:22 TimeoutError"]
        assert lab.devices["cam0"].mac is None
        assert not lab.scanner_address.startswith("10.77.")


def test_four_thousand_devices_are_there_within_seconds_and_all_answer() -> None:
    start = time.monotonic()
    with Lab([camera(n) for n in range(4096)]) as lab:
        up = time.monotonic() - start
        said = lab.run([sys.executable, "-c", ASK.replace("0.4", "1.5"), lab.scanner_address, "239.255.255.250"]).stdout
        stop = time.monotonic()
    down = time.monotonic() - stop

    assert said.splitlines()[0].count("DS-") == 4096
    assert up < 5, "measured: 0.6 s on two quiet cores"
    assert down < 2


def test_a_forbidden_question_is_told() -> None:
    ask = "import socket; socket.socket(2, 2).sendto(b'<Probe><Types>reset</Types></Probe>', ('10.77.0.1', 37020))"
    with Lab([camera(0)], network="10.77.0.0/24") as lab:
        lab.run([sys.executable, "-c", ask])
        time.sleep(0.1)
        (violation,) = lab.violations()

    assert (violation.device, violation.port, violation.transport) == ("cam0", 37020, Transport.UDP)
    assert "reset" in violation.reason


def test_it_works_in_asyncio_too() -> None:
    async def main() -> None:
        async with Lab([camera(0)], network="10.77.0.0/24") as lab:
            assert list(lab.devices) == ["cam0"]
            assert await asyncio.to_thread(lab.violations) == []

    asyncio.run(main())


def test_nothing_is_left_when_its_process_is_killed() -> None:
    lab = Lab([camera(0)], network="10.77.0.0/24")
    lab.__enter__()
    holder, keeper = lab.scanner_pid, lab.pid
    assert Path(f"/proc/{holder}/ns/net").readlink() != Path(f"/proc/{keeper}/ns/net").readlink()
    os.kill(keeper, 9)
    with pytest.raises(UsageProblem, match="ended by itself"):
        lab.violations()
    lab.close()

    assert _gone(holder)


def test_nothing_is_left_when_its_user_is_killed() -> None:
    import subprocess

    code = (
        "from scanner.simulate.lab import Lab\nfrom scanner.model import Recording\nimport time\n"
        "lab = Lab([Recording(id='a')]); lab.__enter__(); print(lab.pid, lab.scanner_pid, flush=True); time.sleep(60)"
    )
    user = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert user.stdout is not None
    pids = [int(word) for word in user.stdout.readline().split()]
    user.kill()
    user.communicate()

    assert len(pids) == 2
    assert all(_gone(pid) for pid in pids)


def _gone(pid: int) -> bool:
    for _ in range(300):
        try:
            Path(f"/proc/{pid}/ns/net").readlink()  # a zombie has none any more
        except OSError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("network", ["10.77.0.0/30", "10.77.0.1/24", "fd00::/64", "lan"])
def test_networks_that_cannot_be_are_refused(network: str) -> None:
    with pytest.raises(UsageProblem):
        Lab([], network=network)


def test_loopback_is_for_loopback_networks() -> None:
    with pytest.raises(UsageProblem, match=r"must lie within 127\.0\.0\.0/8"):
        Loopback([], network="10.77.0.0/24")


@pytest.mark.parametrize("kind", ["private", "high"])
def test_loopback_devices_answer_on_their_addresses(kind: str) -> None:
    with Loopback([camera(0), camera(1)], kind=kind, network="127.64.7.0/24") as there:
        port = there.port_map.get("127.64.7.2", {}).get(22, 22)
        said = there.run([sys.executable, "-c", TCP.split("print(sorted")[0], f"127.64.7.2:{port}"]).stdout

        assert said == f"127.64.7.2:{port} b'SSH-2.0-cam1\\r\\n'\n"
        assert bool(there.ready.enter) is (kind == "private")
        assert set(there.port_map.get("127.64.7.1", {})) == (set() if kind == "private" else {22, 37020})
        assert there.devices["cam1"].mac is None


def test_the_best_loopback_has_real_ports_where_it_can() -> None:
    there = best_loopback([camera(0)], network="127.64.8.0/24")
    try:
        assert there.port_map == {}
    finally:
        there.close()
