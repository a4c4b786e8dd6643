"""Every document that is written has its published shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from scanner.model import Device, Level, Report
from scanner.publish import documents, shapes
from scanner.store import open_store, outbox, writing
from scanner.store.outbox import Draft

Make = Callable[..., Device]
Scan = Callable[..., Report]


@pytest.fixture
def written(tmp_path: Path, make_report: Scan, make_device: Make) -> list[tuple[str, bytes]]:
    """Kind and body of all that some scans tell: devices come, change, go; findings open and close; a scan fails."""
    gone = {"mac": "aa:bb:cc:00:00:01", "ip": "192.0.2.50", "id_": "other"}
    scans = [
        make_report(make_device(), make_device(**gone)),
        make_report(make_device(model="NR901", manufacturer="axis", action=None)),
        *(make_report(make_device(model="NR901", manufacturer="axis", action=None)) for _ in range(3)),
        make_report(make_device(manufacturer=None, level=Level.UNKNOWN, action=None), failures=("the link went down",)),
        make_report(make_device(), interrupted=True),
    ]
    with open_store(tmp_path / "h.sqlite") as store:
        outbox.register(store, ["a"])
        found = []
        for number, one in enumerate(scans):
            scan = msgspec.structs.replace(one.scan, id=f"scan-{number}", started=f"2026-11-24T0{number}:00:00Z",
                                           finished=f"2026-11-24T0{number}:01:00Z", targets=("192.0.2.0/24",))  # fmt: skip
            writing.save(store, msgspec.structs.replace(one, scan=scan), describe=documents.describe)
            taken = outbox.take(store, "a", 999)
            found += [(w.draft.kind, w.draft.body) for w in taken if w.draft.body]
            outbox.advance(store, "a", taken[-1].number)
        outbox.put(store, [Draft("x", "hq", "device-changed", b"{}")] * 3, bound=1)
        found += [(w.draft.kind, w.draft.body) for w in outbox.take(store, "a", 99) if w.draft.kind == "events-lost"]
    told = [json.loads(body) for kind, body in found if kind == "state"]
    entities = [entity for one in told for _, _, entity in documents.entities(one, "p/hq/x/state", "p/status")]
    service = documents.status("online", scans=3, last_scan="completed", next_scan="2026-11-24T06:00:00Z")
    statuses = [documents.status("lost"), service, documents.ended(scans[0])]
    return found + [("home-assistant", documents.json(e)) for e in entities] + [("status", documents.json(s)) for s in statuses]


def test_the_published_schema_is_this(root: Path) -> None:
    published = json.loads((root / "docs" / "mqtt.schema.json").read_text(encoding="utf-8"))
    assert published == json.loads(json.dumps(shapes.schema())), "docs/mqtt.schema.json is stale"
    jsonschema.Draft202012Validator.check_schema(published)


def test_every_document_has_its_shape(written: list[tuple[str, bytes]], root: Path) -> None:
    published: dict[str, Any] = json.loads((root / "docs" / "mqtt.schema.json").read_text(encoding="utf-8"))
    kinds = {kind for kind, _ in written}
    for kind, body in written:
        msgspec.json.decode(body, type=shapes.OF[kind])
        jsonschema.validate({kind: json.loads(body)}, published)
    assert kinds == set(shapes.OF)


def test_what_is_no_such_document_does_not_pass(root: Path, written: list[tuple[str, bytes]]) -> None:
    published: dict[str, Any] = json.loads((root / "docs" / "mqtt.schema.json").read_text(encoding="utf-8"))
    told = json.loads(next(body for kind, body in written if kind == "finding"))
    for bad in (told | {"action": "shout"}, told | {"more": 1}, {k: v for k, v in told.items() if k != "policy"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"finding": bad}, published)


# What Home Assistant documents for MQTT discovery of these components, its required keys, and what a device may hold
# (https://www.home-assistant.io/integrations/mqtt/ sensor.mqtt, binary_sensor.mqtt).
SHARED = {
    "availability", "availability_mode", "availability_template", "availability_topic", "default_entity_id", "device",
    "device_class", "enabled_by_default", "encoding", "entity_category", "entity_picture", "expire_after",
    "force_update", "icon", "json_attributes_template", "json_attributes_topic", "name", "object_id", "origin",
    "payload_available", "payload_not_available", "platform", "qos", "state_topic", "unique_id", "value_template",
}  # fmt: skip
COMPONENTS = {
    "sensor": SHARED | {"last_reset_value_template", "options", "state_class", "suggested_display_precision",
                        "unit_of_measurement"},
    "binary_sensor": SHARED | {"off_delay", "payload_off", "payload_on"},
}  # fmt: skip
ABOUT = {
    "configuration_url", "connections", "hw_version", "identifiers", "manufacturer", "model", "model_id", "name",
    "serial_number", "suggested_area", "sw_version", "via_device",
}  # fmt: skip


def test_entities_are_as_home_assistant_documents_them(written: list[tuple[str, bytes]]) -> None:
    told = next(json.loads(body) for kind, body in written if kind == "state")
    found = list(documents.entities(told, "p/hq/x/state", "p/status"))
    assert [(component, name) for component, name, _ in found] == list(documents.ENTITIES)
    for component, _, entity in found:
        payload = json.loads(documents.json(entity))
        assert payload.keys() <= COMPONENTS[component]
        assert payload["state_topic"]
        assert payload["unique_id"].isascii()
        assert not {"availability"} & payload.keys()  # either a list of them, or one topic
        assert payload["device"].keys() <= ABOUT
        assert payload["device"]["identifiers"]
        assert all(len(pair) == 2 for pair in payload["device"]["connections"])
        assert payload["origin"]["name"]
        assert payload.get("device_class") in (None, "problem")
