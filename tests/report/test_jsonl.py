from __future__ import annotations

import json
from collections.abc import Callable

from scanner.model import Device, Report
from scanner.report.jsonl import FORMAT, MAX_VALUE

PROMISED = {
    "id",
    "manufacturer",
    "brand",
    "kind",
    "model",
    "firmware",
    "serial",
    "confidence",
    "level",
    "verdicts",
    "evidence",
}


def test_one_object_per_device_in_input_order(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    lines = FORMAT.render(make_report(make_device(id_="a", action=None), make_device(id_="b"))).splitlines()
    objects = [json.loads(line) for line in lines]
    assert [o["id"] for o in objects] == ["a", "b"]
    assert set(objects[1]) >= PROMISED
    assert {"policy", "effect", "binds_you", "action", "entity", "citation", "path"} <= set(objects[1]["verdicts"][0])
    assert {"fingerprint", "channel", "value", "grade"} <= set(objects[1]["evidence"][0])


def test_a_huge_value_is_cut_and_said_so(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    evidence = json.loads(FORMAT.render(make_report(make_device(value="x" * 10_000))))["evidence"][0]
    assert len(evidence["value"]) == MAX_VALUE
    assert evidence["cut"] is True
