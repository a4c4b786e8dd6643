"""A folder of rules as one file that can be carried to where no network is: `.zip` or `.tar.gz`, with checksums.

Inside lies a folder `rules/` with YAML files and `SHA256SUMS`, which names every one of them; beside the file lies
`FILE.sha256`, as `sha256sum` writes it. Both guard against damage; who sent the file is known only where its checksum
came on another way (`--sha256`). A file is unpacked in memory, bounded, and rules become active only when they load and
pass `lanveto rules check`.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import io
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scanner import archives
from scanner.errors import InputProblem, RulesProblem, UsageProblem
from scanner.knowledge import shelf, version
from scanner.resources import data_dir

SUMS = "SHA256SUMS"
ROOT = "rules"
MAX_ARCHIVE = 32 * 1024 * 1024
MAX_FILE = 8 * 1024 * 1024
MAX_WHOLE = 64 * 1024 * 1024
"""Bytes of everything inside, unpacked."""
MAX_FILES = 5_000
MAX_DEPTH = 4
MAX_NAME = 200

_SUM = re.compile(r"([0-9a-fA-F]{64})(?: [ *](.*))?")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")

Files = dict[str, bytes]
"""Path inside `rules/`, with `/` → content."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What `install` did."""

    as_of: datetime.date
    before: datetime.date
    files: int
    sha256: str
    folder: Path


def install(path: Path, today: datetime.date, *, sha256: str | None = None) -> Installed:
    """Make the rules of a file the ones in use for this user.

    `sha256`: the checksum that the file must have, in hex; else `FILE.sha256` beside it is read. Raises `UsageProblem`,
    `InputProblem` and `RulesProblem`; then nothing has changed.
    """
    data = _read(path)
    found = hashlib.sha256(data).hexdigest()
    for wanted, where in _expected(path, sha256):
        if wanted != found:
            raise InputProblem(f"{path}: its sha256 is {found}, not {wanted} as {where} says: damaged, or another file")
    files = unpack(data, str(path))
    shipped, before = version.dated(data_dir(ROOT)), version.dated(shelf.rules())
    with shelf.replacing(ROOT) as folder:
        for name, content in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        as_of = _dated(folder, str(path))
        if as_of > today:
            raise InputProblem(f"{path}: version.yaml: as_of {as_of} lies ahead")
        if as_of <= shipped:
            raise InputProblem(f"{path}: is as of {as_of}; the rules that came with lanveto, of {shipped}, stay in use")
        if as_of < before:
            raise InputProblem(
                f"{path}: is as of {as_of}, older than the rules in use ({before}); `--reset` first, if you mean it"
            )
        _valid(folder, str(path))
    final = shelf.stored(ROOT)
    assert final is not None
    return Installed(as_of, before, len(files), found, final)


def _dated(folder: Path, name: str) -> datetime.date:
    try:
        return version.dated(folder)
    except RulesProblem as problem:
        raise _refused(name, str(problem), folder) from problem


def _valid(folder: Path, name: str) -> None:
    """Raises `RulesProblem` where these rules do not load, or fail a check."""
    from scanner.knowledge import Knowledge
    from scanner.knowledge.check import check

    known = Knowledge((folder,), shelf.registry(), shelf.overrides())
    try:
        findings = [str(finding) for finding in check(known)]
    except RulesProblem as problem:
        raise _refused(name, str(problem), folder) from problem
    if not (known.fingerprints and known.vendors and known.policies and known.profiles):
        findings.append("fingerprints, vendors, policies or profiles are missing: these are not all the rules")
    if findings:
        more = f"\n  … and {len(findings) - 10} more" if len(findings) > 10 else ""
        raise _refused(name, "\n  ".join([f"{len(findings)} problem(s)", *findings[:10]]) + more, folder)


def _refused(name: str, why: str, folder: Path) -> RulesProblem:
    """The error of rules that are not taken, with places as they are in the file."""
    return RulesProblem(f"{name}: not used: {why.replace(f'{folder}/', '')}")


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_ARCHIVE:
            raise InputProblem(f"{path}: is larger than {MAX_ARCHIVE:,} bytes: those are no rules")
        return path.read_bytes()
    except OSError as error:
        raise InputProblem(f"{path}: cannot be read: {error.strerror or error}") from error


def _expected(path: Path, stated: str | None) -> Iterator[tuple[str, str]]:
    """The checksums that the file must have, and who says so; at least one."""
    beside = _beside(path)
    if stated is not None:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", stated):
            raise UsageProblem(f"--sha256 {stated}: is no SHA-256 (64 hexadecimal digits)")
        yield stated.lower(), "--sha256"
    if beside.is_file():
        with beside.open("rb") as file:
            text = file.read(1000).decode("utf-8", "replace")
        found = _SUM.match(text.strip().partition("\n")[0])
        if not found:
            raise InputProblem(f"{beside}: does not begin with a SHA-256 (64 hexadecimal digits)")
        yield found[1].lower(), str(beside)
    elif stated is None:
        raise InputProblem(f"{path}: no checksum to compare it with: put {beside.name} beside it, or say --sha256 HEX")


def unpack(data: bytes, name: str) -> Files:
    """The files of `rules/`, checked against the checksums inside. Raises `InputProblem`."""
    files: Files = {}
    seen: set[str] = set()
    whole = 0
    for path, content in _zip(data, name) if data[:2] == b"PK" else _tar(data, name):
        if path.lower() in seen:
            raise InputProblem(f"{name}: {path!r} stands in it twice")
        whole += len(content)
        if whole > MAX_WHOLE or len(files) >= MAX_FILES:
            raise InputProblem(f"{name}: holds over {MAX_WHOLE:,} bytes or {MAX_FILES:,} files: those are no rules")
        files[path] = content
        seen.add(path.lower())
    return _summed(files, name)


