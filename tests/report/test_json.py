from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema

from scanner.model import Report
from scanner.report.json import FORMAT, SCHEMA_VERSION, schema


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
