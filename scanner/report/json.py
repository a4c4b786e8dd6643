"""JSON: the whole report as one document, versioned; its schema is docs/report.schema.json."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from scanner.model import Coverage, Measure, Report, RulesVersion, Scan, WaiverUse
from scanner.report.jsonl import DeviceObject, device_object, encoded
from scanner.values import escaped_json

_NO_DEVICES = '\n  "devices": []'
"""Stands once in an indented document without devices: inside a text, the quotes would be escaped."""
SCHEMA_VERSION = 1
"""Grows when a field changes its meaning or goes; a new field does not change it."""


class ReportObject(msgspec.Struct, frozen=True, kw_only=True):
    """The document."""

    schema: int
    scan: Scan
    coverage: Coverage
    rules: RulesVersion
    devices: tuple[DeviceObject, ...]
    measures: tuple[Measure, ...]
    waivers: tuple[WaiverUse, ...]


class Json:
    """`--format json`."""

    name = "json"
    binary = False

    def render(self, report: Report) -> str:
        """The report, indented."""
        return "".join(self.pieces(report))

    def pieces(self, report: Report) -> Iterator[str]:
        """The same, device by device: a text of all devices can be hundreds of megabytes."""
        document = ReportObject(
            schema=SCHEMA_VERSION,
            scan=report.scan,
            coverage=report.coverage,
            rules=report.rules_version,
            devices=(),
            measures=report.measures,
            waivers=report.waivers,
        )
        before, mark, after = _indented(document).partition(_NO_DEVICES)
        yield before
        yield mark.rstrip("]")
        end = ""
        for device in report.devices:
            yield end + "\n    " + _indented(device_object(device)).replace("\n", "\n    ")
            end = ","
        yield ("\n  ]" if end else "]") + after + "\n"


def _indented(value: msgspec.Struct) -> str:
    return escaped_json(msgspec.json.format(encoded(value), indent=2).decode())


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document; docs/report.schema.json is this, and a test holds it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lanveto report",
        **msgspec.json.schema(ReportObject),
    }


FORMAT = Json()
