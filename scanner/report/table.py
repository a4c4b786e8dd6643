"""The findings table: read at a glance on a terminal, the coverage block above it.

Every device has its row, whatever their number: a finding is never summed up. Of a table of 100,000 devices most rows
say the same of different addresses; they are laid out once for all of them (`_laid_out`), and the text is the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from scanner.model import Action, Device, Report, Verdict
from scanner.report import cells, view
from scanner.values import one_line

_HEADERS = ("address", "MAC", "maker", "brand", "model", "level", "action", "rule", "evidence")
_GAP = 2
"""Characters between two columns."""
_STAND_IN = "\ue000"
"""Stands for each character of a device's own address: a code for private use, one column wide."""

Row = tuple[str, ...]


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
            rules = {number: view.rule(verdicts, report.scan.profiles) for number, (verdicts, _) in asked.items()}
            rows = [_row(d, rules[id(d.verdicts)], own) for d in devices]
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


def _row(device: Device, rule: str, own: Sequence[str]) -> Row:
    identity = device.identity
    row = (
        view.address(device),
        one_line(device.recording.mac, 30) if device.recording.mac else "",
        one_line(view.maker(device), 60),
        one_line(identity.brand, 60) if identity.brand else "",
        one_line(identity.model, 28) if identity.model else "",
        identity.level,
        device.action,
        one_line(rule, 90),
        view.evidence_line(device, 56),
    )
    if not own:
        return row
    columns = dict(device.columns)
    return (*row, *(one_line(columns.get(name, ""), 28) for name in own))


def _laid_out(rows: Sequence[Row], headers: Sequence[str]) -> list[str]:
    """The lines of `tabulate(rows, headers)`, which is asked for each sort of row once.

    Rows are of one sort where they differ in nothing but the address, the MAC and where the evidence repeats that, each
    of the same length: in such a line the two are put in their places afterwards.
    """
    sorts: dict[Row, int] = {}
    of: list[tuple[int, bool]] = []
    for row in rows:
        sort = _sort(row)
        number = sorts.get(sort)
        if number is None:
            if any(_STAND_IN in text for text in row):  # somebody means mischief
                sort = row
            number = sorts.setdefault(sort, len(sorts))
        of.append((number, sort is not row))
    lines = tabulate(list(sorts), headers=headers, disable_numparse=True).split("\n")
    head, body = lines[:2], lines[2:]
    first = max(len(headers[0]) + _GAP, *(len(row[0]) for row in sorts))
    second = max(len(headers[1]) + _GAP, *(len(row[1]) for row in sorts))
    behind = first + second + 2 * _GAP
    rests = [line[behind:] for line in body]
    for row, (number, stands_for) in zip(rows, of, strict=True):
        if not stands_for:
            head.append(body[number])
            continue
        address, mac, rest = row[0], row[1], rests[number]
        if mac and _STAND_IN in rest:
            rest = rest.replace(_STAND_IN * len(mac), mac)
        head.append(f"{address.ljust(first)}  {mac.ljust(second)}  {rest}".rstrip())
    return head


def _sort(row: Row) -> Row:
    """The row with stand-ins for what is its own; as it is where that could change its layout."""
    address, mac = row[0], row[1]
    plain = address + mac
    evidence = row[8]
    if not address or " " in plain or not plain.isascii() or not plain.isprintable() or _STAND_IN in evidence:
        return row
    if mac and mac in evidence:
        evidence = evidence.replace(mac, _STAND_IN * len(mac))
    return (_STAND_IN * len(address), _STAND_IN * len(mac), *row[2:8], evidence, *row[9:])


FORMAT = Table()
