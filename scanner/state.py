"""The last scan's recordings, kept so that `lanveto explain` can tell any answer's whole story later.

One file, mode 0600, in `$XDG_STATE_HOME/lanveto` (default `~/.local/state/lanveto`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

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


def save_last(recordings: Sequence[Recording]) -> str | None:
    """Keep the recordings of a finished scan; returns why that failed, or None. A scan never fails for it."""
    target = folder() / NAME
    part = target.with_suffix(f".{os.getpid()}.part")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.writelines(to_json(recording) + b"\n" for recording in recordings)
        part.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        return f"{target}: {error.strerror or error}"
    return None


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
