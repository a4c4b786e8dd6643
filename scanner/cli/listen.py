"""`lanveto listen`: hears what devices say of themselves; sends nothing."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import click

from scanner.cli import sources
from scanner.errors import Code, notice

if TYPE_CHECKING:
    from scanner.errors import Notice
    from scanner.net.ear import Ear
    from scanner.net.interfaces import Link
    from scanner.net.packet import LinkGone, Program

LOOK = 1.0
"""Seconds between two looks at the clock and the progress line."""
MOST, ROOM = 131_072, 64 << 20
"""Devices, and characters of what they say, that are kept: whoever forges addresses can make any number."""
TOLD = 20
"""Absences of links that are told, the latest ones."""
PATIENCE = 0.05
"""Seconds that frames are let gather: one waking for many of them."""


@click.command("listen")
@click.option("--interface", "-i", "interfaces", multiple=True, metavar="IF", help="Where to listen (repeatable).")
@click.option("--for", "duration", metavar="TIME", help="How long: 90s, 10m, 2h; default: until Ctrl-C.")
@click.option("--promiscuous", is_flag=True, help="Also frames to others: for a mirror port.")
@sources.report_options
@click.option("--quiet", "-q", is_flag=True, help="No progress, even on a terminal.")
def command(interfaces: tuple[str, ...], duration: str | None, **given: Any) -> int:
    """Hear what devices say of themselves; sends nothing.

    Address resolution, leases, announcements of every kind, switches' and phones' introductions: whoever speaks on
    the link is reported like a device of a scan. Needs root (CAP_NET_RAW) and time: some devices speak once an hour.
    Ctrl-C ends it with the report.

    \b
    Examples:
      lanveto listen --for 10m
      lanveto listen -i eth0 -i eth1 --for 1h --profile us-federal-contractor
      lanveto listen -i mirror0 --promiscuous --record heard/
    """
    from scanner.cli.progress import Line
    from scanner.errors import InputProblem
    from scanner.imports.dissect import ARP, LLDP, Dissector, ether_types, ports
    from scanner.model import Method
    from scanner.net import ear
    from scanner.net import interfaces as known
    from scanner.net.packet import LinkGone
    from scanner.picture import Picture

    seconds = sources.duration(duration, "--for") if duration else None
    work = sources.Work(given)
    links = _links(interfaces, known.read())
    told = sources.Told(targets=[link.name for link in links])
    picture = Picture(most=MOST, room=ROOM)
    line = Line(quiet=given["quiet"])
    what = ear.program(ports(), {ARP, LLDP, *ether_types()})
    dissectors = {link.name: Dissector(streams=False) for link in links}
    heard = dict.fromkeys((link.name for link in links), 0)
    full: list[str] = []

    def take(one: Ear) -> None:
        try:
            for frame in one.frames():
                heard[one.link.name] += 1
                for found in dissectors[one.link.name].frame(frame.data, frame.seconds, vlan=frame.vlan):
                    try:
                        picture.enter(found, one.link.name)
                    except InputProblem:  # those known by now are still heard
                        full[:] = [one.link.name]
        except LinkGone as gone:
            ears.left(one, gone)

    with _Ears(links, what, promiscuous=given["promiscuous"]) as ears, _stoppable() as stopped:
        began = looked = time.monotonic()
        while not stopped:
            left = None if seconds is None else began + seconds - time.monotonic()
            if left is not None and left <= 0:
                break
            for one in ear.wait(ears.open.values(), LOOK if left is None else min(LOOK, left)):
                take(one)
            if ears.away and time.monotonic() - looked >= LOOK:
                looked = time.monotonic()
                ears.again(known.read().links)
            line.update("listening", int(time.monotonic() - began), int(seconds) if seconds else None, len(picture))
            time.sleep(PATIENCE)
        for one in ear.wait(ears.open.values(), 0):  # what was said before the end
            take(one)
        told.interrupted = bool(stopped) and seconds is not None
        line.clear()
        for name, dropped in ears.drops().items():
            words = f"{name}: {dropped} frames were lost for lack of room: some may be missing"
            told.warnings.append(notice(Code.LOST, words))
        told.failures += [notice(Code.LINK, f"{why}; what was heard by then is reported") for why in ears.away.values()]
        told.warnings += ears.back
    if full:
        words = f"{full[0]}: more than {MOST} devices were heard: addresses are forged; further ones are left out"
        told.warnings.append(notice(Code.LOST, words))
    spent = round(time.monotonic() - began)
    for link in links:
        told.warnings += [notice(Code.LOST, f"{link.name}: {text}") for text in dissectors[link.name].notes()]
    for name, count in heard.items():
        note = f"{count} frames of interest in {spent} s; nothing was sent"
        told.methods.append(Method(name=f"listen on {name}", ran=True, hosts=len(picture), note=note))
    if not len(picture):
        words = "nothing was heard: that says nothing about devices that did not speak meanwhile"
        told.warnings.append(notice(Code.NOTHING, words))
    return work.finish(picture, told)


class _Ears:
    """The links that are listened on. One that goes away is taken up again when it is back: a switch that restarts does
    not end a night's listening. Raises `UsageProblem` where a link cannot be listened on.
    """

    def __init__(self, links: Sequence[Link], what: Program, *, promiscuous: bool) -> None:
        from scanner.errors import UsageProblem
        from scanner.net.packet import LinkGone

        self._what, self._promiscuous = what, promiscuous
        self.open: dict[str, Ear] = {}
        self.away: dict[str, str] = {}
        """Links that are gone, and the sentence about it."""
        self.back: list[Notice] = []
        """What there is to say of links that came back."""
        self._since: dict[str, float] = {}
        self._dropped: dict[str, int] = {}
        for link in links:
            try:
                self._listen(link)
            except PermissionError as error:
                self.__exit__()
                raise UsageProblem(
                    "listening needs root, or the capability CAP_NET_RAW (setcap cap_net_raw+ep on Python); "
                    "without it: "
                    "tcpdump -w capture.pcap where it is allowed, then lanveto import capture.pcap"
                ) from error
            except LinkGone as gone:
                self.__exit__()
                raise UsageProblem(f"--interface {link.name}: {gone}") from gone

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_args: object) -> None:
        for one in self.open.values():
            one.close()

    def _listen(self, link: Link) -> None:
        from scanner.net import ear

        self.open[link.name] = ear.Ear(link, self._what, promiscuous=self._promiscuous)

    def left(self, one: Ear, gone: LinkGone) -> None:
        """A link went away."""
        name = one.link.name
        self._count(one)
        del self.open[name]
        one.close()
        self.away[name] = f"{gone}"
        self._since[name] = time.monotonic()

    def again(self, links: Sequence[Link]) -> None:
        """Take up again those that are back."""
        from scanner.net.packet import LinkGone

        for link in links:
            if link.name not in self.away or not link.up:
                continue
            with contextlib.suppress(LinkGone, OSError):
                self._listen(link)
                del self.away[link.name]
                lasted = round(time.monotonic() - self._since.pop(link.name))
                words = f"interface {link.name} was away for {lasted} s: what was said meanwhile was not heard"
                self.back = [*self.back, notice(Code.LOST, words)][-TOLD:]

    def _count(self, one: Ear) -> None:
        with contextlib.suppress(OSError):
            self._dropped[one.link.name] = self._dropped.get(one.link.name, 0) + one.drops()

    def drops(self) -> dict[str, int]:
        """Link → frames that there was no room for, where there were any; asked once, at the end."""
        for one in self.open.values():
            self._count(one)
        return {name: count for name, count in self._dropped.items() if count}


def _links(wanted: tuple[str, ...], here: Any) -> list[Link]:
    """The links to listen on: those named, else all physical ones that are up. Raises `UsageProblem`."""
    from scanner.errors import UsageProblem

    links = {link.name: link for link in here.links}
    for name in wanted:
        if name not in links:
            raise UsageProblem(f"--interface {name}: there is no such interface; there are {', '.join(links)}")
        if not links[name].up:
            raise UsageProblem(f"--interface {name}: is down; bring it up first: ip link set {name} up")
    found = [
        link for link in here.links if (link.name in wanted if wanted else link.physical and link.ethernet and link.up)
    ]
    if not found:
        raise UsageProblem("there is no link to listen on; name one with --interface")
    return found


@contextlib.contextmanager
def _stoppable() -> Iterator[list[int]]:
    """A list that is no longer empty once somebody wants an end; a second Ctrl-C is not caught."""
    stopped: list[int] = []

    def stop(number: int, _frame: object) -> None:
        stopped.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
              if signal.getsignal(n) is not signal.SIG_IGN}  # fmt: skip
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
