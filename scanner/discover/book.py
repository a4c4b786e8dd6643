"""The book of a scan: every sighting and every answer is entered here, and devices come out.

Same (MAC, IP) is one device. One MAC with several addresses is one device only where a serial, an ONVIF endpoint or a
UDN agrees; else it may be a router or proxy ARP. Without a MAC the address stands for the device.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from scanner.values import eui64_mac

# What reads an answer is imported when there is one: a sweep is in the air before.
if TYPE_CHECKING:
    from scanner.model import Observation, Reading, Recording
    from scanner.protocols.base import Question

MAX_OBSERVATIONS = 400
"""Observations of one device that are kept."""

SEVERAL = 8
"""Addresses that one device may have; a MAC that stands for more is a router's, or proxy ARP."""

_OTHER = re.compile(r"[^0-9a-zA-Z]")

SAME: frozenset[str] = frozenset({
    "wsdiscovery.epr", "upnp.udn", "upnp.serialnumber", "sadp.devicesn", "dhip.serialno", "onvif.serialnumber",
})  # fmt: skip
"""Channels whose value belongs to one device only."""


class Sighting(NamedTuple):
    """Somebody is there."""

    address: str
    mac: str | None
    method: str
    """`arp`, `neighbours`, `connect`, `multicast`, …"""
    link: str | None = None
    """Interface on which it was seen; None behind a router."""
    packets: int = 1
    """Packets it took."""


@dataclass(slots=True)
class Entry:
    """One device while a scan lasts."""

    address: str
    mac: str | None = None
    link: str | None = None
    also: list[str] = field(default_factory=list)
    """IPv6 addresses of the same interface."""
    derived: bool = False
    """Its MAC is what its address of IPv6 was made of: the one that it sends with is better."""
    through: str | None = None
    """MAC of a router that answers ARP in its place: whether anybody is there is told only by what it says itself."""
    everywhere: bool = False
    """Even a port drawn at random accepts connections: a firewall or tarpit answers."""
    foreign: bool = False
    """It speaks from an address that is on no network of its link: heard, never asked."""
    methods: set[str] = field(default_factory=set)
    observations: list[Observation] = field(default_factory=list)
    open: set[int] = field(default_factory=set)
    closed: frozenset[int] = frozenset()
    """TCP ports that refuse connections: nobody goes there again. Most devices refuse the same; one set serves all."""
    asked: list[Question] = field(default_factory=list)
    """Discovery questions that it was asked alone; their payloads are not kept."""
    packets: int = 0
    bytes_sent: int = 0
    stopped: str | None = None
    begun: bool = False
    """Somebody has begun to ask it."""
    done: bool = False
    """It has been asked to the end."""

    @property
    def answered(self) -> bool:
        """Whether it answered any question, or opened a port."""
        return bool(self.open) or any(not seen.silent for seen in self.observations)

    def add(self, observations: Iterable[Observation]) -> None:
        """Keep observations, masked, within bounds."""
        for seen in observations:
            if len(self.observations) < MAX_OBSERVATIONS:
                self.observations.append(masked(seen))

    def refuse(self, *ports: int) -> None:
        """Connections to these TCP ports are refused."""
        for port in ports:
            self.closed = _with(self.closed, port)

    def recording(self) -> Recording:
        """What the device said so far."""
        from scanner.model import Observation, Recording

        seen = list(self.observations)
        if self.open:
            seen.append(Observation(channel="tcp.open", value=",".join(str(port) for port in sorted(self.open))))
        return Recording(
            id=name(self.address, self.mac), ip=self.address, mac=self.mac, observations=tuple(seen),
            addresses=tuple(self.also),
        )

    def release(self) -> None:
        """Forget what was said: it has been told."""
        self.observations = []
        self.asked = []


@lru_cache(maxsize=4096)
def _with(ports: frozenset[int], port: int) -> frozenset[int]:
    return ports | {port}


def masked(seen: Observation) -> Observation:
    """The observation without what a device gives away needlessly."""
    from scanner.protocols import reader

    protocol = reader(seen.channel) if not seen.silent else None
    return seen if protocol is None else protocol.mask(seen)


def name(address: str, mac: str | None) -> str:
    """The recording's id: MAC and address, because both make a device."""
    place = _OTHER.sub("-", address)
    return f"{mac.replace(':', '')}-{place}" if mac else f"ip-{place}"


