from __future__ import annotations

import json
import sys
from collections.abc import Callable

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from msgspec.structs import replace

from scanner.model import Device, Level, Report
from scanner.report.cyclonedx import ADDRESS, FORMAT

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


def test_two_devices_of_one_key_stay_two(make_report: Callable[..., Report], make_device: Callable[..., Device]) -> None:
    text = FORMAT.render(make_report(make_device(), make_device(ip="192.0.2.43")))
    _valid(text)
    document = json.loads(text)
    assert [c["bom-ref"] for c in document["components"]] == ["3cef8c112233", "3cef8c112233#2"]
    assert [d["ref"] for d in document["dependencies"]] == ["3cef8c112233", "3cef8c112233#2"]


def test_nothing_answered_still_gives_a_document(make_report: Callable[..., Report]) -> None:
    text = FORMAT.render(replace(make_report(), devices=()))
    _valid(text)
    assert json.loads(text)["components"] == []


def test_a_scan_whose_time_is_no_time_is_still_written(make_report: Callable[..., Report]) -> None:
    report = make_report()
    text = FORMAT.render(replace(report, scan=replace(report.scan, started="yesterday", finished="=now()")))
    _valid(text)


def test_the_work_is_linear_in_the_devices(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    """The library asks every component about every other: calls of Python, not seconds, are counted."""

    def calls(count: int) -> int:
        report = make_report(*(make_device(id_=f"d{n}", mac=f"3c:ef:8c:00:00:{n:02x}") for n in range(count)))
        made = 0

        def counted(*_: object) -> None:
            nonlocal made
            made += 1

        sys.setprofile(counted)
        try:
            FORMAT.render(report)
        finally:
            sys.setprofile(None)
        return made

    calls(1)
    assert calls(80) < 4.4 * calls(20)


def test_a_source_is_a_reference_only_where_it_is_an_address() -> None:
    for good in ("https://www.congress.gov/bill/1?q=a%20b#s", "http://192.0.2.1:80"):
        assert ADDRESS.fullmatch(good)
    for bad in ("javascript:x", "https://a b", "https://a/%zz", "https://a/#b#c", "https://a:b/", "//a", "https:///x"):
        assert not ADDRESS.fullmatch(bad), bad
