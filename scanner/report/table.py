"""The findings table: read at a glance on a terminal, the coverage block above it."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from scanner.model import Action, Device, Report
from scanner.report import view
from scanner.values import one_line

_HEADERS = ("address", "MAC", "maker", "brand", "model", "level", "action", "rule", "evidence")


class Table:
    """`--format table`."""

    name = "table"

    def render(self, report: Report) -> str:
        """Coverage, the table (strictest action first), and a sentence for each finding above `note`."""
        lines = [view.summary_line(report), *view.coverage_lines(report), ""]
        devices = view.by_urgency(report.devices)
        if devices:
            lines.append(
                tabulate([_row(d, report.scan.profiles) for d in devices], headers=_HEADERS, disable_numparse=True)
            )
        because: dict[str, int] = {}
        for device in devices:
            for verdict in device.verdicts:
                if verdict.action not in {Action.NONE, Action.NOTE}:
                    because[verdict.because] = because.get(verdict.because, 0) + 1
        if because:
            lines += ["", "What the rules ask:"]
            lines += [f"- {one_line(text, 900)}" + (f" [{n} devices]" if n > 1 else "") for text, n in because.items()]
        return "\n".join(lines) + "\n"


def _row(device: Device, profiles: Sequence[str]) -> tuple[str, ...]:
    identity = device.identity
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
    )


FORMAT = Table()
