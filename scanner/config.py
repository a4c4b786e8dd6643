"""Command line, environment and files end here: one frozen plan that says everything a scan may do."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from scanner import ports
from scanner.errors import UsageProblem

MAX_RATE = 1_000_000
"""ARP requests a second beyond which a number is a mistake."""
MAX_PORTS = 100
"""TCP ports a device is looked at on; more is a port scan, and a lockout on small devices."""

_SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Speed(StrEnum):
    """How hard a scan may push; every speed keeps one TCP connection at a time to one device."""

    GENTLE = "gentle"
    NORMAL = "normal"
    FAST = "fast"


@dataclass(frozen=True, slots=True)
class Manners:
    """The numbers behind a speed: per second, unless the name says otherwise."""

    arp: float
    connects: float
    """New TCP connections to all hosts together, while looking for hosts."""
    datagrams: float
    devices: int
    """Devices asked at the same time."""
    requests: int | None
    """Requests to one device in any one second; None: as fast as it answers."""
    device_connects: int | None
    """Connection attempts to one device in any one second."""
    in_flight: int
    """Unanswered connection attempts to all hosts together, while looking for hosts."""


MANNERS: Mapping[Speed, Manners] = MappingProxyType({
    Speed.GENTLE: Manners(10, 20, 20, 8, 2, 2, 40),
    Speed.NORMAL: Manners(500, 500, 300, 128, 5, 10, 800),
    Speed.FAST: Manners(20_000, 5_000, 5_000, 256, None, None, 8_000),
})
"""500 ARP requests a second is the pace of the field's careful tools; Dynamic ARP Inspection tolerates about 15."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything a scan needs to know. Raises `UsageProblem` where parts contradict each other."""

    targets: tuple[str, ...] = ()
    """As the user wrote them: addresses, networks, ranges, interfaces, files; empty: the physical links."""
    exclude: tuple[str, ...] = ()
    """Addresses, networks, ranges, MAC prefixes, files."""
    interfaces: tuple[str, ...] = ()
    """Restrict link-layer questions to these; empty: wherever a target is on the link."""
    ports: tuple[int, ...] = tuple(ports.ASKED)
    speed: Speed = Speed.NORMAL
    rate: float | None = None
    """ARP requests, pings and SYN probes a second instead of the speed's own."""
    timeout: float = 3.0
    """Seconds within which a connection must stand and the first byte of an answer must come."""
    site: str = "default"
    profiles: tuple[str, ...] = ()
    as_of: datetime.date = field(default_factory=lambda: datetime.datetime.now(tz=datetime.UTC).date())
    allow_public: bool = False
    raw: bool = True
    """False: no raw sockets, even where they are permitted."""
    multicast: bool = True
    """False: no multicast and broadcast questions; hosts are asked one by one."""
    assume_up: bool = False
    """True: every address is asked, found or not."""
    neighbour_writes: bool = True
    """False: the kernel's neighbour table is never written."""
    port_map: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Address → {port as the world knows it → port where it really is}: simulated devices without root. An address
    that stands here has no other ports.
    """
    record: Path | None = None
    """Folder for one recording per device."""
    redact: bool = False
    """Recordings without serials and addresses: what goes into a bug report."""
    audit_log: Path | None = None
    """File for one line per thing sent."""
    handshakes: int = 50
    """TLS connections at the same time (memory)."""
    device_seconds: float = 45.0
    """Time for all TCP questions to one device."""
    device_bytes: int = 4 * 1024 * 1024
    """Bytes that are read from one device in all."""

    def __post_init__(self) -> None:
        self._check_numbers()
        check_ports(self.ports)
        if not _SITE.fullmatch(self.site):
            raise UsageProblem(
                f"--site {self.site!r}: use letters, digits, dots, hyphens and underscores, at most 63"
            )
        for place, what in ((self.record, "--record"), (self.audit_log, "--audit-log")):
            if place is not None:
                _check_place(place, what, folder=what == "--record")

    def _check_numbers(self) -> None:
        if self.rate is not None and not 0 < self.rate <= MAX_RATE:
            raise UsageProblem(f"--rate {self.rate:g}: must be above 0 and at most {MAX_RATE} ARP requests a second")
        if self.rate is not None and self.speed is Speed.GENTLE and self.rate > MANNERS[Speed.GENTLE].arp:
            raise UsageProblem(
                f"--gentle promises at most {MANNERS[Speed.GENTLE].arp:g} ARP requests a second and --rate asks for "
                f"{self.rate:g}: leave one of them out"
            )
        if not 0.05 <= self.timeout <= 60:
            raise UsageProblem(f"--timeout {self.timeout:g}: must lie between 0.05 and 60 seconds")
        for name in ("handshakes", "device_seconds", "device_bytes"):
            if getattr(self, name) <= 0:
                raise UsageProblem(f"{name} must be above 0")

    @property
    def manners(self) -> Manners:
        """The numbers of this plan's speed."""
        return MANNERS[self.speed]

    @property
    def arp_rate(self) -> float:
        """ARP requests a second."""
        return self.rate if self.rate is not None else self.manners.arp

    @property
    def probe_rate(self) -> float:
        """Probes without a connection (pings, SYNs) a second, to all hosts together."""
        return self.rate if self.rate is not None else self.manners.connects

    def real_port(self, address: str, port: int) -> int | None:
        """Where `port` of `address` really is; None where a simulated device does not have it."""
        table = self.port_map.get(address)
        return port if table is None else table.get(port)


