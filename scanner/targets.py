"""What to scan: networks, ranges, addresses, interfaces and files in; disjoint spans of addresses out.

Addresses are kept as spans of integers, so that a /8 costs no memory, overlapping targets are asked once, and
exclusions are gone before the first packet. `Order` walks them in random order, without a list of them.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path

from scanner.errors import UsageProblem
from scanner.values import ipv4_number, one_line

Networks = Mapping[str, Sequence[IPv4Interface]]
"""Interface name → its addresses with their networks."""

MAX_ADDRESSES = 1 << 24
"""A /8: what one scan may name."""
MAX_PROPOSED = 4096
"""What a scan without a target may propose."""
MAX_FILE = 16 * 1024 * 1024

_MAC_PREFIX = re.compile(r"(?:[0-9a-f]{2}[:-]){2,5}[0-9a-f]{2}|[0-9a-f]{6}(?:[0-9a-f]{2}){0,3}", re.I)
_TAIL = re.compile(r"\d{1,3}")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """IPv4 addresses from `first` to `last`, both included, as integers."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class TargetSet:
    """All addresses a scan may ask, without the excluded ones."""

    spans: tuple[Span, ...]
    """Sorted and disjoint."""
    v6: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """As the user wrote them."""
    singles: frozenset[str] = frozenset()
    """Addresses that were named one by one."""
    excluded: int = 0
    """Addresses that were named and then excluded."""
    exclude_words: tuple[str, ...] = ()
    mac_prefixes: tuple[str, ...] = ()
    """Lower-case hexadecimal digits: devices with these are not spoken to once their MAC is known."""
    excluded_spans: tuple[Span, ...] = ()
    excluded_v6: frozenset[str] = frozenset()
    excluded_nets6: tuple[IPv6Network, ...] = ()

    @property
    def count(self) -> int:
        """How many addresses."""
        return sum(len(span) for span in self.spans) + len(self.v6)

    def __iter__(self) -> Iterator[str]:
        for span in self.spans:
            for number in range(span.first, span.last + 1):
                yield str(IPv4Address(number))
        yield from self.v6

    def __contains__(self, address: object) -> bool:
        """Whether an address was asked for and not excluded."""
        return isinstance(address, str) and (
            address in self.v6 if ":" in address else _inside(self.spans, _number(address))
        )

    @property
    def blinding(self) -> bool:
        """Whether an excluded address may be that of somebody who is met at another one: all but link-local ones of
        IPv6, from which whoever has one answers.
        """
        named = (IPv6Address(address.partition("%")[0]) for address in self.excluded_v6)
        wide = any(not address.is_link_local for address in named)
        return wide or bool(self.excluded_spans) or any(not net.is_link_local for net in self.excluded_nets6)

    def excludes(self, address: str | None, mac: str | None = None) -> bool:
        """Whether a device is excluded, by its address or by its MAC (any spelling)."""
        if mac is not None and self.mac_prefixes:
            digits = re.sub(r"[^0-9a-f]", "", mac.lower())
            if digits.startswith(self.mac_prefixes):
                return True
        if address is None:
            return False
        if ":" in address:
            return covers(self.excluded_v6, self.excluded_nets6, address)
        return bool(self.excluded_spans) and _inside(self.excluded_spans, _number(address))


