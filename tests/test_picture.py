from __future__ import annotations

from itertools import permutations

import pytest

from scanner.errors import InputProblem
from scanner.imports.base import Heard
from scanner.model import Observation, Place
from scanner.picture import Picture, alone
from tests.imports.test_base import steps

MAC, OTHER = "3c:ef:8c:11:22:33", "c4:2f:90:a7:b5:d1"
TITLE = Observation(channel="http.title", value="WEB SERVICE", port=80)
NAME = Observation(channel="dhcp.hostname", value="cam-1")

PARTS = (
    Heard(MAC, "192.0.2.1"),
    Heard(MAC, None, (NAME,)),
    Heard(None, "192.0.2.1", (TITLE,)),
    Heard(MAC, None, (), Place(switch="core-1", port="Gi1/0/1", vlan=10, macs=1)),
)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_one_device_in_whatever_order_it_is_told_of(order: tuple[int, ...]) -> None:
    picture = Picture()
    for number in order:
        picture.enter(PARTS[number], f"source-{number}")
    recordings, warnings = picture.recordings()

    (only,) = recordings
    assert (only.mac, only.ip) == (MAC, "192.0.2.1")
    assert {(o.channel, o.value) for o in only.observations if o.channel != "mac"} == {("http.title", "WEB SERVICE"), ("dhcp.hostname", "cam-1")}
    assert only.place is not None
    assert only.place.port == "Gi1/0/1"
    assert warnings == []


def test_who_said_what_and_when_is_kept() -> None:
    picture = Picture()
    picture.enter(Heard(MAC, "192.0.2.1", (NAME,)), "leases.csv", "2026-11-01T00:00:00Z")
    picture.enter(Heard(MAC, "192.0.2.1", (NAME,), None, "2026-11-02T00:00:00Z"), "capture.pcap", "2026-11-24T00:00:00Z")
    picture.enter(Heard(MAC, "192.0.2.1", (), None, "2026-11-03T00:00:00Z"), "capture.pcap", None)
    (only,), _ = picture.recordings()

    assert [(o.channel, o.source, o.at) for o in only.observations] == [
        ("dhcp.hostname", "leases.csv", "2026-11-01T00:00:00Z"), ("dhcp.hostname", "capture.pcap", "2026-11-02T00:00:00Z"),
        ("mac", "leases.csv", "2026-11-01T00:00:00Z"), ("mac", "capture.pcap", "2026-11-03T00:00:00Z"),
    ]  # fmt: skip


def test_two_macs_on_one_address_are_a_warning_with_their_sources() -> None:
    picture = Picture()
    picture.enter(Heard(MAC, "192.0.2.1"), "arp.txt", "2026-11-24T00:00:00Z")
    picture.enter(Heard(OTHER, "192.0.2.1"), "leases.csv", "2026-11-23T00:00:00Z")
    recordings, warnings = picture.recordings()

    assert len(recordings) == 2
    (warning,) = warnings
    assert "192.0.2.1 is claimed by 2 MAC addresses" in warning
    assert "arp.txt, 2026-11-24T00:00:00Z" in warning
    assert "leases.csv" in warning


def test_one_mac_on_many_addresses_is_a_warning() -> None:
    picture = Picture()
    for number in range(1, 9):
        picture.enter(Heard(MAC, f"192.0.2.{number}"), "arp.txt")
    recordings, warnings = picture.recordings()

    assert len(recordings) == 8
    (warning,) = warnings
    assert f"{MAC} stands for 8 addresses (192.0.2.1, " in warning


def test_one_device_with_two_addresses_is_known_by_its_serial() -> None:
    picture = Picture()
    serial = Observation(channel="upnp.serialnumber", value="0123456789")
    picture.enter(Heard(MAC, "192.0.2.1", (serial,)), "a")
    picture.enter(Heard(MAC, "192.0.2.2", (serial,)), "a")
    recordings, warnings = picture.recordings()

    assert [(r.ip, r.addresses) for r in recordings] == [("192.0.2.1", ("192.0.2.2",))]
    assert warnings == []


def test_a_host_of_both_internets_is_one_device() -> None:
    picture = Picture()
    for address in ("fe80::3eef:8cff:fe11:2233", "2001:db8::7", "192.0.2.1"):
        picture.enter(Heard(MAC, address), "neigh")
    recordings, warnings = picture.recordings()

    assert [(r.ip, r.addresses) for r in recordings] == [("192.0.2.1", ("2001:db8::7", "fe80::3eef:8cff:fe11:2233"))]
    assert warnings == []


