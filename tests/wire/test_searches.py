"""Devices that say nothing but an answer to their maker's own search, on the wire: all are found and named."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.model import Observation, Recording
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
}  # fmt: skip
NAMED = {"hanwha", "vivotek", "bosch", "sony", "reolink", "ubiquiti", "tvt", "xiongmai", "tp-link"}
CHANNELS = {"xiongmai": "xm.discovery", "tp-link": "tplink.discovery", "ssdp": "upnp.ssdp", "mdns": "mdns.response",
            "nbns": "nbns.response"}  # fmt: skip


def devices() -> list[Recording]:
    return [
        Recording(
            id=name, mac=f"02:00:5e:00:53:{number:02x}",
            observations=tuple(Observation(channel=channel, value=value) for channel, value in said),
        )
        for number, (name, said) in enumerate(SAID.items(), 1)
    ]  # fmt: skip


def test_every_search_is_answered_and_nobody_hears_another(me: Any, place: Any) -> None:
    with Lab(devices(), network=NETWORK) as lab:
        report, _ = me.scan(NETWORK, "--record", str(place / "rec"), enter=lab.ready.enter)
        where = {placed.ip: name for name, placed in lab.devices.items()}
        violations = lab.violations()

    assert violations == []
    told = {where[device["ip"]]: device for device in report["devices"]}
    assert set(told) == set(SAID)
    spoken = {}
    for name, device in told.items():
        file = next((place / "rec").glob(f"*{device['ip'].replace('.', '-')}.yaml"))
        from scanner.recordings import load

        (recording,) = load(file).recordings
        spoken[name] = {seen.channel for seen in recording.observations if not seen.silent}
    assert spoken == {name: {CHANNELS.get(name, f"discovery.{name}")} for name in SAID}
    assert {name: told[name]["manufacturer"] for name in NAMED} == {name: name for name in NAMED}
