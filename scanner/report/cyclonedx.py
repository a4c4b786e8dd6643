"""CycloneDX 1.6 (JSON): the devices as hardware components with their evidence, for inventories that read it.

The library writes the document and refuses one that does not fit the standard's data model; the tests validate it
against the schema.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
from cyclonedx.model import ExternalReference, ExternalReferenceType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.component_evidence import (
    AnalysisTechnique,
    ComponentEvidence,
    Identity,
    IdentityField,
    Method,
)
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.tool import Tool
from cyclonedx.output.json import JsonV1Dot6

from scanner.model import Device, Grade, Match, Report, Verdict
from scanner.report import view
from scanner.values import one_line

WEIGHT = {Grade.EXCLUSIVE: "0.9", Grade.STRONG: "0.7", Grade.SHARED: "0.4", Grade.HINT: "0.2"}
"""A fingerprint's grade as the confidence (0 to 1) that the format wants of a method."""
_PART = r"(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
ADDRESS = re.compile(rf"https?://[A-Za-z0-9.-]{{1,253}}(?::[0-9]{{1,5}})?(?:[/?]{_PART})?(?:#{_PART})?")
"""An address on the web that a strict reader of the format takes (RFC 3986); a source that is none stays out."""
NAMESPACE = uuid.UUID("6f0b1a52-5b0e-5c8c-9d55-6c616e76746f")
"""Of serial numbers that are made from a scan's id: the same report gives the same document."""


class CycloneDx:
    """`--format cyclonedx`."""

    name = "cyclonedx"
    binary = False

    def render(self, report: Report) -> str:
        """The document, indented."""
        bom = Bom(serial_number=uuid.uuid5(NAMESPACE, _text(report.scan.id)), version=1)
        bom.metadata.timestamp = view.moment(report.scan.finished or report.scan.started)
        bom.metadata.tools.tools.add(Tool(name=_text(report.scan.tool), version=_text(report.scan.version)))
        bom.metadata.properties.update(_properties(_about(report)))
        document = _written(bom)
        components: list[msgspec.Raw] = []
        document |= {"components": components, "dependencies": []}
        for component, dependency in _parts(report.devices):
            components.append(msgspec.Raw(msgspec.json.encode(component)))  # a tenth of what it takes as objects
            document["dependencies"].append(dependency)
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _written(bom: Bom) -> dict[str, Any]:
    """What the library writes of a document, checked by its data model."""
    written: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    return written


def _parts(devices: Iterable[Device]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Component and dependency of each device, written alone: the library compares every component of a document with
    every other, so that ten thousand in one take minutes. What the measures say of a device is written once for all of
    whom they say the same.
    """
    judged: dict[tuple[Verdict, ...], list[Any]] = {}
    references: Counter[str] = Counter()
    for device in devices:
        if device.verdicts not in judged:
            alone = Component(type=ComponentType.DEVICE, name="-", properties=_properties(_verdicts(device.verdicts)))
            judged[device.verdicts] = _written_alone(alone)[0].get("properties", [])
        reference = _text(device.key)
        references[reference] += 1
        if references[reference] > 1:
            reference += f"#{references[reference]}"
        component, dependency = _written_alone(_component(device, reference))
        component["properties"] = [*component.get("properties", ()), *judged[device.verdicts]]
        yield component, dependency


def _written_alone(component: Component) -> tuple[dict[str, Any], dict[str, Any]]:
    written = _written(Bom(components=[component], version=1))
    return written["components"][0], written["dependencies"][0]


def _properties(pairs: Iterable[tuple[str, str]]) -> list[Property]:
    return [Property(name=_text(f"lanveto:{name}"), value=_text(value)) for name, value in pairs]


def _about(report: Report) -> Iterator[tuple[str, str]]:
    yield "answer", view.summary_line(report)
    for number, line in enumerate(view.coverage_lines(report), 1):
        yield f"coverage:{number:03}", line
    for number, line in enumerate(view.waiver_lines(report), 1):
        yield f"waiver:{number:03}", line
    yield "scan", report.scan.id
    yield "rules:sha256", report.rules_version.rules_sha256
    yield "registry:sha256", report.rules_version.registry_sha256


def _component(device: Device, reference: str) -> Component:
    identity = device.identity
    named = view.may_be_named(identity)
    sources = sorted({v.source for v in device.verdicts if v.source and ADDRESS.fullmatch(v.source)})
    return Component(
        type=ComponentType.DEVICE,
        bom_ref=BomRef(reference),
        name=_text(identity.model or identity.kind or "unknown device"),
        version=_text(identity.firmware) if identity.firmware else None,
        group=_text(identity.manufacturer) if named and identity.manufacturer else None,
        manufacturer=(
            OrganizationalEntity(name=_text(identity.manufacturer)) if named and identity.manufacturer else None
        ),
        properties=_properties(_facts(device)),
        evidence=ComponentEvidence(identity=[_evidence(device)] if identity.matches else []),
        external_references=[
            ExternalReference(type=ExternalReferenceType.EVIDENCE, url=XsUri(source)) for source in sources
        ],
    )


def _facts(device: Device) -> Iterator[tuple[str, str]]:
    identity, recording = device.identity, device.recording
    fields = {
        "ip": recording.ip, "mac": recording.mac, "brand": identity.brand, "kind": identity.kind,
        "serial": identity.serial, "level": identity.level, "confidence": f"{identity.confidence:.4f}",
        "action": device.action,
    }  # fmt: skip
    yield from ((name, value) for name, value in fields.items() if value)
    yield from (("address", address) for address in recording.addresses)
    yield from (("note", note) for note in identity.notes)
    yield from ((f"own:{name}", value) for name, value in device.columns)


def _verdicts(verdicts: Iterable[Verdict]) -> Iterator[tuple[str, str]]:
    for verdict in verdicts:
        name = f"verdict:{verdict.policy}"
        yield name, verdict.action
        yield f"{name}:effect", verdict.effect
        yield f"{name}:because", verdict.because
        if verdict.citation:
            yield f"{name}:citation", verdict.citation
        if verdict.waived and verdict.waiver:
            yield f"{name}:waived", f"{verdict.waiver.who}: {verdict.waiver.reason} (until {verdict.waiver.expires})"


def _evidence(device: Device) -> Identity:
    return Identity(
        field=IdentityField.GROUP,
        concluded_value=_text(device.identity.manufacturer or "") if view.may_be_named(device.identity) else None,
        confidence=Decimal(f"{device.identity.confidence:.4f}"),
        methods=[
            Method(technique=AnalysisTechnique.OTHER, confidence=Decimal(WEIGHT[match.grade]), value=_method(match))
            for match in device.identity.matches
        ],
    )


def _method(match: Match) -> str:
    return _text(f"{match.fingerprint} ({match.grade}): {view.heard(match, 200)}")


def _text(value: str) -> str:
    return one_line(value, 2000)


FORMAT = CycloneDx()
