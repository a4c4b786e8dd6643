"""IPv6 on a link, as the installed command uses it: everybody found, each device once, and nobody asked who was excluded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scanner.model import Observation, Recording
from scanner.recordings import load
from scanner.simulate.lab import Lab

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]
NETWORK = "10.77.0.0/27"

SCOPES = "onvif://www.onvif.org/name/Dahua onvif://www.onvif.org/hardware/IPC-HDW1431T1-S4"
PAGE = "HTTP/1.1 200 OK\r\nServer: thttpd\r\nContent-Length: 0\r\n\r\n"


def mac(number: int) -> str:
    return f"3c:ef:8c:00:00:{number:02x}"


def device(number: int, *seen: Observation, v4: bool = False, **more: Any) -> Recording:
    """A device at fe80::N and fd10:77::N, with `v4` at 10.77.0.N too."""
    wide = (f"fe80::{number:x}", f"fd10:77::{number:x}")
    return Recording(
        id=f"device-{number}", ip=f"10.77.0.{number}" if v4 else None, addresses=wide, mac=mac(number),
        observations=seen, **more,
    )  # fmt: skip


def said(channel: str, value: str, port: int | None = None, **more: Any) -> Observation:
    return Observation(channel=channel, value=value, port=port, **more)


FLEET = [
    device(1, said("onvif.scopes", SCOPES), said("tcp.open", "80"), v4=True),
    device(2, said("mdns.service", "_http._tcp.local."), said("mdns.name", "cam-2.local.")),
    device(3, said("upnp.server", "Linux UPnP/1.0 Thing/1.0")),
    device(4, said("onvif.scopes", SCOPES)),
    device(5, said("http.response", PAGE, 80, request="GET /")),
    device(6, behaviour="silent"),
    device(7, said("onvif.scopes", SCOPES), v4=True),
    Recording(id="four", ip="10.77.0.8", mac=mac(8), observations=(said("tcp.open", "80"),)),
]
ANSWER = {1: "wsdiscovery.response", 2: "mdns.response", 3: "upnp.ssdp", 4: "wsdiscovery.response", 5: "http.response"}
"""What is heard from each, by IPv6 alone except from the first."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(FLEET, network=NETWORK) as made:
        yield made
        assert made.violations() == []


def devices(report: dict[str, Any]) -> dict[str, tuple[str | None, set[str]]]:
    """Address → MAC and further addresses."""
    return {d["ip"]: (d["mac"], set(d["addresses"])) for d in report["devices"]}


def heard(folder: Path) -> dict[str | None, set[str]]:
    """Address → channels on which something was said."""
    found = (recording for file in folder.glob("*.yaml") for recording in load(file).recordings)
    return {r.ip: {seen.channel for seen in r.observations if not seen.silent} for r in found}


def local(number: int) -> str:
    return f"fe80::{number:x}%s0"


def test_all_are_found_by_root_each_once_and_what_they_say_by_ipv6_is_theirs(lab: Lab, me: Any, place: Path) -> None:
    report, _ = me.scan(NETWORK, "--record", str(place / "heard"), enter=lab.enter([]))

    assert devices(report) == {
        "10.77.0.1": (mac(1), {local(1), "fd10:77::1"}), "10.77.0.7": (mac(7), {local(7), "fd10:77::7"}),
        "10.77.0.8": (mac(8), set()),
    } | {local(n): (mac(n), {f"fd10:77::{n}"}) for n in (2, 3, 4, 5)}  # fmt: skip
    told = heard(place / "heard")
    assert {n for n, channel in ANSWER.items() if channel in told["10.77.0.1" if n == 1 else local(n)]} == set(ANSWER)
    assert {m["name"]: m["hosts"] for m in report["coverage"]["methods"]}["ipv6"] == 6


def test_who_is_excluded_by_any_address_or_mac_gets_no_frame_of_its_own(lab: Lab, me: Any, capture: Any) -> None:
    with capture(lab.enter([])) as frames:
        report, _ = me.scan(NETWORK, "fe80::2", "fe80::3", "fe80::4", "--exclude", "10.77.0.1", "--exclude", "fd10:77::7",
                            "--exclude", mac(4), enter=lab.enter([]))  # fmt: skip

    assert devices(report) == {
        "10.77.0.8": (mac(8), set()), local(2): (mac(2), {"fd10:77::2"}), local(3): (mac(3), {"fd10:77::3"})
    }  # fmt: skip
    asked = {to for _, to, _ in frames.frames if to.startswith("3c:ef:8c")}
    assert asked == {mac(2), mac(3), mac(8)}
    assert "devices that speak IPv6 alone were not asked" in str(report["coverage"]["methods"])


def test_without_root_the_kernel_looks_for_a_target(lab: Lab, me: Any, capture: Any) -> None:
    with capture(lab.enter([])) as frames:
        report, _ = me.scan("fe80::5%s0", "fd10:77::4", "--no-raw", "--no-multicast", "--ports", "80",
                            enter=lab.enter([]))  # fmt: skip

    assert devices(report) == {local(5): (mac(5), set()), "fd10:77::4": (mac(4), set())}
    assert {to for _, to, _ in frames.frames if to.startswith("3c:ef:8c")} == {mac(4), mac(5)}
    assert not [f for f in frames.frames if f[0] == "0806"]


def test_without_root_all_are_found_where_pings_are_allowed(lab: Lab, somebody: Any) -> None:
    lab.run(["sh", "-c", "echo 0 65535 > /proc/sys/net/ipv4/ping_group_range"])
    become, somebody.prefix = somebody.prefix, []
    report, _ = somebody.scan(NETWORK, "--ports", "80", enter=[*lab.enter([]), *become])

    assert {ip: found for ip, (found, _) in devices(report).items()} == {
        f"10.77.0.{n}": mac(n) for n in (1, 7, 8)
    } | {local(n): mac(n) for n in (2, 3, 4, 5)}
    assert devices(report)[local(2)] == (mac(2), {"fd10:77::2"})
    ran = next(m for m in report["coverage"]["methods"] if m["name"] == "ipv6")
    assert (ran["ran"], ran["hosts"], ran["note"]) == (True, 6, None)


def test_behind_a_router_a_ping_or_a_port_finds_them_and_an_address_may_tell_the_mac(me: Any) -> None:
    made = "fd10:77::3eef:8cff:fe00:1"
    fleet = [
        Recording(id="made", ip=made, mac=mac(1)), device(2, said("tcp.open", "80")), device(3, behaviour="silent")
    ]  # fmt: skip
    with Lab(fleet, routed=True) as lab:
        wanted = [made, "fd10:77::2", "fd10:77::3"]
        report, _ = me.scan(*wanted, "--ports", "80", "--no-multicast", enter=lab.enter([]))
        assert lab.violations() == []

    assert devices(report) == {made: (mac(1), set()), "fd10:77::2": (None, set())}
    hosts = {m["name"]: m["hosts"] for m in report["coverage"]["methods"]}
    assert (hosts["icmp"], hosts["connect"]) == (2, 2)
