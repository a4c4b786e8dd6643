"""One picture of several sources: who hears what about whom is entered here, and devices come out.

Same MAC and address is one device. What names only a MAC belongs to the device with that MAC, what names only an
address to the device that had that address then: where several MACs claim it, their times decide, and where these do
not, it stands by itself. A MAC that stands for more addresses than one device has is a router's, or proxy ARP: it is
shown once, and says nothing of who is behind it. Nothing is decided by order: a capture may come before or after the
table that tells the MAC. Sources keep their names and times; where they contradict each other, that is a warning,
never hidden.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from ipaddress import IPv6Address, ip_address
from operator import itemgetter

from msgspec.structs import replace

from scanner.channels import find
from scanner.discover.book import MAX_OBSERVATIONS, SEVERAL, claimed, masked, name, shared, united
from scanner.errors import Code, InputProblem, Notice, notice
from scanner.imports.base import Heard
from scanner.model import Observation, Place, Recording, Via
from scanner.values import IPV4, counted

MAX_DEVICES = 1_000_000
"""Devices of one picture; more than that no single report can hold."""
MAX_TEXT = 512 << 20
"""Characters of all that is said of all devices; more than that is a flood, or more than one report can hold."""
MAX_SAME, MAX_RAW = 60, 12
"""Fields and raw answers of one channel of one device on one port that are kept: announcements repeat for ever."""
OVERHEAD = 200
"""Characters that anything said counts besides its own."""
MAX_WARNED = 20
"""Warnings of one kind that are spelled out."""
NEAR = 3600.0
"""Seconds around a sighting in which an address that later has another MAC is taken to have had the same one: few
leases are shorter."""
DAY = 86_400.0
"""Seconds after which an address may well be another device's."""
SEVERAL_V6 = 16
"""IPv6 addresses one host may use besides one of IPv4 (RFC 8981 gives it a new one every day)."""


_QUIET = frozenset({"mac", "dhcp.hostname"})
"""Channels by which a device does not say what it is."""
_MOMENT = itemgetter(0)
_Key = tuple[str, int | None, str, str | None]
"""Channel, port, value and source."""


@dataclass(slots=True)
class _Said:
    """What was said of a device, besides that it is there."""

    addresses: dict[str, None] = field(default_factory=dict)
    observations: dict[_Key, Observation] = field(default_factory=dict)
    counts: dict[tuple[str, int | None], int] = field(default_factory=dict)
    ports: dict[str, dict[int, str | None]] = field(default_factory=dict)
    """Source → open port → when."""
    lone: dict[_Key, None] = field(default_factory=dict)
    """Which of the observations named the MAC alone."""


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
    lone: _Told = ()
    """The same of sources that named the MAC alone: that it was there, not that it had this address then."""
    place: Place | None = None

    def more(self) -> _Said:
        """Where further things said are kept."""
        if self.said is None:
            self.said = _Said()
        return self.said


