"""Frames built by hand, byte by byte, for captures that tests write."""

from __future__ import annotations

import struct
from ipaddress import ip_address

CAMERA, VIEWER = "3c:ef:8c:11:22:33", "02:00:00:00:00:01"


def packed(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def ethernet(payload: bytes, kind: int, *, source: str = CAMERA, target: str = VIEWER, tags: tuple[int, ...] = ()) -> bytes:
    tagging = b"".join(struct.pack("!HH", 0x8100, tag) for tag in tags)
    return packed(target) + packed(source) + tagging + struct.pack("!H", kind) + payload


def arp(address: str = "192.0.2.1", mac: str = CAMERA, **more: object) -> bytes:
    body = b"\0\x01\x08\0\x06\x04\0\x02" + packed(mac) + ip_address(address).packed + packed(VIEWER) + ip_address("192.0.2.9").packed
    return ethernet(body, 0x0806, **more)  # type: ignore[arg-type]


def ipv4(body: bytes, protocol: int, source: str, target: str, ttl: int = 64, fragment: int = 0, ident: int = 7) -> bytes:
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), ident, fragment, ttl, protocol, 0) + ip_address(source).packed + ip_address(target).packed + body


def udp(data: bytes, sport: int, dport: int) -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data


def tcp(data: bytes, sport: int, dport: int, sequence: int = 0, flags: int = 0x18) -> bytes:
    return struct.pack("!HHIIBBHHH", sport, dport, sequence & 0xFFFFFFFF, 0, 0x50, flags, 512, 0, 0) + data


def datagram(data: bytes, sport: int, dport: int, source: str = "192.0.2.1", target: str = "192.0.2.9", ttl: int = 64, **more: object) -> bytes:
    return ethernet(ipv4(udp(data, sport, dport), 17, source, target, ttl), 0x0800, **more)  # type: ignore[arg-type]


def segment(
    data: bytes, sport: int, dport: int, sequence: int = 0, source: str = "192.0.2.1", target: str = "192.0.2.9", ttl: int = 64,
    flags: int = 0x18, **more: object,
) -> bytes:  # fmt: skip
    return ethernet(ipv4(tcp(data, sport, dport, sequence, flags), 6, source, target, ttl), 0x0800, **more)  # type: ignore[arg-type]


def request(line: str = "GET / HTTP/1.1", port: int = 80, client: int = 40_000) -> bytes:
    return segment(f"{line}\r\nHost: x\r\n\r\n".encode(), client, port, source="192.0.2.9", target="192.0.2.1")


def pcap(frames: list[bytes], *, link: int = 1, order: str = "<", nano: bool = False, snap: int = 262_144, begin: float = 1_795_514_400.0, step: float = 0.001) -> bytes:
    out = struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snap, link)
    for number, frame in enumerate(frames):
        moment = max(0.0, begin + number * step)
        fraction = int(moment % 1 * (1e9 if nano else 1e6))
        kept = frame[:snap]
        out += struct.pack(order + "IIII", int(moment), fraction, len(kept), len(frame)) + kept
    return out


def _option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def _block(order: str, kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)


def pcapng(frames: list[bytes], *, link: int = 1, order: str = "<", begin: float = 1_795_514_400.0) -> bytes:
    out = _block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += _block(order, 1, struct.pack(order + "HHI", link, 0, 262_144) + _option(order, 9, b"\x09") + _option(order, 0, b""))
    for number, frame in enumerate(frames):
        moment = int((begin + number) * 1e9)
        body = struct.pack(order + "IIIII", 0, moment >> 32, moment & 0xFFFFFFFF, len(frame), len(frame)) + frame + bytes(-len(frame) % 4)
        out += _block(order, 6, body)
        out += _block(order, 5, bytes(12))  # statistics: none of ours
    return out
