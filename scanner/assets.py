"""The organisation's own columns (`--join assets.csv`): owner, place, tag, by MAC or IP address.

Reads what spreadsheets and inventories export: UTF-8 (with or without a byte order mark), UTF-16, Windows-1252; commas,
semicolons, tabs or bars. A row that cannot be used is told by its line, and the others are.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from scanner import userfiles
from scanner.errors import Code, InputProblem, Notice, notice
from scanner.model import Report
from scanner.values import file_name, normal_address, normal_mac, one_line, places

MAX_FILE = 64 * 1024 * 1024
MAX_COLUMNS = 64
MAX_CELL = 2000
MAX_TOLD = 20
"""Problems of one file that are told; the rest is counted."""

MACS = frozenset({"mac", "mac address", "macaddress", "mac addr", "hwaddr", "hardware address", "ethernet address"})
ADDRESSES = frozenset({"ip", "ip address", "ipaddress", "ip addr", "ipv4", "ipv6", "ipv4 address", "ipv6 address",
                       "address", "primary ip", "primary ip4", "primary ip6"})  # fmt: skip
"""Headers (without case; `_` and `-` as blanks) of the columns that a device is found by."""
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Assets:
    """One file of assets."""

    name: str
    columns: tuple[str, ...]
    """The organisation's columns, in the order of the file."""
    rows: dict[str, tuple[int, tuple[str, ...]]]
    """MAC or address → line, and the values of `columns`."""
    problems: tuple[str, ...] = ()
    """What could not be used, with file and line."""
    labels: dict[int, str] = field(default_factory=dict)
    """Line → how the file names the device."""


def load(path: Path) -> Assets:
    """Read one file. Raises `InputProblem` where it is no table, or has no column of MAC or IP addresses."""
    name = file_name(path)
    text, remark = _text(path, name)
    if not text.strip():
        raise InputProblem(f"{name}: is empty")
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    problems = [remark] if remark else []
    rows: dict[str, tuple[int, tuple[str, ...]]] = {}
    labels: dict[int, str] = {}
    try:
        header = [cell.strip() for cell in next(reader)]
        keys, own = _columns(header, name)
        for row in reader:
            line = reader.line_num
            if not any(cell.strip() for cell in row):
                continue
            if len(row) > len(header):
                problems.append(f"{name}: line {line}: has {len(row)} cells, the header {len(header)}")
                continue
            row += [""] * (len(header) - len(row))
            found, reason = _keys(row, keys)
            if reason or not found:
                problems.append(f"{name}: line {line}: {reason or 'names neither a MAC nor an IP address'}")
                continue
            values = tuple(one_line(row[i].strip(), MAX_CELL) for i in own)
            taken = next((key for key in found if key in rows and rows[key][1] != values), None)
            if taken:
                before = rows[taken][0]
                problems.append(f"{name}: line {line}: {taken} stands in line {before} already; that one counts")
                continue
            labels[line] = found[0]
            for key in found:
                rows.setdefault(key, (line, values))
    except csv.Error as error:
        raise InputProblem(f"{name}: line {reader.line_num}: {error}") from error
    return Assets(name, tuple(header[i] for i in own), rows, _told(problems, name), labels)


def join(report: Report, assets: Assets) -> Report:
    """The report with the organisation's columns, and how many of the file's devices were met."""
    met: set[int] = set()
    devices = []
    for device in report.devices:
        said = device.recording
        keys = places(said.mac, said.ip, *said.addresses)
        row = next((assets.rows[key] for key in keys if key in assets.rows), None)
        if row is not None:
            line, values = row
            met.add(line)
            mine = ((n, v) for n, v in zip(assets.columns, values, strict=True) if v)
            device = replace(device, columns=tuple((dict(device.columns) | dict(mine)).items()))
        devices.append(device)
    warnings: list[Notice] = []
    missing = [label for line, label in assets.labels.items() if line not in met]
    if missing:
        shown = ", ".join(missing[:8]) + (", …" if len(missing) > 8 else "")
        words = f"{assets.name}: {len(missing)} of its {len(assets.labels)} devices were not met: {shown}"
        warnings.append(notice(Code.ASSETS, words))
    if assets.problems:
        count = len(assets.problems)
        words = f"{assets.name}: {count} remark(s) while reading it, the first: {assets.problems[0]}"
        warnings.append(notice(Code.ASSETS, words))
    return replace(report, devices=tuple(devices), coverage=report.coverage.warned(*warnings))


