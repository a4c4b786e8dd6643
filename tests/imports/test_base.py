from __future__ import annotations

import io
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scanner import imports
from scanner.errors import InputProblem, UsageProblem
from scanner.imports.base import MAX_LINE, Break, Head, Importer, Input, encoding

ROOT = Path(__file__).resolve().parents[2]


def _input(data: bytes) -> Input:
    return Input("x", io.BytesIO(data), Head(data[:65536], data[:65536].decode("latin-1"), "x"))


def test_every_file_is_an_importer_of_its_name() -> None:
    for name in imports.names():
        importer = imports.get(name)
        assert isinstance(importer, Importer)
        assert importer.summary
        assert (ROOT / "scanner" / "imports" / f"{name.replace('-', '_')}.py").exists()


def test_an_unknown_name() -> None:
    with pytest.raises(UsageProblem, match="there are arp"):
        imports.get("tarot")


@pytest.mark.parametrize("data", [b"", b"\0" * 4096, b"Lorem ipsum dolor\n" * 50, bytes(range(256)) * 20, b"{}", b"<a/>", b"a,b\n1,2\n"])
def test_what_nobody_knows(data: bytes) -> None:
    with pytest.raises(InputProblem, match="--from"):
        imports.recognise(Head(data, data.decode("latin-1"), "x"), "x")


def test_lines_have_numbers_and_no_ends() -> None:
    assert list(_input(b"a\r\nb\n\nc").lines()) == [(1, "a"), (2, "b"), (3, ""), (4, "c")]


def test_a_line_without_end_is_an_error_and_what_stands_before_is_kept() -> None:
    lines = _input(b"a\n" + b"x" * (3 * MAX_LINE)).lines()

    assert next(lines) == (1, "a")
    with pytest.raises(InputProblem, match="line 2 is longer"):
        next(lines)


@pytest.mark.parametrize(
    ("text", "name"), [("a\u00e4", "utf-8"), ("a\u00e4", "utf-16"), ("abcdefgh", "utf-16-le"), ("abcdefgh", "utf-16-be"), ("\u00e4bc", "cp1252"), ("x", "utf-8-sig")]
)
def test_encodings(text: str, name: str) -> None:
    data = text.encode(name)

    assert data.decode(encoding(data)).lstrip("\ufeff") == text
    assert [line for _n, line in _input(data).lines()] == [text]


def _neigh(count: int, pad: int = 0) -> bytes:
    return b"".join(
        b"10.0.%d.%d dev eth0 lladdr 3c:ef:8c:00:%02x:%02x STALE%s\n" % (n >> 8, n & 255, n >> 8, n & 255, b" " * pad)
        for n in range(count)
    )


def _cisco(count: int) -> bytes:
    return b"".join(b"  %d  3cef.8c00.%04x  DYNAMIC  Gi1/0/%d\n" % (n % 9 + 1, n, n % 48) for n in range(count))


def _dnsmasq(count: int) -> bytes:
    return b"".join(
        b"1795000000 3c:ef:8c:00:%02x:%02x 10.0.%d.%d cam-%d *\n" % (n >> 8, n & 255, n >> 8, n & 255, n)
        for n in range(count)
    )


def _csv(count: int) -> bytes:
    rows = (b"3c:ef:8c:00:%02x:%02x,10.0.%d.%d\n" % (n >> 8, n & 255, n >> 8, n & 255) for n in range(count))
    return b"mac,ip\n" + b"".join(rows)


def steps(work: Callable[[], object]) -> int:
    """How many calls a piece of work makes, of Python and of C: the same on every machine, however busy."""
    count = 0

    def tell(_frame: object, _event: str, _argument: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(tell)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(("name", "made"), [("arp", _neigh), ("mac-table", _cisco), ("dnsmasq", _dnsmasq), ("csv", _csv)])
def test_twice_the_lines_are_twice_the_work(name: str, made: Callable[[int], bytes]) -> None:
    def read(data: bytes) -> int:
        source = _input(data)
        return sum(1 for _ in imports.get(name).read(source))

    few, many = made(1000), made(2000)
    read(few)  # what is made once and kept
    assert read(many) == 2000
    first, second = steps(lambda: read(few)), steps(lambda: read(many))
    assert second <= 2.05 * first


def test_reading_needs_no_more_memory_for_a_longer_file() -> None:
    def peak(count: int) -> int:
        data = _neigh(count, 420)
        source = _input(data)
        tracemalloc.start()
        try:
            assert sum(1 for _ in imports.get("arp").read(source)) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)
    assert peak(24_000) < 1.2 * peak(6_000)  # of 11 MB and 3 MB: a piece of each is held


@pytest.mark.parametrize("end", [InputProblem("broken"), KeyboardInterrupt()])
def test_what_was_read_is_told_before_what_ended_it(end: BaseException) -> None:
    def reading() -> Iterator[str]:
        last = ""
        with Break() as broken:
            last = "read"
            raise end
        yield last
        broken.tell()

    feed = reading()
    assert next(feed) == "read"
    with pytest.raises(type(end)):
        next(feed)


def test_other_errors_are_not_held_back() -> None:
    with pytest.raises(RuntimeError), Break():
        raise RuntimeError
