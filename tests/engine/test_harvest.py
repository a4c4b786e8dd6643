from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from scanner import knowledge
from scanner.config import Plan
from scanner.discover.book import SEVERAL, Book, Entry, Sighting
from scanner.engine.harvest import Finished, Harvest, unanswered
from scanner.knowledge import Knowledge
from scanner.model import Device, Observation, Via
from scanner.net.ledger import Ledger
from scanner.protocols.base import Question

SADP = Question("sadp.response", "inquiry", b"a", 37020, groups=("239.255.255.250",))
SADP_2 = Question("sadp.response", "inquiry_v32", b"b", 37020, groups=("239.255.255.250",))
DHIP = Question("dhip.response", "DHDiscover.search", b"c", 37810)


def test_one_silence_for_every_protocol_that_was_asked() -> None:
    found = unanswered(Entry("10.0.0.1", link="eth0"), [SADP, SADP_2, DHIP], [SADP])

    assert [(o.channel, o.port, o.via, o.silent, o.value) for o in found] == [
        ("sadp.response", 37020, Via.UNICAST, True, ""), ("dhip.response", 37810, Via.UNICAST, True, "")
    ]  # fmt: skip


def test_an_answer_is_no_silence_and_multicast_does_not_reach_routed_hosts() -> None:
    heard = Entry("10.0.0.1", link="eth0", observations=[Observation(channel="sadp.response", value="<ProbeMatch/>")])

    assert unanswered(heard, [], [SADP]) == []
    assert [o.via for o in unanswered(Entry("10.0.0.1", link="eth0"), [], [SADP])] == [Via.MULTICAST]
    assert unanswered(Entry("10.9.0.1"), [], [SADP]) == []


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return knowledge.load(())


class Scan:
    """A book with devices, and the harvest that takes them."""

    def __init__(self, known: Knowledge, **more: Any) -> None:
        self.book, self.ledger = Book(), Ledger()
        self.told: list[Device] = []
        self.written: list[Finished] = []
        self.threads: set[str] = set()
        self.harvest = Harvest(Plan(), known, self.book, self.ledger, [SADP], tell=self._tell, **more)
        self.harvest.write = self._write

    def _tell(self, device: Device) -> None:
        self.threads.add(threading.current_thread().name)
        self.told.append(device)

    def _write(self, finished: Sequence[Finished]) -> None:
        self.written += finished

    def device(self, address: str, mac: str | None = None, title: str | None = "Login") -> Entry:
        entry = self.book.sighted(Sighting(address, mac, "arp", "eth0"))
        assert entry is not None
        if title is not None:
            entry.add([Observation(channel="http.title", value=title, port=80)])
        return entry


def test_devices_leave_one_by_one_and_nothing_of_them_stays(known: Knowledge) -> None:
    scan = Scan(known, keep=False)

    async def main() -> None:
        running = asyncio.create_task(scan.harvest.run(lambda: 0.0))
        for n in range(100):
            scan.ledger.count(f"10.0.0.{n}", 3, 40)
            await scan.harvest.take(scan.device(f"10.0.0.{n}", f"3c:ef:8c:00:00:{n:02x}"))
        scan.harvest.over()
        await running

    asyncio.run(main())
    assert [d.recording.ip for d in scan.told] == [f"10.0.0.{n}" for n in range(100)]
    assert {(d.packets, d.bytes_sent) for d in scan.told} == {(4, 40)}
    assert scan.threads.isdisjoint({"MainThread"})
    assert scan.harvest.devices == []
    assert scan.harvest.tally.coverage().alive == 100
    assert (scan.book.entries(), scan.ledger.packets, scan.ledger.bytes) == ([], {}, {})
    assert len(scan.book) == 100
    # Nobody who has been told is found again.
    assert scan.book.sighted(Sighting("10.0.0.5", "3c:ef:8c:00:00:05", "arp")) is None
    assert scan.book.heard("10.0.0.5", Observation(channel="http.title", value="x"), method="m", link=None) is None


