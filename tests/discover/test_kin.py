from __future__ import annotations

from collections.abc import Callable

import pytest

from scanner.discover import kin
from scanner.discover.book import SEVERAL, Book, Entry, Sighting
from scanner.discover.kin import Kin
from scanner.model import Observation

MAC, OTHER = "3c:ef:8c:00:00:07", "3c:ef:8c:00:00:08"
NEAR, MADE, WIDE = "fe80::7%s0", "fe80::3eef:8cff:fe00:7%s0", "fd10:77::7"
SAID = Observation(channel="wsdiscovery.response", value="here")


def made(
    *wanted: str, excluded: tuple[str, ...] = (), blind: bool = False, whole: bool = False
) -> tuple[Kin, Book]:
    book = Book(lambda address, mac: address in excluded or mac in excluded, excluding=bool(excluded))
    found = Kin(book, wanted.__contains__, blind=blind)
    assert not whole or found.whole("s0") is not blind
    return found, book


def arp(book: Book, address: str = "10.77.0.7", mac: str = MAC) -> Entry:
    entry = book.sighted(Sighting(address, mac, "arp", "s0"))
    assert entry is not None
    return entry


def nothing(_link: str) -> list[tuple[str, str]]:
    return []


def told(book: Book) -> dict[str, tuple[str | None, list[str], list[str]]]:
    """Address → MAC, further addresses, what was heard."""
    return {e.address: (e.mac, e.also, [seen.value for seen in e.observations]) for e in book.entries()}


@pytest.mark.parametrize("how", ["icmp", "kernel", "address"])
def test_what_is_heard_from_an_address_belongs_to_the_device_with_its_mac(how: str) -> None:
    found, book = made()
    address = MADE if how == "address" else NEAR
    table: Callable[[str], list[tuple[str, str]]] = (lambda _link: [(NEAR, MAC)]) if how == "kernel" else nothing
    found.heard("s0", address, SAID, "multicast")
    if how == "icmp":
        found.met("s0", NEAR, MAC, "ipv6")
    found.settle(table)
    assert told(book) == {}  # nobody knows yet whose it is
    entry = arp(book)
    found.settle(table)

    assert told(book) == {"10.77.0.7": (MAC, [address], ["here"])}
    assert "multicast" in entry.methods
    found.settle(table)
    found.heard("s0", address, Observation(channel="mdns.response", value="and more"), "multicast")
    found.heard("s0", address, Observation(channel="mdns.response", value="and again"), "multicast")
    assert told(book) == {"10.77.0.7": (MAC, [address], ["here", "and more"])}


def test_who_is_none_of_the_targets_is_not_entered_and_on_a_whole_link_is() -> None:
    for whole in (False, True):
        found, book = made(whole=whole)
        found.met("s0", WIDE, MAC, "ipv6")
        found.met("s0", NEAR, MAC, "ipv6")
        found.heard("s0", "fe80::9%s0", SAID, "multicast")
        found.settle(nothing)
        alone = {NEAR: (MAC, [WIDE], []), "fe80::9%s0": (None, [], ["here"])}
        assert told(book) == (alone if whole else {})


def test_a_target_is_entered_by_its_address_unless_it_is_the_device_that_arp_found() -> None:
    found, book = made(WIDE)
    found.met("s0", NEAR, MAC, "ipv6")
    found.met("s0", WIDE, MAC, "ipv6")
    found.settle(nothing)
    assert told(book) == {WIDE: (MAC, [NEAR], [])}
    arp(book)
    found.settle(nothing)
    assert told(book) == {"10.77.0.7": (MAC, [NEAR, WIDE], [])}


def test_where_an_address_of_ipv4_is_excluded_nobody_knows_whose_the_others_are() -> None:
    found, book = made(blind=True, whole=True)
    found.met("s0", NEAR, MAC, "ipv6")
    found.settle(nothing)

    assert told(book) == {}


@pytest.mark.parametrize("excluded", [WIDE, MAC])
def test_an_excluded_address_or_mac_excludes_the_device(excluded: str) -> None:
    found, book = made(NEAR, excluded=(excluded,), whole=True)
    entry = arp(book) if excluded == WIDE else None
    for address in (NEAR, WIDE):
        found.met("s0", address, MAC, "ipv6")
    found.met("s0", "fe80::8%s0", OTHER, "ipv6")
    found.heard("s0", NEAR, SAID, "multicast")
    found.settle(nothing)

    assert set(told(book)) == {"fe80::8%s0"}
    assert {NEAR, WIDE} <= book.excluded
    assert entry is None or WIDE in entry.also  # whoever asks it already sees that


def test_without_a_mac_nobody_is_entered_where_somebody_is_excluded() -> None:
    found, book = made(excluded=("fe80::1",), whole=True)
    found.heard("s0", NEAR, SAID, "multicast")
    assert found.nameless(nothing) == {}
    found.settle(nothing)

    assert told(book) == {}


def test_an_address_without_a_mac_is_told_once() -> None:
    found, _ = made(whole=True)
    found.heard("s0", NEAR, SAID, "multicast")
    found.heard("s0", MADE, SAID, "multicast")

    assert found.nameless(nothing) == {"s0": [NEAR]}
    assert found.nameless(nothing) == {}


def test_a_router_that_answers_for_addresses_behind_it_is_none_of_them() -> None:
    found, book = made(WIDE, "fd10:77::8")
    arp(book, "10.77.0.1", MAC)
    found.met("s0", "fe80::1%s0", MAC, "ipv6")
    for address in (WIDE, "fd10:77::8", "fd10:77::9"):
        found.met("s0", address, MAC, "ipv6", sure=False)
    found.settle(nothing)

    assert told(book) == {
        "10.77.0.1": (MAC, ["fe80::1%s0"], []), WIDE: (MAC, [], []), "fd10:77::8": (MAC, [], [])
    }  # fmt: skip