class Picture:
    """All devices that any source told of, by MAC and address."""

    def __init__(
        self, *, most: int = MAX_DEVICES, room: int = MAX_TEXT, on_device: Callable[[int], None] = lambda _count: None
    ) -> None:
        """`most` devices are entered, and `room` characters of what they say are kept."""
        self._most, self._room = most, room
        self._unkept = 0
        self._entries: dict[tuple[str | None, str | None], _Entry] = {}
        self._by_mac: dict[str, list[_Entry]] = {}
        self._by_address: dict[str, list[_Entry]] = {}
        self._named: dict[str, _Entry] = {}
        self._on_device = on_device
        self._apart: list[str] = []
        """Addresses whose MAC was seen long before or after what was said of them."""
        self._owned = 0
        """Addresses of which something was said that named no MAC, and that a MAC has."""

    def __len__(self) -> int:
        return len(self._entries) + len(self._named) - self._owned

    def enter(self, heard: Heard, source: str | None, at: str | None = None) -> None:
        """Enter one thing heard. `at`: when, where the thing itself does not say. Raises `InputProblem` when full."""
        when = heard.at or at
        entry = self._entry(heard)
        if heard.mac is not None and source is not None:
            if heard.address is None:
                entry.lone = _once(source, when) if not entry.lone else _again(entry.lone, source, when)
            else:
                entry.told = _once(source, when) if not entry.told else _again(entry.told, source, when)
        for address in heard.addresses:
            entry.more().addresses[address] = None
        for seen in heard.observations:
            if self._room <= 0:
                self._unkept += 1
                continue
            key = _keep(entry, seen, source, when)
            if key is None:
                continue
            self._room -= len(seen.value) + OVERHEAD
            if heard.address is None and heard.mac is not None:
                entry.more().lone[key] = None
        if heard.place is not None:
            entry.place = _nearer(entry.place, _told_by(heard.place, source))

    def _entry(self, heard: Heard) -> _Entry:
        mac, address = heard.mac, heard.address
        entry = self._entries.get((mac, address))
        if entry is not None and (mac is not None or address is not None):
            return entry
        if mac is not None and address is not None:
            lone = self._entries.pop((mac, None), None) if mac in self._by_mac else None
            if lone is None:
                return self._new(mac, address, None)
            lone.address = address
            self._entries[mac, address] = lone
            self._own(lone, address)
            return lone
        if mac is not None and (same := self._by_mac.get(mac)):
            return same[0]
        if mac is None and address is None:
            key = heard.name or ""
            if key not in self._named:
                self._count()
                self._named[key] = _Entry(None, None, heard.name)
            return self._named[key]
        return self._new(mac, address, heard.name)

    def _new(self, mac: str | None, address: str | None, label: str | None) -> _Entry:
        entry = _Entry(mac, address, label)
        if mac is None and address in self._by_address:
            self._owned += 1
        else:
            self._count()
        self._entries[mac, address] = entry
        if mac is not None:
            self._by_mac.setdefault(mac, []).append(entry)
            if address is not None:
                self._own(entry, address)
        return entry

    def _own(self, entry: _Entry, address: str) -> None:
        """Enter that the entry's MAC has this address."""
        same = self._by_address.get(address)
        if same is not None:
            same.append(entry)
            return
        self._by_address[address] = [entry]
        if (None, address) in self._entries:
            self._owned += 1

    def _count(self) -> None:
        count = len(self._entries) + len(self._named)
        if count >= self._most:
            raise InputProblem(
                f"more than {self._most} devices: no network is that large; what was read before is kept"
            )
        self._on_device(count + 1)

    def recordings(self) -> tuple[list[Recording], list[Notice]]:
        """One recording for each device, in the order first heard of, and the contradictions as sentences."""
        warnings: list[Notice] = []
        made: list[Recording] = []
        gone = self._attributed()
        for entry in (*self._entries.values(), *self._named.values()):
            if id(entry) in gone:
                continue
            same = self._by_mac.get(entry.mac, []) if entry.mac is not None else []
            others = _dual_stack(entry, same)
            gone.update(id(other) for other in others)
            made.append(_recording(entry, others))
        found, strangers = united(made)
        warnings += self._claimed()
        if self._apart:
            some = ", ".join([*self._apart[:4], "…"] if len(self._apart) > 4 else self._apart)
            words = f"{len(self._apart)} addresses ({some}) said something more than a day before or after their MAC "
            words += "was seen there: it may have been another device's by then"
            warnings.append(notice(Code.SHARED_ADDRESS, words))
        if self._unkept:
            words = f"{self._unkept} things that were said are left out: there were more than one report can hold"
            warnings.append(notice(Code.LOST, words))
        warnings += _answering(found, strangers)
        return self._unmasked(found, strangers), warnings

    def _attributed(self) -> set[int]:
        """Gives what was said of addresses alone to who had them; the entries of which nothing is left over."""
        gone: set[int] = set()
        self._apart = []
        if not self._owned:
            return gone
        for entry in self._entries.values():
            owners = self._by_address.get(entry.address or "") if entry.mac is None else None
            if not owners:
                continue
            if len(owners) == 1:
                if _long_apart(owners[0], entry):
                    self._apart.append(entry.address or "")
                _absorb(owners[0], entry)
                gone.add(id(entry))
            elif not _divided(entry, owners):
                gone.add(id(entry))
        return gone

    def _unmasked(self, recordings: list[Recording], strangers: Sequence[str]) -> list[Recording]:
        """The recordings with each MAC of a router, or of proxy ARP, told once: it does not say who is behind it."""
        counts = {mac: sum(other.address is not None for other in self._by_mac[mac]) for mac in strangers}
        crowded = {mac for mac, number in counts.items() if number > SEVERAL}
        if not crowded:
            return recordings
        found: list[Recording] = []
        told: set[str] = set()
        for recording in recordings:
            mac = recording.mac
            if mac is None or mac not in crowded:
                found.append(recording)
                continue
            if mac not in told:
                told.add(mac)
                found.append(self._stranger(mac))
            bare = _Entry(None, recording.ip)
            entry = self._entries.get((mac, recording.ip))
            if entry is not None and entry.said is not None:
                lone = entry.said.lone
                kept = {key: seen for key, seen in entry.said.observations.items() if key not in lone}
                bare.said = _Said(entry.said.addresses, kept, entry.said.counts, entry.said.ports)
            found.append(_recording(bare, ()))
        return found

    def _stranger(self, mac: str) -> Recording:
        """A router, by what names its MAC alone."""
        alone = _Entry(mac, None)
        for entry in self._by_mac[mac]:
            alone.lone = _both(_both(alone.lone, entry.told), entry.lone)
            if entry.place is not None:
                alone.place = _nearer(alone.place, entry.place)
            if entry.said is not None:
                alone.more().observations.update((key, entry.said.observations[key]) for key in entry.said.lone)
        return _recording(alone, ())

    def _claimed(self) -> list[Notice]:
        """Addresses that several MACs claim, with who says so and when."""
        several = ((a, same) for a, same in self._by_address.items() if len(same) > 1)
        found = [(a, same) for a, same in several if len({e.mac for e in same}) > 1]
        sentences: list[Notice] = []
        for address, same in found[:MAX_WARNED]:
            claims = [f"{e.mac} ({_sources(e)})" for e in same if e.mac is not None]
            sentences.append(notice(Code.SHARED_ADDRESS, claimed(address, claims)))
        if len(found) > MAX_WARNED:
            words = f"{len(found) - MAX_WARNED} more addresses are claimed by several MAC addresses"
            sentences.append(notice(Code.SHARED_ADDRESS, words))
        return sentences


