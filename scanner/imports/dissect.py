"""What can be known from frames that were captured or overheard: the one path for `import pcap` and `listen`.

Frames come in as Ethernet (other link layers are dressed as it), `Heard`s go out. The protocols' own readers recognise
what a datagram is; here stands only who said it. A hardware address is believed where the protocol states it (ARP,
neighbour discovery, DHCP), where the frame went to a group, and where the time to live is one that senders begin with:
no router has touched such a packet. Everything else that a router forwards carries the router's address.

Bounds: fragments, streams and what was seen already are kept in tables of fixed size, oldest out first.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache, lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from scanner.imports.base import Heard
from scanner.imports.reassembly import STARTS, Streams
from scanner.model import Observation, Place, Transport, Via
from scanner.protocols import protocols
from scanner.values import from_bytes, stamp

ARP, IPV4, IPV6, LLDP = 0x0806, 0x0800, 0x86DD, 0x88CC
TAGS = frozenset({0x8100, 0x88A8, 0x9100})
"""802.1Q, 802.1ad, and what was used before it."""
FIRST_TTLS = frozenset({1, 2, 4, 32, 64, 128, 255})
"""Times to live that senders begin with; the small ones are those of groups."""
CDP_GROUP = bytes.fromhex("01000ccccccc")

MAX_SEEN = 131_072
"""Pairs and datagrams that are remembered as told."""
AGAIN = 60.0
"""Seconds after which a pair of addresses is told again: when it was seen last counts."""
MAX_FRAGMENTED = 64
"""Datagrams that wait for their other fragments."""

_OTHER_KINDS = frozenset({IPV6, ARP, LLDP}) | TAGS
_NOBODY = bytes(6)
_DHCP = frozenset({67, 68})
_QUICK = struct.Struct("!12xHBx2x2xHxB2x8xHH")


@cache
def ports() -> frozenset[int]:
    """UDP ports on which something may be said that a protocol of the house reads."""
    found = set(_DHCP) | {137, 5353, 1900, 3702}
    for protocol in protocols().values():
        if protocol.transport is Transport.UDP:
            found |= set(protocol.ports)
        for question in protocol.questions():
            found |= {question.port, *question.listen}
    return frozenset(found - {0, 53})


@cache
def ether_types() -> dict[int, str]:
    """EtherTypes of discovery in bare frames, with the name of the protocol that reads them."""
    return {
        question.ethertype: protocol.name
        for protocol in protocols().values()
        for question in protocol.questions()
        if question.ethertype is not None
    }


@lru_cache(maxsize=65_536)
def shown(packed: bytes) -> str:
    """An address of four or sixteen bytes as text."""
    return str(IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed))


@lru_cache(maxsize=65_536)
def is_host(packed: bytes) -> bool:
    """Whether an address is one host's."""
    found = ip_address(packed)
    return not (found.is_multicast or found.is_unspecified or packed == b"\xff" * 4 or found.is_loopback)


@lru_cache(maxsize=65_536)
def is_public(packed: bytes) -> bool:
    """Whether an address is one of the Internet."""
    return ip_address(packed).is_global


def time_text(seconds: float | None) -> str | None:
    """A time of a capture as RFC 3339; None where its clock was never set, or cannot be right."""
    if seconds is None or not 86_400 < seconds < 1e10:
        return None
    try:
        return stamp(datetime.fromtimestamp(seconds, tz=UTC))
    except (ValueError, OverflowError, OSError):
        return None


