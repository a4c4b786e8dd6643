"""A scan's own record, from which it continues after an interruption: one file of JSON Lines, written as it goes.

The first line says what is asked (the plan, the seed of the order, the size of the portions); then come every finished
device, and every portion of the targets whose hosts have been asked. Lines are appended whole; one that was cut by a
crash is left out when the file is read, so that nothing has to be written twice to be safe.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from scanner import state
from scanner.config import Plan
from scanner.discover.base import Ground
from scanner.engine.harvest import Finished
from scanner.errors import Notice, UsageProblem
from scanner.model import Method

FORMAT = 1
LAST = "last"
"""What `--resume` takes for the newest record in the state folder."""
KEPT = 5
"""Records of interrupted scans that stay in the state folder."""
ASKING = (
    "targets", "exclude", "interfaces", "ports", "speed", "rate", "timeout", "site", "allow_public", "raw", "multicast",
    "neighbour_writes", "port_map", "assume_up",
)  # fmt: skip
"""What of a plan decides who is asked what: it cannot change when a scan continues."""

_SUFFIX = ".scan"


class Terrain(msgspec.Struct, frozen=True):
    """One ground, by which it is recognised."""

    reach: str
    link: str | None
    addresses: int
    digest: str
    size: int
    """Addresses of a portion."""


class Beginning(msgspec.Struct, frozen=True, kw_only=True, tag="scan"):
    """The first line."""

    format: int
    id: str
    started: str
    version: str
    rules: str
    """Checksum of the rules."""
    seed: int
    grounds: tuple[Terrain, ...]
    plan: dict[str, Any]


class Silent(msgspec.Struct, frozen=True, kw_only=True, tag="silent"):
    """A host that is there and has not answered yet: it gets its second look."""

    address: str
    mac: str | None
    link: str | None
    methods: tuple[str, ...]
    packets: int


class Portion(msgspec.Struct, frozen=True, kw_only=True, tag="portion"):
    """All hosts of a portion have been asked."""

    number: int
    methods: tuple[Method, ...] = ()
    warnings: tuple[Notice, ...] = ()


class End(msgspec.Struct, frozen=True, tag="end"):
    """Nothing is left to ask."""


Line = Beginning | Finished | Silent | Portion | End
_DECODER = msgspec.json.Decoder(Line)


def terrain(ground: Ground, size: int) -> Terrain:
    """A ground as the record names it."""
    text = f"{[(span.first, span.last) for span in ground.spans]} {ground.v6} {sorted(ground.skip)}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    link = ground.link.name if ground.link else None
    return Terrain(ground.reach.value, link, ground.whole + len(ground.v6), digest, size)


class Record:
    """The file while a scan writes it. A failure to write is kept in `problem` and ends the record, not the scan."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.problem: str | None = None
        self._own = path is None
        self._file: int | None = None

    def begin(self, first: Beginning) -> None:
        """A new record. Raises `UsageProblem` where the file that the user named cannot be written."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_EXCL if self._own else os.O_TRUNC)
        try:
            if self.path is None:
                self.path = state.folder() / f"{first.id}{_SUFFIX}"
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _prune(self.path.parent)
            self._file = os.open(self.path, flags, 0o600)
        except OSError as error:
            text = f"{self.path}: {error.strerror or error}"
            if not self._own:
                raise UsageProblem(f"--checkpoint {text}") from error
            self.problem = f"this scan could not be continued after an interruption: {text}"
            return
        _lock(self._file)
        self.write([first])

    def go_on(self, path: Path) -> None:
        """Continue a record. Raises `UsageProblem` where it cannot be written, or another scan writes it."""
        self.path, self._own = path, path.parent == state.folder() and path.suffix == _SUFFIX
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise UsageProblem(f"--resume {path}: {error.strerror or error}") from error
        if not _lock(self._file):
            raise UsageProblem(f"--resume {path}: another scan is writing it")
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":  # the last line was cut
            os.write(self._file, b"\n")

    def write(self, lines: Sequence[Line]) -> None:
        """Append lines."""
        if self._file is None or not lines:
            return
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self.problem = f"this scan could not be continued after an interruption: {self.path}: {error.strerror}"
            self._close()

    def end(self, *, complete: bool) -> None:
        """Close the file. A complete scan's own record in the state folder goes; one the user named is kept."""
        if self._file is None:
            return
        if complete:
            self.write([End()])
            if self._own and self.path is not None:
                with contextlib.suppress(OSError):
                    self.path.unlink()
        self._close()

    def _close(self) -> None:
        handle, self._file = self._file, None
        if handle is not None:
            os.close(handle)