def parse_ports(text: str) -> tuple[int, ...]:
    """The ports of `80,443,8000-8010`, in the order written, each once. Raises `UsageProblem`."""
    found: dict[int, None] = {}
    for word in text.split(","):
        first, dash, last = word.strip().partition("-")
        if not (first.isascii() and first.isdigit()) or (dash and not (last.isascii() and last.isdigit())):
            raise UsageProblem(f"--ports {text}: {word.strip()!r} is no port; write 80,443,8000-8010")
        low, high = int(first[:6]), int((last or first)[:6])
        if not 1 <= low <= high <= 65535:
            raise UsageProblem(f"--ports {text}: {word.strip()!r} is not within 1-65535")
        if high - low >= MAX_PORTS:
            raise UsageProblem(f"--ports {text}: {word.strip()!r} is more than {MAX_PORTS} ports; name those you mean")
        found.update(dict.fromkeys(range(low, high + 1)))
    return check_ports(tuple(found))


def check_ports(wanted: Sequence[int]) -> tuple[int, ...]:
    """The same ports, where all may be spoken to. Raises `UsageProblem` for forbidden ones, none, or too many."""
    if not wanted:
        raise UsageProblem("--ports: names no port")
    if len(wanted) > MAX_PORTS:
        raise UsageProblem(f"--ports: names {len(wanted)} ports; at most {MAX_PORTS} are asked of one device")
    for port in wanted:
        if not 1 <= port <= 65535:
            raise UsageProblem(f"--ports {port}: is not within 1-65535")
        if port in ports.FORBIDDEN:
            raise UsageProblem(
                f"--ports {port}: is never spoken to ({ports.FORBIDDEN[port]}); leave it out"
            )
    return tuple(wanted)


def _check_place(place: Path, option: str, *, folder: bool) -> None:
    """Whether something can be written there, before anything is sent. Raises `UsageProblem`."""
    import os

    try:
        if folder:  # made when there is something to put into it: a rehearsal leaves nothing behind
            where = next(part for part in (place.absolute(), *place.absolute().parents) if part.exists())
            if not where.is_dir():
                raise UsageProblem(f"{option} {place}: {where} is no folder")
        else:
            if place.is_dir():
                raise UsageProblem(f"{option} {place}: is a folder; name a file in it")
            where = place if place.exists() else place.parent
            if not where.exists():
                raise UsageProblem(f"{option} {place}: the folder {where} does not exist; make it first")
    except OSError as error:
        raise UsageProblem(f"{option} {place}: {error.strerror or error}") from error
    if not os.access(where, os.W_OK):
        raise UsageProblem(f"{option} {place}: no permission to write there")
