"""The connect sweep without root: one bare epoll loop against tasks of an event loop, on the same addresses.

    python benchmarks/connect.py [--hosts 20000] [--live 400] [--in-flight 10000]

Everything happens on loopback in a network namespace of its own (root, or a user namespace): `--live` addresses have an
open port, on as many again connections are refused, the rest answer nothing at all (their packets are dropped), as most
of a real network does. Prints, for each way, wall and CPU seconds, CPU per connection and the open ports found; the
peers are asyncio tasks, with and without uvloop.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from ipaddress import IPv4Address
from typing import Any

from scanner.discover import connect
from scanner.net.ledger import Ledger

FIRST = int(IPv4Address("127.80.0.1"))
SECONDS = 1.5
PORT = 8080

SERVER = """
import select, socket, sys
first, live = int(sys.argv[1]), int(sys.argv[2])
poll = select.epoll()
doors = {}
for n in range(live):
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind((socket.inet_ntoa((first + 7 * n).to_bytes(4, "big")), 8080))
    door.listen(64)
    door.setblocking(False)
    doors[door.fileno()] = door
    poll.register(door.fileno(), select.EPOLLIN)
print("up", flush=True)
while True:
    for number, _ in poll.poll():
        try:
            doors[number].accept()[0].close()
        except OSError:
            pass
"""


def addresses(hosts: int) -> list[str]:
    return [str(IPv4Address(FIRST + n)) for n in range(hosts)]


async def ours(hosts: int, in_flight: int) -> set[str]:
    """The sweep as a scan runs it."""
    found: set[str] = set()
    jobs = (connect.Job(address, ((PORT, PORT),), local=True) for address in addresses(hosts))
    await connect.sweep(
        jobs, lambda seen: found.add(seen.address), rate=1e6, seconds=SECONDS, in_flight=in_flight, ledger=Ledger()
    )
    return found


async def tasks(hosts: int, in_flight: int) -> set[str]:
    """One task a connection, as many at a time."""
    found: set[str] = set()
    loop, waiting = asyncio.get_running_loop(), iter(addresses(hosts))

    async def worker() -> None:
        for address in waiting:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setblocking(False)
            try:
                async with asyncio.timeout(SECONDS):
                    await loop.sock_connect(sock, (address, PORT))
                found.add(address)
            except (OSError, TimeoutError):
                pass
            finally:
                sock.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(worker())
    return found


def measured(run: Callable[[], Coroutine[Any, Any, set[str]]], fast: bool) -> tuple[float, float, set[str]]:
    """Wall seconds, CPU seconds of this process, and what was found."""
    factory = None
    if fast:
        import uvloop

        factory = uvloop.new_event_loop
    before, began = os.times(), time.perf_counter()
    with asyncio.Runner(loop_factory=factory) as runner:
        found = runner.run(run())
    after = os.times()
    return time.perf_counter() - began, after.user + after.system - before.user - before.system, found


def inside(args: argparse.Namespace) -> None:
    """In the namespace: loopback up, the silent ones silenced, the servers started."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    live, whole = args.live, args.hosts
    subprocess.run(["nft", "-f", "-"], text=True, check=True, input=f"""table ip lab {{
      set known {{ type ipv4_addr; elements = {{ {", ".join(str(IPv4Address(FIRST + n)) for n in _awake(live))} }}
      }}
      chain in {{ type filter hook input priority 0; policy accept;
        ip daddr 127.80.0.0/12 tcp flags & (syn|ack) == syn ip daddr != @known drop
      }}
    }}""")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(FIRST), str(live)], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        assert server.stdout.readline()
        truth = {str(IPv4Address(FIRST + 7 * n)) for n in range(live)}
        print(f"{whole} hosts, {live} open, {live} refuse, the others drop; {args.in_flight} in flight for {SECONDS} s")
        cpus = {}
        for name, run, fast in (
            ("lanveto, bare epoll", ours, False), ("asyncio tasks", tasks, False), ("uvloop tasks", tasks, True),
        ):  # fmt: skip
            wall, cpu, found = measured(lambda run=run: run(whole, args.in_flight), fast)  # type: ignore[misc]
            cpus[name] = cpu
            print(f"{name:22} {wall:6.1f} s wall {cpu:6.2f} s CPU {cpu / whole * 1e6:6.0f} us a connection, "
                  f"{len(found & truth)}/{len(truth)} found, {len(found - truth)} invented")
        mine = cpus.pop("lanveto, bare epoll")
        print("; ".join(f"{mine / cpu:.2f} x the CPU of {name} (goal: at most 0.33)" for name, cpu in cpus.items()))
    finally:
        server.kill()
        server.wait()


def _awake(live: int) -> list[int]:
    return [7 * n for n in range(live)] + [7 * n + 3 for n in range(live)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=20_000)
    parser.add_argument("--live", type=int, default=400)
    parser.add_argument("--in-flight", type=int, default=10_000)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        inside(args)
        return
    unshare = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]
    raise SystemExit(subprocess.run([*unshare, sys.executable, *sys.argv, "--inside"], check=False).returncode)


if __name__ == "__main__":
    main()
