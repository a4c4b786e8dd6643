from __future__ import annotations

import json
from collections.abc import Callable

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from scanner.model import Device, Level, Report
from scanner.report.cyclonedx import FORMAT

EVIL = 'x"}],"a":[{\x1b[2J\u202e</script>=1+1'


def _valid(text: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_devices_are_hardware_with_evidence(make_report: Callable[..., Report]) -> None:
    text = FORMAT.render(make_report())
    _valid(text)
    document = json.loads(text)
    (component,) = document["components"]
    assert component["type"] == "device"
    assert (component["name"], component["manufacturer"]["name"]) == ("NR900", "dahua")
    evidence = component["evidence"]["identity"][0]
    assert evidence["concludedValue"] == "dahua"
    assert "dahua-rtsp-realm" in evidence["methods"][0]["value"]
    properties = {p["name"]: p["value"] for p in component["properties"]}
    assert properties["lanveto:action"] == "remove"
    assert properties["lanveto:verdict:us-889-a1b:citation"].startswith("Pub. L.")
    assert any("No scan sees" in p["value"] for p in document["metadata"]["properties"])


def test_the_same_report_gives_the_same_document(make_report: Callable[..., Report]) -> None:
    assert FORMAT.render(make_report()) == FORMAT.render(make_report())


def test_hostile_and_unknown_devices_stay_valid(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    evil = make_device(model=EVIL, value=EVIL)
    unknown = make_device(ip=None, mac="3c:ef:8c:00:00:01", manufacturer=None, level=Level.UNKNOWN, action=None, model="")
    text = FORMAT.render(make_report(evil, unknown))
    _valid(text)
    assert "\x1b" not in text
    names = {c["name"] for c in json.loads(text)["components"]}
    assert len(names) == 2
