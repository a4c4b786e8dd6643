"""What importers of tables share: addresses of every spelling in a line of text, and rows of CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address

from scanner.errors import InputProblem
from scanner.imports.base import Head, Input
from scanner.model import Observation
from scanner.values import IPV4, normal_mac, stamp

_HEX = "[0-9a-fA-F]"
_MAC = re.compile(
    rf"{_HEX}(?<![\w:.\-]{_HEX})(?:"
    rf"{_HEX}?(?::{_HEX}{{1,2}}){{5}}|{_HEX}(?:-{_HEX}{{2}}){{5}}"
    rf"|{_HEX}{{3}}([.\-:]){_HEX}{{4}}\1{_HEX}{{4}}|{_HEX}{{5}}[-:.]{_HEX}{{6}}|{_HEX}{{11}}"
    r")(?![\w:.\-])"
)
"""Begins with a set of characters, so that `re` need not try every place of a line: several times as quick."""
_IPV4 = re.compile(r"(?<![\w.:])(?:\d{1,3}\.){3}\d{1,3}(?![\w:]|\.\d)")
_SPECIAL = ("0", "22", "23", "24", "25")
"""How addresses begin that may stand for no host."""
_GROUPS = re.compile(r"(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:%[\w.\-]{1,32})?(?![\w:.])", re.I)

_PROMPT = re.compile(
    r"^\s*(?:RP/\S{1,24}:|\S{1,64}@)?[<(]?([A-Za-z][\w.\-]{0,63})[)]?(?:\([^)]{1,32}\))?\s?"
    r"[>#%\]$]\s?((?:sh|disp|dis |do )\S*.*)$"
)
_COMMAND = re.compile(
    r"^\s*(?:[\[<(]?[A-Za-z][\w.@/:\-~]{0,95}(?: [\w.\-]{1,32})?[\])>]?(?:\([^)]{1,32}\))?\s?[#>$%]+"
    r"(?:\s*$|\s?/?[a-z].*)"
    r"|connection to \S+ closed.*|\{[a-z]+:\d{1,2}\}|\S{0,24}--more--.*"
    r"|(?:mon|tue|wed|thu|fri|sat|sun) [a-z]{3} [\d ]\d [\d:.]{8,16} .*)\s*$", re.I
)
"""What a terminal shows around a table: a prompt with whatever command, the time, the end of the connection."""


def mac_in(text: str, behind: int = 0) -> tuple[str, int, int] | None:
    """(MAC, begin, end) of the first hardware address in a line, in any usual spelling; None without one.

    `behind`: how many characters of the line are known to hold none.
    """
    found = _MAC.search(text, behind)
    if found is None:
        return None
    mac = spelled_mac(found[0])
    return (mac, found.start(), found.end()) if mac else None


def spelled_mac(text: str) -> str | None:
    """A MAC in any spelling, also without leading zeros (`0:1b:d8:1:2:3`, as macOS writes it)."""
    if ":" in text and len(text) < 17:
        parts = text.strip().split(":")
        if len(parts) == 6:
            text = "".join(part.zfill(2) for part in parts)
    return normal_mac(text) if len(text) <= 32 else None


def duid_mac(text: str) -> str | None:
    """The MAC of a client identifier of DHCPv6 (`00:03:00:01:…`) that is made of one alone; None for others.

    RFC 8415, 11.4: only devices whose interface cannot be taken out use this kind, so the address is their own.
    """
    digits = text.replace(":", "").lower()
    return normal_mac(digits[8:]) if len(digits) == 20 and digits.startswith("00030001") else None


def is_station(mac: str) -> bool:
    """Whether an address (normalised) is one device's: not nobody's, not a group's."""
    return mac[1] in "02468ace" and mac != "00:00:00:00:00:00"


def address_in(text: str) -> str | None:
    """The first IPv4 or IPv6 address in a line, normalised; None without one."""
    if text.count(".") >= 3:
        for match in _IPV4.finditer(text):
            address = normal_address(match[0])
            if address is not None:
                return address
    if text.count(":") >= 2:
        for match in _GROUPS.finditer(text):
            address = normal_address(match[0])
            if address is not None:
                return address
    return None


