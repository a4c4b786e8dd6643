"""A file that the user names, whole and bounded: what waivers, columns and recordings are read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.errors import InputProblem
from scanner.values import file_name

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024


def read(path: Path, most: int, *, dash: bool = False, hint: str = "") -> bytes:
    """The bytes of a file of at most `most` bytes; with `dash`, `-` is standard input.

    Raises `InputProblem` for what is missing, a folder, or larger; `hint` says what to do about a larger one.
    """
    name = file_name(path)
    try:
        if dash and name == "-":
            import sys

            if sys.stdin is None:
                raise InputProblem("-: standard input is closed")
            data = sys.stdin.buffer.read(most + 1)
        else:
            if path.is_dir():
                raise InputProblem(f"{name}: is a folder; name the files in it")
            with path.open("rb") as file:
                data = file.read(most + 1)
    except OSError as error:
        raise InputProblem(f"{name}: cannot be read: {error.strerror or error}") from error
    if len(data) > most:
        raise InputProblem(f"{name}: is larger than {most // MIB} MiB{hint}")
    return data