class Dissector:
    """Turns frames into what they say about devices."""

    def __init__(self, *, streams: bool = True) -> None:
        """`streams`: whether answers inside TCP are put together too."""
        self.streams = Streams()
        self._tcp = streams
        self._ports = ports()
        self._types = ether_types()
        self._protocols = protocols()
        self._recognisers = tuple(p for p in self._protocols.values() if p.transport is Transport.UDP)
        self._pairs: dict[tuple[bytes, bytes], float] = {}
        self._told: dict[tuple[bytes, bytes, int], None] = {}
        self._fragments: dict[bytes, dict[int, tuple[bytes, bool]]] = {}
        self.cut = 0
        """Frames of interest that the capture had not kept whole."""
        self._defects, self._defect = 0, ""
        self.far: set[bytes] = set()
        """Public addresses behind a router, which are nobody's inventory."""

    def wanted(self, buffer: bytes, place: int, length: int) -> bool:
        """Whether the Ethernet frame at `place` may say anything: what most of a capture fails at, quickly."""
        if length < 38:
            return length >= 14
        kind, version, fragment, protocol, source, target = _QUICK.unpack_from(buffer, place)
        if kind == IPV4:
            if version != 0x45 or fragment & 0x3FFF:
                return protocol in {6, 17}
            if protocol == 17:
                return source in self._ports or target in self._ports
            if protocol != 6 or not self._tcp:
                return False
            payload = place + 34 + ((buffer[place + 46] >> 4) << 2) if length > 46 else 0
            return (
                buffer[payload : payload + 4] in STARTS
                or buffer[place + 26 : place + 38] in self.streams.flows
                or source in {23, 2323}
            )
        return kind < 0x600 or kind in _OTHER_KINDS or kind in self._types

    def frame(
        self, frame: bytes, seconds: float | None, *, whole: bool = True, vlan: int | None = None
    ) -> Iterator[Heard]:
        """What one Ethernet frame says. `whole`: the capture kept all of it; `vlan`: a tag that was taken off."""
        if len(frame) < 14:
            return
        kind = frame[12] << 8 | frame[13]
        while kind in TAGS and len(frame) >= 18:
            inner = (frame[14] << 8 | frame[15]) & 0x0FFF
            vlan = inner or vlan
            frame = frame[:12] + frame[16:]
            kind = frame[12] << 8 | frame[13]
        place = Place(vlan=vlan) if vlan else None
        try:
            for heard in self._payload(frame, kind, seconds, whole):
                yield heard._replace(place=place) if place is not None and heard.mac is not None else heard
        except Exception as error:  # noqa: BLE001 - one frame must not take away what all others say
            self._defects += 1
            self._defect = f"{type(error).__name__}: {error}"

    def notes(self) -> list[str]:
        """Sentences for the report: what was left out, and why."""
        found = []
        if self.cut:
            found.append(
                f"{self.cut} answers are cut off, for the capture kept only the beginning of frames (snap length): "
                "capture with tcpdump -s 0"
            )
        if self.far:
            found.append(f"{len(self.far)} public addresses behind a router answered and were left out")
        if self._defects:
            found.append(
                f"{self._defects} frames could not be read for a defect of lanveto ({self._defect}). Please report it"
            )
        return found

    def _payload(self, frame: bytes, kind: int, seconds: float | None, whole: bool) -> Iterator[Heard]:
        if kind == ARP:
            yield from self._arp(frame, seconds)
        elif kind == IPV4:
            yield from self._ipv4(frame, seconds, whole)
        elif kind == IPV6:
            yield from self._ipv6(frame, seconds, whole)
        elif kind == LLDP:
            yield from self._link("lldp.frame", frame, seconds, whole)
        elif kind < 0x600 and frame[:6] == CDP_GROUP and frame[14:22] == b"\xaa\xaa\x03\x00\x00\x0c\x20\x00":
            yield from self._link("cdp.frame", frame[: 14 + kind], seconds, whole)
        elif kind in self._types:
            protocol = self._protocols[self._types[kind]]
            data = frame[14:]
            channel = protocol.recognise(data)
            if channel is not None:
                stated = protocol.stated(data)
                yield from self._said(frame[6:12], stated, channel, data, kind, frame[:6], seconds, whole, Transport.L2)

    # -- the link --------------------------------------------------------------------------------------------------

    def _arp(self, frame: bytes, seconds: float | None) -> Iterator[Heard]:
        if frame[14:20] == b"\0\x01\x08\0\x06\x04" and len(frame) >= 42:
            yield from self._pair(frame[22:28], frame[28:32], seconds)

    def _pair(self, mac: bytes, address: bytes, seconds: float | None) -> Iterator[Heard]:
        """A MAC and its address, told once in a while."""
        if mac == _NOBODY or mac[0] & 1 or not is_host(address):
            return
        now = seconds or 0.0
        last = self._pairs.get((mac, address))
        if last is not None and abs(now - last) < AGAIN:
            return
        if len(self._pairs) >= MAX_SEEN:
            self._pairs.clear()
        self._pairs[mac, address] = now
        yield Heard(mac.hex(":"), shown(address), at=time_text(seconds))

    def _link(self, channel: str, frame: bytes, seconds: float | None, whole: bool) -> Iterator[Heard]:
        yield from self._said(frame[6:12], None, channel, frame, None, frame[:6], seconds, whole, None)

    # -- the network -----------------------------------------------------------------------------------------------

    def _ipv4(self, frame: bytes, seconds: float | None, whole: bool) -> Iterator[Heard]:
        if len(frame) < 34 or frame[14] >> 4 != 4:
            return
        header = (frame[14] & 15) * 4
        total = frame[16] << 8 | frame[17]
        fragment = frame[20] << 8 | frame[21]
        body = frame[14 + header : 14 + total] if header <= total else frame[14 + header :]
        whole = whole or len(frame) >= 14 + total
        source, target = frame[26:30], frame[30:34]
        new = frame[23] == 17 and source == bytes(4)  # DHCP clients have no address yet
        if header < 20 or not (new or is_host(source)):
            return
        if fragment & 0x3FFF:
            joined = self._defragmented(frame[26:34] + frame[18:20] + frame[23:24], fragment, body)
            if joined is None or frame[23] != 17:
                return
            body, whole = joined, True
        mac = frame[6:12] if target[0] >= 224 or frame[22] in FIRST_TTLS else _NOBODY
        if frame[23] == 17:
            yield from self._udp(frame, mac, source, target, body, seconds, whole)
        elif frame[23] == 6 and self._tcp:
            yield from self._stream(mac, source, target, body, seconds)

    def _ipv6(self, frame: bytes, seconds: float | None, whole: bool) -> Iterator[Heard]:
        if len(frame) < 54:
            return
        total = frame[18] << 8 | frame[19]
        body, following = frame[54 : 54 + total], frame[20]
        whole = whole or len(frame) >= 54 + total
        source, target = frame[22:38], frame[38:54]
        for _ in range(4):  # hop-by-hop, routing and destination options
            if following not in {0, 43, 60} or len(body) < 8:
                break
            following, body = body[0], body[8 + body[1] * 8 :]
        mac = frame[6:12] if target[0] == 0xFF or frame[21] in FIRST_TTLS else _NOBODY
        if following == 58 and frame[21] == 255:
            yield from self._neighbour(source, body, seconds)
        elif following == 17 and len(body) >= 8:
            if (body[0] << 8 | body[1]) in self._ports or (body[2] << 8 | body[3]) in self._ports:
                yield from self._udp(frame, mac, source, target, body, seconds, whole)
        elif following == 6 and self._tcp and is_host(source):
            yield from self._stream(mac, source, target, body, seconds)

    def _neighbour(self, source: bytes, body: bytes, seconds: float | None) -> Iterator[Heard]:
        """RFC 4861: who solicits or advertises says its hardware address in an option."""
        kind = body[0] if body else 0
        start = {133: 8, 134: 16, 135: 24, 136: 24}.get(kind)
        if start is None:
            return
        address, wanted = (body[8:24], 2) if kind == 136 else (source, 1)
        place = start
        while place + 8 <= len(body) and body[place + 1]:
            if body[place] == wanted and body[place + 1] == 1 and len(address) == 16:
                yield from self._pair(body[place + 2 : place + 8], address, seconds)
            place += body[place + 1] * 8

    def _defragmented(self, key: bytes, fragment: int, body: bytes) -> bytes | None:
        """The whole datagram once all its pieces are here (RFC 791), else None."""
        offset, more = (fragment & 0x1FFF) * 8, bool(fragment & 0x2000)
        parts = self._fragments.get(key, {})
        if offset + len(body) > 65_535 or len(body) + sum(len(piece) for piece, _ in parts.values()) > 131_070:
            self._fragments.pop(key, None)
            return None
        self._fragments[key] = parts
        parts[offset] = (body, more)
        place, joined = 0, b""
        while place in parts:
            piece, more = parts[place]
            joined += piece
            place += len(piece)
            if not more:
                del self._fragments[key]
                return joined
            if not piece:
                break
        if len(self._fragments) > MAX_FRAGMENTED or len(parts) > 64:
            del self._fragments[next(iter(self._fragments))]
        return None

    # -- what is said ----------------------------------------------------------------------------------------------

    def _udp(
        self, frame: bytes, mac: bytes, source: bytes, target: bytes, body: bytes, seconds: float | None, whole: bool
    ) -> Iterator[Heard]:
        if len(body) < 8:
            return
        sport, dport = body[0] << 8 | body[1], body[2] << 8 | body[3]
        data = body[8:]
        if sport in _DHCP and dport in _DHCP:
            yield from self._dhcp(data, seconds, whole)
            return
        if not is_host(source) or not data:
            return
        channel = None
        for protocol in self._recognisers:
            channel = protocol.recognise(data)
            if channel is not None:
                break
        address = shown(source)
        if channel is not None:
            port = sport if sport in self._ports else dport
            if port == 161 and sport != 161:
                return  # a question, which holds somebody's password
            yield from self._said(mac, address, channel, data, port, target, seconds, whole, None, protocol.kept)
        elif dport == 137 and (name := registered_name(data)) is not None:
            told = self._first(mac + source, name.encode())
            if told:
                seen = Observation(channel="netbios.name", value=name, port=137, via=_via(target))
                yield Heard(_mac(mac), address, (seen,), at=time_text(seconds))
        elif target[0] >= 224 and mac != _NOBODY:  # a question to a group says at least who asks
            yield from self._pair(mac, source, seconds)

    def _dhcp(self, data: bytes, seconds: float | None, whole: bool) -> Iterator[Heard]:
        """A client is who its packet names (a relay may have sent the frame); a server's answer gives its address."""
        if len(data) < 240 or data[236:240] != b"\x63\x82\x53\x63" or data[2] != 6:
            return
        mac = data[28:34]
        if mac == _NOBODY or mac[0] & 1:
            return
        options = dhcp_options(data)
        kind = options.get(53, b"\0")[:1]
        if data[0] == 2:
            if kind == b"\x05" and is_host(data[16:20]):
                yield from self._pair(mac, data[16:20], seconds)
            return
        asked = data[12:16] if is_host(data[12:16]) else None  # what it asks for (option 50) may be refused
        address = shown(asked) if asked is not None else None
        # The number and time of the exchange make every packet another; only what the client says counts.
        if self._first(mac, data[236:]):
            if not whole:
                self.cut += 1
            seen = Observation(
                channel="dhcp.packet", value=from_bytes(data), port=68, via=Via.HEARD, truncated=not whole
            )
            yield Heard(mac.hex(":"), address, (seen,), at=time_text(seconds))

    def _said(
        self, mac: bytes, address: str | None, channel: str, data: bytes, port: int | None, target: bytes,
        seconds: float | None, whole: bool, transport: Transport | None, kept: Callable[[bytes], str] = from_bytes,
    ) -> Iterator[Heard]:  # fmt: skip
        if not self._first(mac + (address or "").encode(), data):
            return
        if not whole:
            self.cut += 1
        value = "hex:" + data.hex() if channel.endswith(".frame") else kept(data)
        seen = Observation(
            channel=channel, value=value, port=port, via=_via(target), truncated=not whole, transport=transport
        )
        if mac == _NOBODY and address is not None and is_public(ip_address(address).packed):
            self._left_out(ip_address(address).packed)
            return
        yield Heard(_mac(mac), address, (seen,), at=time_text(seconds))

    def _first(self, who: bytes, data: bytes) -> bool:
        """Whether this is said for the first time: announcements repeat for ever."""
        key = (who, data[:16], hash(data))
        if key in self._told:
            return False
        if len(self._told) >= MAX_SEEN:
            self._told.clear()
        self._told[key] = None
        return True

    def _left_out(self, packed: bytes) -> None:
        if len(self.far) < MAX_SEEN:
            self.far.add(packed)

    # -- streams ---------------------------------------------------------------------------------------------------

    def _stream(self, mac: bytes, source: bytes, target: bytes, body: bytes, seconds: float | None) -> Iterator[Heard]:
        if len(body) >= 20:
            for told in self.streams.segment(source, target, body, (mac, seconds)):
                yield from self._answered(*told)

    def _answered(self, server: bytes, seen: list[Observation], mark: tuple[bytes, float | None]) -> Iterator[Heard]:
        mac, seconds = mark
        if mac == _NOBODY and is_public(server):
            self._left_out(server)
            return
        yield Heard(_mac(mac), shown(server), tuple(seen), at=time_text(seconds))

    def finish(self) -> Iterator[Heard]:
        """What streams had said when the capture ended."""
        for told in self.streams.finish():
            yield from self._answered(*told)


