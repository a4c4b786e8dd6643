"""Captures: pcap and pcapng of tcpdump, Wireshark and switches, compressed or from a pipe, in flat memory.

The file formats (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng) are plain enough to be read here, a megabyte at a
time; most frames are told by a few bytes to say nothing and cost no more than that look. Link layers that are not
known here are taken apart by scapy (extra `listen`), slowly; there is no such thing as a common one among them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from scanner.errors import InputProblem
from scanner.imports.base import Break, Head, Heard, Input
from scanner.imports.dissect import Dissector

MAX_FRAME = 262_144
"""Bytes of one frame; what claims more is a broken file."""
MAX_BLOCK = 16 << 20
_CHUNK = 1 << 20
_EVERY = 4096

_PCAP = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6), b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9), b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}  # fmt: skip
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_OTHERS = {
    b"\x34\xcd\xb2\xa1": "a pcap variant of old Linux systems", b"snoop\0\0\0": "a snoop capture of Solaris",
    b"TRSNIFF ": "a capture of NetXray", b"\x52\x54\x53\x53": "a capture of Network Monitor",
    b"XCP\0": "a capture of NetXray",
}  # fmt: skip
_WIRELESS = frozenset({105, 119, 127, 163, 192})
_ETHERNET, _RAW = 1, frozenset({12, 14, 101})


class Packet(NamedTuple):
    """One frame where it stands in a buffer."""

    buffer: bytes
    place: int
    length: int
    wire: int
    """Bytes it had on the wire."""
    seconds: float
    link: int
    """Link type (https://www.tcpdump.org/linktypes.html)."""


class Pcap:
    """Frames of all link types that carry a network with hardware addresses, or one without."""

    name = "pcap"
    summary = "captures of tcpdump and Wireshark (pcap, pcapng; gz, xz, zst; or a pipe)"

    def score(self, head: Head) -> float:
        """Sure by the file's first bytes."""
        return 1.0 if head.data[:4] in _PCAP or head.data[:4] == _PCAPNG or _other(head.data) else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """What all frames say. Raises `InputProblem` where the file ends early, is broken, or is of a kind in which
        nothing can be heard; what stands before is told.
        """
        dissector = Dissector()
        wanted, frame = dissector.wanted, dissector.frame
        dressed: dict[int, Callable[[bytes], bytes | None]] = {}
        count, last, backwards = 0, 0.0, 0
        with Break() as broken:
            for packet in packets(source):
                buffer, place, length, wire, seconds, link = packet
                count += 1
                if not count % _EVERY:
                    source.tick(count)
                if link == _ETHERNET:
                    if not wanted(buffer, place, length):
                        continue
                    data = buffer[place : place + length]
                else:
                    if link not in dressed:
                        dressed[link] = _dress(link, source)
                    made = dressed[link](buffer[place : place + length])
                    if made is None:
                        continue
                    if not wanted(made + bytes(48), 0, len(made)):
                        continue
                    data = made
                if seconds < last - 1:
                    backwards += 1
                last = seconds
                yield from frame(data, seconds, whole=length >= wire)
        source.tick(count)
        self._notes(source, dissector, backwards)
        yield from dissector.finish()
        broken.tell()

    @staticmethod
    def _notes(source: Input, dissector: Dissector, backwards: int) -> None:
        for text in dissector.notes():
            source.note(f"{source.name}: {text}")
        if backwards:
            source.note(
                f"{source.name}: its clock runs backwards {backwards} times: times in it are not to be relied on"
            )


def _other(data: bytes) -> str | None:
    return next((name for magic, name in _OTHERS.items() if data.startswith(magic)), None)


def packets(source: Input) -> Iterator[Packet]:
    """Every frame of a capture of either format. Raises `InputProblem`."""
    magic = source.head.data[:4]
    if magic in _PCAP:
        return _pcap(source, *_PCAP[magic])
    if magic == _PCAPNG:
        return _pcapng(source)
    other = _other(source.head.data)
    what = f"is {other}" if other else "is no capture that is known here"
    raise InputProblem(f"{source.name}: {what}; convert it with: editcap -F pcapng {source.name} OUT.pcapng")


def _pcap(source: Input, order: str, unit: float) -> Iterator[Packet]:
    buffer = source.read(_CHUNK)
    while len(buffer) < 24:
        more = source.read(_CHUNK)
        if not more:
            raise InputProblem(f"{source.name}: ends inside its first 24 bytes: it is no whole capture")
        buffer += more
    link = struct.unpack_from(order + "I", buffer, 20)[0] & 0x0FFFFFFF
    record = struct.Struct(order + "IIII").unpack_from
    place, number = 24, 0
    while True:
        end = len(buffer)
        while place + 16 <= end:
            seconds, fraction, length, wire = record(buffer, place)
            if length > MAX_FRAME:
                raise InputProblem(
                    f"{source.name}: frame {number + 1} claims to have {length} bytes: the file is broken from "
                    f"there on; "
                    f"{number} frames before it were read"
                )
            if place + 16 + length > end:
                break
            number += 1
            yield Packet(buffer, place + 16, length, wire, seconds + fraction * unit, link)
            place += 16 + length
        chunk = source.read(_CHUNK)
        if not chunk:
            break
        buffer = buffer[place:] + chunk
        place = 0
    if place < len(buffer):
        source.note(f"{source.name}: is cut off inside frame {number + 1}; all frames before it were read")


class _Interface(NamedTuple):
    link: int
    unit: float
    offset: int
    snap: int


def _pcapng(source: Input) -> Iterator[Packet]:
    buffer = b""
    place, number = 0, 0
    order = "<"
    interfaces: list[_Interface] = []
    while True:
        while place + 12 <= len(buffer):
            kind = buffer[place : place + 4]
            if kind == _PCAPNG:
                order = ">" if buffer[place + 8 : place + 12] == b"\x1a\x2b\x3c\x4d" else "<"
                interfaces = []
            length = struct.unpack_from(order + "I", buffer, place + 4)[0]
            if length < 12 or length % 4 or length > MAX_BLOCK:
                raise InputProblem(
                    f"{source.name}: a block after frame {number} claims to have {length} bytes: the file is "
                    f"broken from "
                    "there on; what stands before it was read"
                )
            if place + length > len(buffer):
                break
            code = struct.unpack_from(order + "I", buffer, place)[0]
            if code == 1:
                interfaces.append(_interface(buffer[place + 8 : place + length - 4], order))
            elif code in {2, 3, 6}:
                packet = _block(buffer, place, length, code, order, interfaces)
                if packet is None:
                    source.skip(f"frame {number + 1}", "a block that is broken, or of no interface")
                else:
                    yield packet
                number += 1
            place += length
        chunk = source.read(_CHUNK)
        if not chunk:
            break
        buffer = buffer[place:] + chunk
        place = 0
    if place < len(buffer):
        source.note(f"{source.name}: is cut off after frame {number}; all frames before it were read")


def _interface(body: bytes, order: str) -> _Interface:
    link, _reserved, snap = struct.unpack_from(order + "HHI", body) if len(body) >= 8 else (0xFFFF, 0, 0)
    unit, offset, place = 1e-6, 0, 8
    while place + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, place)
        value = body[place + 4 : place + 4 + length]
        if code == 0:
            break
        if code == 9 and value:  # if_tsresol
            unit = 2.0 ** -(value[0] & 0x7F) if value[0] & 0x80 else 10.0 ** -(value[0] & 0x7F)
        elif code == 14 and len(value) == 8:
            offset = struct.unpack(order + "q", value)[0]
        place += 4 + (length + 3 & ~3)
    return _Interface(link, unit, offset, snap)


