"""The contract of an importer, and what it reads from: a stream that is bounded, whatever a file holds.

Memory stays flat: an importer sees one line, one packet or one host at a time. What it does not understand is counted
and the first few are kept to be shown. A file that breaks in the middle raises `InputProblem`; what was said before
stays said.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader, BytesIO
from typing import NamedTuple, Protocol, Self, runtime_checkable

from scanner.errors import InputProblem
from scanner.model import Observation, Place
from scanner.values import one_line

MAX_LINE = 1 << 20
"""Characters of one line; a longer one is no text of any format here."""
MAX_WHOLE = 512 << 20
"""Bytes of a file that has to be read as one document."""
MAX_SHOWN = 5
"""Lines that were not understood and are shown."""
_CHUNK = 1 << 20

CSV_MEANINGS = ("mac", "ip", "hostname", "vendor", "port", "switch", "switchport", "vlan", "time")
"""What a column may mean (`--map mac=Hardware,ip=Address`)."""


class Heard(NamedTuple):
    """One thing a source says about one device."""

    mac: str | None = None
    """Normalised (`aa:bb:cc:dd:ee:ff`)."""
    address: str | None = None
    observations: tuple[Observation, ...] = ()
    place: Place | None = None
    at: str | None = None
    """When (RFC 3339, UTC); None: the file's own time."""
    name: str | None = None
    """The source's name for the device, where it has neither a MAC nor an address."""
    addresses: tuple[str, ...] = ()
    """Further addresses of the same device, where the source knows that they are."""


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a file, for recognising it."""

    data: bytes
    """At most 64 KiB, decompressed."""
    text: str
    name: str
    """The file's name, for hints only: content decides."""

    def lines(self, most: int = 60) -> list[str]:
        """The first lines that are not blank; the last one is left out where it may be cut off."""
        found = self.text.splitlines()
        if len(self.data) >= HEAD and len(found) > 1:
            found.pop()
        return [line for line in found if line.strip()][:most]


HEAD = 65_536
"""Bytes by which a file is recognised."""


@dataclass
class Input:
    """One file while it is read."""

    name: str
    stream: BytesIO | BufferedReader
    head: Head
    at: str | None = None
    """When the file was last written: what it says is as old as that."""
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Meaning → column of a CSV file, as `--map` says it."""
    tick: Callable[[int], None] = lambda _count: None
    """Told how many things were read so far."""
    unknown: int = 0
    shown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Sentences for the report: what was left out and why."""

    def skip(self, where: str, what: str) -> None:
        """Count something that was not understood."""
        self.unknown += 1
        if len(self.shown) < MAX_SHOWN:
            self.shown.append(f"{where}: {one_line(what, 80)}")

    def note(self, text: str) -> None:
        """Say something in the report, once."""
        if text not in self.notes:
            self.notes.append(text)

    def lines(self, most: int = MAX_LINE) -> Iterator[tuple[int, str]]:
        """(number, line) without line ends, in whatever encoding the file is; of lines of at most so many characters.

        Raises `InputProblem` where a line has no end, or where the file cannot be read on.
        """
        decoder = codecs.getincrementaldecoder(encoding(self.head.data))("replace")
        rest, number = "", 0
        while True:
            chunk = self.read(_CHUNK)
            text = rest + decoder.decode(chunk, final=not chunk)
            parts = text.split("\n")
            rest = parts.pop()
            for line in parts:
                number += 1
                yield number, line.rstrip("\r").lstrip("\ufeff") if number == 1 else line.rstrip("\r")
            self.tick(number)
            if len(rest) > most:
                raise InputProblem(
                    f"{self.name}: line {number + 1} is longer than {most // 1024} KiB: this is no text file of "
                    "this format; what stands before it was read"
                )
            if not chunk:
                break
        if rest:
            yield number + 1, rest.rstrip("\r").lstrip("\ufeff") if number == 0 else rest.rstrip("\r")

    def read(self, most: int) -> bytes:
        """Up to so many bytes, empty at the end. Raises `InputProblem`; what was read before is not lost."""
        try:
            return self.stream.read1(most)
        except (OSError, EOFError, ValueError, RuntimeError) as error:
            raise InputProblem(
                f"{self.name}: cannot be read on: {_why(error)}; what was read before is kept"
            ) from error
        except Exception as error:  # the decompressors' own errors have no common base
            if type(error).__module__.partition(".")[0] not in {"zlib", "lzma", "_lzma", "zstandard", "zstd"}:
                raise
            raise InputProblem(
                f"{self.name}: the compressed data is broken: {_why(error)}; what was read before is kept"
            ) from error

    def whole(self) -> bytes:
        """The whole file. Raises `InputProblem` where it is larger than `MAX_WHOLE`."""
        parts: list[bytes] = []
        size = 0
        while chunk := self.read(_CHUNK):
            parts.append(chunk)
            size += len(chunk)
            if size > MAX_WHOLE:
                raise InputProblem(f"{self.name}: is larger than {MAX_WHOLE >> 20} MiB in one document; split it")
            self.tick(size)
        return b"".join(parts)


class Break:
    """Holds back what ends reading early, a broken file or Ctrl-C, until all that was read before is told: for formats
    that tell at the end.

    `with Break() as broken:` around the reading, then what was read, then `broken.tell()`.
    """

    def __init__(self) -> None:
        self._problem: InputProblem | KeyboardInterrupt | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        self._problem = error if isinstance(error, InputProblem | KeyboardInterrupt) else None
        return self._problem is not None

    def tell(self) -> None:
        """Raises what was held back, if anything was: `InputProblem`, `KeyboardInterrupt`."""
        if self._problem is not None:
            raise self._problem


def _why(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def encoding(head: bytes) -> str:
    """The encoding of a text by its beginning: PowerShell writes UTF-16, old tools write a code page."""
    for mark, name in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if head.startswith(mark):
            return name
    sample = head[:4096]
    even, odd, many = sample[::2].count(0), sample[1::2].count(0), len(sample) // 3
    if len(sample) >= 8 and max(even, odd) > many > 8 * min(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "cp1252" if not any(byte in head for byte in b"\x81\x8d\x8f\x90\x9d") else "latin-1"
    return "utf-8"


@runtime_checkable
class Importer(Protocol):
    """One format."""

    name: str
    """What `--from` takes; the file is named after it."""
    summary: str
    """One line: what tool writes it."""

    def score(self, head: Head) -> float:
        """How sure it is, from the beginning, that a file is its own: 0 (no) to 1 (nothing else looks like this)."""
        ...

    def read(self, source: Input) -> Iterator[Heard]:
        """Everything the file says. Raises `InputProblem` where it cannot go on; what was yielded stays."""
        ...
