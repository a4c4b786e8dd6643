"""The contract of a way of finding hosts: one file in this folder that ends with `WAY = ThatClass`.

The engine makes one object of the class for a scan and calls it at these moments, each of which may do nothing:

* `begin`, once: opens what stays open for the whole scan (`Scene.stack` closes it);
* `search`, for every `Ground` that suits it, portion by portion of a big one, together with all other ways: whoever is
  found is entered in `Scene.book`;
* `again`, after it: a second look for those who stayed silent, while those who were found are asked already;
* `survey`, for the hosts that a portion brought, before they are asked by TCP, together with all other ways: looks
  more closely.

A way that cannot do its work raises `Unable` with the reason; the report says so, and a way that stands in for it gets
the ground instead. `expect` says what `search` would send, for `--dry-run`, and sends nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar

# Types only: a sweep that needs none of these rooms is in the air before they are read.
if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from scanner.config import Plan
    from scanner.discover.book import Book, Entry
    from scanner.discover.kin import Kin
    from scanner.errors import Code
    from scanner.net.datagrams import Heard
    from scanner.net.interfaces import Link, Reach, Topology
    from scanner.net.ledger import Ledger
    from scanner.protocols.base import Protocol, Question
    from scanner.targets import Order, Span


class Unable(Exception):
    """A way of finding hosts cannot do its work here; the text is the reason that the report gives."""


@dataclass(frozen=True)
class Ground:
    """Addresses that are reached in one way, or a portion of them; costs no memory however large."""

    reach: Reach
    link: Link | None = None
    """The link they are on; None unless `reach` is `link`."""
    spans: tuple[Span, ...] = ()
    """All IPv4 addresses of the ground, sorted and disjoint."""
    v6: tuple[str, ...] = ()
    skip: frozenset[int] = frozenset()
    """Addresses inside the spans that are not asked: this machine's own."""
    seed: int = 0
    """Decides the order in which `numbers` gives the addresses."""
    portion: int = 0
    """Which portion of the ground this is, from 0 on."""
    first: int = 0
    """Position in the order at which this portion begins."""
    last: int | None = None
    """Position before which it ends; None: the end."""

    @cached_property
    def order(self) -> Order:
        """The order of the whole ground."""
        from scanner.targets import Order

        return Order(max(1, self.whole), self.seed)

    @cached_property
    def whole(self) -> int:
        """How many IPv4 addresses the whole ground has."""
        return sum(len(span) for span in self.spans)

    @property
    def count(self) -> int:
        """How many addresses this portion has; about, where it is not the whole ground."""
        last = self.order.positions if self.last is None else min(self.last, self.order.positions)
        return min(self.whole, last - self.first) + len(self.v6) if self.whole else len(self.v6)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(len(span) for span in self.spans)]

    def numbers(self) -> Iterator[int]:
        """The IPv4 addresses of this portion as integers, in random order, without those to skip."""
        if not self.whole:
            return
        if len(self.spans) == 1:
            low, skip = self.spans[0].first, self.skip
            for index in self.order.walk(self.first, self.last):
                if low + index not in skip:
                    yield low + index
            return
        for index in self.order.walk(self.first, self.last):
            at = bisect_right(self._starts, index) - 1
            number = self.spans[at].first + index - self._starts[at]
            if number not in self.skip:
                yield number

    def addresses(self) -> Iterator[str]:
        """The IPv4 addresses of this portion as text, in the order of `numbers`."""
        return (str(IPv4Address(number)) for number in self.numbers())

    def __contains__(self, number: object) -> bool:
        """Whether an IPv4 address (as integer) belongs to the whole ground and is not to be skipped."""
        if not isinstance(number, int) or number in self.skip:
            return False
        at = bisect_right(self.spans, number, key=lambda span: span.first) - 1
        return at >= 0 and number <= self.spans[at].last

    def portions(self, size: int) -> Iterator[Ground]:
        """The whole ground in portions of about `size` addresses; the IPv6 addresses are in the first."""
        for number, first in enumerate(range(0, self.order.positions, size)):
            last = first + size if first + size < self.order.positions else None
            yield replace(self, portion=number, first=first, last=last, v6=self.v6 if number == 0 else ())