def _block(
    buffer: bytes, place: int, length: int, code: int, order: str, interfaces: list[_Interface]
) -> Packet | None:
    try:
        if code == 6:
            number, high, low, kept, wire = struct.unpack_from(order + "IIIII", buffer, place + 8)
            start = place + 28
        elif code == 2:
            number, _drops, high, low, kept, wire = struct.unpack_from(order + "HHIIII", buffer, place + 8)
            start = place + 28
        else:
            wire = struct.unpack_from(order + "I", buffer, place + 8)[0]
            number, high, low, start = 0, 0, 0, place + 12
            kept = min(wire, length - 16, interfaces[0].snap or wire)
        link = interfaces[number]
    except (struct.error, IndexError):
        return None
    if kept > MAX_FRAME or start + kept > place + length - 4:
        return None
    seconds = (high << 32 | low) * link.unit + link.offset
    return Packet(buffer, start, kept, wire, seconds, link.link)


# -- link layers -------------------------------------------------------------------------------------------------------


def _dress(link: int, source: Input) -> Callable[[bytes], bytes | None]:
    """How a frame of another link layer becomes one of Ethernet. Raises `InputProblem` where nothing can be heard."""
    known = {
        113: _cooked,
        276: _cooked2,
        228: _raw,
        229: _raw,
        0: _loopback,
        108: _loopback,
        **dict.fromkeys(_RAW, _raw),
    }
    if link in known:
        return known[link]
    if link in _WIRELESS:
        raise InputProblem(
            f"{source.name}: holds 802.11 frames (link type {link}): their contents are encrypted, and what is said "
            "behind the access point is not in them; capture on the wired side, or on the access point's bridge"
        )
    return _by_scapy(link, source)


