"""Markdown (GFM): the answer, the coverage and the findings as a page for a ticket or a wiki."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tabulate import tabulate

from scanner.model import Action, Device, Report
from scanner.report import cells, view
from scanner.values import one_line

_MARKS = re.compile(r"([\\`*_{}\[\]<>#!|~&$@])")


class Markdown:
    """`--format markdown`."""

    name = "markdown"
    binary = False

    def render(self, report: Report) -> str:
        """The page; what devices say is escaped, so that it is neither a link, an image, HTML nor a mention."""
        devices, profiles = view.by_urgency(report.devices), report.scan.profiles
        own = cells.own_columns(report.devices)
        lines = ["# Report of lanveto", "", f"**{escaped(view.summary_line(report))}**", "", "## Coverage", ""]
        lines += [f"- {escaped(line)}" for line in view.coverage_lines(report)]
        lines += ["", "## Devices", ""]
        if devices:
            headers = ["address", "MAC", "maker", "brand", "model", "level", "action", "rule", "evidence"]
            lines.append(_table([*headers, *cells.own_headers(own)], (_row(d, profiles, own) for d in devices)))
        else:
            lines.append("Nothing answered.")
        reasons = dict.fromkeys(
            verdict.because
            for device in devices
            for verdict in device.verdicts
            if verdict.action not in {Action.NONE, Action.NOTE} and not verdict.waived
        )
        if reasons:
            lines += ["", "## What the rules ask", "", *(f"- {escaped(text, 1500)}" for text in reasons)]
        if report.waivers:
            lines += ["", "## Waivers", "", *(f"- {escaped(line)}" for line in view.waiver_lines(report))]
        version = report.rules_version
        lines += [
            "", "## Versions", "",
            f"- lanveto {escaped(report.scan.version)}, scan {escaped(report.scan.id)}, {escaped(report.scan.started)}",
            f"- rules as of {escaped(version.rules_as_of)}, sha256 {escaped(version.rules_sha256)}",
            f"- registry as of {escaped(version.registry_as_of)}, sha256 {escaped(version.registry_sha256)}",
        ]  # fmt: skip
        return "\n".join(lines) + "\n"


def escaped(text: str, width: int = 600) -> str:
    """`text` on one line, as Markdown that shows exactly it."""
    shown = _MARKS.sub(r"\\\1", one_line(text, width))
    return re.sub(r"(?i)\b(https?|ftp|mailto|xmpp):", r"\1\\:", re.sub(r"(?i)\b(www)\.", r"\1\\.", shown))


def _row(device: Device, profiles: Sequence[str], own: Sequence[str]) -> list[str]:
    identity, columns = device.identity, dict(device.columns)
    values = (
        view.address(device), device.recording.mac or "", view.maker(device), identity.brand or "",
        identity.model or "", identity.level, device.action, view.rule(device.verdicts, profiles),
        view.evidence_line(device, 80), *(columns.get(name, "") for name in own),
    )  # fmt: skip
    return [escaped(value, 200) for value in values]


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return tabulate(
        rows, headers=[escaped(h) for h in headers], tablefmt="github", disable_numparse=True
    )


FORMAT = Markdown()
