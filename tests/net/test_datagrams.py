from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Interface
from typing import Any

import pytest

from scanner.model import Transport, Via
from scanner.net import datagrams, interfaces
from scanner.net.datagrams import Datagrams, Heard
from scanner.net.interfaces import Link
from scanner.net.ledger import Ledger
from scanner.net.pace import Pace
from scanner.protocols.base import Alone, Protocol, Question

LOOPBACK = Link("lo", 1, None, True, False, False, (IPv4Interface("127.0.0.1/8"),))
GROUP = "239.255.77.77"


class Shout(Protocol):
    name = "shout"
    tier = 1
    transport = Transport.UDP
    ports = (37020,)

    def recognise(self, data: bytes) -> str | None:
        return "sadp.response" if data.startswith(b"here") else None


class Broken(Shout):
    name = "broken"

    def recognise(self, data: bytes) -> str | None:
        raise ValueError("oops")


def question(port: int, **more: object) -> Question:
    return Question("sadp.response", "inquiry", b"who", port, **more)  # type: ignore[arg-type]


class Device:
    """Answers every question on a UDP port of a loopback address."""

    def __init__(self, address: str, *answers: bytes, group: str | None = None) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        if group is not None:
            self.sock.bind(("", 0))
            self.sock.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton("127.0.0.1")
            )
        else:
            self.sock.bind((address, 0))
        self.port: int = self.sock.getsockname()[1]
        self.answers = answers
        self.questions = 0

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self.sock.fileno(), self._reply)

    def _reply(self) -> None:
        _, peer = self.sock.recvfrom(2000)
        self.questions += 1
        for answer in self.answers:
            self.sock.sendto(answer, peer)

    def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self.sock.fileno())
        self.sock.close()


def converse(
    device: Device, act: Callable[[Datagrams], object], *protocols: Protocol, links: tuple[Link, ...] = (),
    ledger: Ledger | None = None,
) -> tuple[list[Heard], Datagrams]:  # fmt: skip
    heard: list[Heard] = []

    async def main() -> Datagrams:
        device.start()
        async with Datagrams(
            links, protocols or (Shout(),), ledger or Ledger(), Pace(1000), heard.append, loop_back=True,
            real_port=lambda _a, port: device.port if port == 37020 else None,
        ) as sockets:  # fmt: skip
            result = act(sockets)
            if asyncio.iscoroutine(result):
                await result
            await asyncio.sleep(0.15)
        device.stop()
        return sockets

    return heard, asyncio.run(main())


def test_a_single_host_is_asked_where_it_really_is() -> None:
    ledger = Ledger()
    device = Device("127.8.0.1", b"here I am")
    heard, _ = converse(device, lambda d: d.ask_host("127.8.0.1", [question(37020), question(9)]), ledger=ledger)

    assert [(h.address, h.protocol) for h in heard] == [("127.8.0.1", "shout")]
    observation = heard[0].observation
    assert (observation.channel, observation.value, observation.port) == ("sadp.response", "here I am", 37020)
    assert observation.via is Via.UNICAST
    assert observation.at is not None
    assert ledger.bytes == {"127.8.0.1": 3}


def test_questions_that_make_no_sense_alone_are_left_out() -> None:
    device = Device("127.8.0.1", b"here")
    converse(device, lambda d: d.ask_host("127.8.0.1", [question(37020, alone=Alone.NEVER)]))

    assert device.questions == 0


def test_a_group_is_asked_on_every_link() -> None:
    device = Device("", b"here I am", group=GROUP)
    heard, sockets = converse(
        device, lambda d: d.ask_links([question(device.port, groups=(GROUP,), repeat=2)]), links=(LOOPBACK,)
    )

    assert sockets.problems == []
    assert device.questions == 2
    assert [(h.address, h.link, h.observation.via) for h in heard] == [("127.0.0.1", "lo", Via.MULTICAST)]


def test_answers_to_the_group_are_heard_on_the_makers_port() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]

    def act(sockets: Datagrams) -> None:
        sockets.listen([question(37020, groups=(GROUP,), listen=(port,))])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as announcer:
            announcer.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            announcer.sendto(b"here, everybody", (GROUP, port))

    heard, sockets = converse(Device("127.8.0.1"), act, links=(LOOPBACK,))

    assert sockets.problems == []
    assert [h.observation.value for h in heard] == ["here, everybody"]


def test_what_no_protocol_recognises_is_dropped() -> None:
    device = Device("127.8.0.1", b"who", b"\x00" * 900, b"")
    heard, sockets = converse(device, lambda d: d.ask_host("127.8.0.1", [question(37020)]))

    assert heard == []
    assert sockets.dropped == 3


