"""Recordings as devices: which ports each one has open, who speaks there, and which addresses it gets; no sockets."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from msgspec.structs import replace

from scanner import channels, ports
from scanner.errors import UsageProblem
from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Protocol, Service, observed
from scanner.values import eui64_address, normal_mac

PortKey = tuple[Transport, int]

LINK_LOCAL = IPv6Network("fe80::/64")

_UNSPOKEN_PORTS = (80, 554)  # where a misbehaving device misbehaves if its recording names no port


@dataclass(frozen=True, slots=True)
class Speaker:
    """One protocol on one port of one device."""

    protocol: Protocol
    service: Service


@dataclass(frozen=True, slots=True)
class Port:
    """One open port; without speakers it accepts connections and keeps still."""

    transport: Transport
    number: int
    speakers: tuple[Speaker, ...] = ()

    @property
    def tls(self) -> bool:
        """Whether somebody speaks inside TLS here; others may speak in the open on the same port."""
        return any(speaker.service.tls for speaker in self.speakers)

    @property
    def groups(self) -> frozenset[str]:
        """The multicast groups a datagram port belongs to."""
        return frozenset(group for speaker in self.speakers for group in speaker.service.groups)


@dataclass(frozen=True)
class Simulated:
    """One device of a simulated network."""

    recording: Recording
    address: str
    """IPv4 literal; IPv6, without a zone, where it speaks that alone."""
    mac: str
    more: tuple[str, ...] = ()
    """Further addresses of the same device, of either kind."""
    ports: dict[PortKey, Port] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The recording's id."""
        return self.recording.id

    @property
    def behaviour(self) -> str | None:
        """How it misbehaves, if it does."""
        return self.recording.behaviour

    @property
    def dark(self) -> bool:
        """Whether it drops everything that is sent to it: there, by its MAC, and nothing else is known of it."""
        return self.behaviour == "silent" and not self.ports

    @property
    def addresses(self) -> tuple[str, ...]:
        """All its addresses, the first one first."""
        return (self.address, *self.more)

    @property
    def v4(self) -> tuple[str, ...]:
        """Its addresses of IPv4."""
        return tuple(address for address in self.addresses if ":" not in address)

    @property
    def v6(self) -> tuple[str, ...]:
        """Its addresses of IPv6, without a zone."""
        return tuple(address for address in self.addresses if ":" in address)

    def speaking(self, asker: str) -> str | None:
        """Its address of the kind, and of IPv6 the scope, of who asks it (RFC 6724, 5); None where it has none."""
        if ":" not in asker:
            return next(iter(self.v4), None)
        near = IPv6Address(asker) in LINK_LOCAL
        return next((address for address in self.v6 if (IPv6Address(address) in LINK_LOCAL) == near), None)


@dataclass(frozen=True, slots=True)
class Violation:
    """Something no polite scanner may do, and the device to which it was done."""

    device: str
    address: str
    port: int
    transport: Transport
    reason: str
    request: str = ""


def open_ports(recording: Recording, protocols: Iterable[Protocol]) -> dict[PortKey, Port]:
    """Every port a device of this recording has open, with those who speak there in asking order.

    A port is open where a protocol serves it, where `tcp.open` names it, and where something was asked over TCP,
    answered or not.
    """
    speakers: dict[PortKey, list[Speaker]] = {}
    for protocol in protocols:
        for service in protocol.services(recording):
            speakers.setdefault((service.transport, service.port), []).append(Speaker(protocol, service))
    datagrams = {number for transport, number in speakers if transport is Transport.UDP}
    for number in _heard_open(recording):
        if number not in datagrams:  # a field may have been heard by datagram, whatever its channel's usual way
            speakers.setdefault((Transport.TCP, number), [])
    if recording.behaviour not in {None, "silent"} and not any(kind is Transport.TCP for kind, _ in speakers):
        for number in _UNSPOKEN_PORTS:
            speakers.setdefault((Transport.TCP, number), [])
    return {key: Port(key[0], key[1], tuple(found)) for key, found in speakers.items()}


def _heard_open(recording: Recording) -> Iterator[int]:
    for seen in observed(recording, "tcp.open"):
        for word in seen.value.replace(" ", ",").split(","):
            digits = word.partition("/")[0]
            if digits.isascii() and digits.isdigit() and 0 < int(digits[:6]) < 65536:
                yield int(digits)
    for seen in recording.observations:
        if seen.port and _over_tcp(seen):
            yield seen.port


