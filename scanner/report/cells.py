"""A report as flat tables: what CSV, XLSX and Markdown show, each in its own clothes.

Column names only grow. A cell that a spreadsheet could take for a formula begins with an apostrophe (OWASP, CSV
injection): what a device says is shown, never calculated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from scanner.model import Device, Report, Verdict
from scanner.report import view
from scanner.values import one_line

MAX_CELL = 2000
"""Characters of one cell; longer ones are cut and marked."""

DEVICES: tuple[str, ...] = (
    "key", "ip", "addresses", "mac", "manufacturer", "brand", "kind", "model", "firmware", "serial", "level",
    "confidence", "action", "rule", "citation", "because", "waived", "evidence", "notes",
)  # fmt: skip
"""The columns of a device, before the organisation's own."""
FINDINGS: tuple[str, ...] = (
    "key", "ip", "mac", "manufacturer", "level", "policy", "title", "effect", "binds_you", "action", "entity",
    "citation", "in_force", "as_of", "because", "source", "waived_by", "waiver_reason", "waiver_expires",
)  # fmt: skip
"""The columns of one verdict."""

_FORMULA = re.compile(r"[\s']*[=+\-@\uff0b\uff0d\uff1d\uff20|%]")


def cell(text: object) -> str:
    """One value, safe in a spreadsheet and on a terminal: on one line, never a formula."""
    return _cell("" if text is None else str(text))


def row(values: Iterable[object]) -> list[str]:
    """One line of a table, each value made safe once."""
    return [cell(value) for value in values]


@lru_cache(maxsize=16_384)
def _cell(text: str) -> str:
    """Kept for a while: reports say the same of many devices."""
    shown = one_line(text, MAX_CELL)
    return "'" + shown if _FORMULA.match(shown) else shown


def own_columns(devices: Iterable[Device]) -> tuple[str, ...]:
    """The names of the organisation's own columns (`--join`), in the order of first use."""
    return tuple(dict.fromkeys(name for device in devices for name, _ in device.columns))


def own_headers(names: Sequence[str]) -> list[str]:
    """The headers for those names: one that is taken by a column of ours is marked."""
    return [cell(f"own {name}" if name in DEVICES else name) for name in names]


def device_row(device: Device, profiles: Sequence[str], own: Sequence[str]) -> list[str]:
    """One device, in the order of `DEVICES` and then of its own columns."""
    identity, recording = device.identity, device.recording
    leading = view.leading(device.verdicts, profiles)
    columns = dict(device.columns)
    return row(
        (
            device.key,
            recording.ip,
            " ".join(recording.addresses),
            recording.mac,
            identity.manufacturer if view.may_be_named(identity) else None,
            identity.brand,
            identity.kind,
            identity.model,
            identity.firmware,
            identity.serial,
            identity.level,
            f"{identity.confidence:.2f}",
            device.action,
            leading.policy if leading else None,
            leading.citation if leading else None,
            leading.because if leading else None,
            " ".join(v.policy for v in device.verdicts if v.waived),
            view.evidence_line(device, 200),
            "; ".join(identity.notes),
            *(columns.get(name) for name in own),
        )
    )


def finding_rows(device: Device) -> list[list[str]]:
    """The verdicts of one device, in the order of `FINDINGS`."""
    return [row(_finding(device, verdict)) for verdict in device.verdicts]


def _finding(device: Device, verdict: Verdict) -> tuple[object, ...]:
    waiver = verdict.waiver if verdict.waived else None
    binds = {True: "yes", False: "no", None: "not known"}[verdict.binds_you]
    return (
        device.key, device.recording.ip, device.recording.mac, device.identity.manufacturer, device.identity.level,
        verdict.policy, verdict.title, verdict.effect, binds, verdict.action, verdict.entity, verdict.citation,
        verdict.in_force, verdict.as_of, verdict.because, verdict.source,
        waiver.who if waiver else None, waiver.reason if waiver else None, waiver.expires if waiver else None,
    )  # fmt: skip


def about(report: Report) -> list[tuple[str, str]]:
    """What stands beside the tables: the answer, the coverage block, the versions; label and text."""
    scan, version = report.scan, report.rules_version
    rows = [
        ("answer", view.summary_line(report)),
        *(("coverage", line) for line in view.coverage_lines(report)),
        *(("waivers", line) for line in view.waiver_lines(report)),
        ("scan", scan.id),
        ("started", scan.started),
        ("finished", scan.finished or ""),
        ("run by", scan.operator or ""),
        ("profiles", ", ".join(scan.profiles)),
        ("targets", ", ".join(scan.targets)),
        ("excluded", ", ".join(scan.excluded)),
        ("lanveto", scan.version),
        ("rules sha256", version.rules_sha256),
        ("registry sha256", version.registry_sha256),
    ]
    return [(label, cell(text)) for label, text in rows]