def _absorb(entry: _Entry, other: _Entry) -> None:
    """What was said of the other one was said of this entry."""
    if other.said is not None:
        for seen in other.said.observations.values():
            _keep(entry, seen, seen.source, seen.at)
        for source, ports in other.said.ports.items():
            entry.more().ports.setdefault(source, {}).update(ports)
        entry.more().addresses.update(other.said.addresses)
    if other.place is not None:
        entry.place = _nearer(entry.place, other.place)


def _long_apart(owner: _Entry, entry: _Entry) -> bool:
    """Whether all that was said of an address is more than a day from any sighting of its MAC there, as far as both
    have times.
    """
    if entry.said is None:
        return False
    said = {seen.at for seen in entry.said.observations.values()}
    said.update(at for ports in entry.said.ports.values() for at in ports.values())
    spans = [(_seconds(first), _seconds(last)) for _source, first, last in owner.told]
    there = [(first - DAY, last + DAY) for first, last in spans if first is not None and last is not None]
    moments = [moment for at in said if (moment := _seconds(at)) is not None]
    return bool(there and moments) and not any(a <= moment <= b for moment in moments for a, b in there)


def _divided(entry: _Entry, owners: Sequence[_Entry]) -> bool:
    """Give each thing said of an address to the owner that had it then; whether anything is left of the entry."""
    said = entry.said
    if said is None:
        return entry.place is not None
    moments = sorted(
        (moment, number) for number, owner in enumerate(owners) for _source, *seen in owner.told
        for moment in {_seconds(at) for at in seen} if moment is not None
    )  # fmt: skip
    for key, seen in list(said.observations.items()):
        owner = _then(moments, _seconds(seen.at))
        if owner is not None:
            _keep(owners[owner], seen, seen.source, seen.at)
            del said.observations[key]
    for source, ports in list(said.ports.items()):
        for port, at in list(ports.items()):
            owner = _then(moments, _seconds(at))
            if owner is not None:
                owners[owner].more().ports.setdefault(source, {})[port] = ports.pop(port)
        if not ports:
            del said.ports[source]
    return bool(said.observations or said.ports or said.addresses or entry.place)