def _over_tcp(seen: Observation) -> bool:
    return (seen.transport or channels.transport(seen.channel)) is Transport.TCP and seen.channel != "tcp.open"


def settle(
    recordings: Sequence[Recording], protocols: Sequence[Protocol], network: IPv4Network, *,
    reserved: Iterable[str] = (), foreign: bool = False, network6: IPv6Network | None = None,
) -> tuple[Simulated, ...]:  # fmt: skip
    """The recordings as devices of one network, in their order.

    A recorded address inside the network is kept by the first device that has it; everybody else gets a free one.
    `foreign`: one outside is kept too, as that of a device in its factory state is.
    `network6`: the network of IPv6, where that is spoken; who has a recorded address there, or a link-local one, keeps
    it, has a link-local one in any case, and one of IPv4 only where that is recorded too.
    Raises `UsageProblem` where the network is too small.
    """
    taken = {str(network.network_address), str(network.broadcast_address), *reserved}
    room = IPv4Network("0.0.0.0/0") if foreign else network
    own = [_keep(recording, room, taken) for recording in recordings]
    more = [_keep_wide(recording, network6, taken) for recording in recordings]
    free = (str(address) for address in network.hosts())
    macs: set[str] = set()
    devices: list[Simulated] = []
    for recording, kept, kept6 in zip(recordings, own, more, strict=True):
        if not kept and not (kept6 and _alone(recording)):
            address = next((a for a in free if a not in taken), None)
            if address is None:
                raise UsageProblem(f"{network} has no room for {len(recordings)} devices: name a larger network")
            kept = (address,)
            taken.add(address)
        mac = stated_mac(recording) or local_mac(recording.id, macs)
        macs.add(mac)
        if kept6 and not any(IPv6Address(address) in LINK_LOCAL for address in kept6):
            kept6 = (*kept6, eui64_address(mac))
        kept = (*kept, *kept6)
        placed = replace(recording, ip=kept[0])  # what it says of itself names the address that it has here
        devices.append(Simulated(placed, kept[0], mac, kept[1:], open_ports(placed, protocols)))
    return tuple(devices)


def _keep(recording: Recording, network: IPv4Network, taken: set[str]) -> tuple[str, ...]:
    kept = []
    for text in (recording.ip, *recording.addresses):
        address = ip_address(text) if text else None
        if isinstance(address, IPv4Address) and address in network and str(address) not in taken:
            kept.append(str(address))
            taken.add(str(address))
    return tuple(kept)


def wide(recording: Recording, network: IPv6Network) -> Iterator[str]:
    """The recorded addresses that a device could have on a segment with this network of IPv6, without zones."""
    for text in (recording.ip, *recording.addresses):
        address = ip_address(text.partition("%")[0]) if text else None
        if isinstance(address, IPv6Address) and (address in network or address in LINK_LOCAL):
            yield str(address)


def _alone(recording: Recording) -> bool:
    """Whether no address of IPv4 is recorded."""
    return all(":" in text for text in (recording.ip, *recording.addresses) if text)


def _keep_wide(recording: Recording, network: IPv6Network | None, taken: set[str]) -> tuple[str, ...]:
    kept = [] if network is None else [address for address in wide(recording, network) if address not in taken]
    taken.update(kept)
    return tuple(dict.fromkeys(kept))


def stated_mac(recording: Recording) -> str | None:
    """The recorded hardware address, where it can be one of a single interface; None else."""
    for text in (recording.mac, *(seen.value for seen in observed(recording, "mac"))):
        mac = normal_mac(text) if text else None
        if mac is not None and not int(mac[:2], 16) & 1 and mac != "00:00:00:00:00:00":
            return mac
    return None


def local_mac(name: str, taken: Container[str] = ()) -> str:
    """A hardware address with the local bit set that is not taken; the same for the same name."""
    turn = 0
    while True:
        digest = hashlib.sha256(f"{name}/{turn}".encode()).digest()
        mac = bytes([digest[0] & 0xFC | 0x02, *digest[1:6]]).hex(":")
        if mac not in taken:
            return mac
        turn += 1


def looked_at_only(protocols: Iterable[Protocol]) -> frozenset[int]:
    """TCP ports that a scan looks at and never speaks on: data that arrives there is a violation."""
    speaking = (protocol for protocol in protocols if protocol.transport is Transport.TCP)
    spoken = {number for protocol in speaking for number in (*protocol.ports, *protocol.tls_ports)}
    return frozenset(ports.ASKED) - spoken
