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


_OTHERS = (
    (0, b"PK\3\4", "a zip archive, or a document of an office program: unpack it, or save its table as CSV"),
    (0, b"\xd0\xcf\x11\xe0", "a document of an office program: save its table as CSV"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (0, b"%PDF-", "a PDF document: export the table as text or CSV where it comes from"),
    (257, b"ustar", "a tar archive: unpack it, and name the files in it"),
)
"""Containers that are not looked into: where their mark stands, the mark, what it is and what to do."""


class Pushed(io.RawIOBase):
    """A stream with its beginning put back."""

    def __init__(self, beginning: bytes, inner: io.BufferedReader) -> None:
        self._beginning, self._inner = beginning, inner

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The beginning first, then the stream below."""
        data = self._beginning[: len(buffer)] or self._inner.read1(len(buffer))
        self._beginning = self._beginning[len(data) :]
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the stream below."""
        self._inner.close()
        super().close()


def opened(
    path: Path, *, mapping: Mapping[str, str] | None = None,
    tick: Callable[[int, int, int | None], None] | None = None,
    enough: Callable[[Head], bool] = lambda _head: True,
) -> Input:  # fmt: skip
    """One file, decompressed and ready to be read; `-` is standard input.

    `tick` is told (things read, bytes taken, bytes of the file or None). `enough`: whether a beginning is long enough
    to be recognised by; a pipe is waited for until it is. Raises `InputProblem`.
    """
    name = file_name(path)
    raw, size, at = _raw(path, name)
    counted = Counted(raw)
    buffered: io.BufferedReader[Any] = io.BufferedReader(counted, 1 << 20)
    try:
        buffered, beginning = _peek(buffered, lambda data: len(data) >= 8)
        stream = _decompressed(buffered, beginning[:8], name)
        stream, data = _peek(stream, lambda data: enough(_head(data, path)))
    except (OSError, EOFError) as error:
        raise InputProblem(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"zlib", "lzma", "_lzma", "zstandard", "zstd"}:
            raise
        raise InputProblem(f"{name}: the compressed data is broken: {error}") from error
    other = next((what for place, mark, what in _OTHERS if data.startswith(mark, place)), None)
    if other is not None:
        raise InputProblem(f"{name}: is {other}")
    told = (lambda count: tick(count, counted.taken, size)) if tick is not None else (lambda _count: None)
    return Input(
        name=name, stream=stream, head=_head(data, path), at=at, mapping=mapping or {},
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


def _head(data: bytes, path: Path) -> Head:
    return Head(data, data.decode(encoding(data), "replace").lstrip("\ufeff"), path.name)


def _peek(stream: io.BufferedReader, enough: Callable[[bytes], bool]) -> tuple[io.BufferedReader, bytes]:
    """The stream and its beginning, which is not taken from it. A pipe brings it in pieces of any size."""
    found = bytes(stream.peek(HEAD)[:HEAD])
    if not found or len(found) >= HEAD or enough(found):
        return stream, found
    taken = b""
    while len(taken) < HEAD and (piece := stream.read1(HEAD - len(taken))):
        taken += piece
        if enough(taken) and len(taken) > len(found):
            break
    return io.BufferedReader(Pushed(taken, stream), 1 << 20), taken
