from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import msgspec
import pytest
from msgspec.structs import replace

from scanner.model import Device, Report
from scanner.report.json import FORMAT, SCHEMA_VERSION, ReportObject, schema
from scanner.report.jsonl import device_object
from scanner.values import escaped_json


def test_output_fits_the_published_schema(make_report: Callable[..., Report], root: Path) -> None:
    published = json.loads((root / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    assert published == json.loads(json.dumps(schema())), "docs/report.schema.json is stale"
    jsonschema.validate(json.loads(FORMAT.render(make_report())), published)


def test_the_document_says_what_it_is(make_report: Callable[..., Report]) -> None:
    document = json.loads(FORMAT.render(make_report(interrupted=True)))
    assert document["schema"] == SCHEMA_VERSION
    assert document["scan"]["interrupted"] is True
    assert document["coverage"]["silent"] == ["192.0.2.8"]
    assert document["rules"]["rules_as_of"] == "2026-11-22"
    assert document["devices"][0]["verdicts"][0]["citation"].startswith("Pub. L.")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_document_made_in_pieces_is_the_one_made_at_once(
    count: int, make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    devices = tuple(make_device(id_=f'd-{n}\n  "devices": []', model="\u202e\n") for n in range(count))
    report = make_report()
    report = replace(
        report, devices=devices, scan=replace(report.scan, targets=('x\n  "devices": []', '"devices": []', "\x1b[2J"))
    )
    whole = ReportObject(
        schema=SCHEMA_VERSION, scan=report.scan, coverage=report.coverage, rules=report.rules_version,
        devices=tuple(map(device_object, devices)), measures=report.measures, waivers=report.waivers,
    )  # fmt: skip
    text = escaped_json(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode())
    assert FORMAT.render(report) == text + "\n"
