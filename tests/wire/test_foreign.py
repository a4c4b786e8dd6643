"""Devices in their factory state, whose address is not of the network, with reverse path filtering on and no way there."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.model import Observation, Recording, Transport, Via
from scanner.simulate.lab import Lab

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]
NETWORK = "10.77.0.0/28"

SADP = (
    '<?xml version="1.0" encoding="UTF-8"?>\r\n<ProbeMatch><Uuid>X</Uuid>\r\n<Types>inquiry</Types>\r\n'
    "<DeviceDescription>DS-2CD2385G1-I</DeviceDescription><DeviceSN>DS-2CD2385G1-I20200414AAWRA00000000</DeviceSN>"
    "<MAC>58-50-ed-11-22-33</MAC><IPv4Address>192.168.1.64</IPv4Address><Activated>false</Activated>{}</ProbeMatch>"
)
LONG = "".join(f"<Filler{n}>{'x' * 40}</Filler{n}>" for n in range(60))
"""Makes the answer longer than a frame."""
DHIP = (
    '{"mac":"3c:ef:8c:11:22:33","method":"client.notifyDevInfo","params":{"deviceInfo":{"DeviceClass":"IPC",'
    '"DeviceType":"IPC-HDW1431T1-S4","SerialNo":"6C01E93PAA00000","Vendor":"Dahua","Version":"2.800.0000000.13.R"}}}'
)


def devices() -> list[Recording]:
    def seen(channel: str, value: str, **more: Any) -> tuple[Observation, ...]:
        return (Observation(channel=channel, value=value, **more),)

    return [
        Recording(id="group", ip="192.168.1.64", mac="58:50:ed:11:22:33",
                  observations=seen("sadp.response", SADP.format(""), port=37020, via=Via.MULTICAST)),
        Recording(id="long", ip="192.0.0.64", mac="58:50:ed:11:22:34",
                  observations=seen("sadp.response", SADP.format(LONG), port=37020, via=Via.MULTICAST)),
        Recording(id="dahua", ip="192.168.1.108", mac="3c:ef:8c:11:22:33",
                  observations=seen("dhip.response", DHIP, port=37810)),
        Recording(id="frames", ip="192.168.1.65", mac="58:50:ed:11:22:35",
                  observations=seen("sadp.devicedescription", "DS-2CD2385G1-I", transport=Transport.L2)
                  + seen("sadp.devicesn", "DS-2CD2385G1-I20200414AAWRA00000001", transport=Transport.L2)),
        Recording(id="here", ip="10.77.0.5", mac="58:50:ed:11:22:36",
                  observations=seen("sadp.devicedescription", "DS-2CD2143G0-I", transport=Transport.L2)),
    ]  # fmt: skip


@pytest.fixture
def strict() -> Any:
    """A segment with such devices, and a scanner whose kernel drops what comes from a foreign address."""
    with Lab(devices(), network=NETWORK, foreign=True) as lab:
        done = lab.run(["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.s0.rp_filter=1"])
        assert done.returncode == 0, done.stderr
        assert "default" not in lab.run(["ip", "route"]).stdout
        yield lab
        assert lab.violations() == []


def test_root_hears_them_all_and_says_that_they_are_foreign(strict: Any, me: Any) -> None:
    report, _ = me.scan(NETWORK, enter=strict.ready.enter)
    told = {device["ip"]: device for device in report["devices"]}

    assert set(told) == {"192.168.1.64", "192.0.0.64", "192.168.1.108", "192.168.1.65", "10.77.0.5"}
    for ip, maker in (("192.168.1.64", "hikvision"), ("192.0.0.64", "hikvision"), ("192.168.1.108", "dahua"),
                      ("192.168.1.65", "hikvision"), ("10.77.0.5", "hikvision")):  # fmt: skip
        assert told[ip]["manufacturer"] == maker, told[ip]
        assert told[ip]["level"] in {"likely", "confirmed"}
    assert {told[ip]["mac"] for ip in told} == {recording.mac for recording in devices()}
    warning = next(w for w in report["coverage"]["warnings"] if "not of their network" in w)
    assert warning.startswith("4 device(s)")
    assert told["192.0.0.64"]["serial"] == "DS-2CD2385G1-I20200414AAWRA00000000"  # it came in fragments


def test_without_root_the_report_says_why_they_are_missing(strict: Any, somebody: Any) -> None:
    become = somebody.prefix or ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]
    somebody.prefix = []
    report, _ = somebody.scan(NETWORK, enter=[*strict.ready.enter, *become])
    assert {device["ip"] for device in report["devices"]} == {"10.77.0.5"}
    method = next(m for m in report["coverage"]["methods"] if m["name"] == "frames")
    assert method["ran"] is False
    assert "rp_filter" in method["note"]
