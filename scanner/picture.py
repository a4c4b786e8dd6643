"""One picture of several sources: who hears what about whom is entered here, and devices come out.

Same MAC and address is one device. What names only a MAC belongs to the device with that MAC, what names only an
address to the device at that address. Nothing is decided by order: a capture may come before or after the table that
tells the MAC. Sources keep their names and times; where they contradict each other, that is a warning, never hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from ipaddress import IPv6Address, ip_address

from msgspec.structs import replace

from scanner.channels import find
from scanner.discover.book import MAX_OBSERVATIONS, masked, name, united
from scanner.errors import Code, InputProblem, Notice, notice
from scanner.imports.base import Heard
from scanner.model import Observation, Place, Recording, Via
from scanner.values import IPV4

MAX_DEVICES = 1_000_000
"""Devices of one picture; more than that no single report can hold."""
MAX_SAME, MAX_RAW = 60, 12
"""Fields and raw answers of one channel of one device on one port that are kept: announcements repeat for ever."""
MAX_WARNED = 20
"""Warnings of one kind that are spelled out."""
SEVERAL_V6 = 16
"""IPv6 addresses one host may use besides one of IPv4 (RFC 8981 gives it a new one every day)."""


@dataclass(slots=True)
class _Said:
    """What was said of a device, besides that it is there."""

    addresses: dict[str, None] = field(default_factory=dict)
    observations: dict[tuple[str, int | None, str, str | None], Observation] = field(default_factory=dict)
    counts: dict[tuple[str, int | None], int] = field(default_factory=dict)
    ports: dict[str, dict[int, str | None]] = field(default_factory=dict)
    """Source → open port → when."""


_Told = tuple[tuple[str, str | None, str | None], ...]
"""Sources, each with the first and last time it said that this MAC has this address."""


@dataclass(slots=True)
class _Entry:
    """One device: a table of 100,000 lines makes as many, and of most it says two addresses and nothing else."""

    mac: str | None
    address: str | None
    name: str | None = None
    said: _Said | None = None
    told: _Told = ()
    place: Place | None = None

    def more(self) -> _Said:
        """Where further things said are kept."""
        if self.said is None:
            self.said = _Said()
        return self.said


class Picture:
    """All devices that any source told of, by MAC and address."""

    def __init__(self, *, on_device: Callable[[int], None] = lambda _count: None) -> None:
        self._entries: dict[tuple[str | None, str | None], _Entry] = {}
        self._by_mac: dict[str, list[_Entry]] = {}
        self._by_address: dict[str, list[_Entry]] = {}
        self._named: dict[str, _Entry] = {}
        self._on_device = on_device

    def __len__(self) -> int:
        return len(self._entries) + len(self._named)

    def enter(self, heard: Heard, source: str | None, at: str | None = None) -> None:
        """Enter one thing heard. `at`: when, where the thing itself does not say. Raises `InputProblem` when full."""
        when = heard.at or at
        entry = self._entry(heard)
        if heard.mac is not None and source is not None:
            entry.told = _once(source, when) if not entry.told else _again(entry.told, source, when)
        for address in heard.addresses:
            entry.more().addresses[address] = None
        for seen in heard.observations:
            _keep(entry, seen, source, when)
        if heard.place is not None:
            entry.place = _nearer(entry.place, _told_by(heard.place, source))

    def _entry(self, heard: Heard) -> _Entry:
        mac, address = heard.mac, heard.address
        entry = self._entries.get((mac, address))
        if entry is not None and (mac is not None or address is not None):
            return entry
        if mac is not None and address is not None:
            if mac in self._by_mac or address in self._by_address:
                return self._adopted(mac, address)
            return self._new(mac, address, None)
        if mac is not None and (same := self._by_mac.get(mac)):
            return same[0]
        if address is not None and (same := self._by_address.get(address)):
            return same[0]
        if mac is None and address is None:
            key = heard.name or ""
            if key not in self._named:
                self._count()
                self._named[key] = _Entry(None, None, heard.name)
            return self._named[key]
        return self._new(mac, address, heard.name)

    def _adopted(self, mac: str, address: str) -> _Entry:
        """The entry that knew only the one half of this pair so far, else a new one."""
        lone = self._entries.pop((mac, None), None)
        if lone is not None:
            lone.address = address
            self._entries[mac, address] = lone
            self._by_address.setdefault(address, []).append(lone)
            bare = self._entries.get((None, address))
            if bare is not None:  # both halves were known apart
                self._absorb(lone, bare)
            return lone
        bare = self._entries.pop((None, address), None)
        if bare is not None:
            bare.mac = mac
            self._entries[mac, address] = bare
            self._by_mac.setdefault(mac, []).append(bare)
            return bare
        return self._new(mac, address, None)

    def _absorb(self, entry: _Entry, other: _Entry) -> None:
        del self._entries[other.mac, other.address]
        self._by_address[other.address or ""].remove(other)
        if other.said is not None:
            for seen in other.said.observations.values():
                _keep(entry, seen, seen.source, seen.at)
            for source, ports in other.said.ports.items():
                entry.more().ports.setdefault(source, {}).update(ports)
            entry.more().addresses.update(other.said.addresses)
        if other.place is not None:
            entry.place = _nearer(entry.place, other.place)

    def _new(self, mac: str | None, address: str | None, label: str | None) -> _Entry:
        self._count()
        entry = _Entry(mac, address, label)
        self._entries[mac, address] = entry
        if mac is not None:
            self._by_mac.setdefault(mac, []).append(entry)
        if address is not None:
            self._by_address.setdefault(address, []).append(entry)
        return entry

    def _count(self) -> None:
        count = len(self._entries) + len(self._named)
        if count >= MAX_DEVICES:
            raise InputProblem(
                f"more than {MAX_DEVICES} devices: no network is that large; what was read before is kept"
            )
        self._on_device(count + 1)

    def recordings(self) -> tuple[list[Recording], list[Notice]]:
        """One recording for each device, in the order first heard of, and the contradictions as sentences."""
        warnings: list[Notice] = []
        made: list[Recording] = []
        gone: set[int] = set()
        for entry in (*self._entries.values(), *self._named.values()):
            if id(entry) in gone:
                continue
            same = self._by_mac.get(entry.mac, []) if entry.mac is not None else []
            others = _dual_stack(entry, same)
            gone.update(id(other) for other in others)
            made.append(_recording(entry, others))
        found, strangers = united(made)
        warnings += self._claimed()
        warnings += _answering(found, strangers)
        return found, warnings

    def _claimed(self) -> list[Notice]:
        """Addresses that several MACs claim, with who says so and when."""
        several = ((a, same) for a, same in self._by_address.items() if len(same) > 1)
        found = [(a, same) for a, same in several if len({e.mac for e in same}) > 1]
        sentences: list[Notice] = []
        for address, same in found[:MAX_WARNED]:
            claims = "; ".join(f"{e.mac} ({_sources(e)})" for e in same[:4] if e.mac is not None)
            sentences.append(notice(
                Code.SHARED_ADDRESS,
                f"{address} is claimed by {len(same)} MAC addresses: {claims}. Two devices share it, it was given to "
                "another one meanwhile, or somebody forges it; each is shown by itself",
            ))
        if len(found) > MAX_WARNED:
            words = f"{len(found) - MAX_WARNED} more addresses are claimed by several MAC addresses"
            sentences.append(notice(Code.SHARED_ADDRESS, words))
        return sentences


@lru_cache(maxsize=256)
def _once(source: str, when: str | None) -> _Told:
    """One source that told at one time: the same for all that it names, so they share it."""
    return ((source, when, when),)


def _again(told: _Told, source: str, when: str | None) -> _Told:
    """The sources with one more, or with another time of one that has told before."""
    for place, (known, first, last) in enumerate(told):
        if known == source:
            if when is None or (first is not None and last is not None and first <= when <= last):
                return told
            first = when if first is None or when < first else first
            last = when if last is None or when > last else last
            return (*told[:place], (source, first, last), *told[place + 1 :])
    return (*told, (source, when, when))


@lru_cache(maxsize=4096)
def _told_by(place: Place, source: str | None) -> Place:
    """The place with who told it."""
    return place if place.source else replace(place, source=source)


def _keep(entry: _Entry, seen: Observation, source: str | None, when: str | None) -> None:
    """Keep an observation, masked, within bounds, with its source and time."""
    if seen.channel == "tcp.open":
        ports = entry.more().ports.setdefault(seen.source or source or "", {})
        for word in seen.value.split(","):
            if word.strip().isdigit() and len(ports) < 4096:
                ports.setdefault(int(word), seen.at or when)
        return
    if seen.channel == "mac" and seen.value == entry.mac:
        return
    label = seen.source or source
    key = (seen.channel, seen.port, seen.value, label)
    said = entry.more()
    if key in said.observations or len(said.observations) >= MAX_OBSERVATIONS:
        return
    kind = (seen.channel, seen.port)
    if said.counts.get(kind, 0) >= _most(seen.channel):
        return
    said.counts[kind] = said.counts.get(kind, 0) + 1
    if seen.source is None or seen.at is None:
        seen = replace(seen, source=label, at=seen.at or when)
    said.observations[key] = masked(seen)


@cache
def _most(channel: str) -> int:
    known = find(channel)
    return MAX_RAW if known is not None and known.raw else MAX_SAME


def _nearer(known: Place | None, other: Place) -> Place:
    """The place that says more: a port with the fewest addresses is where the device itself hangs."""
    if known is None:
        return other
    crowd = 1_000_000

    def rank(place: Place) -> tuple[bool, bool, int]:
        return (place.switch is None, place.port is None, place.macs if place.macs is not None else crowd)

    first, second = sorted((known, other), key=rank)
    if first.vlan is None and second.vlan is not None and (second.switch in {None, first.switch}):
        return replace(first, vlan=second.vlan)
    return first


def _sources(entry: _Entry) -> str:
    """Who says so, and when: `arp.txt, 2026-11-24T10:00:00Z`."""
    parts = [f"{source}, {last}" if last else source for source, _first, last in entry.told[:3]]
    return "; ".join(parts) or "no source"


@lru_cache(maxsize=65_536)
def _parsed(address: str) -> tuple[int, bool]:
    """(version, whether it is link-local) of an address."""
    if IPV4.fullmatch(address):
        return 4, False
    found = ip_address(address.partition("%")[0])
    return found.version, isinstance(found, IPv6Address) and found.is_link_local


def _dual_stack(entry: _Entry, same: Sequence[_Entry]) -> list[_Entry]:
    """The further addresses that are this entry's own: those of IPv6 beside at most one of IPv4.

    Several of IPv4 with one MAC stay apart: a router, proxy ARP, or one device that `united` knows by its serial.
    """
    if len(same) < 2 or entry.address is None:
        return []
    kinds = {id(other): _parsed(other.address) for other in same if other.address is not None}
    v4 = [other for other in same if kinds.get(id(other), (0, False))[0] == 4]
    v6 = [other for other in same if kinds.get(id(other), (0, False))[0] == 6]
    if len(v4) <= 1 and len(v6) <= SEVERAL_V6:
        return [other for other in same if other is not entry]
    return []


def _recording(entry: _Entry, others: Sequence[_Entry]) -> Recording:
    if not others and entry.said is None:
        return Recording(
            id=_label(entry), ip=entry.address, mac=entry.mac, observations=tuple(_sightings(entry)),
            place=entry.place,
        )  # fmt: skip
    group = sorted((entry, *others), key=_rank)
    main = group[0]
    places: dict[str, None] = dict.fromkeys(e.address for e in group[1:] if e.address is not None)
    observations: list[Observation] = []
    place: Place | None = None
    for part in group:
        if part.said is not None:
            places |= part.said.addresses
            observations += part.said.observations.values()
            observations += _ports(part.said)
        observations += _sightings(part)
        if part.place is not None:
            place = _nearer(place, part.place)
    places.pop(main.address or "", None)
    return Recording(
        id=_label(main), ip=main.address, addresses=tuple(places), mac=main.mac,
        observations=tuple(observations[:MAX_OBSERVATIONS]), place=place,
    )  # fmt: skip


def _label(entry: _Entry) -> str:
    if entry.address is not None:
        return name(entry.address, entry.mac)
    return entry.mac.replace(":", "") if entry.mac is not None else entry.name or "device"


def _rank(entry: _Entry) -> tuple[int, bool]:
    version, local = _parsed(entry.address) if entry.address is not None else (9, True)
    return version, local


def _ports(said: _Said) -> Iterator[Observation]:
    for source, ports in said.ports.items():
        times = [at for at in ports.values() if at is not None]
        yield Observation(
            channel="tcp.open", value=",".join(map(str, sorted(ports))), source=source or None,
            at=max(times) if times else None,
        )  # fmt: skip


def _sightings(entry: _Entry) -> list[Observation]:
    """Who said that this MAC is there, and when last."""
    if entry.mac is None:
        return []
    return [
        Observation(channel="mac", value=entry.mac, via=Via.HEARD, at=last, source=source)
        for source, _first, last in entry.told[:16]
    ]


def _answering(recordings: Sequence[Recording], strangers: Sequence[str]) -> list[Notice]:
    """MACs that stand for several addresses and are not known to be one device."""
    wanted = set(strangers)
    shared: dict[str, list[str]] = {}
    for recording in recordings:
        if recording.mac in wanted:
            shared.setdefault(recording.mac or "", []).append(recording.ip or recording.id)
    sentences = [
        notice(
            Code.SHARED_MAC,
            f"{mac} stands for {len(places)} addresses ({', '.join(places[:4])}{', …' if len(places) > 4 else ''}): "
            "a router, proxy ARP, a lease that moved, or one device with several addresses; each is shown by itself",
        )
        for mac, places in list(shared.items())[:MAX_WARNED]
    ]
    if len(shared) > MAX_WARNED:
        words = f"{len(shared) - MAX_WARNED} more MAC addresses stand for several addresses"
        sentences.append(notice(Code.SHARED_MAC, words))
    return sentences