def covers(named: Collection[str], networks: Collection[IPv6Network], address: str) -> bool:
    """Whether an address of IPv6 is one of those named, or in one of the networks.

    A zone (`%eth0`) tells addresses apart where both have one.
    """
    if not named and not networks:
        return False
    plain, _, zone = address.partition("%")
    plain = str(IPv6Address(plain))
    if any(IPv6Address(plain) in network for network in networks):
        return True
    if plain in named or (zone and f"{plain}%{zone}" in named):
        return True
    return not zone and any(other.partition("%")[0] == plain for other in named)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a scan without a target would ask, to be shown first."""

    words: tuple[str, ...]
    addresses: int
    notes: tuple[str, ...] = ()
    """What was left out or cut down, and why."""


def parse(words: Sequence[str], networks: Networks, exclude: Sequence[str] = ()) -> TargetSet:
    """The addresses that the words name. Raises `UsageProblem` for what is no target, or far too many."""
    named = _Reader(networks, "target")
    for word in words:
        named.take(word)
    out = _Reader(networks, "--exclude", macs=True)
    for word in exclude:
        out.take(word)
    spans = merge(named.spans)
    holes = merge(out.spans)
    left = subtract(spans, holes)
    v6 = tuple(address for address in named.v6 if not covers(out.v6, out.nets6, address))
    before = sum(len(span) for span in spans) + len(named.v6)
    if before > MAX_ADDRESSES:
        raise UsageProblem(
            f"the targets hold {before} addresses; one scan takes at most {MAX_ADDRESSES} (a /8): split them"
        )
    found = TargetSet(
        spans=left, v6=v6, words=tuple(words), singles=frozenset(named.singles), exclude_words=tuple(exclude),
        mac_prefixes=tuple(out.macs), excluded_spans=holes, excluded_v6=frozenset(out.v6),
        excluded_nets6=tuple(out.nets6),
    )  # fmt: skip
    if not found.count:
        raise UsageProblem("nothing is left to scan: every target is excluded" if before else "no target was named")
    return replace(found, excluded=before - found.count)


def propose(physical: Networks) -> Proposal:
    """Targets where the user named none: the networks of physical links, at most `MAX_PROPOSED` addresses in all.

    Raises `UsageProblem` where there is no such link.
    """
    words: dict[str, None] = {}
    notes: list[str] = []
    total = 0
    for name, addresses in physical.items():
        for address in addresses:
            network = address.network
            if network.prefixlen >= 31 or str(network) in words:
                continue
            if total + network.num_addresses - 2 > MAX_PROPOSED:
                near = IPv4Network((int(address.ip) & 0xFFFFFF00, 24))
                notes.append(f"{name}: {network} has {network.num_addresses - 2} addresses; only {near} is proposed")
                network = near
            if total + network.num_addresses - 2 > MAX_PROPOSED:
                notes.append(f"{name}: {network} is left out: a proposal holds at most {MAX_PROPOSED} addresses")
                continue
            if str(network) not in words:
                words[str(network)] = None
                total += network.num_addresses - 2
    if not words:
        raise UsageProblem(
            "no TARGET was named, and no physical link with an IPv4 network was found; "
            "name one: lanveto scan 192.168.1.0/24"
        )
    return Proposal(tuple(words), total, tuple(notes))


def guard(
    targets: TargetSet, *, allow_public: bool, on_link: Iterable[IPv4Network | IPv6Network] = ()
) -> None:
    """Raises `UsageProblem` where public addresses are named without leave.

    `on_link` are the networks of the interfaces the user named: what is on one's own wire may be asked.
    """
    if allow_public:
        return
    near = tuple(on_link)
    own = [Span(int(n.network_address), int(n.broadcast_address)) for n in near if isinstance(n, IPv4Network)]
    public = subtract(targets.spans, merge([*_NOT_PUBLIC, *own]))
    strange = [str(IPv4Address(span.first)) for span in public]
    wide = [a for a in targets.v6 if IPv6Address(a).is_global and not any(IPv6Address(a) in n for n in near)]
    strange += wide
    if strange:
        count = sum(len(span) for span in public) + len(wide)
        raise UsageProblem(
            f"{count} of the addresses are public (the first is {strange[0]}): scan only what is yours; "
            "--allow-public if you may, or --interface IF where they are on that link"
        )


class Order:
    """The numbers from 0 to `count` - 1, each once, in an order that `seed` decides; costs no memory.

    The powers of a primitive root modulo a prime just above `count` (the cyclic group that zmap walks): one
    multiplication a number, and any position can be gone to at once. Some of the `positions` hold no number.
    """

    def __init__(self, count: int, seed: int) -> None:
        draw = random.Random(f"{seed}/{count}")  # noqa: S311 - spreads questions, hides nothing
        self.count = count
        self._prime = next(n for n in range(max(count + 1, 3), 2 * count + 4) if not _factor(n))
        self.positions = self._prime - 1
        parts = _factors(self.positions)
        while True:
            root = draw.randrange(1, self._prime)
            if all(pow(root, self.positions // part, self._prime) != 1 for part in parts):
                break
        self._root = root
        self._start = draw.randrange(1, self._prime)

    def walk(self, first: int = 0, last: int | None = None) -> Iterator[int]:
        """The numbers at the positions from `first` up to, not including, `last` (None: to the end)."""
        root, prime, count = self._root, self._prime, self.count
        number = self._start * pow(root, first, prime) % prime
        for _ in range(first, min(self.positions, self.positions if last is None else last)):
            if number <= count:
                yield number - 1
            number = number * root % prime


def _factor(number: int) -> int:
    """The smallest prime factor of a number that is no prime, else 0."""
    return next((n for n in range(2, int(number**0.5) + 1) if number % n == 0), 0)


def _factors(number: int) -> frozenset[int]:
    found = set()
    while part := _factor(number):
        found.add(part)
        number //= part
    return frozenset(found | {number}) - {1}


def merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same addresses in sorted, disjoint spans."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.first <= joined[-1].last + 1:
            joined[-1] = Span(joined[-1].first, max(joined[-1].last, span.last))
        else:
            joined.append(span)
    return tuple(joined)


def subtract(spans: Sequence[Span], holes: Sequence[Span]) -> tuple[Span, ...]:
    """`spans` without `holes`; both sorted and disjoint."""
    left: list[Span] = []
    starts = [hole.first for hole in holes]
    for span in spans:
        first = span.first
        at = max(0, bisect_right(starts, first) - 1)
        while at < len(holes) and holes[at].first <= span.last:
            hole = holes[at]
            if hole.first > first:
                left.append(Span(first, hole.first - 1))
            first = max(first, hole.last + 1)
            at += 1
        if first <= span.last:
            left.append(Span(first, span.last))
    return tuple(left)


def intersect(spans: Sequence[Span], first: int, last: int) -> Iterator[Span]:
    """The parts of `spans` that lie from `first` to `last`."""
    for span in spans:
        low, high = max(first, span.first), min(last, span.last)
        if low <= high:
            yield Span(low, high)


def _number(address: str) -> int:
    number = ipv4_number(address)
    return int(IPv4Address(address)) if number is None else number


def _inside(spans: Sequence[Span], number: int) -> bool:
    at = bisect_right(spans, number, key=lambda span: span.first) - 1
    return at >= 0 and number <= spans[at].last


def _net(text: str) -> Span:
    network = IPv4Network(text)
    return Span(int(network.network_address), int(network.broadcast_address))


_NOT_PUBLIC = tuple(_net(text) for text in (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24",
    "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
))  # fmt: skip
"""RFC 1918, 3927, 1122, 6598, 6890, 5737, 2544: addresses nobody meets on the Internet."""

_NO_HOSTS = (
    (_net("0.0.0.0/8"), "is no host's address (0.0.0.0/8)"),
    (_net("224.0.0.0/4"), "is a multicast group, not a host"),
    (_net("240.0.0.0/4"), "is reserved (240.0.0.0/4)"),
)


class _Reader:
    """Takes words apart; everything it finds is kept until all are read."""

    def __init__(self, networks: Networks, option: str, *, macs: bool = False) -> None:
        self.networks = networks
        self.option = option
        self.with_macs = macs
        self.spans: list[Span] = []
        self.singles: list[str] = []
        self.v6: dict[str, None] = {}
        self.nets6: list[IPv6Network] = []
        self.macs: dict[str, None] = {}

    def take(self, word: str, where: str = "") -> None:
        word = word.strip()
        path = Path(word.removeprefix("@"))
        if self._take_text(word, where):
            return
        if not where and (word.startswith("@") or _is_file(path)):
            self._take_file(path)
            return
        kinds = "an address, a network (10.0.0.0/24), a range (10.0.0.1-20), an interface or a file"
        if self.with_macs:
            kinds = "an address, a network, a range, a MAC prefix (3c:ef:8c) or a file"
        known = ", ".join(self.networks) or "none"
        raise UsageProblem(
            f"{self.option} {one_line(word, 60)!r}{where}: is neither {kinds}; interfaces with an IPv4 address: {known}"
        )

    def _take_text(self, word: str, where: str) -> bool:
        if word in self.networks:
            for own in self.networks[word]:
                self._network(own.network)
            return True
        if self.with_macs and _MAC_PREFIX.fullmatch(word):
            self.macs[re.sub(r"[:-]", "", word).lower()] = None
            return True
        try:
            if "/" in word:
                return self._cidr(word, where)
            if "-" in word:
                return self._range(word, where)
            address = ip_address(word)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
            self._add_wide(address, word + where)
            return True
        address = address if isinstance(address, IPv4Address) else address.ipv4_mapped or IPv4Address(0)
        self._add(Span(int(address), int(address)), word + where)
        self.singles.append(str(address))
        return True

    def _cidr(self, word: str, where: str) -> bool:
        host, _, length = word.partition("/")
        if isinstance(ip_address(host), IPv6Address):
            if self.with_macs:
                self.nets6.append(IPv6Network(word, strict=False))
                return True
            if length != "128":
                raise UsageProblem(
                    f"{self.option} {word}{where}: an IPv6 network cannot be swept; name single addresses"
                )
            self._add_wide(IPv6Address(host), word + where)
            return True
        network = IPv4Network(word, strict=False)
        if network.num_addresses > MAX_ADDRESSES:
            raise UsageProblem(
                f"{self.option} {word}{where}: holds {network.num_addresses} addresses; a /8 is the largest network"
            )
        self._network(network, word + where)
        return True

    def _network(self, network: IPv4Network, word: str = "") -> None:
        first, last = int(network.network_address), int(network.broadcast_address)
        # The network's own and its broadcast address are no hosts; an excluded network is excluded wholly.
        if network.prefixlen < 31 and not self.with_macs:
            first, last = first + 1, last - 1
        self._add(Span(first, last), word or str(network))
        if network.prefixlen == 32:
            self.singles.append(str(network.network_address))

    def _range(self, word: str, where: str) -> bool:
        low, _, high = word.partition("-")
        first = IPv4Address(low.strip())
        high = high.strip()
        last = IPv4Address(f"{low.strip().rpartition('.')[0]}.{high}" if _TAIL.fullmatch(high) else high)
        if last < first:
            raise UsageProblem(f"{self.option} {word}{where}: the range ends before it begins")
        if int(last) - int(first) >= MAX_ADDRESSES:
            raise UsageProblem(f"{self.option} {word}{where}: holds more than {MAX_ADDRESSES} addresses: split it")
        self._add(Span(int(first), int(last)), word + where)
        return True

    def _add(self, span: Span, word: str) -> None:
        if not self.with_macs:
            for hole, why in _NO_HOSTS:
                if span.first <= hole.last and span.last >= hole.first:
                    raise UsageProblem(f"{self.option} {word}: {why}")
        self.spans.append(span)

    def _add_wide(self, address: IPv6Address, word: str) -> None:
        if not self.with_macs and (address.is_multicast or address.is_unspecified):
            what = "is a multicast group, not a host" if address.is_multicast else "is no host's address"
            raise UsageProblem(f"{self.option} {word}: {what}")
        self.v6[str(address)] = None

    def _take_file(self, path: Path) -> None:
        try:
            if path.stat().st_size > MAX_FILE:
                raise UsageProblem(f"{self.option} {path}: is larger than {MAX_FILE // 1024 // 1024} MiB; split it")
            text = path.read_text("utf-8-sig")
        except OSError as error:
            raise UsageProblem(f"{self.option} {path}: cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise UsageProblem(f"{self.option} {path}: is not UTF-8 text (byte {error.start})") from error
        for number, line in enumerate(text.splitlines(), 1):
            word = line.partition("#")[0].strip()
            if word:
                self.take(word, f" ({path}, line {number})")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
