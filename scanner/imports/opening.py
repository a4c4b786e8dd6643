"""Opens what a user names: a file or a pipe, compressed or not, and looks at its beginning without losing it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from scanner.errors import InputProblem
from scanner.imports.base import HEAD, Head, Input, encoding
from scanner.values import file_name, stamp


class Counted(io.RawIOBase):
    """A raw stream that knows how many bytes were taken from it, for progress."""

    def __init__(self, inner: BinaryIO) -> None:
        self._inner = inner
        self.taken = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As the stream below."""
        data = self._inner.read1(len(buffer)) if hasattr(self._inner, "read1") else self._inner.read(len(buffer))
        buffer[: len(data)] = data
        self.taken += len(data)
        return len(data)

    def close(self) -> None:
        """Close the stream below, unless it is standard input."""
        if self._inner is not getattr(sys.stdin, "buffer", None):
            self._inner.close()
        super().close()


def opened(
    path: Path, *, mapping: Mapping[str, str] | None = None, tick: Callable[[int, int, int | None], None] | None = None
) -> Input:
    """One file, decompressed and ready to be read; `-` is standard input.

    `tick` is told (things read, bytes taken, bytes of the file or None). Raises `InputProblem`.
    """
    name = file_name(path)
    raw, size, at = _raw(path, name)
    counted = Counted(raw)
    buffered = io.BufferedReader(counted, 1 << 20)
    try:
        beginning = buffered.peek(8)[:8]
        stream = _decompressed(cast("io.BufferedReader", buffered), beginning, name)
        head = _peek(stream)
    except (OSError, EOFError) as error:
        raise InputProblem(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"zlib", "lzma", "_lzma", "zstandard", "zstd"}:
            raise
        raise InputProblem(f"{name}: the compressed data is broken: {error}") from error
    text = head.decode(encoding(head), "replace")
    told = (lambda count: tick(count, counted.taken, size)) if tick is not None else (lambda _count: None)
    return Input(
        name=name, stream=stream, head=Head(head, text.lstrip("\ufeff"), path.name), at=at, mapping=mapping or {},
        tick=told,
    )  # fmt: skip


def _raw(path: Path, name: str) -> tuple[BinaryIO, int | None, str | None]:
    if name == "-":
        if sys.stdin is None:
            raise InputProblem("-: standard input is closed")
        return sys.stdin.buffer, None, _time(datetime.now(tz=UTC).timestamp())
    try:
        if path.is_dir():
            raise InputProblem(f"{name}: is a folder; name the files in it")
        stream = path.open("rb")
        found = os.fstat(stream.fileno())
    except OSError as error:
        raise InputProblem(f"{name}: cannot be read: {error.strerror or error}") from error
    return stream, found.st_size or None, _time(found.st_mtime)


def _time(seconds: float) -> str | None:
    try:
        return stamp(datetime.fromtimestamp(seconds, tz=UTC))
    except (ValueError, OverflowError, OSError):
        return None


def _decompressed(stream: io.BufferedReader, beginning: bytes, name: str) -> io.BufferedReader:
    """The stream itself, or what it holds compressed. Raises `InputProblem` where the means are missing."""
    inner: Any
    if beginning[:2] == b"\x1f\x8b":
        import gzip

        inner = gzip.GzipFile(fileobj=cast("Any", stream))
    elif beginning[:6] == b"\xfd7zXZ\0":
        import lzma

        inner = lzma.LZMAFile(stream)  # noqa: SIM115 - closed with the input
    elif beginning[:3] == b"BZh":
        import bz2

        inner = bz2.BZ2File(stream)
    elif beginning[:4] == b"\x28\xb5\x2f\xfd":
        try:
            import zstandard
        except ImportError as error:
            raise InputProblem(
                f"{name}: is compressed with zstd, which needs the extra: pip install 'lanveto[listen]'; or decompress "
                "it first: zstd -dc FILE | lanveto import -"
            ) from error
        inner = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(stream, read_across_frames=True)
    else:
        return stream
    return io.BufferedReader(inner, 1 << 20)


def _peek(stream: io.BufferedReader) -> bytes:
    """The beginning without taking it. A pipe brings it in pieces: a little is enough to be recognised by."""
    found = stream.peek(HEAD)
    return bytes(found[:HEAD])
