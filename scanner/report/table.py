"""The findings table: read at a glance on a terminal, the coverage block above it."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from scanner.model import Action, Device, Report
from scanner.report import cells, view
from scanner.values import one_line

_HEADERS = ("address", "MAC", "maker", "brand", "model", "level", "action", "rule", "evidence")


class Table:
    """`--format table`."""

    name = "table"
    binary = False

    def render(self, report: Report) -> str:
        """Coverage, the table (strictest action first), and a sentence for each finding above `note`."""
        lines = [view.summary_line(report), *view.coverage_lines(report), ""]
        devices = view.by_urgency(report.devices)
        if devices:
            own = cells.own_columns(devices)
            rows = [_row(d, report.scan.profiles, own) for d in devices]
            lines.append(tabulate(rows, headers=[*_HEADERS, *map(one_line, own)], disable_numparse=True))
        because: dict[str, int] = {}
        for device in devices:
            for verdict in device.verdicts:
                if verdict.action not in {Action.NONE, Action.NOTE} and not verdict.waived:
                    because[verdict.because] = because.get(verdict.because, 0) + 1
        if because:
            lines += ["", "What the rules ask:"]
            lines += [f"- {one_line(text, 900)}" + (f" [{n} devices]" if n > 1 else "") for text, n in because.items()]
        waivers = view.waiver_lines(report)
        if waivers:
            lines += ["", "Waivers:", *(f"- {text}" for text in waivers)]
        return "\n".join(lines) + "\n"


def _row(device: Device, profiles: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    identity, columns = device.identity, dict(device.columns)
    return (
        view.address(device),
        device.recording.mac or "",
        view.maker(device),
        identity.brand or "",
        one_line(identity.model or "", 28),
        identity.level,
        device.action,
        view.rule(device, profiles),
        view.evidence_line(device, 56),
        *(one_line(columns.get(name, ""), 28) for name in own),
    )


FORMAT = Table()
