from __future__ import annotations

import itertools
import tracemalloc
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import UsageProblem
from scanner.targets import MAX_ADDRESSES, Order, Span, TargetSet, guard, intersect, merge, parse, propose, subtract

NETWORKS = {"eth0": (IPv4Interface("192.168.1.7/29"),), "eth1": (IPv4Interface("10.9.0.1/16"),)}


def named(*words: str, exclude: tuple[str, ...] = ()) -> TargetSet:
    return parse(words, NETWORKS, exclude)


def test_networks_leave_out_their_own_and_the_broadcast_address() -> None:
    assert list(named("10.0.0.0/30")) == ["10.0.0.1", "10.0.0.2"]
    assert list(named("10.0.0.0/31")) == ["10.0.0.0", "10.0.0.1"]
    assert list(named("10.0.0.4/32")) == ["10.0.0.4"]
    assert list(named("10.0.0.2/30")) == ["10.0.0.1", "10.0.0.2"]


def test_ranges_singles_and_interfaces() -> None:
    assert list(named("10.0.0.9-11")) == ["10.0.0.9", "10.0.0.10", "10.0.0.11"]
    assert list(named("10.0.0.255-10.0.1.1")) == ["10.0.0.255", "10.0.1.0", "10.0.1.1"]
    assert list(named("eth0")) == [f"192.168.1.{n}" for n in range(1, 7)]
    assert list(named("10.0.0.1", "fe80::1", "2001:DB8::2/128")) == ["10.0.0.1", "fe80::1", "2001:db8::2"]


def test_overlapping_targets_are_asked_once() -> None:
    found = named("10.0.0.0/29", "10.0.0.4-12", "10.0.0.5", "10.0.0.0/28")

    addresses = list(found)
    assert len(addresses) == len(set(addresses)) == found.count == 14


def test_exclusions_of_every_kind(tmp_path: Path) -> None:
    file = tmp_path / "no.txt"
    file.write_text("# ours\n10.0.0.2  # the lift\n\n3C-EF-8C\n")
    found = named("10.0.0.0/28", exclude=(str(file), "10.0.0.8/30", "10.0.0.1", "aabbcc"))

    assert list(found) == [f"10.0.0.{n}" for n in (3, 4, 5, 6, 7, 12, 13, 14)]
    assert found.excluded == 6
    assert found.excludes("10.0.0.11")
    assert not found.excludes("10.0.0.12")
    assert found.excludes("10.0.0.12", "3c:ef:8c:00:00:01")
    assert not found.excludes("10.0.0.12", "3c:ef:8d:00:00:01")
    assert found.excludes(None, "AA-BB-CC-00-00-01")


def test_an_excluded_network_is_excluded_wholly() -> None:
    assert list(named("10.0.0.0-10.0.0.8", exclude=("10.0.0.0/29",))) == ["10.0.0.8"]


def test_files_are_read_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "targets"
    file.write_text("10.0.0.1\n  10.0.0.4/31 # two\n#10.0.0.9\n")

    assert list(named(f"@{file}")) == list(named(str(file))) == ["10.0.0.1", "10.0.0.4", "10.0.0.5"]


def test_a_bad_line_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "targets"
    file.write_text("10.0.0.1\nprinter-7\n")

    with pytest.raises(UsageProblem, match=r"printer-7.*targets, line 2"):
        named(f"@{file}")


def test_unreadable_files_get_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    with pytest.raises(UsageProblem, match="not UTF-8"):
        named(f"@{tmp_path / 'latin'}")
    with pytest.raises(UsageProblem, match="cannot be read"):
        named(f"@{tmp_path / 'missing'}")


@pytest.mark.parametrize(
    "word",
    ["", "camera", "10.0.0.0/33", "10.0.0.300", "10.0.0.9-3", "10.0.0.1-2-3", "10.0.0.1-999", "1.2.3", "10.0.0.0/x",
     "0.0.0.0/0", "224.0.0.1", "255.255.255.255", "ff02::1", "::", "10.0.0.0-12.0.0.0", "2001:db8::/64", "eth9", "\x1b[31m", "a" * 9999,
     "10.0.0.1\x00"],
)  # fmt: skip
def test_what_is_no_target_is_a_usage_problem(word: str) -> None:
    with pytest.raises(UsageProblem):
        named(word)


def test_an_address_of_ipv4_written_as_one_of_ipv6_is_one_of_ipv4() -> None:
    assert list(named("::ffff:10.0.0.1", "10.0.0.1")) == ["10.0.0.1"]
    with pytest.raises(UsageProblem, match="every target is excluded"):
        named("::ffff:10.0.0.1", exclude=("10.0.0.1",))