@dataclass(kw_only=True)
class Scene:
    """One scan, as ways of finding hosts see it."""

    plan: Plan
    topology: Topology
    ledger: Ledger
    protocols: tuple[Protocol, ...]
    book: Book
    """Where whoever is found is entered (`book.sighted`)."""
    kin: Kin
    """Where whoever is seen, or heard, at an address of IPv6 on a link is entered."""
    links: tuple[Link, ...]
    """The links on which there are targets."""
    heard: Callable[[Heard], None]
    """Enters what somebody said without a connection."""
    tick: Callable[[int, int], None]
    """Tells the progress of a search: done, of how many."""
    warn: Callable[[Code, str], None]
    fail: Callable[[Code, str], None]
    """Enters a reason why the scan is not complete."""
    halted: Callable[[Entry], str | None]
    """Why a host must not be spoken to any more, or None."""
    hints: Callable[[Entry], frozenset[str]]
    """The makers that something a host said points to."""
    enough: Callable[[Entry], bool]
    """Whether a host has said enough by now: it is asked nothing more."""
    unable: Callable[[str, str], None]
    """Enters a part of a way that could not be done, under a name of its own, and why."""
    expect: Callable[[float], None]
    """Says that answers may come for so many seconds from now: the scan does not end before."""
    stack: AsyncExitStack
    """Closed at the end of the scan."""
    unreached: list[int] = field(default_factory=list)
    """IPv4 addresses that could not be asked for."""
    asked: list[Question] = field(default_factory=list)
    """What everybody on a link was asked together."""


    def lost(self, what: str, number: int) -> None:
        """Warn of answers for which the kernel had no room, if there are any."""
        if number:
            from scanner.errors import Code

            words = "were lost for lack of room: devices may have been missed; scan more slowly, or in parts"
            self.warn(Code.LOST, f"{number} {what} {words}")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a search would send, in words, and how many seconds it takes at most."""

    text: str
    seconds: float
    most: int | None = None
    """Addresses that may be searched at once: their hosts are asked before the next are searched."""


class Way:
    """One way of finding hosts; subclasses override what applies to them."""

    name: ClassVar[str]
    """As reports show it."""
    order: ClassVar[int] = 50
    """Lower ones are begun, and survey, first."""
    instead_of: ClassVar[str | None] = None
    """The way it stands in for: it searches only ground that does not suit that one, or on which it was `Unable`."""

    def suits(self, ground: Ground, plan: Plan) -> bool:
        """Whether this way could find hosts on a ground of this kind at all."""
        return False

    def expect(self, ground: Ground, plan: Plan) -> Expected | None:
        """What `search` would send; None for nothing. Raises `Unable` as `search` would, sends nothing."""
        return None

    async def begin(self, scene: Scene) -> None:
        """Called once before the first search. Raises `Unable` only where nothing else of this way can work either."""

    async def search(self, ground: Ground, scene: Scene) -> str | None:
        """Look for hosts; returns a note for the report, or None.

        Raises `Unable`; a `LinkGone` or another `OSError` ends this search and leaves the scan incomplete.
        """
        return None

    async def again(self, ground: Ground, scene: Scene) -> str | None:
        """Look once more for those who stayed silent, later, on a ground that `search` has searched; as `search`."""
        return None

    async def finish(self, entries: Sequence[Entry], scene: Scene) -> None:
        """What is asked last, of hosts whose maker is still open after everything else."""

    async def survey(self, entries: Sequence[Entry], scene: Scene) -> None:
        """Look more closely at hosts that were found, before they are asked by TCP."""