def _zip(data: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    bounds = archives.Bounds(files=MAX_FILES, file=MAX_FILE, why="those are no rules")
    return archives.members(io.BytesIO(data), name, bounds, lambda text: _path(text, name))


def _tar(data: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            # Unpacked first and within a bound: a tar file can state any size for what it makes its reader hold.
            plain = packed.read(MAX_WHOLE + 1)
        if len(plain) > MAX_WHOLE:
            raise InputProblem(f"{name}: holds more than {MAX_WHOLE:,} bytes: those are no rules")
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
            for count, entry in enumerate(archive):
                if count > MAX_FILES:
                    raise InputProblem(f"{name}: holds more than {MAX_FILES:,} files: those are no rules")
                if entry.isdir():
                    continue
                if not entry.isreg():
                    raise InputProblem(f"{name}: {entry.name!r} is a link or a device; only files may be in it")
                path = _path(entry.name, name)
                member = archive.extractfile(entry)
                content = member.read(MAX_FILE + 1) if member is not None else b""
                if len(content) < min(entry.size, MAX_FILE):
                    raise InputProblem(f"{name}: {path!r} is cut off")
                yield path, _bounded(content, path, name)
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OSError) as error:
        raise InputProblem(f"{name}: is damaged, or neither .zip nor .tar.gz: {error}") from error


def _bounded(content: bytes, path: str, name: str) -> bytes:
    if len(content) > MAX_FILE:
        raise InputProblem(f"{name}: {path!r} is larger than {MAX_FILE:,} bytes")
    return content


def _path(text: str, name: str) -> str:
    """The path of a file inside the archive, where it is one that rules have. Raises `InputProblem`."""
    parts = text.removeprefix("./").split("/")
    plain = len(text) <= MAX_NAME and len(parts) <= MAX_DEPTH and all(_PART.fullmatch(part) for part in parts)
    if not plain or not (parts == [SUMS] or parts[0] == ROOT):
        raise InputProblem(f"{name}: {text[:MAX_NAME]!r} may not be in it; only {SUMS} and files below {ROOT}/")
    if parts[-1] != SUMS and not parts[-1].endswith((".yaml", ".md", ".txt")):
        raise InputProblem(f"{name}: {text!r} is no rule file (.yaml)")
    return "/".join(parts)


def _summed(files: Files, name: str) -> Files:
    """The files below `rules/`, each of which `SHA256SUMS` names with its checksum. Raises `InputProblem`."""
    place = next((path for path in (f"{ROOT}/{SUMS}", SUMS) if path in files), None)
    if place is None:
        raise InputProblem(f"{name}: {SUMS} is missing in it; `lanveto rules pack` writes it")
    base = PurePosixPath(place).parent
    sums: dict[str, str] = {}
    for line in files.pop(place).decode("utf-8", "replace").splitlines():
        found = _SUM.fullmatch(line.strip())
        if line.strip() and (not found or found[2] is None):
            raise InputProblem(f"{name}: {place}: {line[:100]!r} is no line of sha256sum")
        if found:
            sums[str(base / found[2].removeprefix("./"))] = found[1].lower()
    for path, content in files.items():
        wanted = sums.pop(path, None)
        if wanted is None:
            raise InputProblem(f"{name}: {path!r} is not named in {place}")
        if hashlib.sha256(content).hexdigest() != wanted:
            raise InputProblem(f"{name}: {path!r} is not what {place} says: it is damaged")
    if sums:
        raise InputProblem(f"{name}: {next(iter(sums))!r} is named in {place} and missing")
    return {path.partition("/")[2]: content for path, content in files.items()}


def pack(folder: Path, target: Path) -> str:
    """Write a folder of rules as one `.zip` or `.tar.gz`, and `FILE.sha256` beside it; returns the checksum.

    The same rules give the same bytes. Raises `UsageProblem`, and `RulesProblem` where the rules are not valid.
    """
    if not target.name.endswith((".zip", ".tar.gz", ".tgz")):
        raise UsageProblem(f"{target}: name it .zip or .tar.gz")
    as_of = _dated(folder, str(folder))
    _valid(folder, str(folder))
    files: Files = {}
    for path in sorted(folder.rglob("*.yaml")):
        files[f"{ROOT}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    lines = (f"{hashlib.sha256(data).hexdigest()}  {path.removeprefix(ROOT + '/')}\n" for path, data in files.items())
    files[f"{ROOT}/{SUMS}"] = "".join(lines).encode()
    whole = _as_zip(files, as_of) if target.name.endswith(".zip") else _as_tar(files, as_of)
    unpack(whole, str(target))
    found = hashlib.sha256(whole).hexdigest()
    for file, content in ((target, whole), (_beside(target), f"{found}  {target.name}\n".encode())):
        part = file.with_name(f".{file.name}.part")
        part.write_bytes(content)
        part.replace(file)
    return found


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _as_zip(files: Files, day: datetime.date) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, (day.year, day.month, day.day, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, content)
    return out.getvalue()


def _as_tar(files: Files, day: datetime.date) -> bytes:
    plain = io.BytesIO()
    moment = int(datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp())
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime, entry.mode = len(content), moment, 0o644
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), mtime=0)
