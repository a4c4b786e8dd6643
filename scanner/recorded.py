"""Recordings as files, one per device, as `--record DIR` wants them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from scanner.errors import UsageProblem
from scanner.model import Recording
from scanner.recordings import redact, to_yaml


def redacted(recording: Recording, number: int) -> Recording:
    """The recording as it may leave the house: no serials, no addresses, and an id that tells neither."""
    return msgspec.structs.replace(redact(recording), id=f"device-{number}")


def prepare(folder: Path) -> None:
    """Make the folder, for its owner alone, where it is missing. Raises `UsageProblem`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageProblem(f"--record {folder}: {error.strerror or error}") from error


def write_recordings(folder: Path, recordings: Sequence[Recording]) -> list[str]:
    """Write one YAML file per device (mode 0600); returns what could not be written, and why: each reason once, for a
    full disk has the same one for every device.
    """
    problems: dict[str, str] = {}
    for recording in recordings:
        path = folder / f"{recording.id}.yaml"
        part = path.with_suffix(".part")
        try:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(to_yaml([recording]))
            part.replace(path)
        except OSError as error:
            why = error.strerror or str(error)
            problems[why] = f"--record {path if why not in problems else f'{folder}: several files'}: {why}"
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
    return list(problems.values())