def claimed(address: str, macs: Sequence[str]) -> str:
    """The sentence about an address that several MACs claim; each as it is to be shown, perhaps with who says so."""
    return (
        f"{address} is claimed by {len(macs)} MAC addresses: {_some(macs, '; ')}. Two devices share it, it was given "
        "to another one meanwhile, or somebody forges it; each is shown by itself"
    )


def shared(mac: str, places: Sequence[str]) -> str:
    """The sentence about a MAC that stands for several addresses and is not known to be one device."""
    why = "a router, proxy ARP, a lease that moved, or one device with several addresses"
    shown = "each is shown by itself" if len(places) <= SEVERAL else "it is shown once, and says nothing of them"
    return f"{mac} stands for {len(places)} addresses ({_some(places, ', ')}): {why}; {shown}"


def _some(parts: Sequence[str], between: str) -> str:
    return between.join((*parts[:4], "…") if len(parts) > 4 else parts)


class Book:
    """All devices of a scan, by (MAC, IP). One that is finished leaves it; only its name is remembered."""

    def __init__(
        self, excludes: Callable[[str | None, str | None], bool] = lambda _address, _mac: False, *,
        excluding: bool = False,
    ) -> None:  # fmt: skip
        self._excludes = excludes
        self.excluding = excluding
        """Whether the user excluded anything at all."""
        self._entries: dict[tuple[str | None, str], Entry] = {}
        self._by_address: dict[str, list[Entry]] = {}
        self._finished: dict[str, str | None] = {}
        self._places: dict[str, dict[str, None]] = {}
        self._fours: dict[str, int] = {}  # MAC → its places of IPv4
        self._claimed: dict[str, dict[str, None]] = {}
        self.excluded: set[str] = set()
        """Addresses that answered and are excluded (by their MAC, or because they answer to everybody)."""

    def __len__(self) -> int:
        """How many devices were found, finished ones included."""
        return len(self._entries) + len(self._finished)

    def entries(self) -> list[Entry]:
        """The devices that are not finished, in the order found."""
        return list(self._entries.values())

    def at(self, address: str) -> Entry | None:
        """The device of an address that is not finished; the first one where two claim it."""
        found = self._by_address.get(address)
        return found[0] if found else None

    def holds(self, entry: Entry) -> bool:
        """Whether a device is still here: neither finished nor excluded."""
        return self._entries.get((entry.mac, entry.address)) is entry

    def sole(self, entry: Entry) -> bool:
        """Whether a device is the one that is asked at its address: the first that claimed it."""
        return self.at(entry.address) is entry and entry.address not in self._finished

    def conflicts(self) -> dict[str, Sequence[str]]:
        """Addresses that several MACs claim, and these MACs."""
        return {address: list(macs) for address, macs in self._claimed.items()}

    def places(self, mac: str | None) -> Collection[str]:
        """All addresses at which a MAC was seen, those of finished devices included."""
        return self._places.get(mac or "", ())

    def fours(self, mac: str | None) -> int:
        """How many of these are of IPv4."""
        return self._fours.get(mac or "", 0)

    def crowded(self, most: int) -> dict[str, Collection[str]]:
        """The MACs that were seen at more than so many addresses, and these."""
        return {mac: found for mac, found in self._places.items() if len(found) > most}

    def finish(self, address: str, mac: str | None) -> None:
        """Nothing more is expected of a device: whatever it says from now on is not entered."""
        entry = self._entries.pop((mac, address), None)
        if entry is not None:
            self._by_address[address].remove(entry)
            if not self._by_address[address]:
                del self._by_address[address]
        self._finished.setdefault(address, mac)
        self._place(address, mac)

    def disown(self, mac: str, keep: Iterable[str]) -> list[Entry]:
        """A MAC turned out to be that of a router that answers ARP for everybody: it tells nothing about its addresses,
        except those to keep; the others' entries, now without a MAC.
        """
        own = set(keep)
        found = [e for (other, address), e in self._entries.items() if other == mac and address not in own]
        for entry in found:
            del self._entries[mac, entry.address]
            entry.mac, entry.through = None, mac
            self._entries[None, entry.address] = entry
        return found

    def forget(self, entry: Entry) -> None:
        """There was nobody after all; whoever else claims the address stays."""
        self._entries.pop((entry.mac, entry.address), None)
        left = [other for other in self._by_address.pop(entry.address, ()) if other is not entry]
        if left:
            self._by_address[entry.address] = left

    def excludes(self, address: str | None, mac: str | None) -> bool:
        """Whether the user excluded a device, by its address or by its MAC."""
        return self._excludes(address, mac)

    def bar(self, address: str) -> None:
        """An address turned out to be an excluded device's: it leaves the book, and is counted."""
        self._drop(address)
        self.excluded.add(address)

    def sighted(self, sighting: Sighting) -> Entry | None:
        """Enter a sighting; None where the device is excluded and stays out of the book, or is finished."""
        address, mac = sighting.address, sighting.mac
        derived = mac is None and ":" in address and address not in self._by_address and address not in self._finished
        if derived:
            mac = eui64_mac(address)  # where nothing else tells it
        if self._excludes(address, mac):
            self.bar(address)
            return None
        if address in self._finished:
            first = self._finished[address]
            if mac is None or first is None or mac == first:
                return None
            self._claimed.setdefault(address, {}).update({first: None, mac: None})
        entry = self._entries.get((mac, address)) or self._adopt(address, mac)
        entry.derived = mac is not None and (derived or (entry.derived and sighting.mac is None))
        entry.methods.add(sighting.method)
        entry.link = entry.link or sighting.link
        entry.packets += sighting.packets
        return entry

    def heard(
        self, address: str, observation: Observation, *, method: str, link: str | None, mac: str | None = None
    ) -> Entry | None:
        """Enter an answer that came from an address, and where it is known from a MAC: two devices in their factory
        state share an address. None where it is excluded or finished.
        """
        if address in self.excluded:
            return None
        entry = self.at(address) if mac is None else None
        entry = entry or self.sighted(Sighting(address, mac, method, link, packets=0))
        if entry is not None:
            entry.methods.add(method)
            entry.add([observation])
        return entry

    def _adopt(self, address: str, mac: str | None) -> Entry:
        """A new entry, or the one known so far without (or asked for without) a MAC."""
        known = self._by_address.setdefault(address, [])
        if mac is None and known:
            return known[0]
        self._place(address, mac)
        for entry in known:
            if entry.mac is None or entry.derived:
                del self._entries[entry.mac, address]
                if entry.mac is not None:
                    self._places[entry.mac].pop(address, None)  # of IPv6
                entry.mac = mac
                self._entries[mac, address] = entry
                return entry
        if known:
            macs = (*(entry.mac for entry in known), mac)
            self._claimed.setdefault(address, {}).update((found, None) for found in macs if found is not None)
        entry = Entry(address, mac)
        known.append(entry)
        self._entries[mac, address] = entry
        return entry

    def _place(self, address: str, mac: str | None) -> None:
        if mac is not None:
            places = self._places.setdefault(mac, {})
            if address not in places:
                places[address] = None
                self._fours[mac] = self._fours.get(mac, 0) + (":" not in address)

    def _drop(self, address: str) -> None:
        for entry in self._by_address.pop(address, []):
            del self._entries[entry.mac, address]


