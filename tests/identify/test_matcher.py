from __future__ import annotations

from pathlib import Path

import pytest

from scanner import knowledge, recordings
from scanner.identify import consider, identify, suspects
from scanner.knowledge import Knowledge
from scanner.model import Level, Observation, Recording
from scanner.protocols import read_all


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return knowledge.load()


def device(mac: str | None = None, **said: str) -> Recording:
    return Recording(
        id="d",
        mac=mac,
        observations=tuple(
            Observation(channel=c.replace("__", "-").replace("_", "."), value=v) for c, v in said.items()
        ),
    )


def test_a_prefix_of_whole_devices_is_likely_and_one_of_parts_possible(known: Knowledge) -> None:
    whole = identify(device("3c:ef:8c:11:22:33"), known)
    part = identify(device("00:18:82:11:22:33"), known)
    assert (whole.manufacturer, whole.level) == ("dahua", Level.LIKELY)
    assert (part.manufacturer, part.level) == ("huawei", Level.POSSIBLE)


@pytest.mark.parametrize("mac", ["b8:27:eb:11:22:33", "00:0c:29:11:22:33", "bc:24:11:11:22:33"])
def test_a_general_computer_may_relay_what_another_device_says(mac: str, known: Knowledge) -> None:
    realm = {"rtsp_header_www__authenticate": 'Digest realm="Login to 4K02A29PAA00001", nonce="0123456789abcdef"'}
    assert identify(device(**realm), known).manufacturer == "dahua"
    behind = identify(device(mac, **realm), known)
    assert behind.manufacturer in {None, "raspberry-pi"}
    assert behind.level in {Level.UNKNOWN, Level.POSSIBLE}


def test_a_randomised_address_says_nothing(known: Knowledge) -> None:
    found = identify(device("3e:ef:8c:11:22:33"), known)
    assert found.manufacturer is None
    assert any("locally administered" in note for note in found.notes)


def test_a_mac_in_a_name_must_belong_to_the_maker(known: Knowledge) -> None:
    realm = "rtsp_header_www__authenticate"
    real = identify(device(**{realm: 'Digest realm="AXIS_00408CEF081C"'}), known)
    fake = identify(device(**{realm: 'Digest realm="AXIS_3CEF8C112233"'}), known)
    assert real.manufacturer == "axis"
    assert fake.manufacturer is None


def test_suspects_open_the_door_to_specific_questions(known: Knowledge) -> None:
    readings = read_all(device(http_header_server="App-webs/"))
    assert "hikvision" in suspects(readings, known)
    assert not suspects(read_all(device(tcp_open="37777")), known)


def test_the_registered_seller_is_not_the_maker(known: Knowledge) -> None:
    found = identify(device("00:1f:54:11:22:33"), known)
    assert found.manufacturer is None
    assert found.brand == "lorex"


def test_macs_alone_are_thought_of_once_a_prefix_and_answered_as_if_each_were_the_first(known: Knowledge) -> None:
    here = Path(__file__).parents[1]
    macs = {str(r.mac) for file in (here / "corpus").glob("*.yaml") for r in recordings.load(file).recordings if r.mac}
    macs |= {mac[:-2] + end for mac in macs for end in ("00", "fe")}
    macs |= {"02:00:00:00:00:01", "06:00:00:00:00:01", "00:40:7f:00:00:01", "00:1f:54:00:00:02", "33:33:00:00:00:01"}
    assert len(macs) > 100
    remembered = dict(known.by_owner)
    try:
        for mac in sorted(macs):
            recording = Recording(id="x", mac=mac)
            readings = read_all(recording)
            assert identify(recording, known) == consider(readings, known)[0], mac
        assert len(known.by_owner) < len(macs) / 2
    finally:
        known.by_owner.clear()
        known.by_owner.update(remembered)
