"""Parsed rule files: reading their YAML is most of what a start takes.

Our own travel with the package as one file that is made when the package is built (`hatch_build.py`); all others (a
user's, newer ones, a checkout's that were edited since) are kept in the user's cache folder. Either way under the
SHA-256 of the YAML file's content and of the code that reads it, so that nothing here can be out of date, and with a
checksum of its own. Whatever is wrong with it, the YAML itself is read: it is what counts, this is never needed.
`$XDG_CACHE_HOME/lanveto/parsed-rules` (default `~/.cache/…`) may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec

from scanner.resources import package_file

SHIPPED = "parsed-rules.bin"
"""Our own rule files, parsed, among the package's data: MessagePack, key → what `keep` would write."""
MISSING = object()
"""What `get` returns where nothing is kept; a document may be None."""
LEAST = 2_048
"""Bytes of a file below which its YAML is read as soon as the cache."""
MAX_KEPT = 4 * 1024 * 1024
"""Bytes of one parsed file that is worth keeping."""
MAX_FILES = 2_000
"""Files in the folder, above which the older half goes: whoever writes rules makes a new one with each change."""
DATE = 1
"""Code of a date among the extension types of MessagePack, which would otherwise come back as a text."""
DIGEST = 32


def get(content: bytes) -> Any:
    """The data that a file of this content holds, or `MISSING`."""
    key = _key(content)
    shipped = _shipped().get(key)
    document = MISSING if shipped is None else _unpack(shipped)
    folder = _folder() if document is MISSING and len(content) >= LEAST else None
    if folder is None:
        return document
    try:
        return _unpack((folder / key).read_bytes())
    except OSError:
        return MISSING


def keep(content: bytes, document: Any) -> None:
    """Remember what a file of this content holds, if it can be remembered; never raises."""
    folder = _prepared() if len(content) >= LEAST else None
    if folder is None:
        return
    try:
        packed = _pack(document)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return
    if len(packed) > MAX_KEPT:
        return
    part = folder / f".{os.getpid()}.part"
    with contextlib.suppress(OSError):
        part.write_bytes(packed)
        part.replace(folder / _key(content))


def ship(folder: Path) -> bytes:
    """What a build puts beside the rules of `folder`: all of its YAML files, parsed. Raises `documents.YamlError`."""
    from scanner import documents

    made: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*.yaml")):
        content = path.read_bytes()
        node = documents.compose(content.decode("utf-8-sig"))
        made[_key(content)] = _pack(None if node is None else documents.Builder().build(node))
    return msgspec.msgpack.encode(made)


@functools.cache
def _shipped() -> dict[str, bytes]:
    """Our own files, parsed; empty in a checkout that was never built."""
    path = package_file(SHIPPED)
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=dict[str, bytes])
    except (OSError, ValueError):  # msgspec's errors are ValueErrors
        return {}


def _pack(document: Any) -> bytes:
    """The document with its checksum; raises what MessagePack and `_packable` raise."""
    packed = msgspec.msgpack.encode(_packable(document))
    return hashlib.sha256(packed).digest() + packed


def _unpack(kept: bytes) -> Any:
    """What `_pack` was given, `MISSING` where it is damaged."""
    if hashlib.sha256(kept[DIGEST:]).digest() != kept[:DIGEST]:
        return MISSING
    try:
        return _DECODER.decode(kept[DIGEST:])
    except ValueError:
        return MISSING


def _packable(data: Any) -> Any:
    """The same data as MessagePack gives it back; raises `TypeError` for what would come back as something else."""
    if data is None or type(data) in {str, int, float, bool}:
        return data
    if type(data) is list:
        return [_packable(item) for item in data]
    if type(data) is dict:
        if not all(type(key) is str for key in data):
            raise TypeError("a key is no text")
        return {key: _packable(value) for key, value in data.items()}
    if type(data) is datetime.date:
        return msgspec.msgpack.Ext(DATE, data.isoformat().encode())
    raise TypeError(f"{type(data).__name__} is not kept")


def _unpacked(code: int, data: memoryview) -> datetime.date:
    if code != DATE:
        raise ValueError("unknown extension type")
    return datetime.date.fromisoformat(bytes(data).decode())


_DECODER = msgspec.msgpack.Decoder(ext_hook=_unpacked)


@functools.cache
def _reader() -> bytes:
    """What stands for the code that reads: another version may read the same file differently."""
    files = (Path(__file__).parent.parent / "documents.py", Path(__file__))
    return b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)


def _key(content: bytes) -> str:
    return hashlib.sha256(_reader() + content).hexdigest()


def _prepared() -> Path | None:
    """The folder, made where it is missing."""
    folder = _place()
    if folder is not None and not folder.exists():
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    safe = _folder()
    if safe is not None:
        _sweep(safe)
    return safe


def _place() -> Path | None:
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        home = Path(base) if os.path.isabs(base) else Path.home() / ".cache"  # noqa: PTH117 - of a text, may be empty
    except RuntimeError:  # an account without a home
        return None
    return home / "lanveto" / "parsed-rules"


def _folder() -> Path | None:
    """The folder, if it is there and nobody else can write to it."""
    folder = _place()
    try:
        status = folder.stat() if folder is not None else None
    except OSError:
        return None
    mine = status is not None and hasattr(os, "geteuid") and status.st_uid == os.geteuid()
    return folder if status is not None and mine and not status.st_mode & 0o022 else None


@functools.cache
def _sweep(folder: Path) -> None:
    """Once a process: the older half goes where there are too many."""
    with contextlib.suppress(OSError):
        files = list(folder.iterdir())
        if len(files) > MAX_FILES:
            for file in sorted(files, key=lambda path: path.stat().st_mtime)[: len(files) // 2]:
                file.unlink(missing_ok=True)