def normal_address(text: str) -> str | None:
    """An address in its usual form without zone, None where it is none or stands for no single host."""
    if not text.startswith(_SPECIAL) and IPV4.fullmatch(text):
        return text
    text = text.strip().partition("%")[0].partition("/")[0]
    if not text or len(text) > 45:
        return None
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if found.is_unspecified or found.is_multicast or text == "255.255.255.255":
        return None
    return str(found)


def moment(text: str) -> str | None:
    """A time as tools write it (seconds since 1970, ISO 8601, `2026/11/24 10:00:00`) as RFC 3339; else None."""
    text = text.strip().strip('"')
    try:
        if re.fullmatch(r"\d{9,10}(?:\.\d+)?", text):
            return _written(datetime.fromtimestamp(float(text), tz=UTC))
        found = datetime.fromisoformat(text.replace("/", "-").replace("Z", "+00:00"))
    except (ValueError, OverflowError, OSError):
        return None
    return _written(found if found.tzinfo else found.replace(tzinfo=UTC))


def _written(found: datetime) -> str:
    return stamp(found.astimezone(UTC))


def prompt(line: str) -> tuple[str, str] | None:
    """(device, command) of a line that is a switch's prompt with a command (`core-1#show arp`), else None."""
    if "sh" not in line and "dis" not in line and "do " not in line:
        return None
    found = _PROMPT.match(line)
    return (found[1], found[2]) if found else None


def is_command(line: str) -> bool:
    """Whether a line is of a terminal's doing: a prompt with or without a command, the time, the end of a session."""
    return len(line) <= 256 and _COMMAND.match(line) is not None


def told(channel: str, value: str, *, port: int | None = None, at: str | None = None) -> Observation:
    """One field that a table tells."""
    return Observation(channel=channel, value=value, port=port, at=at)


def rows(source: Input, *, skip_until: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, column → value) of a CSV file, columns by their lower-cased names; the delimiter is found by itself.

    Lines before the header that hold none of `skip_until` are passed over. Raises `InputProblem`.
    """
    header: list[str] = []
    delimiter = ","
    # A field may hold line ends inside quotes, as the csv module reads them; a field is bounded by its own limit.
    numbers = [0]

    def plain() -> Iterator[str]:
        for number, line in source.lines():
            numbers[0] = number
            if not header and not looks_like_header(line, skip_until):
                if line.strip() and not line.startswith(("#", "sep=")):
                    source.skip(f"line {number}", line)
                continue
            if "\0" in line:
                source.skip(f"line {number}", line)
                continue
            yield line + "\n"

    feed = plain()
    first = next(feed, None)
    if first is None:
        raise InputProblem(f"{source.name}: has no header line that names its columns")
    delimiter = delimiter_of(first)
    try:
        header += [name.strip().strip('"').lower() for name in next(csv.reader([first], delimiter=delimiter))]
    except csv.Error as error:  # a lone carriage return, a field without end
        raise InputProblem(f"{source.name}: line {numbers[0]} names no columns: {error}") from error
    reader = csv.reader(feed, delimiter=delimiter)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            source.skip(f"line {numbers[0]}", str(error))
            continue
        if not any(cell.strip() for cell in row):
            continue
        yield numbers[0], {name: cell.strip() for name, cell in zip(header, row, strict=False)}


def delimiter_of(header: str) -> str:
    """The delimiter of a header line: the commonest of comma, semicolon, tab and bar."""
    return max(",;\t|", key=header.count)


def looks_like_header(line: str, words: Sequence[str]) -> bool:
    """Whether a line is a header: it holds a delimiter and one of the words, and no address."""
    low = line.lower()
    if not words:
        return bool(line.strip()) and not line.startswith(("#", "sep="))
    return any(mark in line for mark in ",;\t|") and any(word in low for word in words) and mac_in(line) is None


def columns(head: Head, words: Sequence[str]) -> list[str]:
    """The columns of the first line that looks like a header with one of these words; empty without one."""
    for line in head.lines(20):
        if looks_like_header(line, words):
            return [name.strip().strip('"').lower() for name in line.split(delimiter_of(line))]
    return []
