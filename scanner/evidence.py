"""The evidence bundle (docs/bundle.md): one zip that holds an answer and all it was given by, and can be judged again.

Inside: the report (JSON and HTML), the recordings it was made from, the rules and registry that judged, exclusions,
waivers, the organisation's columns, and `SHA256SUMS` over all of it. `verify` checks the sums and judges the recordings
again by those rules. The sums guard against damage; who made a bundle is known only where it is signed by other means.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import re
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from scanner import archives, assess, assets, recordings
from scanner import report as formats
from scanner.errors import InputProblem, RulesProblem, UsageProblem
from scanner.judge import waivers
from scanner.knowledge import Knowledge
from scanner.model import Coverage, Report, Scan
from scanner.resources import REGISTRY
from scanner.values import file_name, one_line

FORMAT = 1
SUMS = "SHA256SUMS"
ABOUT = "bundle.json"
MAX_WHOLE = 512 * 1024 * 1024
"""Bytes of everything inside, unpacked."""
BOUNDS = archives.Bounds(files=20_000, file=MAX_WHOLE, why="that is no bundle of evidence")
MAX_TOLD = 40
"""Differences that are told; the rest is counted."""
SKIPPED = frozenset({"packets", "bytes_sent"})
"""Fields of a device that only a scan can know."""

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_SUM = re.compile(r"([0-9a-f]{64})  (\S+)")

Files = dict[str, bytes]
"""Path inside the bundle → content."""


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`bundle.json`: how to judge again."""

    format: int
    tool: str
    version: str
    scan: str
    created: str
    profiles: tuple[str, ...]
    law_as_of: str
    rules: tuple[str, ...]
    """Folders of rules, the first below, later ones laid over it."""
    overrides: tuple[str, ...]
    waivers: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` found."""

    about: About
    files: int
    devices: int
    damaged: tuple[str, ...]
    """Files that are not what SHA256SUMS says."""
    differences: tuple[str, ...]
    """What judging again gives otherwise; empty where nothing was judged because files are damaged."""


def pack(report: Report, knowledge: Knowledge, *, waived: Sequence[Path] = (), joined: Sequence[Path] = ()) -> bytes:
    """The bundle of a report. The same report and rules give the same bytes. Raises `InputProblem`."""
    files: Files = {
        "report.json": _text(formats.get("json").render(report)),
        "report.html": _text(formats.get("html").render(report)),
        "recordings.jsonl": b"".join(recordings.to_json(d.recording) + b"\n" for d in report.devices),
        "exclusions.txt": "".join(f"{one_line(word, 500)}\n" for word in report.scan.excluded).encode(),
    }
    rules = _rules(knowledge, files)
    overrides = _copied(knowledge.overrides, "oui/overrides", files)
    for name in (REGISTRY, "registry.json"):
        files[f"oui/{name}"] = _read(knowledge.registry_folder / name)
    about = About(
        format=FORMAT,
        tool=report.scan.tool,
        version=report.scan.version,
        scan=report.scan.id,
        created=report.scan.finished or report.scan.started,
        profiles=report.scan.profiles,
        law_as_of=report.scan.law_as_of or report.scan.started[:10],
        rules=rules,
        overrides=overrides,
        waivers=_copied(waived, "waivers/waivers", files),
        columns=_copied(joined, "columns/columns", files),
    )
    files[ABOUT] = msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n"
    files[SUMS] = "".join(f"{hashlib.sha256(files[p]).hexdigest()}  {p}\n" for p in sorted(files)).encode()
    return _zipped(files, about.created)


def verify(path: Path) -> Verified:
    """Check a bundle and judge it again by the rules inside. Raises `InputProblem` where it is no readable bundle."""
    name = file_name(path)
    try:
        with path.open("rb") as source:
            files = _unpacked(source, name)
    except OSError as error:
        raise InputProblem(f"{name}: cannot be read: {error.strerror or error}") from error
    for needed in (SUMS, ABOUT, "report.json", "recordings.jsonl"):
        if needed not in files:
            raise InputProblem(f"{name}: {needed} is missing in it: that is no bundle of evidence")
    damaged = _damaged(files, name)
    about = _about(files[ABOUT], name)
    if damaged:
        return Verified(about, len(files), 0, damaged, ())
    with tempfile.TemporaryDirectory(prefix="lanveto-verify-") as folder:
        for inside, content in files.items():
            target = Path(folder, inside)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        try:
            again = _judged(Path(folder), about)
        except (InputProblem, UsageProblem) as problem:
            text = str(problem).replace(f"{folder}/", "")
            raise InputProblem(f"{name}: cannot be judged again: {text}") from problem
    before = _document(files["report.json"], name)
    return Verified(about, len(files), len(again["devices"]), (), tuple(_differences(before, again)))


def _rules(knowledge: Knowledge, files: Files) -> tuple[str, ...]:
    names = []
    for number, folder in enumerate(knowledge.folders):
        names.append(f"rules/{number}")
        for path in sorted(folder.rglob("*.yaml")):
            inside = f"rules/{number}/{path.relative_to(folder).as_posix()}"
            _path(inside, str(path))
            files[inside] = _read(path)
    return tuple(names)


def _copied(paths: Sequence[Path], stem: str, files: Files) -> tuple[str, ...]:
    names = []
    for number, path in enumerate(paths):
        names.append(f"{stem}-{number}{'.csv' if stem.startswith('columns') else '.yaml'}")
        files[names[-1]] = _read(path)
    return tuple(names)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputProblem(f"{file_name(path)}: cannot be read: {error.strerror or error}") from error


def _text(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")


def _zipped(files: Files, created: str) -> bytes:
    try:
        day = datetime.datetime.fromisoformat(created)
        stamp = (max(day.year, 1980), day.month, day.day, day.hour, day.minute, day.second)
    except ValueError:
        stamp = (1980, 1, 1, 0, 0, 0)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, stamp)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o600) << 16
            archive.writestr(entry, files[path])
    return out.getvalue()


def _unpacked(source: Any, name: str) -> Files:
    files: Files = {}
    seen: set[str] = set()
    whole = 0
    for path, content in archives.members(source, name, BOUNDS, _paths(name)):
        if path.lower() in seen:
            raise InputProblem(f"{name}: {path!r} stands in it twice")
        whole += len(content)
        if whole > MAX_WHOLE:
            raise InputProblem(f"{name}: holds more than {MAX_WHOLE:,} bytes: {BOUNDS.why}")
        seen.add(path.lower())
        files[path] = content
    return files


def _paths(name: str) -> Callable[[str], str]:
    return lambda text: _path(text, name)


def _path(text: str, name: str) -> str:
    parts = text.split("/")
    if len(text) > 200 or len(parts) > 6 or not all(_PART.fullmatch(part) for part in parts):
        raise InputProblem(f"{name}: {one_line(text, 200)!r} is no name for a file in a bundle")
    return text


def _damaged(files: Files, name: str) -> tuple[str, ...]:
    sums: dict[str, str] = {}
    for line in files[SUMS].decode("utf-8", "replace").splitlines():
        found = _SUM.fullmatch(line)
        if not found:
            raise InputProblem(f"{name}: {SUMS}: {one_line(line, 100)!r} is no line of sha256sum")
        sums[found[2]] = found[1]
    problems = []
    for path, content in files.items():
        wanted = sums.pop(path, None)
        if path == SUMS:
            continue
        if wanted is None:
            problems.append(f"{path}: is not named in {SUMS}: it was added later")
        elif hashlib.sha256(content).hexdigest() != wanted:
            problems.append(f"{path}: is not what {SUMS} says: it was changed or damaged")
    problems += [f"{one_line(path, 200)}: is named in {SUMS} and missing" for path in sums]
    return tuple(problems)


def _about(data: bytes, name: str) -> About:
    try:
        about = msgspec.json.decode(data, type=About)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputProblem(f"{name}: {ABOUT}: {error}") from error
    if about.format != FORMAT:
        raise InputProblem(f"{name}: {ABOUT}: format is {about.format}; this version reads format {FORMAT}")
    for inside in (*about.rules, *about.overrides, *about.waivers, *about.columns):
        _path(inside, name)
    return about


def _document(data: bytes, name: str) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputProblem(f"{name}: report.json: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("devices"), list):
        raise InputProblem(f"{name}: report.json: is no report of lanveto")
    return document


def _judged(folder: Path, about: About) -> dict[str, Any]:
    """The report that the recordings give by the rules of the bundle, as its JSON document."""
    known = Knowledge(
        [folder / name for name in about.rules], folder / "oui", [folder / name for name in about.overrides]
    )
    loaded = recordings.load(folder / "recordings.jsonl")
    if loaded.problems:
        raise InputProblem(str(loaded.problems[0]))
    try:
        day = datetime.date.fromisoformat(about.law_as_of)
    except ValueError as error:
        raise RulesProblem(f"{ABOUT}: law_as_of: {about.law_as_of!r} is no date") from error
    devices = assess.assess(loaded.recordings, known, profiles=about.profiles, as_of=day)
    scan = Scan(id=about.scan, started=about.created, profiles=about.profiles, law_as_of=about.law_as_of)
    report = assess.report(scan, devices, Coverage(), known)
    for name in about.columns:
        report = assets.join(report, assets.load(folder / name))
    report = waivers.apply(report, waivers.load([folder / name for name in about.waivers], known))
    document: dict[str, Any] = msgspec.json.decode(_text(formats.get("json").render(report)))
    return document


def _differences(before: dict[str, Any], again: dict[str, Any]) -> Iterator[str]:
    found = [*_parts(before, again)]
    yield from found[:MAX_TOLD]
    if len(found) > MAX_TOLD:
        yield f"and {len(found) - MAX_TOLD} more"


def _parts(before: dict[str, Any], again: dict[str, Any]) -> Iterator[str]:
    for part in ("rules", "measures", "waivers"):
        if before.get(part) != again.get(part):
            yield f"{part}: the report has others than these rules give"
    old = {str(d.get("id")): d for d in before["devices"] if isinstance(d, dict)}
    new = {str(d.get("id")): d for d in again["devices"]}
    for name in [*old, *(n for n in new if n not in old)]:
        label = one_line(name, 80)
        if name not in new or name not in old:
            yield f"{label}: {'has no recording' if name not in new else 'has a recording and is not in the report'}"
            continue
        for key in sorted({*old[name], *new[name]} - SKIPPED):
            was, now = old[name].get(key), new[name].get(key)
            if was != now:
                shown = key in {"verdicts", "evidence", "conflicts", "notes", "addresses", "columns"}
                yield f"{label}: {key}: " + (
                    "differs" if shown else f"{one_line(str(was), 60)} in the report, {one_line(str(now), 60)} now"
                )