def test_the_same_answer_counts_once_and_a_flood_is_bounded() -> None:
    answers = [b"here"] * 50 + [b"here %d" % n for n in range(500)]
    heard, sockets = converse(Device("127.8.0.1", *answers), lambda d: d.ask_host("127.8.0.1", [question(37020)]))

    assert len(heard) == datagrams.MAX_PER_CHANNEL
    assert sockets.dropped == 501 - datagrams.MAX_PER_CHANNEL


def test_a_broken_protocol_does_not_silence_the_others() -> None:
    heard, sockets = converse(
        Device("127.8.0.1", b"here"), lambda d: d.ask_host("127.8.0.1", [question(37020)]), Broken(), Shout()
    )

    assert len(heard) == 1
    assert sockets.problems == ["protocol broken failed on a datagram: ValueError"]


def test_a_port_that_is_taken_is_a_problem_not_an_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 0))
        port = other.getsockname()[1]
        _, sockets = converse(Device("127.8.0.1"), lambda d: d.listen([question(37020, listen=(port,))]))

    assert len(sockets.problems) == 1
    assert f"UDP port {port}" in sockets.problems[0]


def test_bytes_are_kept_as_bytes() -> None:
    heard, _ = converse(Device("127.8.0.1", b"here\x00\xff"), lambda d: d.ask_host("127.8.0.1", [question(37020)]))

    assert heard[0].observation.value == "hex:6865726500ff"


GROUP6 = "ff02::77"
SPEAK = """
import socket, struct, sys
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.bind(("::", 37020))
for name in ("d0", "d1"):
    member = socket.inet_pton(socket.AF_INET6, "ff02::77") + struct.pack("=i", socket.if_nametoindex(name))
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
print("up", flush=True)
while True:
    data, peer = sock.recvfrom(2000)
    name = socket.if_indextoname(peer[3]).encode()
    sock.sendto(b"here, " + data + b" on " + name, peer)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, peer[3])
    sock.sendto(b"here, everybody on " + name, ("ff02::77", 37021, 0, peer[3]))
"""


@pytest.mark.root
def test_groups_of_ipv6_are_asked_and_heard_on_every_link_with_a_link_local_address(segment: Any) -> None:
    made = segment({"10.77.0.7": "3c:ef:8c:00:00:07"})
    ours = (
        f"link add s1 type veth peer name d1 netns {made.holder}\nlink set s1 up\n"
        "address add fe80::5/64 dev s0 nodad\naddress add fe80::5/64 dev s1 nodad\n"
    )
    theirs = "link set d1 up\n" + "".join(f"address add fe80::7/64 dev {name} nodad\n" for name in ("d0", "d1"))
    for run, name in ((lambda *words: subprocess.run(words, check=True), "s0"), (made.inside, "d0")):
        for what in ("default", name):
            run("sysctl", "-qw", f"net.ipv6.conf.{what}.addr_gen_mode=1")  # no address that comes by itself
        run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0")
    subprocess.run(["ip", "-batch", "-"], input=ours, text=True, check=True)
    made.inside("ip", "-batch", "-", stdin=theirs)
    made.start(SPEAK)
    links = [link for link in interfaces.read().links if link.name in {"s0", "s1", "lo"}]
    asked = Question("sadp.response", "inquiry", b"who", 37020, groups=(GROUP, GROUP6), listen=(37021,), join=(GROUP6,))
    closed = Question("sadp.response", "inquiry", b"who", 37022, groups=(GROUP6,), join=(GROUP6,))
    heard: list[Heard] = []

    news = asyncio.Event()

    def hear(one: Heard) -> None:
        heard.append(one)
        news.set()

    async def until(count: int) -> None:
        async with asyncio.timeout(20):
            while len(heard) < count:
                news.clear()
                await news.wait()

    async def main() -> Datagrams:
        async with Datagrams(links, (Shout(),), Ledger(), Pace(1000), hear) as sockets:
            sockets.listen([asked, closed])
            await sockets.ask_links([asked])
            await until(4)
            alone = Question("sadp.response", "inquiry", b"you", 37020)
            assert len(await sockets.ask_host("fe80::7%s0", [alone])) == 1
            await until(5)
        return sockets

    sockets = asyncio.run(main())

    assert sockets.problems == []
    assert {(h.address, h.link, h.observation.value, h.observation.via) for h in heard[:4]} == {
        (f"fe80::7%s{n}", f"s{n}", f"here, {what} on d{n}", Via.MULTICAST) for n in (0, 1) for what in ("who", "everybody")
    }
    assert (heard[4].address, heard[4].observation.via) == ("fe80::7%s0", Via.UNICAST)
    assert heard[4].observation.value == "here, you on d0"