def _of(picture: Picture) -> dict[tuple[str | None, str | None], set[str]]:
    return {(r.mac, r.ip): {o.value for o in r.observations if o.channel != "mac"} for r in picture.recordings()[0]}


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize(("at", "whose"), [
    ("2026-11-20T10:30:00Z", MAC), ("2026-11-24T10:30:00Z", OTHER), ("2026-11-24T12:30:00Z", OTHER), ("2026-11-22T00:00:00Z", None), (None, None),
    ("2026-11-26T00:00:00Z", None), ("2026-11-24T10:00:00Z", OTHER),
])  # fmt: skip
def test_what_an_address_said_belongs_to_who_had_it_then(order: tuple[int, ...], at: str | None, whose: str | None) -> None:
    """The address was given to another device meanwhile: nmap's answers, which name no MAC, accuse neither for the other."""
    ports = Observation(channel="tcp.open", value="80")
    parts = (
        (Heard(MAC, "192.0.2.1"), "old.txt", "2026-11-20T10:00:00Z"), (Heard(None, "192.0.2.1", (TITLE, ports)), "nmap.xml", at),
        (Heard(OTHER, "192.0.2.1"), "new.txt", "2026-11-24T10:00:00Z"),
    )  # fmt: skip
    picture = Picture()
    for number in order:
        picture.enter(*parts[number])
    picture.enter(Heard(OTHER, "192.0.2.1"), "new.txt", "2026-11-24T12:00:00Z")
    recordings, warnings = picture.recordings()

    found = _of(picture)
    assert found[whose, "192.0.2.1"] == {"WEB SERVICE", "80"}
    assert len(found) == (2 if whose else 3)
    assert sorted(said for mac, said in found.items() if mac[0] != whose) == [set()] * (1 if whose else 2)
    assert len(recordings) == len(found)
    assert "192.0.2.1 is claimed by 2 MAC addresses" in warnings[0]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_who_is_at_a_port_is_not_said_to_have_had_an_address_then(order: tuple[int, ...]) -> None:
    """A lease passed to another device; the switch still sees the first one, and does not say where in the network."""
    other = "c4:2f:90:a7:b5:d1"
    said = [
        (Heard(MAC, "192.0.2.1"), "old leases", "2026-11-20T00:00:00Z"), (Heard(other, "192.0.2.1"), "leases", "2026-11-24T00:00:00Z"),
        (Heard(MAC, None, (), Place(switch="core", port="1")), "ports", "2026-11-25T10:00:00Z"),
        (Heard(None, "192.0.2.1", (TITLE,)), "masscan", "2026-11-25T10:05:00Z"),
    ]  # fmt: skip
    picture = Picture()
    for number in order:
        picture.enter(*said[number])
    recordings, warnings = picture.recordings()

    assert {r.mac for r in recordings for o in r.observations if o.channel == "http.title"} == {None}
    (warning,) = warnings
    assert "old leases" in warning
    assert "ports" not in warning  # which names no address
    (first,) = [r for r in recordings if r.mac == MAC]
    assert {o.source for o in first.observations if o.channel == "mac"} == {"old leases", "ports"}


@pytest.mark.parametrize(("at", "told"), [("2026-11-24T09:00:00Z", False), ("2026-11-25T22:00:00Z", False), ("2026-11-17T09:00:00Z", True), ("2026-11-29T09:00:00Z", True), (None, False)])
def test_what_was_said_long_before_a_mac_was_seen_may_be_anothers(at: str | None, told: bool) -> None:
    """Last week's nmap and today's table: usually one device, and sometimes a lease that moved."""
    picture = Picture()
    for day in (24, 27):
        picture.enter(Heard(MAC, "192.0.2.1"), "arp", f"2026-11-{day}T10:00:00Z")
    picture.enter(Heard(None, "192.0.2.1", (TITLE,)), "nmap", at)
    for _ in range(2):  # asked twice, it says the same
        recordings, warnings = picture.recordings()

    assert [r.mac for r in recordings] == [MAC]
    assert [("1 addresses (192.0.2.1)" in w and "more than a day" in w) for w in warnings] == ([True] if told else [])


def test_a_router_is_told_once_and_accuses_nobody_behind_it() -> None:
    picture = Picture()
    for number in range(1, 30):
        picture.enter(Heard(MAC, f"192.0.2.{number}", (TITLE,) if number == 7 else ()), "arp.txt", "2026-11-24T00:00:00Z")
    picture.enter(Heard(MAC, None, (NAME,), Place(switch="core", port="1")), "walk")
    recordings, (warning,) = picture.recordings()

    (router,) = [r for r in recordings if r.mac is not None]
    assert (router.mac, router.ip, {o.value for o in router.observations}) == (MAC, None, {MAC, "cam-1"})
    assert router.place is not None
    assert "stands for 29 addresses" in warning
    others = {r.ip: [o.value for o in r.observations] for r in recordings if r.mac is None}
    assert others == {f"192.0.2.{n}": ["WEB SERVICE"] if n == 7 else [] for n in range(1, 30)}


