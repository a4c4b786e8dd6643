"""Whose addresses of IPv6 these are: answers from them belong to the device that ARP has found, where there is one.

A device answers questions to a group of IPv6 from an address that no target names. It is the device of a target where
its MAC is that of one address of IPv4 (a MAC with several of these may be a router's, and decides nothing), or where
the address itself is a target. The MAC is known from ICMPv6, from the kernel's neighbour table, or from the address
where it is made of one. Nobody else is entered, unless the targets are the whole link and nobody was excluded by an
address, link-local ones aside: whose other addresses those are, nobody can tell. This machine itself is nobody: what it
says to a group reaches its own ears.

A router may answer for addresses behind it (RFC 4389): one that only a solicitation has told stands for a device of its
own, like several of IPv4 with one MAC; where a MAC stands for more of them than a device has, it is none of theirs; and
where it stands for a crowd, only targets are entered.

What is heard from an address waits here until its device is known: it may answer ARP later.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from scanner.discover import book
from scanner.discover.book import Sighting
from scanner.values import eui64_mac

if TYPE_CHECKING:
    from scanner.discover.book import Book, Entry
    from scanner.model import Observation

SEVERAL = 16
"""Addresses of one device that are kept (RFC 8981 gives it a new one every day)."""
MAX_ADDRESSES = 65_536
"""Addresses that are remembered: anybody on a link can make up more."""
CROWD = 256
"""Addresses at one MAC above which none is entered that no target names: a repeater may stand for so many hosts; who
makes addresses up has any number of them, and asking each would take hours.
"""
MAX_WAITING = 16
"""Answers from one address that wait for its device."""

Place = tuple[str, str]
"""Link, and address as targets name it."""
Table = Callable[[str], Iterable[tuple[str, str]]]
"""From a link to the addresses, each with its MAC, that the kernel knows there."""


class Kin:
    """The addresses of IPv6 that were seen on links, and who has them."""

    def __init__(
        self, entries: Book, wanted: Callable[[str], bool], *, blind: bool = False,
        own: Collection[str] = frozenset(),
    ) -> None:  # fmt: skip
        """`wanted` tells whether an address is a target; `blind`: addresses were excluded that may be anybody's; `own`:
        this machine's addresses, and its MACs.
        """
        self._book = entries
        self._wanted = wanted
        self._blind = blind
        self._mine = own
        self._whole: set[str] = set()
        self._macs: dict[Place, str | None] = {}
        self._sure: set[Place] = set()
        self._told: set[Place] = set()
        self._methods: dict[Place, set[str]] = {}
        self._waiting: dict[Place, list[Observation]] = {}
        self._homes: dict[Place, tuple[str, str | None]] = {}
        self.crowds: set[tuple[str, str | None]] = set()
        """Links, and MACs there, with more than `CROWD` addresses."""

    def whole(self, link: str) -> bool:
        """The targets are a whole link; whether those that speak IPv6 alone can be entered there."""
        if not self._blind:
            self._whole.add(link)
        return not self._blind

    def met(self, link: str, address: str, mac: str | None, method: str, *, sure: bool = True) -> None:
        """Somebody has an address; not `sure`: a router may have answered for another."""
        place = (link, address)
        if address in self._mine or mac in self._mine:
            return
        if place in self._sure and not sure and self._macs[place] is not None:
            mac = None  # it has answered itself
        if place in self._macs or len(self._macs) < MAX_ADDRESSES:
            self._macs[place] = mac or self._macs.get(place)
            self._methods.setdefault(place, set()).add(method)
            if sure:
                self._sure.add(place)

    def heard(self, link: str, address: str, observation: Observation, method: str) -> None:
        """Somebody said something from an address."""
        place = (link, address)
        if address in self._mine:
            return
        home = self._homes.get(place)
        if home is not None:
            entry = self._book.at(home[0])
            if entry is None or all(seen.channel != observation.channel or seen.silent for seen in entry.observations):
                self._book.heard(home[0], observation, method=method, link=link, mac=home[1])
            return
        if place not in self._macs:
            if len(self._macs) >= MAX_ADDRESSES:
                return
            self._macs[place] = None
        self._methods.setdefault(place, set()).add(method)
        waiting = self._waiting.setdefault(place, [])
        if len(waiting) < MAX_WAITING:
            waiting.append(observation)

    def nameless(self, table: Table) -> dict[str, list[str]]:
        """By link: addresses without a MAC that would be entered for want of it, each told once."""
        self._resolve(table)
        found: dict[str, list[str]] = defaultdict(list)
        for (link, address), mac in self._macs.items():
            new = mac is None and (link, address) not in self._homes and (link, address) not in self._told
            if new and link in self._whole and not self._book.excluding:
                found[link].append(address)
                self._told.add((link, address))
        return found

    def settle(self, table: Table, *, enter: bool = True) -> None:
        """Give every address to its device, as far as that is known by now, and enter who is to be entered; not yet
        where ARP may still find a device (`enter`): it would be two.
        """
        if not self._macs:
            return
        self._resolve(table)
        counts = Counter((link, mac) for (link, _), mac in self._macs.items() if mac is not None)
        self.crowds = {place for place, count in counts.items() if count > CROWD}
        barred = {(link, mac) for (link, address), mac in self._macs.items() if self._book.excludes(address, mac)}
        devices: dict[Place, list[str]] = defaultdict(list)
        proxied: Counter[tuple[str, str | None]] = Counter()
        for (link, address), mac in self._macs.items():
            if mac in self._mine:
                continue
            own = mac is not None and self._own(link, address, mac)
            devices[link, mac if mac is not None and own else address].append(address)
            proxied[link, mac] += not own
        hosts: dict[tuple[str | None, str | None], list[Entry]] = defaultdict(list)
        for entry in self._book.entries():
            if ":" not in entry.address and entry.mac is not None and not entry.foreign:
                hosts[entry.link, entry.mac].append(entry)
        for (link, name), addresses in devices.items():
            mac = self._macs[link, addresses[0]]
            same = hosts.get((link, mac), []) if name == mac else []
            if (link, mac) in barred and (mac is not None or self._book.excludes(addresses[0], mac)):
                self._bar(link, addresses, same)
            elif name != mac and proxied[link, mac] > book.SEVERAL:
                self._give(link, addresses, None, [], enter)
            elif len(addresses) <= SEVERAL:
                self._give(link, addresses, mac, same, enter)
            else:
                for address in addresses:
                    self._give(link, [address], mac, [], enter)

    def _own(self, link: str, address: str, mac: str) -> bool:
        """Whether an address is that of the very interface with this MAC."""
        near = IPv6Address(address.partition("%")[0]).is_link_local
        return near or (link, address) in self._sure or eui64_mac(address) == mac

    def _resolve(self, table: Table) -> None:
        for link in {link for (link, _), mac in self._macs.items() if mac is None}:
            known = dict(table(link))
            for (where, address), mac in self._macs.items():
                if where == link and mac is None:
                    self._macs[where, address] = known.get(address) or eui64_mac(address)

    def _bar(self, link: str, addresses: Iterable[str], same: Iterable[Entry]) -> None:
        """One address of a device is excluded: so are its others."""
        for entry in same:
            entry.also += [address for address in addresses if address not in entry.also]
            self._book.bar(entry.address)
        for address in addresses:
            self._book.bar(address)
            self._waiting.pop((link, address), None)

    def _give(self, link: str, addresses: list[str], mac: str | None, same: list[Entry], enter: bool) -> None:
        new = [address for address in addresses if (link, address) not in self._homes]
        known = next((address for address in addresses if self._book.at(address) is not None), None)
        if len(same) == 1:
            home: Entry | None = same[0]
        elif known is not None:
            home = self._book.sighted(Sighting(known, mac, min(self._methods[link, known]), link, packets=0))
        else:
            home = self._enter(link, addresses, mac) if enter else None
        if home is None:
            return
        for address in new if len(same) != 1 else addresses:
            self._fold(address, home)
            place = (link, address)
            self._homes[place] = (home.address, home.mac)
            if address != home.address and address not in home.also and len(home.also) < SEVERAL:
                home.also.append(address)
            home.methods |= self._methods.get(place, set())
            heard = {seen.channel for seen in home.observations if not seen.silent}
            home.add(seen for seen in self._waiting.pop(place, ()) if seen.channel not in heard)  # it says it once more

    def _enter(self, link: str, addresses: list[str], mac: str | None) -> Entry | None:
        """Who speaks IPv6 alone, where that is a target; without a MAC only where nobody was excluded."""
        named = [address for address in addresses if self._wanted(address)]
        if not named and (link, self._macs[link, addresses[0]]) in self.crowds:
            return None
        if not named and (link not in self._whole or (mac is None and self._book.excluding)):
            return None
        left = any((link, address) in self._homes for address in addresses)
        if left or (not named and self._book.fours(mac)):
            return None  # it has left the book, or is asked by IPv4
        first = (named or sorted(addresses, key=_rank))[0]
        return self._book.sighted(Sighting(first, mac, min(self._methods[link, first]), link, packets=0))

    def _fold(self, address: str, home: Entry) -> None:
        """What was entered under an address before its device was known."""
        old = self._book.at(address)
        if old is None or old is home or old.begun:
            return
        self._book.forget(old)
        home.add(old.observations)
        home.methods |= old.methods
        home.packets += old.packets


def _rank(address: str) -> tuple[bool, int]:
    """Link-local ones first: they stay when a network is renumbered."""
    found = IPv6Address(address.partition("%")[0])
    return (not found.is_link_local, int(found))