def test_a_mac_that_answers_for_more_addresses_than_a_device_has_is_none_of_theirs() -> None:
    many = [f"fd10:77::{n:x}" for n in range(1, SEVERAL + 2)]
    found, book = made(*many)
    for address in many:
        found.met("s0", address, MAC, "ipv6", sure=False)
    found.met("s0", NEAR, MAC, "ipv6")
    found.settle(nothing)

    assert told(book) == {address: (None, [], []) for address in many}


def test_a_mac_with_several_addresses_of_ipv4_may_be_a_routers() -> None:
    found, book = made()
    arp(book)
    arp(book, "10.77.0.9")
    found.met("s0", NEAR, MAC, "ipv6")
    found.heard("s0", NEAR, SAID, "multicast")
    found.settle(nothing)

    assert told(book) == {"10.77.0.7": (MAC, [], []), "10.77.0.9": (MAC, [], [])}


def test_a_device_that_has_left_the_book_is_not_entered_once_more() -> None:
    found, book = made(whole=True)
    arp(book)
    book.finish("10.77.0.7", MAC)
    found.met("s0", NEAR, MAC, "ipv6")
    found.met("s0", "fe80::8%s0", OTHER, "ipv6")
    found.settle(nothing)
    assert set(told(book)) == {"fe80::8%s0"}
    book.finish("fe80::8%s0", OTHER)
    found.met("s0", "fd10:77::8", OTHER, "ipv6")
    found.heard("s0", "fe80::8%s0", SAID, "multicast")
    found.settle(nothing)

    assert told(book) == {}


def test_what_was_entered_without_having_been_found_gets_its_mac_and_its_link() -> None:
    found, book = made(NEAR)
    book.sighted(Sighting(NEAR, None, "assumed"))
    found.met("s0", NEAR, MAC, "ipv6")
    found.settle(nothing)

    assert told(book) == {NEAR: (MAC, [], [])}
    assert [(e.link, e.methods) for e in book.entries()] == [("s0", {"assumed", "ipv6"})]


def test_a_host_that_makes_up_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kin, "MAX_ADDRESSES", 100)
    found, book = made()
    arp(book)
    for number in range(200):
        found.heard("s0", f"fe80::{number:x}%s0", SAID, "multicast")
        found.met("s0", f"fe80::{number:x}%s0", MAC, "ipv6")
    for _ in range(99):
        found.heard("s0", "fe80::1%s0", SAID, "multicast")
    found.settle(nothing)

    assert told(book) == {"10.77.0.7": (MAC, [], [])}
    assert len(found._macs) == 100
    assert max(map(len, found._waiting.values())) == kin.MAX_WAITING


@pytest.mark.parametrize("sure", [True, False])
def test_of_a_mac_that_stands_for_a_crowd_only_targets_are_entered(sure: bool) -> None:
    def crowd(count: int) -> tuple[Kin, Book]:
        found, book = made("fd10:77::3", whole=True)
        for number in range(1, count + 1):
            found.met("s0", f"fd10:77::{number:x}", MAC, "ipv6", sure=sure)
        found.met("s0", "fd10:77::ffff", OTHER, "ipv6")
        found.settle(nothing)
        return found, book

    found, book = crowd(kin.CROWD + 1)
    assert found.crowds == {("s0", MAC)}
    assert set(told(book)) == {"fd10:77::3", "fd10:77::ffff"}
    found, book = crowd(kin.CROWD)
    assert not found.crowds
    assert len(told(book)) == kin.CROWD + 1


def test_this_machine_is_nobody_whichever_of_its_addresses_and_links_it_speaks_from() -> None:
    book = Book()
    found = Kin(book, "".__eq__, own=frozenset({NEAR, MAC}))
    assert found.whole("s0")
    found.heard("s0", NEAR, SAID, "multicast")
    found.heard("s0", MADE, SAID, "multicast")
    found.met("s0", WIDE, MAC, "ipv6")
    found.heard("s0", "fe80::9%s0", SAID, "multicast")
    found.settle(lambda _link: [("fe80::9%s0", MAC)])

    assert told(book) == {}


def test_who_may_still_answer_arp_is_not_entered_yet_and_later_is_one_device() -> None:
    found, book = made(WIDE, whole=True)
    for address in (NEAR, WIDE):
        found.met("s0", address, MAC, "ipv6")
    found.met("s0", "fe80::8%s0", OTHER, "ipv6")
    found.settle(nothing, enter=False)
    assert told(book) == {}
    arp(book).begun = True
    found.settle(nothing)

    assert told(book) == {"10.77.0.7": (MAC, [NEAR, WIDE], []), "fe80::8%s0": (OTHER, [], [])}


def test_the_mac_that_a_device_sends_with_is_better_than_the_one_in_its_address() -> None:
    found, book = made(MADE)
    book.sighted(Sighting(MADE, None, "assumed"))
    assert told(book) == {MADE: (MAC, [], [])}
    found.met("s0", MADE, OTHER, "ipv6")
    found.settle(nothing)

    assert [(e.address, e.mac, e.derived) for e in book.entries()] == [(MADE, OTHER, False)]
    assert (book.conflicts(), list(book.places(MAC)), list(book.places(OTHER))) == ({}, [], [MADE])


def test_who_answers_for_an_address_does_not_take_it_from_whoever_answered_from_it() -> None:
    found, book = made(WIDE)
    found.met("s0", WIDE, OTHER, "ipv6", sure=False)
    found.met("s0", WIDE, MAC, "ipv6")
    found.met("s0", WIDE, OTHER, "ipv6", sure=False)
    found.settle(nothing)

    assert told(book) == {WIDE: (MAC, [], [])}