class Past:
    """What an interrupted scan has recorded.

    Raises `UsageProblem` for a file that is no such record, or that of a complete scan.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.portions: dict[int, Portion] = {}
        self.silent: list[Silent] = []
        self.finished = 0
        lines = self._lines()
        first = next(lines, None)
        if not isinstance(first, Beginning):
            raise UsageProblem(f"--resume {path}: is no record of a scan")
        if first.format != FORMAT:
            raise UsageProblem(f"--resume {path}: has another format (lanveto {first.version})")
        self.first = first
        for line in lines:
            if isinstance(line, Portion):
                self.portions[line.number] = line
            elif isinstance(line, Silent):
                self.silent.append(line)
            elif isinstance(line, Finished):
                self.finished += 1
            elif isinstance(line, End):
                raise UsageProblem(f"--resume {path}: that scan is complete; begin a new one")

    @property
    def plan(self) -> Plan:
        """The plan as it was. Raises `UsageProblem` where it makes no sense any more."""
        try:
            return msgspec.convert(self.first.plan, Plan, strict=False)
        except msgspec.ValidationError as error:
            raise UsageProblem(f"--resume {self.path}: its plan cannot be read: {error}") from error

    def devices(self) -> Iterator[Finished]:
        """The finished devices, read one by one."""
        return (line for line in self._lines() if isinstance(line, Finished))

    def check(self, grounds: Sequence[Terrain]) -> None:
        """Raises `UsageProblem` where the targets mean other addresses than they did, or are reached otherwise."""
        for old, new in zip(self.first.grounds, grounds, strict=False):
            if (old.reach, old.link, old.digest) != (new.reach, new.link, new.digest):
                raise UsageProblem(
                    f"--resume {self.path}: the targets mean other addresses now: {_words(old)} then, {_words(new)} "
                    "now; begin a new scan"
                )
        if len(self.first.grounds) != len(grounds):
            raise UsageProblem(f"--resume {self.path}: the targets are reached in other ways now; begin a new scan")

    def _lines(self) -> Iterator[Line]:
        try:
            with self.path.open("rb") as file:
                for text in file:
                    try:
                        yield _DECODER.decode(text)
                    except msgspec.MsgspecError:
                        continue  # cut by a crash
        except OSError as error:
            raise UsageProblem(f"--resume {self.path}: {error.strerror or error}") from error


def find(word: str) -> Past:
    """The record that `--resume` names. Raises `UsageProblem`."""
    if word != LAST:
        return Past(Path(word))
    for path in _records(state.folder()):
        if not _busy(path):
            return Past(path)
    raise UsageProblem("--resume last: no interrupted scan is remembered on this account")


def plan_fields(plan: Plan) -> dict[str, Any]:
    """A plan as a record keeps it."""
    fields: dict[str, Any] = msgspec.to_builtins(replace(plan, record=None, audit_log=None))
    return fields


def changed(old: Plan, new: Plan) -> list[str]:
    """What of a plan that decides who is asked what differs."""
    return [name for name in ASKING if getattr(old, name) != getattr(new, name)]


def _words(terrain: Terrain) -> str:
    return f"{terrain.addresses} addresses {f'on {terrain.link}' if terrain.link else terrain.reach}"


def _records(folder: Path) -> list[Path]:
    """The records in the state folder, newest first."""
    try:
        return sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return []


def _prune(folder: Path) -> None:
    for path in _records(folder)[KEPT - 1 :]:
        if not _busy(path):
            with contextlib.suppress(OSError):
                path.unlink()


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _busy(path: Path) -> bool:
    """Whether a scan that is running writes it."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return True
    try:
        return not _lock(handle)
    finally:
        os.close(handle)