def test_an_address_is_counted_once_whoever_names_it() -> None:
    picture = Picture()
    picture.enter(Heard(None, "192.0.2.1", (TITLE,)), "a")
    picture.enter(Heard(MAC, None, (NAME,)), "b")
    assert len(picture) == 2
    picture.enter(Heard(MAC, "192.0.2.1"), "c")
    picture.enter(Heard(None, "192.0.2.1"), "d")
    assert len(picture) == len(picture.recordings()[0]) == 1


def test_ports_of_several_records_become_one_list() -> None:
    picture = Picture()
    for port in ("443", "80", "80", "8000,554"):
        picture.enter(Heard(None, "192.0.2.1", (Observation(channel="tcp.open", value=port),)), "m.json")
    (only,), _ = picture.recordings()

    assert [(o.channel, o.value) for o in only.observations] == [("tcp.open", "80,443,554,8000")]


@pytest.mark.parametrize("turned", [False, True])
def test_the_port_with_the_fewest_addresses_is_the_devices_own(turned: bool) -> None:
    uplink, edge = Place(switch="core", port="Te1/1", macs=400), Place(switch="edge", port="5", vlan=10, macs=1)
    picture = Picture()
    for place in (edge, uplink) if turned else (uplink, edge):
        picture.enter(Heard(MAC, None, (), place), "table")
    (only,), _ = picture.recordings()

    assert only.place is not None
    assert (only.place.switch, only.place.port, only.place.source) == ("edge", "5", "table")


def test_what_repeats_for_ever_is_bounded() -> None:
    picture = Picture()
    for number in range(5000):
        picture.enter(Heard(MAC, "192.0.2.1", (Observation(channel="upnp.ssdp", value=f"NOTIFY * HTTP/1.1\r\nUSN: {number}"),)), "c")
    (only,), _ = picture.recordings()

    assert len(only.observations) < 20


def test_all_that_is_said_has_an_end() -> None:
    picture = Picture(room=3000)
    for number in range(20):
        said = Observation(channel="upnp.ssdp", value=f"{number:x<100}")
        picture.enter(Heard(None, f"192.0.2.{number}", (said,)), "c")
    found, warnings = picture.recordings()

    assert len(found) == 20  # everybody is there
    assert sum(len(recording.observations) for recording in found) == 10
    assert "10 things that were said are left out" in warnings[0]


def test_a_mac_of_many_addresses_costs_no_more_for_each() -> None:
    """A router, or proxy ARP, stands for whole networks."""

    def recordings(count: int) -> int:
        picture = Picture()
        for number in range(count):
            picture.enter(Heard(MAC, f"10.0.{number >> 8}.{number & 255}"), "arp")
        return steps(picture.recordings)

    recordings(100)  # what is made once and kept
    assert recordings(2000) < 2.5 * recordings(1000)


def test_a_picture_has_an_end() -> None:
    picture = Picture(most=3)
    for number in range(3):
        picture.enter(Heard(None, f"192.0.2.{number}"), "x")
    with pytest.raises(InputProblem, match="more than 3 devices"):
        picture.enter(Heard(None, "192.0.2.9"), "x")
    assert len(picture) == 3


def test_secrets_are_masked() -> None:
    picture = Picture()
    said = Observation(channel="http.response", value='HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm="x", nonce="1234abcd"\r\n\r\n', port=80)
    picture.enter(Heard(None, "192.0.2.1", (said,)), "x")
    (only,), _ = picture.recordings()

    assert "1234abcd" not in only.observations[0].value


def test_how_many_are_known_by_their_mac_alone() -> None:
    picture = Picture()
    picture.enter(Heard(MAC, "192.0.2.1"), "arp")
    picture.enter(Heard("c4:2f:90:a7:b5:d1", "192.0.2.2", (Observation(channel="http.title", value="x", port=80),)), "c")
    picture.enter(Heard(None, "192.0.2.3"), "c")
    recordings, _ = picture.recordings()

    (warning,) = alone(recordings)
    assert warning.startswith("1 of 3 devices are known by their MAC address alone")
    assert alone(recordings[1:]) == []


def test_an_address_that_thousands_claim_costs_no_product() -> None:
    """Forged ARP gives one address any number of MACs; what it said is given out by looking up, not by searching."""

    def entered(number: int) -> Picture:
        picture = Picture()
        for n in range(number):
            at = f"2026-11-{1 + n % 28:02}T10:{n % 60:02}:00Z"
            picture.enter(Heard(f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}", "192.0.2.1", (), None, at), "arp")
            ports = Observation(channel="tcp.open", value=str(1 + n), at=at)
            picture.enter(Heard(None, "192.0.2.1", (ports,)), "nmap")
        return picture

    few, many = entered(200), entered(800)
    assert steps(many.recordings) < 6 * steps(few.recordings)
