"""Every case of the evidence becomes a device, is scanned, and is told as `identify` tells what a scan can hear of it."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from scanner import assess, ports
from scanner.knowledge import Knowledge
from scanner.model import Observation, Recording
from scanner.protocols import protocols
from scanner.simulate.lab import Lab

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]
NETWORK = "10.77.0.0/22"
FIELDS = ("manufacturer", "brand", "kind", "model", "level")

BY_DATAGRAM = ("sadp.", "dhip.", "wsdiscovery.", "onvif.scopes", "onvif.types", "onvif.xaddrs", "soap.", "sip.", "upnp.",
               "mdns.", "nbns.", "netbios.")  # fmt: skip
BY_STREAM = ("http.", "rtsp.", "onvif.", "tls.subject", "tls.issuer", "tls.san", "ssh.", "telnet.", "ftp.")
NOT_AGAIN = ("http.favicon", "rtsp.path", "http.path")
"""A hash gives no picture back; paths that nothing leads to are not guessed."""
CAUTIOUS = {8000, 5000}
"""Ports of makers' own protocols: spoken to only after something else was heard."""

EXPLAINED = {
    "inn-0014": "refuses OPTIONS in a way that tells its maker: its stream is not asked for",
    "inn-0198": "something else was heard, so its port 8000 is asked too, and tells more",
}


def hearable(seen: Observation) -> bool:
    """Whether a default scan hears this again from a device that says it."""
    asked = {question.channel for protocol in protocols().values() for question in protocol.questions()}
    if seen.channel in {"mac", "tcp.open"} or seen.channel in asked:
        return True
    if seen.channel.startswith(NOT_AGAIN):
        return False
    if seen.channel.startswith(BY_DATAGRAM):
        return True
    on_the_way = seen.port is None or (seen.port in ports.ASKED and seen.port not in CAUTIOUS)
    return on_the_way and seen.channel.startswith(BY_STREAM)


def test_the_evidence_is_the_same_on_the_wire(
    corpus: tuple[Recording, ...], rules: Knowledge, me: Any, today: datetime.date
) -> None:
    with Lab(corpus, network=NETWORK) as lab:
        report, _ = me.scan(NETWORK, "--fast", enter=lab.ready.enter)
        places = lab.devices
        violations = lab.violations()

    told = {device["ip"]: device for device in report["devices"]}
    heard = [
        replace(r, mac=places[r.id].mac, observations=tuple(o for o in r.observations if hearable(o))) for r in corpus
    ]
    wrong = []
    for device in assess.assess(heard, rules, profiles=(), as_of=today):
        name = device.recording.id
        live = told[places[name].ip]
        here = {field: str(getattr(device.identity, field)) for field in FIELDS}
        if here != {field: str(live[field]) for field in FIELDS} and name not in EXPLAINED:
            wrong.append(f"{name}: {here}, on the wire {[live[field] for field in FIELDS]}")
    assert len(told) == len(corpus) > 400
    assert wrong == []
    assert violations == []
