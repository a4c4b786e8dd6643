"""The findings table: read at a glance on a terminal, the coverage block above it.

Every device has its row, whatever their number: a finding is never summed up. Of a table of 100,000 devices most rows
say the same of different addresses; they are laid out once for all of them (`_laid_out`), and the text is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from tabulate import tabulate

from scanner.model import Action, Device, Level, Report, Verdict
from scanner.report import cells, view
from scanner.values import one_line

_HEADERS = ("address", "MAC", "maker", "brand", "model", "level", "action", "rule", "evidence")
_GAP = 2
"""Characters between two columns."""
_STAND_IN = "\ue000"
"""Stands for each character of a device's own address: a code for private use, one column wide."""

Row = tuple[str, ...]
Named = dict[tuple[str | None, str | None, str | None, Level], tuple[str, str, str]]
"""How maker, brand and model are shown, by what they are and how sure that is: of many devices the same."""


class Table:
    """`--format table`."""

    name = "table"
    binary = False

    def render(self, report: Report) -> str:
        """Coverage, the table (strictest action first), and a sentence for each finding above `note`."""
        lines = [view.summary_line(report), *view.coverage_lines(report), ""]
        devices = view.by_urgency(report.devices)
        asked: dict[int, tuple[tuple[Verdict, ...], int]] = {}
        for device in devices:  # devices of one maker share their verdicts: each tuple is looked at once
            known = asked.get(id(device.verdicts))
            asked[id(device.verdicts)] = (device.verdicts, known[1] + 1 if known is not None else 1)
        if devices:
            own = cells.own_columns(devices)
            rules = {n: one_line(view.rule(said, report.scan.profiles), 90) for n, (said, _) in asked.items()}
            named: Named = {}
            rows = (
                _row(device, action, rules[id(device.verdicts)], own, named)
                for device, action in zip(devices, view.actions(devices), strict=True)
            )
            lines += _laid_out(rows, [*_HEADERS, *map(one_line, own)])
        because: dict[str, int] = {}
        for verdicts, count in asked.values():
            for verdict in verdicts:
                if verdict.action not in {Action.NONE, Action.NOTE} and not verdict.waived:
                    because[verdict.because] = because.get(verdict.because, 0) + count
        if because:
            lines += ["", "What the rules ask:"]
            lines += [f"- {one_line(text, 900)}" + (f" [{n} devices]" if n > 1 else "") for text, n in because.items()]
        waivers = view.waiver_lines(report)
        if waivers:
            lines += ["", "Waivers:", *(f"- {text}" for text in waivers)]
        return "\n".join(lines) + "\n"


def _row(device: Device, action: Action, rule: str, own: tuple[str, ...], named: Named) -> Row:
    identity = device.identity
    said = (identity.manufacturer, identity.brand, identity.model, identity.level)
    names = named.get(said)
    if names is None:
        names = named[said] = (
            one_line(view.maker(device), 60),
            one_line(identity.brand, 60) if identity.brand else "",
            one_line(identity.model, 28) if identity.model else "",
        )
    mac = device.recording.mac
    row = (
        view.address(device), one_line(mac, 30) if mac else "", *names, identity.level, action, rule,
        view.evidence_line(device, 56),
    )  # fmt: skip
    return (*row, *_own(device.columns, own)) if own else row


@lru_cache(maxsize=4096)
def _own(columns: tuple[tuple[str, str], ...], names: tuple[str, ...]) -> Row:
    said = dict(columns)
    return tuple(one_line(said.get(name, ""), 28) for name in names)


def _laid_out(rows: Iterable[Row], headers: Sequence[str]) -> list[str]:
    """The lines of `tabulate(rows, headers)`, which is asked for each sort of row once.

    Rows are of one sort where they differ in nothing but the address, the MAC and where the evidence repeats that, each
    of the same length: in such a line the two are put in their places afterwards.
    """
    sorts: dict[Row, int] = {}
    of: list[tuple[int, str, str]] = []
    for row in rows:
        sort = _sort(row)
        number = sorts.get(sort)
        if number is None:
            if any(_STAND_IN in text for text in row):  # somebody means mischief
                sort = row
            number = sorts.setdefault(sort, len(sorts))
        of.append((number, "", "") if sort is row else (number, row[0], row[1]))
    lines = tabulate(list(sorts), headers=headers, disable_numparse=True).split("\n")
    head, body = lines[:2], lines[2:]
    first = max(len(headers[0]) + _GAP, *(len(row[0]) for row in sorts))
    second = max(len(headers[1]) + _GAP, *(len(row[1]) for row in sorts))
    behind = first + second + 2 * _GAP
    rests = [line[behind:] for line in body]
    parts = [rest.split(_STAND_IN * len(row[1])) if row[1] else [rest] for rest, row in zip(rests, sorts, strict=True)]
    head += [
        f"{address.ljust(first)}  {mac.ljust(second)}  {mac.join(parts[number])}".rstrip() if address else body[number]
        for number, address, mac in of
    ]
    return head


def _sort(row: Row) -> Row:
    """The row with stand-ins for what is its own; as it is where that could change its layout."""
    address, mac, evidence = row[0], row[1], row[8]
    plain = address + mac
    if not address or " " in plain or not plain.isascii() or not plain.isprintable() or _STAND_IN in evidence:
        return row
    stand_in = _STAND_IN * len(mac)
    if mac:
        evidence = evidence.replace(mac, stand_in)
    return (_STAND_IN * len(address), stand_in, *row[2:8], evidence, *row[9:])


FORMAT = Table()