def _cooked(frame: bytes) -> bytes | None:
    """Linux cooked capture (LINKTYPE_LINUX_SLL): `tcpdump -i any`."""
    if len(frame) < 16:
        return None
    mac = frame[6:12] if frame[4:6] == b"\0\x06" else bytes(6)
    return bytes(6) + mac + frame[14:16] + frame[16:]


def _cooked2(frame: bytes) -> bytes | None:
    """Its second version (LINKTYPE_LINUX_SLL2)."""
    if len(frame) < 20:
        return None
    mac = frame[12:18] if frame[11] == 6 else bytes(6)
    return bytes(6) + mac + frame[:2] + frame[20:]


def _raw(frame: bytes) -> bytes | None:
    """Packets without a link layer."""
    kind = {4: b"\x08\0", 6: b"\x86\xdd"}.get(frame[0] >> 4 if frame else 0)
    return bytes(12) + kind + frame if kind else None


def _loopback(frame: bytes) -> bytes | None:
    """The loopback of BSD and macOS: a family in four bytes of either order."""
    return _raw(frame[4:])


def _by_scapy(link: int, source: Input) -> Callable[[bytes], bytes | None]:
    try:
        from scapy.config import conf
        from scapy.layers import all as _layers  # noqa: F401 - they register the link types
    except ImportError as error:
        raise InputProblem(
            f"{source.name}: its link type {link} is not known here; scapy may know it: pip install 'lanveto[listen]'"
        ) from error
    layer = conf.l2types.num2layer.get(link)
    if layer is None:
        raise InputProblem(
            f"{source.name}: nothing is known of its link type {link}; https://www.tcpdump.org/linktypes.html names it"
        )
    source.note(f"{source.name}: link type {link} is taken apart by scapy, which is slow")

    def peel(frame: bytes) -> bytes | None:
        try:
            packet = layer(frame)
            for name, kind in (("IP", b"\x08\0"), ("IPv6", b"\x86\xdd"), ("ARP", b"\x08\x06")):
                if packet.haslayer(name):
                    return bytes(12) + kind + bytes(packet[name])
        except Exception:  # noqa: BLE001 - whatever a broken frame does to somebody else's dissector
            return None
        return None

    return peel


IMPORTER = Pcap()