def _text(path: Path, name: str) -> tuple[str, str | None]:
    """The text, and a remark where its encoding had to be guessed. Raises `InputProblem`."""
    data = userfiles.read(path, MAX_FILE)
    if data[:4] == b"PK\x03\x04":
        raise InputProblem(f"{name}: is a workbook or a zip file; save the table as CSV")
    encoding = "utf-8-sig"
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        encoding = "utf-16"
    elif b"\x00" in data[:200]:  # UTF-16 of plain letters without its mark
        encoding = "utf-16-be" if data[:1] == b"\x00" else "utf-16-le"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise InputProblem(f"{name}: is neither UTF-8 nor whole UTF-16 (byte {error.start})") from error
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError as other:
            raise InputProblem(
                f"{name}: is neither UTF-8 nor Windows-1252 (byte {other.start}); save it as UTF-8"
            ) from other
        return text, (
            f"{name}: is not UTF-8 (byte {error.start}) and was read as Windows-1252: look at names with accents, or "
            "save it as UTF-8"
        )
    if "\x00" in text:
        raise InputProblem(f"{name}: holds zero bytes: that is no table of text")
    return text, None


def _delimiter(text: str) -> str:
    """The delimiter that makes the most of the first line, with a known header counting most."""
    first = next((line for line in text.splitlines() if line.strip()), "")

    def worth(delimiter: str) -> tuple[bool, int]:
        cells = next(csv.reader([first], delimiter=delimiter), [])
        return any(_plain(cell) in MACS | ADDRESSES for cell in cells), len(cells)

    return max(_DELIMITERS, key=worth)


def _plain(header: str) -> str:
    return re.sub(r"[\s_-]+", " ", header.strip().strip('"').lower())


def _columns(header: Sequence[str], name: str) -> tuple[list[int], list[int]]:
    """Which columns a device is found by (MACs first), and which are the organisation's. Raises `InputProblem`."""
    if len(header) > MAX_COLUMNS:
        raise InputProblem(f"{name}: line 1: has {len(header)} columns; at most {MAX_COLUMNS} are read")
    macs = [i for i, cell in enumerate(header) if _plain(cell) in MACS]
    addresses = [i for i, cell in enumerate(header) if _plain(cell) in ADDRESSES]
    if not macs and not addresses:
        shown = ", ".join(one_line(cell, 40) for cell in header[:8])
        raise InputProblem(
            f"{name}: line 1: no column is called `mac` or `ip` (there are: {shown}); rename the one that holds them"
        )
    own = [i for i, cell in enumerate(header) if i not in {*macs, *addresses} and cell]
    names = [header[i] for i in own]
    twice = next((cell for cell in names if names.count(cell) > 1), None)
    if twice is not None:
        raise InputProblem(f"{name}: line 1: {twice!r} is the name of two columns; rename one")
    return [*macs, *addresses], own


def _keys(row: Sequence[str], columns: Sequence[int]) -> tuple[list[str], str | None]:
    """The MACs and addresses of a row, or why it has none."""
    found: list[str] = []
    for cell in (row[i].strip().lstrip("'") for i in columns):
        if not cell:
            continue
        key = normal_mac(cell) or normal_address(cell, network=True)
        if key is None:
            return [], f"{one_line(cell, 60)!r} is neither a MAC nor an IP address"
        found.append(key)
    return found, None


def _told(problems: Sequence[str], name: str) -> tuple[str, ...]:
    if len(problems) <= MAX_TOLD:
        return tuple(problems)
    return (*problems[:MAX_TOLD], f"{name}: and {len(problems) - MAX_TOLD} more")
