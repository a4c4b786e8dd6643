"""One Ethernet segment between two network namespaces: every device behind it has its own hardware address.

The kernel itself is all devices: their addresses are local there (AnyIP), so it answers ARP and has one TCP for
all; two hooks of nftables let frames for foreign hardware addresses in, and give each outgoing one its device's own.
For IPv6 that holds too, except that it answers for no such address when it is looked for: `neighbours` does.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from scanner.errors import UsageProblem
from scanner.model import Transport
from scanner.simulate import wire
from scanner.simulate.device import LINK_LOCAL, Simulated
from scanner.values import eui64_address

DEVICES, SCANNER = "d0", "s0"
"""The two ends of the cable."""
SCANNER_MAC = "02:00:00:00:00:fe"
_DEVICES_MAC = "02:00:00:00:00:fd"
_DEVICES_INDEX = 4097  # unlike the other end's: the kernel takes a second to bring up a cable whose ends are alike
_HOP = IPv4Network("10.78.0.0/24")
NETWORK6 = IPv6Network("fd10:77::/64")
"""Of IPv6, besides link-local addresses (a unique local one: RFC 4193)."""
_HOP6 = IPv6Network("fd10:78::/64")

_SYSCTLS = {
    "net/ipv4/conf/all/rp_filter": "0",
    f"net/ipv4/conf/{DEVICES}/rp_filter": "0",
    "net/ipv4/icmp_ratelimit": "0",
    "net/ipv4/icmp_msgs_per_sec": "100000",
    "net/ipv4/tcp_max_syn_backlog": "65536",
    "net/core/somaxconn": "65535",
}
_SYSCTLS6 = {
    "net/ipv6/ip_nonlocal_bind": "1",  # answers may come from addresses that are local by their route alone
    "net/ipv6/icmp/echo_ignore_multicast": "1",
    "net/ipv6/icmp/ratelimit": "0",
}
_PIECE = 2000  # elements of one transaction
_PACKAGES = {"ip": "iproute2", "nft": "nftables"}


@dataclass(frozen=True, slots=True)
class Plan:
    """Where scanner and devices are."""

    network: IPv4Network
    routed: bool = False
    """The scanner sits behind a router, not on the segment."""
    round_trip: float = 0.0
    """Seconds that a frame and its answer spend on the cable."""
    wide: bool = False
    """IPv6 is spoken too."""

    @property
    def scanner(self) -> str:
        """The scanner's own address."""
        return str(_HOP[2]) if self.routed else str(self.network[-2])

    @property
    def scanner6(self) -> tuple[str, ...]:
        """The scanner's own addresses of IPv6."""
        if not self.wide:
            return ()
        return (str(_HOP6[2]),) if self.routed else (eui64_address(SCANNER_MAC), str(NETWORK6[0xFFFE]))

    @property
    def gateway(self) -> str:
        """The router's address, where there is one."""
        return str(_HOP[1])


def tool(name: str) -> str:
    """The path of a program of the system. Raises `UsageProblem` that names its package."""
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin")
    if path is None:
        raise UsageProblem(f"a simulated segment needs the program {name!r}: install the package {_PACKAGES[name]}")
    return path