def _then(moments: Sequence[tuple[float, int]], moment: float | None) -> int | None:
    """Who had an address at a moment: the only one seen with it around then, else whoever was seen with it last before
    and first after. None where nobody can tell. `moments`: when, who, in the order of time.
    """
    if moment is None:
        return None
    who = _between(moments, moment - NEAR, moment + NEAR)
    if len(who) != 1:
        before = bisect_right(moments, moment, key=_MOMENT) - 1
        after = bisect_left(moments, moment, key=_MOMENT)
        if before < 0 or after == len(moments):
            return None
        first, last = moments[before][0], moments[after][0]
        who = _between(moments, first, first) | _between(moments, last, last)
    return who.pop() if len(who) == 1 else None


def _between(moments: Sequence[tuple[float, int]], first: float, last: float) -> set[int]:
    """Who was seen from one moment to another; two of them where there were more."""
    who: set[int] = set()
    for place in range(bisect_left(moments, first, key=_MOMENT), bisect_right(moments, last, key=_MOMENT)):
        who.add(moments[place][1])
        if len(who) > 1:
            break
    return who


@lru_cache(maxsize=4096)
def _seconds(at: str | None) -> float | None:
    """A time of RFC 3339 in seconds."""
    try:
        return datetime.fromisoformat(at).timestamp() if at is not None else None
    except (ValueError, OverflowError):
        return None


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


def _both(told: _Told, more: _Told) -> _Told:
    """The sources of both, with the first and last time of each."""
    if not told:
        return more
    for source, first, last in more:
        told = _again(_again(told, source, first), source, last)
    return told


@lru_cache(maxsize=4096)
def _told_by(place: Place, source: str | None) -> Place:
    """The place with who told it."""
    return place if place.source else replace(place, source=source)


def _keep(entry: _Entry, seen: Observation, source: str | None, when: str | None) -> _Key | None:
    """Keep an observation, masked, within bounds, with its source and time; tells its key where it was new."""
    if seen.channel == "tcp.open":
        ports = entry.more().ports.setdefault(seen.source or source or "", {})
        for word in seen.value.split(","):
            port = counted(word.strip(), 65_535)
            if port and len(ports) < 4096:
                ports.setdefault(port, seen.at or when)
        return None
    if seen.channel == "mac" and seen.value == entry.mac:
        return None
    label = seen.source or source
    key = (seen.channel, seen.port, seen.value, label)
    said = entry.more()
    if key in said.observations or len(said.observations) >= MAX_OBSERVATIONS:
        return None
    kind = (seen.channel, seen.port)
    if said.counts.get(kind, 0) >= _most(seen.channel):
        return None
    said.counts[kind] = said.counts.get(kind, 0) + 1
    if seen.source is None or seen.at is None:
        seen = replace(seen, source=label, at=seen.at or when)
    said.observations[key] = masked(seen)
    return key


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
    if not 2 <= len(same) <= SEVERAL_V6 + 2 or entry.address is None:  # beside them one that names the MAC alone
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
        for source, _first, last in (_both(entry.told, entry.lone) if entry.lone else entry.told)[:16]
    ]


def alone(recordings: Sequence[Recording]) -> list[Notice]:
    """A sentence where devices are known by their hardware address alone."""
    count = sum(
        recording.mac is not None and not any(seen.channel not in _QUIET for seen in recording.observations)
        for recording in recordings
    )
    if not count:
        return []
    words = f"{count} of {len(recordings)} devices are known by their MAC address alone, which names its owner at most"
    return [notice(Code.ALONE, f"{words}: asking them (lanveto scan) or hearing them (a capture) can tell more")]


def _answering(recordings: Sequence[Recording], strangers: Sequence[str]) -> list[Notice]:
    """MACs that stand for several addresses and are not known to be one device."""
    wanted = set(strangers)
    found: dict[str, list[str]] = {}
    for recording in recordings:
        if recording.mac in wanted:
            found.setdefault(recording.mac or "", []).append(recording.ip or recording.id)
    sentences = [notice(Code.SHARED_MAC, shared(mac, places)) for mac, places in list(found.items())[:MAX_WARNED]]
    if len(found) > MAX_WARNED:
        words = f"{len(found) - MAX_WARNED} more MAC addresses stand for several addresses"
        sentences.append(notice(Code.SHARED_MAC, words))
    return sentences
