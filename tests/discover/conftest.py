"""A segment of devices with MACs of their own, in two network namespaces that die with the test."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
Devices = dict[str, str]
"""Address → MAC."""


class Segment:
    """This thread is 10.77.255.254 on s0; the devices live behind d0 in the namespace of `holder`."""

    def __init__(self, holder: int, devices: Devices) -> None:
        self.holder = holder
        self.devices = devices
        own = Path("/sys/class/net/s0/address")
        self.mac = own.read_text().strip() if own.exists() else ""

    def inside(self, *command: str, stdin: str | None = None) -> str:
        """Run a command on the devices' side."""
        there = ("nsenter", "-t", str(self.holder), "-n")
        done = subprocess.run([*there, *command], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout


def here(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


@pytest.fixture
def segment() -> Iterator[Callable[[Devices], Segment]]:
    """Builds a segment for the devices; this thread is inside its scanner's namespace until the test ends."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    name = Path("/proc/thread-self/ns/net").readlink()
    holder = subprocess.Popen(["unshare", "-n", "sleep", "300"], stdout=subprocess.DEVNULL)
    try:
        assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        _wait_until_left(holder.pid, name)
        yield lambda devices: _build(holder.pid, devices)
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)
        holder.kill()
        holder.wait()


def _build(holder: int, devices: Devices) -> Segment:
    here("ip", "link", "add", "s0", "type", "veth", "peer", "name", "d0", "netns", str(holder))
    here("ip", "link", "set", "lo", "up")
    here("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    here("ip", "addr", "add", "10.77.255.254/16", "dev", "s0")
    here("ip", "link", "set", "s0", "up")
    found = Segment(holder, devices)
    mac = subprocess.run(["ip", "-o", "link", "show", "s0"], capture_output=True, text=True, check=True).stdout
    found.mac = mac.split("link/ether ")[1].split()[0]
    found.inside("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv4.conf.all.rp_filter=0",
                 "net.ipv4.conf.d0.rp_filter=0", "net.ipv4.icmp_ratelimit=0")  # fmt: skip
    found.inside("ip", "link", "set", "lo", "up")
    found.inside("ip", "link", "set", "d0", "up")
    found.inside("ip", "route", "add", "10.77.0.0/16", "dev", "d0")
    routes = "".join(f"route add local {address}/32 dev lo\n" for address in devices)
    found.inside("ip", "-batch", "-", stdin=routes)
    found.inside("ip", "neigh", "replace", "10.77.255.254", "lladdr", found.mac, "dev", "d0", "nud", "permanent")
    elements = "".join(f"{address} : {mac},\n" for address, mac in devices.items())
    found.inside("nft", "-f", "-", stdin=f"""table netdev lab {{
  map macs {{ type ipv4_addr : ether_addr; elements = {{ {elements} }}
  }}
  chain in {{ type filter hook ingress device "d0" priority 0; policy accept;
    meta pkttype other meta pkttype set host
  }}
  chain out {{ type filter hook egress device "d0" priority 0; policy accept;
    ether type ip ether saddr set ip saddr map @macs
    ether type arp arp operation reply ether saddr set arp saddr ip map @macs arp saddr ether set arp saddr ip map @macs
  }}
}}
""")
    return found


def _wait_until_left(pid: int, home: Path) -> None:
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/ns/net").readlink() != home:
                return
        except OSError:
            pass
        time.sleep(0.01)
    raise AssertionError("the devices' namespace did not come up")
