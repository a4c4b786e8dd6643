"""Fingerprints of the other makers, on devices that none of their examples shows: other models of the same families,
every way evidence is written down, and what must never be taken for them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.identify import identify
from scanner.knowledge import Knowledge, load
from scanner.knowledge.evaluate import counts, same
from scanner.model import Identity, Level, Observation, Recording, Truth
from scanner.recordings import load as load_recordings

MAKERS = (
    "huawei", "zte", "tp-link", "uniview", "h3c", "fiberhome", "xiongmai", "tvt", "hytera", "kedacom", "tiandy", "dji",
    "inspur", "sugon",
)  # fmt: skip
SURE = {Level.LIKELY, Level.CONFIRMED}
LOADED = load_recordings(Path(__file__).with_name("other_makers.yaml"))
DEVICES = LOADED.recordings
VRP = "Huawei Versatile Routing Platform Software"
SWITCH = "1.3.6.1.4.1.2011.2.23.291"


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    """Our own rules."""
    return load()


def told(knowledge: Knowledge, *heard: tuple[str, str]) -> Identity:
    """The identity of a device that said these things."""
    observations = tuple(Observation(channel=channel, value=value) for channel, value in heard)
    return identify(Recording(id="device", observations=observations), knowledge)


def truth_of(case: Recording) -> Truth:
    assert case.truth is not None
    return case.truth


def test_devices_of_every_maker_are_there() -> None:
    assert not LOADED.problems
    assert {truth_of(case).manufacturer for case in DEVICES} > {*MAKERS, "unknown"}


@pytest.mark.parametrize("case", DEVICES, ids=lambda case: case.id)
def test_device(knowledge: Knowledge, case: Recording) -> None:
    truth, identity = truth_of(case), identify(case, knowledge)
    sure = identity.level in SURE
    if truth.manufacturer not in MAKERS:
        assert not (sure and identity.manufacturer in MAKERS), truth.why
        return
    assert (identity.manufacturer, sure) == (truth.manufacturer, True)
    for field in ("brand", "model"):
        if getattr(truth, field) is not None:
            assert same(getattr(truth, field), getattr(identity, field)), identity


def test_two_families_confirm(knowledge: Knowledge) -> None:
    heard = (("ssh.banner", "SSH-2.0-HUAWEI-1.5"), ("snmp.sysobjectid", SWITCH))
    assert told(knowledge, *heard).level is Level.CONFIRMED


def test_one_family_does_not_confirm(knowledge: Knowledge) -> None:
    heard = (("snmp.sysdescr", f"S5720-28X-SI {VRP}"), ("snmp.sysobjectid", SWITCH))
    assert told(knowledge, *heard).level is Level.LIKELY


def test_joint_venture_is_h3c(knowledge: Knowledge) -> None:
    identity = told(knowledge, ("snmp.sysdescr", "HUAWEI-3COM WBR-204g"))
    assert (identity.manufacturer, identity.brand) == ("h3c", "3com")


def test_serial_number(knowledge: Knowledge) -> None:
    server = "SERVER: UPnP/2.0 iBMC/3.00 ProductName/RH2288 V3 SN/2102310YJA10H1000123\r\n"
    identity = told(knowledge, ("upnp.ssdp", server))
    assert (identity.model, identity.serial) == ("RH2288 V3", "2102310YJA10H1000123")


def test_firmware(knowledge: Knowledge) -> None:
    text = f"Huawei AR2240 {VRP}  VRP (R) software,Version 5.160 (AR2200 V200R006C10SPC300)"
    assert told(knowledge, ("snmp.sysdescr", text)).firmware == "V200R006C10SPC300"


def test_the_mac_inside_an_identifier_must_be_the_makers(knowledge: Knowledge) -> None:
    ours = told(knowledge, ("snmp.engineid", "800007db030cc6ccc68e10"))
    other = told(knowledge, ("snmp.engineid", "800007db0300408c112233"))
    assert ours.manufacturer == "huawei"
    assert other.manufacturer != "huawei"


def test_corpus(knowledge: Knowledge, corpus: tuple[Recording, ...]) -> None:
    """Nobody is taken for one of these makers who is not; of their counted cases at most the bare prefixes are open."""
    missed: dict[str, list[str]] = {}
    counted: dict[str, int] = {}
    accused = []
    for case in corpus:
        truth, identity = truth_of(case), identify(case, knowledge)
        sure = identity.level in SURE
        if sure and identity.manufacturer in MAKERS and identity.manufacturer != truth.manufacturer:
            accused.append((case.id, identity.manufacturer))
        if truth.manufacturer in MAKERS and counts(case):
            counted[truth.manufacturer] = counted.get(truth.manufacturer, 0) + 1
            if not sure or identity.manufacturer != truth.manufacturer:
                missed.setdefault(truth.manufacturer, []).append(case.id)
    assert accused == []
    assert counted["huawei"] >= 50
    for maker, ids in missed.items():
        assert len(ids) <= counted[maker] * 0.05, (maker, ids)
