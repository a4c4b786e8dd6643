"""Innocents that speak of restricted makers: none is named as what it only mentions, none is asked more than a look."""

from __future__ import annotations

import datetime

import msgspec
import pytest

from scanner.identify import identify
from scanner.judge import judge
from scanner.knowledge import Knowledge
from scanner.model import Action, Identity, Level, Recording
from tests.rules.devices import SURE, device, folded, recordings

DEVICES = recordings("bystanders")
LAW_OF = datetime.date(2026, 11, 28)
LOOK_CLOSER = {
    "pc-with-tp-link-dongle": "a registered prefix of a maker of network adapters",
    "conpot": "a greeting of ZTE beside one of Siemens",
}
"""Who may be worth a closer look, and for what."""

TRAPS = frozenset({"honeypot-everything", "honeypot-two-makers", "conpot"})
"""Told by the contradiction of what they say: with one voice alone they look like what they pretend to be."""


def _right(recording: Recording, identity: Identity) -> bool:
    assert recording.truth is not None
    return identity.level not in SURE or identity.manufacturer == recording.truth.manufacturer


@pytest.mark.parametrize("recording", DEVICES, ids=lambda recording: recording.id)
def test_nobody_is_named_for_what_he_mentions(recording: Recording, knowledge: Knowledge) -> None:
    for heard in (recording, folded(recording)):
        identity = identify(heard, knowledge)
        assert _right(recording, identity), identity.matches
    for left in range(len(recording.observations)):
        rest = recording.observations[:left] + recording.observations[left + 1 :]
        identity = identify(msgspec.structs.replace(recording, observations=rest), knowledge)
        if recording.id not in TRAPS:
            assert _right(recording, identity), identity.matches


@pytest.mark.parametrize(
    "recording", [r for r in DEVICES if r.truth and r.truth.manufacturer != "unknown"], ids=lambda r: r.id
)
def test_the_maker_is_named_all_the_same(recording: Recording, knowledge: Knowledge) -> None:
    identity = identify(recording, knowledge)
    assert recording.truth is not None
    assert (identity.manufacturer, identity.level in SURE) == (recording.truth.manufacturer, True), identity.matches


@pytest.mark.parametrize("recording", DEVICES, ids=lambda recording: recording.id)
def test_nobody_is_asked_more_than_a_look(recording: Recording, knowledge: Knowledge) -> None:
    identity = identify(recording, knowledge)
    asked = {
        verdict.action
        for profile in knowledge.profiles
        for verdict in judge(identity, knowledge, profiles=(profile,), as_of=LAW_OF)
    }
    allowed = {Action.NONE, Action.NOTE} | ({Action.INVESTIGATE} if recording.id in LOOK_CLOSER else set())
    assert asked <= allowed, (asked, identity.matches)


def test_a_babel_of_makers_names_nobody_and_says_so(knowledge: Knowledge) -> None:
    says = [
        ("http.header.server", "Hikvision-Webs"),
        ("rtsp.header.server", "Dahua Rtsp Server"),
        ("rtsp.header.www-authenticate", 'Digest realm="Login to 4H01D66PAJ00000", nonce="1"'),
        ("http.header.www-authenticate", 'Basic realm="TP-LINK Wireless N Router WR841N"'),
    ]
    identity = identify(device(*says), knowledge)
    assert identity.level not in SURE
    assert any("several makers" in note for note in identity.notes)
    dhip = (
        "dhip.response",
        '{"method": "client.notifyDevInfo", "params": {"deviceInfo": {"DeviceClass": "NVR", '
        '"DeviceType": "DHI-NVR5216-16P-4KS2E", "SerialNo": "5M00D2APAA00000"}}}',
    )
    itself = identify(device(*says, dhip), knowledge)
    assert (itself.manufacturer, itself.level) == ("dahua", Level.LIKELY), "what only the machine can say still counts"