def _mac(packed: bytes) -> str | None:
    return packed.hex(":") if packed != _NOBODY and not packed[0] & 1 else None


def _via(target: bytes) -> Via:
    if target in {b"\xff" * 4, b"\xff" * 6} or (len(target) == 4 and target[3] == 255):
        return Via.BROADCAST
    group = target[0] & 1 if len(target) == 6 else target[0] == 255 if len(target) == 16 else 224 <= target[0] < 240
    return Via.MULTICAST if group else Via.UNICAST


def dhcp_options(data: bytes) -> dict[int, bytes]:
    """Options of a DHCP packet by their number, the first of each; a cut one ends them."""
    found: dict[int, bytes] = {}
    place = 240
    while place + 1 < len(data) and data[place] != 255:
        if data[place] == 0:
            place += 1
            continue
        end = place + 2 + data[place + 1]
        found.setdefault(data[place], data[place + 2 : end])
        place = end
    return found


def registered_name(data: bytes) -> str | None:
    """The name that a host registers for itself (RFC 1002, 4.2.2), None for anything else and for names of groups."""
    if len(data) < 68 or data[2] & 0xF8 not in {0x28, 0x40, 0x48} or data[12] != 32:
        return None
    pairs = data[13:45]
    if not all(65 <= byte < 81 for byte in pairs) or data[62] & 0x80:
        return None
    name = bytes((pairs[n] - 65) << 4 | (pairs[n + 1] - 65) for n in range(0, 32, 2))
    text = name[:15].decode("latin-1").rstrip()
    return text if text.isprintable() and text and name[15] in {0, 0x20} else None