def links(plan: Plan, scanner_pid: int, wire_pid: int | None = None) -> str:
    """What `ip -batch` does on the devices' side before the devices are there: one cable, or two and a wire between."""
    own = f"link add {DEVICES} index {_DEVICES_INDEX} address {_DEVICES_MAC} type veth"
    if wire_pid is None:
        lines = [f"{own} peer name {SCANNER} netns {scanner_pid}"]
    else:
        near, far = wire.ENDS
        lines = [
            f"{own} peer name {far} netns {wire_pid}",
            f"link add {near} netns {wire_pid} type veth peer name {SCANNER} netns {scanner_pid}",
        ]
    lines.append(f"link set {DEVICES} up")
    if plan.routed:
        lines.append(f"address add {plan.gateway}/{_HOP.prefixlen} dev {DEVICES}")
    else:
        lines += [
            f"route add {plan.network} dev {DEVICES}",
            f"route add broadcast {plan.network.broadcast_address} dev {DEVICES} table local",
        ]
    if plan.wide:
        lines += [f"address add {_HOP6[1]}/64 dev {DEVICES} nodad"] if plan.routed else [
            f"route add {network} dev {DEVICES}" for network in (LINK_LOCAL, NETWORK6)
        ]
    # The neighbour table is one for the whole machine, and a full one would silence the devices.
    lines += [
        f"neigh replace {own} lladdr {SCANNER_MAC} dev {DEVICES} nud permanent"
        for own in (plan.scanner, *plan.scanner6)
    ]
    return "\n".join(lines) + "\n"


def own_addresses(devices: Iterable[Simulated]) -> str:
    """What `ip -batch` does so that every device's address is local: one by one, so that others stay dead."""
    found = []
    for device in devices:
        found += [f"route add local {address}/32 dev lo\n" for address in device.v4]
        for address in device.v6:  # the way to a link-local address names its interface
            near = IPv6Address(address) in LINK_LOCAL
            found.append(f"route add local {address}/128 dev {f'{DEVICES} table local' if near else 'lo'}\n")
    return "".join(found)


def scanner_side(plan: Plan) -> str:
    """What `ip -batch` does on the scanner's side."""
    prefix = _HOP.prefixlen if plan.routed else plan.network.prefixlen
    lines = [
        f"link set {SCANNER} address {SCANNER_MAC}",
        f"address add {plan.scanner}/{prefix} broadcast + dev {SCANNER}",
        f"link set {SCANNER} up",
    ]
    if plan.routed:
        lines += [
            f"neigh replace {plan.gateway} lladdr {_DEVICES_MAC} dev {SCANNER} nud permanent",
            f"route add default via {plan.gateway}",
        ]
    lines += [f"address add {own}/64 dev {SCANNER} nodad" for own in plan.scanner6]
    if plan.routed and plan.wide:
        lines += [
            f"neigh replace {_HOP6[1]} lladdr {_DEVICES_MAC} dev {SCANNER} nud permanent",
            f"route add default via {_HOP6[1]} dev {SCANNER}",
        ]
    return "\n".join(lines) + "\n"


def rules(*, routed: bool = False, wide: bool = False) -> str:
    """What `nft -f` loads on the devices' side: hardware addresses, refused ports, and devices that drop all."""
    out6 = f"""    ether type ip6 ether saddr set ip6 saddr map @macs6
    ether type ip6 ether saddr {_DEVICES_MAC} drop
""" if wide else ""
    own = "" if routed else f"""
  chain in {{ type filter hook ingress device "{DEVICES}" priority 0; policy accept;
    meta pkttype other meta pkttype set host
  }}
  chain out {{ type filter hook egress device "{DEVICES}" priority 0; policy accept;
    ether type ip ether saddr set ip saddr map @macs
    ether type arp arp operation reply ether saddr set arp saddr ip map @macs arp saddr ether set arp saddr ip map @macs
{out6}  }}"""
    return f"""table netdev lab {{
  map macs {{ type ipv4_addr : ether_addr;
  }}
  map macs6 {{ type ipv6_addr : ether_addr;
  }}{own}
}}
{_refusals("ip", "ipv4_addr")}{_refusals("ip6", "ipv6_addr") if wide else ""}"""


def _refusals(family: str, kind: str) -> str:
    return f"""table {family} lab {{
  set tcp_ports {{ type {kind} . inet_service;
  }}
  set udp_ports {{ type {kind} . inet_service;
  }}
  set dark {{ type {kind};
  }}
  chain in {{ type filter hook input priority 0; policy accept;
    {family} daddr @dark drop
    iif "{DEVICES}" tcp flags & (syn | ack) == syn {family} daddr . tcp dport != @tcp_ports reject with tcp reset
    iif "{DEVICES}" meta l4proto udp meta pkttype host {family} daddr . udp dport != @udp_ports reject
  }}
}}
"""


