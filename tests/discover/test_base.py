from __future__ import annotations

import subprocess
import sys
import tracemalloc
from itertools import islice

import pytest

from scanner import discover
from scanner.discover.base import Ground
from scanner.net.interfaces import Reach
from scanner.targets import Span


def ground(*spans: tuple[int, int], **more: object) -> Ground:
    return Ground(Reach.ROUTED, None, tuple(Span(*span) for span in spans), **more)  # type: ignore[arg-type]


def test_every_address_comes_once_and_none_to_skip() -> None:
    some = ground((10, 19), (40, 40), (100, 149), skip=frozenset({12, 149}), seed=3)
    wanted = {*range(10, 20), 40, *range(100, 150)} - {12, 149}

    assert sorted(some.numbers()) == sorted(wanted)
    assert list(some.numbers()) != sorted(wanted)
    assert [number in some for number in (10, 12, 19, 20, 40, 99, 148, 149, 150)] == [
        True, False, True, False, True, False, True, False, False
    ]  # fmt: skip
    assert some.count == 61


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_portions_are_the_whole_in_the_same_order(size: int) -> None:
    some = ground((0, 99), (1000, 1010), v6=("fe80::1",), seed=9)
    parts = list(some.portions(size))

    assert [number for part in parts for number in part.numbers()] == list(some.numbers())
    assert [address for part in parts for address in part.v6] == ["fe80::1"]
    assert [part.portion for part in parts] == list(range(len(parts)))
    assert all(part.count <= size + 1 for part in parts) or len(parts) == 1


def test_a_big_network_costs_no_memory() -> None:
    tracemalloc.start()
    big = ground((10 << 24, (11 << 24) - 1))
    far = next(part for part in big.portions(65_536) if part.portion == 250)
    found = list(islice(far.numbers(), 100))
    assert tracemalloc.get_traced_memory()[1] < 200_000
    tracemalloc.stop()

    assert len(set(found)) == 100
    assert all(number >> 24 == 10 for number in found)


def test_a_ground_of_ipv6_addresses_alone() -> None:
    some = Ground(Reach.ROUTED, v6=("2001:db8::1",))

    assert (list(some.numbers()), some.count) == ([], 1)
    assert [part.v6 for part in some.portions(10)] == [("2001:db8::1",)]


def test_every_way_stands_in_for_one_that_exists() -> None:
    names = {way.name for way in discover.ways()}

    assert {"arp", "neighbours", "multicast", "connect"} <= names
    assert {way.instead_of for way in discover.ways()} - {None} <= names


@pytest.mark.parametrize("way", ["arp", "syn"])
def test_a_sweep_is_in_the_air_before_protocols_and_models_are_read(way: str) -> None:
    code = f"import scanner.discover.{way}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert f"scanner.discover.{way}" in loaded
    assert not {"scanner.protocols", "scanner.model", "scanner.knowledge", "msgspec"} & set(loaded)