def united(recordings: Sequence[Recording]) -> tuple[list[Recording], list[str]]:
    """The recordings with those of one device joined, and the MACs that stand for several addresses unexplained."""
    from scanner.protocols import read_all

    by_mac: dict[str, list[Recording]] = {}
    for recording in recordings:
        if recording.mac is not None:
            by_mac.setdefault(recording.mac, []).append(recording)
    joined: dict[str, Recording] = {}
    gone: set[str] = set()
    unexplained: list[str] = []
    for mac, same in by_mac.items():
        if len(same) == 1:
            continue
        marks = [_marks(read_all(recording)) for recording in same]
        if all(marks) and marks[0].intersection(*marks[1:]):
            joined[same[0].id] = _join(same)
            gone.update(recording.id for recording in same[1:])
        else:
            unexplained.append(mac)
    return [joined.get(r.id, r) for r in recordings if r.id not in gone], unexplained


def _marks(readings: Sequence[Reading]) -> set[tuple[str, str]]:
    return {(r.channel, r.value.strip().lower()) for r in readings if r.channel in SAME and len(r.value.strip()) >= 6}


def _join(same: Sequence[Recording]) -> Recording:
    import msgspec

    first = same[0]
    seen: list[Observation] = []
    known: set[tuple[str, str, int | None]] = set()
    for recording in same:
        for observation in recording.observations:
            key = (observation.channel, observation.value, observation.port)
            if key not in known:
                known.add(key)
                seen.append(observation)
    return msgspec.structs.replace(
        first, observations=tuple(seen),
        addresses=(*(r.ip for r in same[1:] if r.ip is not None), *(a for r in same for a in r.addresses)),
    )
