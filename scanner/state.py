"""The last scan's recordings, kept so that `lanveto explain` can tell any answer's whole story later.

One file, mode 0600, in `$XDG_STATE_HOME/lanveto` (default `~/.local/state/lanveto`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from scanner.errors import InputProblem
from scanner.model import Recording
from scanner.recordings import load, to_json

NAME = "last-scan.jsonl"


def folder() -> Path:
    """Where lanveto keeps its state; may not exist yet, and cannot for an account without a home.

    A relative `$XDG_STATE_HOME` counts as not set (XDG Base Directory Specification).
    """
    base = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(base):  # noqa: PTH117 - of a text that may be empty
        return Path(base) / "lanveto"
    try:
        home = Path.home()
    except RuntimeError:  # a number without a name, as in containers; this is what Debian gives accounts without a home
        home = Path("/nonexistent")
    return home / ".local" / "state" / "lanveto"


class Last:
    """Keeps the recordings of a scan, one by one as they come; `commit` puts them in the place of the scan before.

    A scan never fails for it: `problem` says why it could not be kept. A scan that heard nothing leaves the one
    before in its place: there is nothing of it to explain.
    """

    def __init__(self) -> None:
        self.problem: str | None = None
        self._target = folder() / NAME
        self._part = self._target.with_suffix(f".{os.getpid()}.part")
        self._file: BinaryIO | None = None
        self._empty = True
        try:
            self._target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = os.fdopen(handle, "wb")
        except OSError as error:
            self._give_up(error)

    def add(self, recording: Recording) -> None:
        """One more."""
        self._empty = False
        if self._file is not None:
            try:
                self._file.write(to_json(recording) + b"\n")
            except OSError as error:
                self._give_up(error)

    def commit(self) -> str | None:
        """The scan is over; returns why it is not remembered, or None."""
        if self._empty and self.problem is None:
            self._discard()
        if self._file is not None:
            try:
                self._file.close()
                self._part.replace(self._target)
            except OSError as error:
                self._give_up(error)
        return self.problem

    def drop(self) -> None:
        """Keep the scan before, where `commit` has not been called."""
        if self._file is not None and not self._file.closed:
            self._give_up(OSError("dropped"))

    def _give_up(self, error: OSError) -> None:
        self.problem = f"{self._target}: {error.strerror or error}"
        self._discard()

    def _discard(self) -> None:
        file, self._file = self._file, None
        with contextlib.suppress(OSError):
            if file is not None:
                file.close()
        with contextlib.suppress(OSError):
            self._part.unlink()


def save_last(recordings: Sequence[Recording]) -> str | None:
    """Keep the recordings of a finished scan; returns why that failed, or None. A scan never fails for it."""
    last = Last()
    for recording in recordings:
        last.add(recording)
    return last.commit()


def load_last() -> tuple[Recording, ...]:
    """The recordings of the last scan. Raises `InputProblem` where there is none."""
    path = folder() / NAME
    try:
        there = path.exists()
    except OSError as error:
        raise InputProblem(f"{path}: {error.strerror or error}; name a recording with --from FILE") from error
    if not there:
        raise InputProblem("no scan is remembered on this account; name a recording with --from FILE")
    return load(path).recordings
