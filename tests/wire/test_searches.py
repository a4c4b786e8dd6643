"""Devices that say nothing but an answer to their maker's own search, on the wire: all are found and named."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.model import Observation, Recording
from scanner.recordings import load
from scanner.simulate.lab import Lab

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]
NETWORK = "10.77.0.0/27"

MDNS = (
    "hex:000084000000000100000000095f7365727669636573075f646e732d7364045f756470056c6f63616c00000c000100000000"
    "001a0b5f617869732d766964656f045f746370056c6f63616c00"
)
NBNS = "hex:80f0840000000001000000002043" + "4b" + "41" * 30 + "0000210001000000000019014e5652" + "20" * 12 + "000400c056000001f0"
SAID: dict[str, tuple[tuple[str, str], ...]] = {
    "hanwha": (("discovery.hanwha.model", "XNV-6080"),),
    "vivotek": (("discovery.vivotek.model", "FD9187-HT"),),
    "bosch": (("discovery.bosch.model", "FLEXIDOME IP 4000i"),),
    "sony": (("discovery.sony.model", "SNC-EP550"),),
    "panasonic": (("discovery.panasonic.model", "WV-S1131"),),
    "foscam": (("discovery.foscam.name", "Gate"),),
    "reolink": (("discovery.reolink.name", "Gate"),),
    "ubiquiti": (("discovery.ubiquiti.model", "UVC-G3"),),
    "tvt": (("discovery.tvt.product", "TD-9421"),),
    "xiongmai": (("xm.sn", "41e6853aaa0a0000"), ("xm.tcpport", "34567"), ("xm.hostip", "0x6D0BA8C0")),
    "tp-link": (("tplink.device_type", "SMART.IPCAMERA"), ("tplink.device_model", "C210")),
    "dahua": (("discovery.dahua", "hex:b3001800580000000000000000000000" "02000000000000000000000000000000" + "00" * 88
               + "33633a65663a38633a31313a32323a33334950432d31"),),
    "ssdp": (("upnp.ssdp", "SERVER: Linux/4.9 UPnP/1.0 test/1.0\r\nUSN: uuid:1"),),
    "mdns": (("mdns.response", MDNS),),
    "nbns": (("nbns.response", NBNS),),
    "huawei": (("snmp.engineid", "800007db030cc6ccc68e10"),),
    "eltex": (("sip.response", "Server: TAU-8.IP/1.9.1"),),
    "swann": (("upnp.description", "<manufacturer>SWANN</manufacturer><modelName>DVR8-1550</modelName>"),),
    "axis": (
        ("upnp.ssdp", "ST: urn:axis-com:service:BasicService:1\r\nLOCATION: http://192.168.0.90:1900/rootdesc1.xml"),
        ("upnp.description", "<manufacturer>AXIS</manufacturer><modelName>AXIS M1065-LW</modelName>"),
    ),
}  # fmt: skip
NAMED = {"hanwha", "vivotek", "bosch", "sony", "reolink", "ubiquiti", "tvt", "xiongmai", "tp-link", "huawei", "axis"}
CHANNELS = {
    "xiongmai": {"xm.discovery"}, "tp-link": {"tplink.discovery"}, "ssdp": {"upnp.ssdp"}, "mdns": {"mdns.response"},
    "nbns": {"nbns.response"}, "huawei": {"snmp.engineid"}, "eltex": {"sip.response"},
    "swann": {"upnp.ssdp", "upnp.description", "tcp.open"}, "axis": {"upnp.ssdp", "upnp.description", "tcp.open"},
}  # fmt: skip
LAST = {"node status": 137, "engine discovery": 161, "OPTIONS": 5060}
"""Questions that are put only to hosts whose maker is still open when all else was asked."""
CERTAIN = (("sadp.devicedescription", "DS-2CD2032-I"), ("http.header.server", "DNVRS-Webs"))


def devices() -> list[Recording]:
    return [
        Recording(
            id=name, mac=f"02:00:5e:00:53:{number:02x}",
            observations=tuple(Observation(channel=channel, value=value) for channel, value in said),
        )
        for number, (name, said) in enumerate((SAID | {"certain": CERTAIN}).items(), 1)
    ]  # fmt: skip


def test_every_search_is_answered_and_nobody_hears_another(me: Any, place: Any, capture: Any) -> None:
    log = place / "audit.log"
    with Lab(devices(), network=NETWORK) as lab:
        with capture(lab.ready.enter) as caught:
            report, _ = me.scan(
                NETWORK, "--record", str(place / "rec"), "--audit-log", str(log), enter=lab.ready.enter
            )  # fmt: skip
        where = {placed.ip: name for name, placed in lab.devices.items()}
        violations = lab.violations()

    assert violations == []
    told = {where[device["ip"]]: device for device in report["devices"]}
    assert set(told) == {*SAID, "certain"}
    assert (told["certain"]["manufacturer"], told["certain"]["level"]) == ("hikvision", "confirmed")
    spoken: dict[str, set[str]] = {}
    heard: dict[tuple[str, str], Observation] = {}
    for name in SAID:
        file = next((place / "rec").glob(f"*{told[name]['ip'].replace('.', '-')}.yaml"))
        (recording,) = load(file).recordings
        spoken[name] = {seen.channel for seen in recording.observations if not seen.silent}
        heard |= {(name, seen.channel): seen for seen in recording.observations if not seen.silent}
    assert spoken == {name: CHANNELS.get(name, {f"discovery.{name}"}) for name in SAID}
    assert {name: told[name]["manufacturer"] for name in NAMED} == {name: name for name in NAMED}

    # An agent's engine id and nothing else of what it said; a description from where the answer says, on the device.
    agent = heard["huawei", "snmp.engineid"]
    assert (agent.value, agent.port, agent.transport) == ("800007db030cc6ccc68e10", 161, None)
    assert "TAU-8.IP" in heard["eltex", "sip.response"].value
    described = heard["axis", "upnp.description"]
    assert (described.port, described.request) == (1900, "GET /rootdesc1.xml")
    assert told["axis"]["model"] == "M1065-LW"
    assert [(where[ip], port) for ip, port, _ in caught.syns() if port == 49152] == [("swann", 49152)]
    assert set(caught.together().values()) <= {0, 1}

    asked = [line.split("\t") for line in log.read_text(encoding="utf-8").splitlines()]
    for question, port in LAST.items():
        targets = [line[2] for line in asked if line[4] == question]
        assert sorted(targets) == sorted(set(targets)), question
        names = {where[target.removesuffix(f":{port}")] for target in targets}
        assert {"huawei", "eltex", "swann"} <= names, question
        assert "certain" not in names, question