def members(devices: Sequence[Simulated]) -> Iterator[str]:
    """What `nft -f` loads after that, piece by piece: without root a piece must fit into a small socket buffer."""
    families = (("macs", "ip"), ("macs6", "ip6"))
    names = [
        name for macs, family in families
        for name in (f"netdev lab {macs}", *(f"{family} lab {kind}" for kind in ("tcp_ports", "udp_ports", "dark")))
    ]  # fmt: skip
    sets: dict[str, list[str]] = {name: [] for name in names}
    for device in devices:
        for address in device.addresses:
            macs, family = families[":" in address]
            sets[f"netdev lab {macs}"].append(f"{address} : {device.mac}")
            for transport, number in device.ports:
                if transport in {Transport.TCP, Transport.UDP}:
                    sets[f"{family} lab {transport}_ports"].append(f"{address} . {number}")
            if device.dark:
                sets[f"{family} lab dark"].append(address)
    for name, elements in sets.items():
        for start in range(0, len(elements), _PIECE):
            yield f"add element {name} {{ {', '.join(elements[start : start + _PIECE])} }}\n"


def build(
    plan: Plan, devices: Sequence[Simulated], scanner_pid: int, in_scanner: Callable[[], None],
    wire_pid: int | None = None, in_wire: Callable[[], None] | None = None,
) -> None:  # fmt: skip
    """Lay the cable and give the devices their addresses, in the namespace of this process.

    `in_scanner` runs in a child and brings it into the scanner's namespace, `in_wire` into that of a wire's process.
    Raises `UsageProblem`.
    """
    ip, nft = tool("ip"), tool("nft")
    run([ip, "-batch", "-"], links(plan, scanner_pid, wire_pid))
    run([ip, "-batch", "-"], scanner_side(plan), before=in_scanner)
    if in_wire is not None:
        run([ip, "-batch", "-"], "".join(f"link set {end} up\n" for end in wire.ENDS), before=in_wire)
    for name, value in (_SYSCTLS | (_SYSCTLS6 if plan.wide else {})).items():
        _set(name, value)
    run([ip, "-batch", "-"], own_addresses(devices))
    run([nft, "-f", "-"], rules(routed=plan.routed, wide=plan.wide))
    for piece in members(devices):
        run([nft, "-f", "-"], piece)


def run(command: Sequence[str], text: str, *, before: Callable[[], None] | None = None) -> None:
    """Run a program of the system on some input. Raises `UsageProblem` with what it said."""
    done = subprocess.run(  # noqa: S603 - our own command
        command, input=text, capture_output=True, text=True, check=False, preexec_fn=before, timeout=60
    )
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if line.strip()), f"exit code {done.returncode}")
        raise UsageProblem(f"the simulated segment cannot be built: {Path(command[0]).name}: {said}")


def ipv6(*, wide: bool) -> None:
    """Keep IPv6 off the interfaces that this namespace will get: its noise is none of the devices'. With `wide` it is
    there, and no interface takes an address, or routes, by itself.
    """
    for name in ("all", "default"):
        _set(f"net/ipv6/conf/{name}/disable_ipv6", "0" if wide else "1")
        if wide:
            _set(f"net/ipv6/conf/{name}/addr_gen_mode", "1")
            _set(f"net/ipv6/conf/{name}/accept_ra", "0")
            _set(f"net/ipv6/conf/{name}/router_solicitations", "0")


def _set(name: str, value: str) -> None:
    path = Path("/proc/sys") / name
    if path.exists():  # some exist only in the first namespace, or without IPv6 not at all
        try:
            path.write_text(value, encoding="ascii")
        except OSError as error:
            raise UsageProblem(f"the simulated segment cannot be built: {name}: {error.strerror}") from error
