"""IPv6 neighbours of a simulated segment: each device says with its own hardware address who it is.

The kernel behind the devices answers pings, TCP and UDP at their addresses, and nothing else that a link needs: it does
not say who has such an address, it would answer a ping to everybody and a listener query once, for itself. One packet
socket answers in the devices' place: neighbour solicitations (RFC 4861, 7.2.4), pings to ff02::1 (RFC 4443, 4.2) and
multicast listener queries (MLDv2, RFC 3810, 5.2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address

from scanner.errors import UsageProblem
from scanner.simulate.device import Simulated
from scanner.simulate.frames import Ear
from scanner.values import icmpv6_packet

_IPV6, _ICMPV6, _HOP_BY_HOP = 0x86DD, 58, 0
_ECHO_REQUEST, _ECHO_REPLY, _QUERY, _SOLICIT, _ADVERT, _REPORT = 128, 129, 130, 135, 136, 143
_EVERYBODY, _LISTENERS = IPv6Address("ff02::1"), IPv6Address("ff02::16")
_NOBODY = IPv6Address("::")
_ALERT = bytes((_ICMPV6, 0, 5, 2, 0, 0, 1, 0))  # hop-by-hop header: router alert, MLD (RFC 2711)
_SOLICITED, _OVERRIDE = 0x40, 0x20
_EXCLUDE_NOBODY = 4  # a record of MLDv2: listens to everybody in this group


class Neighbours:
    """The packet socket of all devices with an address of IPv6."""

    def __init__(self, devices: Sequence[Simulated]) -> None:
        self._devices = [device for device in devices if device.v6]
        self._owners = {IPv6Address(address): device for device in self._devices for address in device.v6}
        self._ear = Ear(_IPV6, self._heard)

    def listen(self, interface: str) -> None:
        """Answer on an interface. Raises `OSError`, `UsageProblem` without the right to raw sockets."""
        try:
            self._ear.open(interface)
        except PermissionError as error:
            raise UsageProblem("devices that speak IPv6 need raw sockets (CAP_NET_RAW)") from error

    def close(self) -> None:
        """Stop answering."""
        self._ear.close()

    def _heard(self, frame: bytes) -> None:
        for answer in self.answers(frame):
            self._ear.send(answer)

    def answers(self, frame: bytes) -> Iterator[bytes]:
        """The frames with which devices answer one; none to what is not for them, or broken."""
        if len(frame) < 62 or frame[12:14] != b"\x86\xdd":
            return
        kind, at = frame[20], 54
        if kind == _HOP_BY_HOP:
            kind, at = frame[54], at + 8 + frame[55] * 8
        asker, source, target = frame[6:12], IPv6Address(frame[22:38]), IPv6Address(frame[38:54])
        message = frame[at : 54 + int.from_bytes(frame[18:20], "big")]
        if kind != _ICMPV6 or len(message) < 8:
            return
        if message[0] == _SOLICIT and frame[21] == 255 and len(message) >= 24:
            yield from self._advertise(asker, source, IPv6Address(message[8:24]))
        elif message[0] == _ECHO_REQUEST and target == _EVERYBODY:
            for device in self._devices:
                own = None if device.dark else device.speaking(str(source))
                if own is not None:
                    reply = bytes((_ECHO_REPLY, 0, 0, 0)) + message[4:]
                    yield asker + _frame(device, icmpv6_packet(IPv6Address(own), source, reply, hops=64))
        elif message[0] == _QUERY and target == _EVERYBODY and not any(message[8:24]):
            for device in self._devices:
                if not device.dark:
                    yield self._report(device)

    def _advertise(self, asker: bytes, source: IPv6Address, wanted: IPv6Address) -> Iterator[bytes]:
        device = self._owners.get(wanted)
        if device is None:
            return
        unknown = source == _NOBODY  # who looks whether an address is free has none yet
        flags = _OVERRIDE if unknown else _OVERRIDE | _SOLICITED
        body = bytes((_ADVERT, 0, 0, 0, flags, 0, 0, 0)) + wanted.packed + bytes((2, 1)) + _mac(device)
        to, there = (_EVERYBODY, _group_mac(_EVERYBODY)) if unknown else (source, asker)
        yield there + _frame(device, icmpv6_packet(wanted, to, body))

    @staticmethod
    def _report(device: Simulated) -> bytes:
        """What a device listens to: the group of each of its addresses, and those of its services."""
        solicited = [b"\xff\x02" + bytes(9) + b"\1\xff" + IPv6Address(address).packed[13:] for address in device.v6]
        joined = {IPv6Address(group).packed for port in device.ports.values() for group in port.groups if ":" in group}
        groups = dict.fromkeys([*solicited, *sorted(joined)])
        records = b"".join(struct.pack("!BBH16s", _EXCLUDE_NOBODY, 0, 0, group) for group in groups)
        body = struct.pack("!BBHHH", _REPORT, 0, 0, 0, len(groups)) + records
        own = IPv6Address(device.speaking("fe80::1") or "::")
        return _group_mac(_LISTENERS) + _frame(device, icmpv6_packet(own, _LISTENERS, body, hops=1, before=_ALERT))


def _frame(device: Simulated, packet: bytes) -> bytes:
    return _mac(device) + b"\x86\xdd" + packet


def _mac(device: Simulated) -> bytes:
    return bytes.fromhex(device.mac.replace(":", ""))


def _group_mac(group: IPv6Address) -> bytes:
    return b"\x33\x33" + group.packed[12:]