def test_late_answers_are_waited_for(known: Knowledge) -> None:
    scan = Scan(known)

    async def main() -> None:
        until = asyncio.get_running_loop().time() + 0.3
        running = asyncio.create_task(scan.harvest.run(lambda: until))
        await scan.harvest.take(scan.device("10.0.0.1"))
        await asyncio.sleep(0.1)
        assert scan.told == []
        late = Observation(channel="sadp.response", value="<ProbeMatch/>")
        assert scan.book.heard("10.0.0.1", late, method="multicast", link="eth0") is not None
        await asyncio.sleep(0.5)
        assert len(scan.told) == 1
        scan.harvest.over()
        await running

    asyncio.run(main())
    assert [o.channel for o in scan.told[0].recording.observations] == ["http.title", "sadp.response"]


def test_what_waits_when_a_scan_is_interrupted_is_told_once(known: Knowledge) -> None:
    scan = Scan(known)

    async def main() -> None:
        await scan.harvest.take(scan.device("10.0.0.1"))
        scan.device("10.0.0.2", title=None)

    asyncio.run(main())
    scan.harvest.finish(scan.book.entries())
    scan.harvest.finish(scan.book.entries())

    assert [d.recording.ip for d in scan.told] == ["10.0.0.1", "10.0.0.2"]
    assert scan.harvest.tally.silent == ["10.0.0.2"]
    assert [f.silent for f in scan.written] == [False, True]


def test_a_mac_at_several_addresses_is_in_no_key_alone(known: Knowledge) -> None:
    scan = Scan(known)
    scan.device("10.0.0.1", "3c:ef:8c:00:00:01", "a")
    scan.device("10.0.0.2", "3c:ef:8c:00:00:01", "b")
    scan.harvest.finish(scan.book.entries())

    assert [d.key for d in scan.told] == ["3cef8c000001-10-0-0-1", "3cef8c000001-10-0-0-2"]
    assert list(scan.harvest.strangers) == ["3c:ef:8c:00:00:01"]


def test_finished_devices_of_an_interrupted_scan_are_told_again_and_written_only_once(known: Knowledge) -> None:
    first, second = Scan(known), Scan(known)
    first.device("10.0.0.1", "3c:ef:8c:00:00:01").stopped = "stopped answering"
    first.harvest.finish(first.book.entries())
    asyncio.run(second.harvest.again(first.written))

    assert [d.key for d in second.told] == ["3cef8c000001"]
    assert (second.written, second.harvest.quiet) == ([], ["10.0.0.1"])
    assert second.book.sighted(Sighting("10.0.0.1", "3c:ef:8c:00:00:01", "arp")) is None


def test_a_mac_that_stands_for_many_addresses_is_told_once_and_accuses_nobody_behind_it(known: Knowledge) -> None:
    """The same as in a picture of imports: proxy ARP, or a router."""
    scan = Scan(known)
    router, camera = "c4:2f:90:a7:b5:d1", "3c:ef:8c:00:00:01"
    behind = [scan.device(f"10.0.0.{n}", router) for n in range(1, SEVERAL + 2)]
    scan.harvest.finish([*behind, scan.device("10.0.0.99", camera)])

    told = {device.recording.ip: device for device in scan.told}
    macs: dict[str | None, str | None] = {f"10.0.0.{n}": None for n in range(1, SEVERAL + 2)}
    assert {ip: d.recording.mac for ip, d in told.items()} == macs | {"10.0.0.99": camera, None: router}
    assert all(told[f"10.0.0.{n}"].identity.manufacturer is None for n in range(1, SEVERAL + 2))
    assert told[None].identity.manufacturer == "hikvision"
    assert len({device.key for device in scan.told}) == len(scan.told)


def test_a_router_that_is_known_by_its_own_address_keeps_its_mac(known: Knowledge) -> None:
    scan = Scan(known)
    router = "c4:2f:90:a7:b5:d1"
    scan.harvest.own = {"10.0.0.1"}
    scan.harvest.finish([scan.device(f"10.0.0.{n}", router) for n in range(1, SEVERAL + 2)])

    assert [d.recording.ip for d in scan.told if d.recording.mac == router] == ["10.0.0.1"]


def test_many_addresses_of_ipv6_are_one_hosts(known: Knowledge) -> None:
    scan = Scan(known)
    entries = [scan.device(f"fe80::{n:x}", "c4:2f:90:a7:b5:d1") for n in range(1, SEVERAL + 2)]
    scan.harvest.finish(entries)

    assert all(device.recording.mac for device in scan.told)
