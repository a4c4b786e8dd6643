"""Makers that no rule set is after, software and lookalikes: named as what they are, and never as a restricted maker."""

from __future__ import annotations

import msgspec
import pytest

from scanner.identify import identify
from scanner.knowledge import Knowledge
from scanner.knowledge.evaluate import evaluate
from scanner.model import Recording
from tests.rules.devices import SURE, device, folded, misplaced, recordings

TELLS = ("kind", "model")
RESTRICTED = frozenset({
    "hikvision", "dahua", "huawei", "zte", "tp-link", "uniview", "xiongmai", "tvt", "hytera", "fiberhome", "kedacom",
    "tiandy", "dji", "h3c", "sugon", "inspur",
})  # fmt: skip
"""Makers that other tests are about."""


DEVICES = recordings("innocent_devices")
NAMED = [one for one in DEVICES if one.truth is not None and one.truth.manufacturer != "unknown"]
NOBODY = [one for one in DEVICES if one.truth is not None and one.truth.manufacturer == "unknown"]


@pytest.mark.parametrize("recording", NAMED, ids=lambda recording: recording.id)
def test_named_with_what_it_tells(recording: Recording, knowledge: Knowledge) -> None:
    identity = identify(recording, knowledge)
    assert recording.truth is not None
    assert (identity.manufacturer, identity.level in SURE) == (recording.truth.manufacturer, True), identity.matches
    wanted = {name: getattr(recording.truth, name) for name in TELLS if getattr(recording.truth, name) is not None}
    assert {name: getattr(identity, name) for name in wanted} == wanted


@pytest.mark.parametrize("recording", NAMED, ids=lambda recording: recording.id)
def test_named_in_lower_case_too(recording: Recording, knowledge: Knowledge) -> None:
    identity = identify(folded(recording), knowledge)
    assert recording.truth is not None
    assert (identity.manufacturer, identity.level in SURE) == (recording.truth.manufacturer, True), identity.matches


@pytest.mark.parametrize("recording", NOBODY, ids=lambda recording: recording.id)
def test_what_looks_like_somebody_names_nobody(recording: Recording, knowledge: Knowledge) -> None:
    identity = identify(recording, knowledge)
    assert identity.manufacturer is None or identity.level not in SURE, identity.matches


@pytest.mark.parametrize("recording", DEVICES, ids=lambda recording: recording.id)
def test_no_match_alone_would_accuse(recording: Recording, knowledge: Knowledge) -> None:
    """Also with the strongest observation left out, nobody else is named."""
    assert recording.truth is not None
    for left in range(len(recording.observations)):
        rest = recording.observations[:left] + recording.observations[left + 1 :]
        identity = identify(msgspec.structs.replace(recording, observations=rest), knowledge)
        innocent = identity.manufacturer in {None, recording.truth.manufacturer} or identity.level not in SURE
        assert innocent, identity.matches


@pytest.mark.parametrize("recording", NAMED, ids=lambda recording: recording.id)
def test_a_piece_in_the_wrong_place_accuses_nobody(recording: Recording, knowledge: Knowledge) -> None:
    """The same words as text that a user may write do not make a restricted device."""
    identity = identify(misplaced(recording, "lldp.sysname", "http.body"), knowledge)
    own = recording.truth is not None and identity.manufacturer == recording.truth.manufacturer
    assert own or identity.manufacturer not in RESTRICTED or identity.level not in SURE, identity.matches


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (("tls.subject", "CN=axis-b8a44f00aa11,O=Axis Communications AB"), ("http.body", "dahua hikvision")),
        (("rtsp.path", "/axis-media/media.amp"), ("rtsp.sdp", "v=0\r\na=Media_header:MEDIAINFO=494D4B48\r\n")),
        (("http.header.server", "GeoHttpServer"), ("tcp.open", "80,554,8000,37777")),
    ],
)
def test_a_weak_word_does_not_outvote_the_maker(
    left: tuple[str, str], right: tuple[str, str], knowledge: Knowledge
) -> None:
    alone, beside = identify(device(left), knowledge), identify(device(left, right), knowledge)
    assert alone.level in SURE
    assert (beside.manufacturer, beside.level in SURE) == (alone.manufacturer, True)


@pytest.mark.parametrize(
    "label", ["GeoVision", "Pelco", "D-Link", "LILIN", "Foscam", "ACTi Corporation", "Grandstream"]
)
@pytest.mark.parametrize(
    ("said", "maker"),
    [
        (("rtsp.header.www-authenticate", 'Digest realm="Login to 4H01D66PAJ00000", nonce="1"'), "dahua"),
        (("rtsp.sdp", "v=0\r\ns=VCP IPC Realtime stream\r\na=fmtp:98 DecoderTag=h3c-v3\r\n"), "uniview"),
    ],
)
def test_a_label_does_not_hide_the_maker(label: str, said: tuple[str, str], maker: str, knowledge: Knowledge) -> None:
    """What ONVIF says of the manufacturer is the label's; other hardware stands under some."""
    identity = identify(device(("onvif.device_information", f"Manufacturer={label}\nModel=X1"), said), knowledge)
    assert (identity.manufacturer, identity.level in SURE) == (maker, True), identity.matches


def test_an_unanswered_path_says_nothing(knowledge: Knowledge) -> None:
    """A path counts where it is there, not where it was asked for in vain."""
    assert identify(device(("http.path", "/axis-cgi/basicdeviceinfo.cgi 401")), knowledge).manufacturer == "axis"
    assert identify(device(("http.path", "/axis-cgi/basicdeviceinfo.cgi 404")), knowledge).manufacturer is None


def test_every_recorded_case(corpus: tuple[Recording, ...], knowledge: Knowledge) -> None:
    own = [one for one in corpus if one.truth is not None and one.truth.manufacturer not in RESTRICTED]
    scores = evaluate(own, knowledge)
    assert not [case.line() for case in scores.accusations()]
    by_maker = scores.by_maker()
    right, counted = (sum(row[n] for row in by_maker.values()) for n in (0, 1))
    assert right >= 0.97 * counted, [case.line() for case in scores.misses()]
