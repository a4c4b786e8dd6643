"""`lanveto listen`: hears what devices say of themselves; sends nothing."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from scanner.cli import sources
from scanner.errors import Code, notice

if TYPE_CHECKING:
    from scanner.net.ear import Ear
    from scanner.net.interfaces import Link

LOOK = 1.0
"""Seconds between two looks at the clock and the progress line."""
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
    from scanner.errors import UsageProblem
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
    picture = Picture()
    line = Line(quiet=given["quiet"])
    what = ear.program(ports(), {ARP, LLDP, *ether_types()})
    dissectors: dict[str, Dissector] = {}
    heard = dict.fromkeys((link.name for link in links), 0)
    with contextlib.ExitStack() as stack:
        ears: list[Ear] = []
        for link in links:
            try:
                ears.append(stack.enter_context(ear.Ear(link, what, promiscuous=given["promiscuous"])))
            except PermissionError as error:
                raise UsageProblem(
                    "listening needs root, or the capability CAP_NET_RAW (setcap cap_net_raw+ep on Python); "
                    "without it: "
                    "tcpdump -w capture.pcap where it is allowed, then lanveto import capture.pcap"
                ) from error
            except LinkGone as gone:
                raise UsageProblem(f"--interface {link.name}: {gone}") from gone
            dissectors[link.name] = Dissector(streams=False)
        began = time.monotonic()
        with _stoppable() as stopped:
            while ears and not stopped:
                left = None if seconds is None else began + seconds - time.monotonic()
                if left is not None and left <= 0:
                    break
                for one in ear.wait(ears, LOOK if left is None else min(LOOK, left)):
                    try:
                        for frame in one.frames():
                            heard[one.link.name] += 1
                            dissector = dissectors[one.link.name]
                            for found in dissector.frame(frame.data, frame.seconds, vlan=frame.vlan):
                                picture.enter(found, one.link.name)
                    except LinkGone as gone:
                        told.failures.append(notice(Code.LINK, f"{gone}; what was heard by then is reported"))
                        ears.remove(one)
                line.update("listening", int(time.monotonic() - began), int(seconds) if seconds else None, len(picture))
                time.sleep(PATIENCE)
            told.interrupted = bool(stopped) and seconds is not None
        line.clear()
        for one in ears:
            dropped = one.drops()
            if dropped:
                words = f"{one.link.name}: {dropped} frames were lost for lack of room: some may be missing"
                told.warnings.append(notice(Code.LOST, words))
    spent = round(time.monotonic() - began)
    for name, count in heard.items():
        note = f"{count} frames of interest in {spent} s; nothing was sent"
        told.methods.append(Method(name=f"listen on {name}", ran=True, hosts=len(picture), note=note))
    if not len(picture):
        words = "nothing was heard: that says nothing about devices that did not speak meanwhile"
        told.warnings.append(notice(Code.NOTHING, words))
    return work.finish(picture, told)


def _links(wanted: tuple[str, ...], here: Any) -> list[Link]:
    """The links to listen on: those named, else all physical ones that are up. Raises `UsageProblem`."""
    from scanner.errors import UsageProblem

    names = [link.name for link in here.links]
    for name in wanted:
        if name not in names:
            raise UsageProblem(f"--interface {name}: there is no such interface; there are {', '.join(names)}")
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