@pytest.mark.parametrize(
    ("excluded", "address", "is_so"),
    [
        ("fe80::7", "fe80::7%eth0", True), ("fe80::7%eth0", "fe80::7", True), ("fe80::7%eth0", "fe80::7%eth0", True),
        ("fe80::7%eth0", "fe80::7%eth1", False), ("fe80::7", "fe80::8", False), ("2001:DB8::7", "2001:db8::7", True),
        ("2001:db8::/64", "2001:db8::7", True), ("2001:db8::/64", "2001:db8:0:1::7", False),
        ("fe80::/10", "fe80::7%eth0", True),
    ],
)  # fmt: skip
def test_addresses_and_networks_of_ipv6_can_be_excluded(excluded: str, address: str, is_so: bool) -> None:
    found = named(address, "10.0.0.1", exclude=(excluded,))

    assert found.excludes(address) is is_so
    assert (address in found) is not is_so


def test_everything_excluded_is_said() -> None:
    with pytest.raises(UsageProblem, match="every target is excluded"):
        named("10.0.0.1", exclude=("10.0.0.0/24",))


def test_a_class_a_network_costs_no_memory() -> None:
    tracemalloc.start()
    found = named("10.0.0.0/8", "10.3.0.0/16", exclude=("10.5.0.0/16",))
    assert found.count == 2**24 - 2 - 2**16
    assert list(itertools.islice(found, 2)) == ["10.0.0.1", "10.0.0.2"]
    assert "10.200.0.1" in found
    assert "10.5.0.1" not in found
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 1_000_000


@pytest.mark.parametrize("word", ["8.8.8.8", "9.255.255.255-10.0.0.3", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_need_leave(word: str) -> None:
    found = named(word)

    with pytest.raises(UsageProblem, match="--allow-public"):
        guard(found, allow_public=False)
    guard(found, allow_public=True)


def test_public_addresses_on_a_named_interface_are_ones_own() -> None:
    guard(named("8.8.8.0/24"), allow_public=False, on_link=[IPv4Network("8.8.8.0/23")])
    with pytest.raises(UsageProblem, match=r"the first is 8\.8\.10"):
        guard(named("8.8.8.0/22"), allow_public=False, on_link=[IPv4Network("8.8.8.0/23")])


@pytest.mark.parametrize("word", ["10.1.2.3", "192.168.0.0/16", "172.31.255.255", "100.64.0.1", "127.0.0.1", "fd00::1",
                                  "fe80::1", "192.0.2.1", "169.254.1.1"])  # fmt: skip
def test_private_addresses_need_no_leave(word: str) -> None:
    guard(named(word), allow_public=False)


def test_a_proposal_holds_at_most_4096_addresses() -> None:
    proposal = propose({"eth0": NETWORKS["eth0"], "eth1": NETWORKS["eth1"], "p": (IPv4Interface("10.1.1.1/31"),)})

    assert proposal.words == ("192.168.1.0/29", "10.9.0.0/24")
    assert proposal.addresses == 6 + 254
    assert "65534 addresses" in proposal.notes[0]
    many = propose({f"e{n}": (IPv4Interface(f"10.{n}.0.1/21"),) for n in range(4)})
    assert many.addresses <= 4096


def test_no_link_no_proposal() -> None:
    with pytest.raises(UsageProblem, match="no physical link"):
        propose({})


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda p: Span(p[0], p[0] + p[1])), max_size=8)


@given(spans, spans)
def test_span_arithmetic_equals_set_arithmetic(some: list[Span], holes: list[Span]) -> None:
    def numbers(parts: list[Span]) -> set[int]:
        return {n for part in parts for n in range(part.first, part.last + 1)}

    left = subtract(merge(some), merge(holes))

    assert numbers(list(left)) == numbers(some) - numbers(holes)
    assert list(left) == sorted(left)
    assert numbers(list(intersect(left, 10, 20))) == numbers(list(left)) & set(range(10, 21))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 100, 254, 4096, 65_534])
def test_an_order_walks_every_number_once(count: int) -> None:
    order = Order(count, seed=count)
    walked = list(order.walk())

    assert sorted(walked) == list(range(count))
    middle = order.positions // 2
    assert [*order.walk(0, middle), *order.walk(middle)] == walked
    assert count < 100 or walked != list(Order(count, seed=count + 1).walk())


def test_an_order_of_a_whole_class_a_network_is_made_at_once() -> None:
    order = Order(MAX_ADDRESSES, seed=1)

    assert MAX_ADDRESSES <= order.positions < MAX_ADDRESSES + 1000
    assert len(set(order.walk(order.positions - 1000))) > 990


@pytest.mark.parametrize(
    ("exclude", "blinding"),
    [
        ((), False), (("3c:ef:8c",), False), (("fe80::5",), False), (("fe80::5%eth0",), False), (("fe80::/64",), False),
        (("10.0.0.5",), True), (("fd10::5",), True), (("fd10::/64",), True), (("fe80::5", "fd10::5"), True),
    ],
)  # fmt: skip
def test_an_excluded_address_may_be_anybodys_unless_it_is_link_local(exclude: tuple[str, ...], blinding: bool) -> None:
    assert parse(("10.0.0.0/24",), NETWORKS, exclude).blinding is blinding
