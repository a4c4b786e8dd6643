from __future__ import annotations

import bz2
import gzip
import lzma
import os
import threading
import time
from pathlib import Path

import pytest

from scanner import imports
from scanner.errors import InputProblem
from scanner.imports.base import Input
from scanner.imports.opening import opened

TEXT = b"192.0.2.1 dev eth0 lladdr 3c:ef:8c:11:22:33 REACHABLE\n" * 50_000


def _zstd(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


def _quick_xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=0)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, _zstd, bytes], ids=["gz", "xz", "bz2", "zst", "plain"])
def test_compressed_files_are_read_as_what_they_hold(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    path = tmp_path / "x"
    path.write_bytes(pack(TEXT))
    taken: list[tuple[int, int, int | None]] = []
    source = opened(path, tick=lambda *args: taken.append(args))

    assert sum(1 for _ in source.lines()) == 50_000
    assert source.head.data == TEXT[:65536][: len(source.head.data)]
    assert source.at is not None
    assert taken[-1] == (50_000, path.stat().st_size, path.stat().st_size)
    source.stream.close()


@pytest.mark.parametrize("pack", [gzip.compress, _quick_xz, bz2.compress, _zstd], ids=["gz", "xz", "bz2", "zst"])
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_broken_compression_keeps_what_was_read(tmp_path: Path, pack: object, damage: str) -> None:
    assert callable(pack)
    data = bytearray(pack(b"".join(b"192.0.2.%d 3c:ef:8c:11:22:%02x %d\n" % (n % 250, n % 256, n * n) for n in range(100_000))))
    if damage == "cut":
        del data[-len(data) // 3 :]
    else:
        data[-len(data) // 3 : -len(data) // 3 + 64] = b"\xff" * 64
    path = tmp_path / "x"
    path.write_bytes(data)
    source = opened(path)
    count, why = _counted(source)

    assert count < 100_000
    # zstd frames may end without a word.
    assert ("read" in why or "broken" in why) if pack is not _zstd or damage == "changed" else True
    if pack is not bz2.compress:
        assert count > 1000
    source.stream.close()


def _counted(source: Input) -> tuple[int, str]:
    count = 0
    try:
        for _ in source.lines():
            count += 1
    except InputProblem as problem:
        return count, str(problem)
    return count, ""


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "folder"), (tmp_path / "none", "No such file")):
        with pytest.raises(InputProblem, match=why):
            opened(path)


def _read(source: Input) -> int:
    return sum(1 for _ in source.lines())


def test_a_bomb_is_only_as_large_as_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"0" * (64 << 20)))
    source = opened(path)

    with pytest.raises(InputProblem, match="longer"):
        _read(source)
    source.stream.close()


@pytest.mark.parametrize(("data", "what"), [
    (b"PK\x03\x04" + bytes(40), "zip archive"), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(40), "office program"), (b"%PDF-1.7\n", "PDF"),
    (b"neigh.txt" + bytes(248) + b"ustar\x0000" + bytes(300), "tar archive"),
])  # fmt: skip
def test_containers_are_named_with_what_to_do(tmp_path: Path, data: bytes, what: str) -> None:
    for name, content in (("x", data), ("x.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputProblem, match=what):
            opened(tmp_path / name)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, _quick_xz, _zstd], ids=["plain", "gz", "xz", "zst"])
@pytest.mark.parametrize("sizes", [(1, 2, 3), (3, 40), (60,)])
def test_a_pipe_that_brings_its_beginning_in_pieces(tmp_path: Path, sizes: tuple[int, ...], pack: object) -> None:
    """`ssh router show arp | lanveto import -` writes when the router does."""
    assert callable(pack)
    data = pack(TEXT[:5500])
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb", buffering=0) as stream:
            rest = data
            for size in sizes:
                stream.write(rest[:size])
                rest = rest[size:]
                time.sleep(0.05)  # each piece is read by itself
            stream.write(rest)

    writer = threading.Thread(target=write)
    writer.start()
    source = opened(pipe, enough=lambda head: imports.known(head) is not None)
    assert imports.recognise(source.head, "pipe").name == "arp"
    assert b"".join(iter(lambda: source.read(4096), b"")) == TEXT[:5500]
    writer.join()
