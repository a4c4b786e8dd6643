from __future__ import annotations

import time

from scanner.discover.book import MAX_OBSERVATIONS, Book, Entry, Sighting, name, united
from scanner.model import Observation, Recording

SADP = "<ProbeMatch><DeviceSN>{sn}</DeviceSN><Salt>d8eebc414effc857</Salt></ProbeMatch>"
MAC = "3c:ef:8c:00:00:01"


def sadp(serial: str) -> Observation:
    return Observation(channel="sadp.response", value=SADP.format(sn=serial), port=37020)


def test_a_mac_and_an_address_are_one_device() -> None:
    book = Book()
    book.sighted(Sighting("10.0.0.1", MAC, "arp", "eth0"))
    book.sighted(Sighting("10.0.0.1", MAC, "neighbours", "eth0"))

    assert len(book) == 1
    assert book.entries()[0].methods == {"arp", "neighbours"}
    assert book.entries()[0].packets == 2


def test_an_answer_before_the_mac_is_known_belongs_to_the_same_device() -> None:
    book = Book()
    book.heard("10.0.0.1", sadp("A1234567"), method="multicast", link="eth0")
    book.sighted(Sighting("10.0.0.1", MAC, "arp", "eth0"))
    book.sighted(Sighting("10.0.0.1", None, "connect"))

    assert [(e.address, e.mac) for e in book.entries()] == [("10.0.0.1", MAC)]
    assert book.at("10.0.0.1") is book.entries()[0]
    assert book.entries()[0].answered


def test_two_macs_on_one_address_are_two_devices() -> None:
    book = Book()
    book.sighted(Sighting("10.0.0.1", MAC, "arp"))
    book.sighted(Sighting("10.0.0.1", "aa:bb:cc:00:00:01", "arp"))

    assert len(book) == 2
    assert list(book.conflicts()) == ["10.0.0.1"]


def test_excluded_devices_stay_out_whenever_that_is_noticed() -> None:
    book = Book(lambda address, mac: address == "10.0.0.9" or (mac or "").startswith("3c:ef:8c"))
    assert book.sighted(Sighting("10.0.0.9", None, "connect")) is None
    assert book.heard("10.0.0.1", sadp("A1234567"), method="multicast", link="eth0") is not None
    assert book.sighted(Sighting("10.0.0.1", MAC, "arp")) is None
    assert book.heard("10.0.0.1", sadp("A1234567"), method="multicast", link="eth0") is None

    assert len(book) == 0
    assert book.excluded == {"10.0.0.1", "10.0.0.9"}


def test_what_is_stored_is_masked() -> None:
    entry = Entry("10.0.0.1")
    entry.add([sadp("A1234567")])

    assert "d8eebc414effc857" not in entry.observations[0].value
    assert "A1234567" in entry.observations[0].value


def test_observations_of_one_device_are_bounded() -> None:
    entry = Entry("10.0.0.1")
    entry.add(Observation(channel="tcp.banner", value=str(n), port=22) for n in range(1000))

    assert len(entry.observations) == MAX_OBSERVATIONS


def test_a_recording_says_what_the_device_said() -> None:
    entry = Entry("10.0.0.1", MAC)
    entry.open |= {554, 80}
    recording = entry.recording()

    assert (recording.ip, recording.mac, recording.id) == ("10.0.0.1", MAC, "3cef8c000001-10-0-0-1")
    assert recording.observations[-1] == Observation(channel="tcp.open", value="80,554")
    assert name("fe80::1%eth0", None) == "ip-fe80--1-eth0"


def test_silence_is_no_answer() -> None:
    entry = Entry("10.0.0.1")
    entry.add([Observation(channel="sadp.response", value="", silent=True)])
    assert not entry.answered
    entry.open.add(80)
    assert entry.answered


def recording(ip: str, serial: str | None, mac: str = MAC) -> Recording:
    return Recording(id=name(ip, mac), ip=ip, mac=mac, observations=(sadp(serial),) if serial else ())


def test_one_mac_with_several_addresses_is_one_device_where_a_serial_agrees() -> None:
    joined, unexplained = united([recording("10.0.0.1", "A1234567"), recording("10.0.0.2", "a1234567")])

    assert [(r.ip, r.addresses) for r in joined] == [("10.0.0.1", ("10.0.0.2",))]
    assert unexplained == []


def test_one_mac_with_several_addresses_may_be_a_router() -> None:
    apart = [recording("10.0.0.1", "A1234567"), recording("10.0.0.2", "B1234567"), recording("10.0.0.3", None)]
    joined, unexplained = united(apart)

    assert joined == apart
    assert unexplained == [MAC]


def test_different_macs_are_never_joined() -> None:
    apart = [recording("10.0.0.1", "A1234567"), recording("10.0.0.2", "A1234567", "aa:bb:cc:00:00:01")]

    assert united(apart) == (apart, [])


def test_an_address_of_ipv6_that_is_made_of_a_mac_tells_it_where_nothing_else_does() -> None:
    book = Book(lambda _address, mac: mac == "3c:ef:8c:00:00:08")
    made = book.sighted(Sighting("2001:db8::3eef:8cff:fe00:7", None, "connect"))
    other = book.sighted(Sighting("2001:db8::7", None, "connect"))
    told = book.sighted(Sighting("fe80::3eef:8cff:fe00:9%eth0", "3c:ef:8c:00:00:0a", "ipv6"))

    assert [entry and entry.mac for entry in (made, other, told)] == ["3c:ef:8c:00:00:07", None, "3c:ef:8c:00:00:0a"]
    assert book.sighted(Sighting("2001:db8::3eef:8cff:fe00:8", None, "connect")) is None
    seen = Observation(channel="mdns.name", value="cam.local.")
    assert book.heard("2001:db8::3eef:8cff:fe00:7", seen, method="multicast", link=None) is made
    assert book.sighted(Sighting("fe80::3eef:8cff:fe00:9%eth0", None, "connect")) is told
    assert book.conflicts() == {}


def test_who_claims_the_address_of_nobody_stays() -> None:
    book = Book()
    for mac in ("02:00:00:00:00:01", "02:00:00:00:00:02"):
        book.sighted(Sighting("10.0.0.5", mac, "arp"))
    [nobody] = book.disown("02:00:00:00:00:01", ())
    book.forget(nobody)

    assert [entry.mac for entry in book.entries()] == ["02:00:00:00:00:02"]
    left = book.at("10.0.0.5")
    assert left is not None
    assert book.sole(left)
    book.finish("10.0.0.5", "02:00:00:00:00:02")
    assert book.entries() == []


def test_a_mac_that_answers_for_a_whole_network_is_entered_without_a_search_through_all_its_addresses() -> None:
    book = Book()
    began = time.thread_time()
    for number in range(40_000):
        book.sighted(Sighting(f"10.0.{number >> 8}.{number & 255}", "02:00:00:00:00:01", "arp"))
        book.sighted(Sighting(f"fd10::{number:x}", "02:00:00:00:00:01", "ipv6"))

    assert (len(book.places("02:00:00:00:00:01")), book.fours("02:00:00:00:00:01")) == (80_000, 40_000)
    assert time.thread_time() - began < 8
