"""One sweep of ours, alone in its process, for `discovery.py`: what it imports is what a sweep needs, and no more.

    python benchmarks/sweep.py arp|syn|known [HOSTS.json]

Prints how many it found, how many packets it sent, and what the sweep alone cost.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

PORTS = (80, 443, 554, 8000, 37777)
NETWORK = "10.77.0.0"


def main(kind: str, file: str | None = None) -> None:
    """Sweep the whole /16, or the hosts that a file lists."""
    from scanner.discover.base import Ground
    from scanner.net import interfaces
    from scanner.net.interfaces import Reach
    from scanner.net.ledger import Ledger
    from scanner.net.pace import Pace
    from scanner.targets import Span

    first = int(IPv4Address(NETWORK))
    topology = interfaces.read()
    link = topology.link("s0")
    assert link is not None
    span = (Span(first, first + 65_535),)
    found: set[object] = set()
    pace = Pace(1_000_000)
    began, worked = time.perf_counter(), time.process_time()
    if kind == "arp":
        from scanner.discover import arp

        ground = Ground(Reach.LINK, link, span, skip=frozenset(int(a.ip) for a in link.addresses), seed=1)
        async def once() -> int:
            with arp.Sweep(link, ground, pace, Ledger(), found.add) as under_way:
                await under_way.once(arp.SETTLE)
            return under_way.asked

        sent = asyncio.run(once())
    else:
        from scanner.discover import syn
        from scanner.net import netlink
        from scanner.net.syn import Way

        router = topology.reach("10.77.0.1").gateway
        gateway = next(n.mac for n in netlink.neighbours(link.index) if n.address == router and n.mac)
        way = Way(link, str(link.addresses[0].ip), gateway=bytes.fromhex(gateway.replace(":", "")))
        ground = Ground(Reach.ROUTED, None, span, seed=1)

        def take(address: str, port: int, is_open: bool) -> None:
            if is_open:
                found.add((address, port))

        numbers: Callable[[], Iterator[int]] = ground.numbers
        if kind == "known":
            assert file is not None
            with open(file) as listed:  # noqa: PTH123
                hosts = [int(IPv4Address(address)) for address in json.load(listed)]
            numbers = lambda: iter(hosts)  # noqa: E731
        sent = asyncio.run(syn.sweep(way, numbers, PORTS, pace, Ledger(), take, passes=1)).probes
    wall, cpu = time.perf_counter() - began, time.process_time() - worked
    print(f"{len(found)}\t{sent}\tthe sweep alone: {wall:.2f} s, {cpu:.2f} s CPU")


if __name__ == "__main__":
    main(*sys.argv[1:])
