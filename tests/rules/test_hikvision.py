"""Hikvision, its subsidiaries and its labels: invented devices in every published shape, and lookalikes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from scanner.identify import identify
from scanner.knowledge import Knowledge, load
from scanner.knowledge.evaluate import evaluate
from scanner.model import Level, Observation, Recording
from scanner.recordings import load as read

MAKER = "hikvision"
SURE = {Level.LIKELY, Level.CONFIRMED}
TELLS = ("brand", "kind", "model", "firmware", "serial")


def recordings(name: str) -> list[Recording]:
    """The invented devices of a file beside this one."""
    loaded = read(Path(__file__).parent / f"{MAKER}_{name}.yaml")
    assert not loaded.problems, loaded.problems
    return list(loaded.recordings)


def device(*says: tuple[str, str]) -> Recording:
    """A device that says these values."""
    return Recording(id="x", observations=tuple(Observation(channel=c, value=v) for c, v in says))


DEVICES = recordings("devices")
LOOKALIKES = recordings("lookalikes")


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return load()


@pytest.mark.parametrize("recording", DEVICES, ids=lambda recording: recording.id)
def test_named_with_what_it_tells(recording: Recording, knowledge: Knowledge) -> None:
    identity = identify(recording, knowledge)
    assert (identity.manufacturer, identity.level in SURE) == (MAKER, True), identity.matches
    wanted = {name: getattr(recording.truth, name) for name in TELLS if getattr(recording.truth, name) is not None}
    assert {name: getattr(identity, name) for name in wanted} == wanted


@pytest.mark.parametrize("recording", DEVICES, ids=lambda recording: recording.id)
def test_named_in_lower_case_too(recording: Recording, knowledge: Knowledge) -> None:
    """Rules that people publish are often folded to lower case."""
    lower = tuple(msgspec.structs.replace(o, value=o.value.lower()) for o in recording.observations)
    identity = identify(msgspec.structs.replace(recording, observations=lower), knowledge)
    assert (identity.manufacturer, identity.level in SURE) == (MAKER, True), identity.matches


@pytest.mark.parametrize("recording", LOOKALIKES, ids=lambda recording: recording.id)
def test_a_lookalike_is_never_more_than_possible(recording: Recording, knowledge: Knowledge) -> None:
    identity = identify(recording, knowledge)
    assert identity.manufacturer != MAKER or identity.level not in SURE, identity.matches


@pytest.mark.parametrize("recording", DEVICES, ids=lambda recording: recording.id)
def test_a_piece_in_the_wrong_place_names_nobody(recording: Recording, knowledge: Knowledge) -> None:
    """The same words as text that a user may write say nothing."""
    words = [o.value[:60] for o in recording.observations]
    misplaced = device(*(("dhcp.hostname", word) for word in words), *(("lldp.sysname", word) for word in words))
    identity = identify(misplaced, knowledge)
    assert identity.manufacturer != MAKER or identity.level not in SURE, identity.matches


def test_every_recorded_case(corpus: tuple[Recording, ...], knowledge: Knowledge) -> None:
    scores = evaluate(corpus, knowledge)
    right, all_ = scores.by_maker()[MAKER]
    assert right >= 0.98 * all_, [case.line() for case in scores.misses() if case.truth == MAKER]
    assert not [case.line() for case in scores.accusations() if case.identity.manufacturer == MAKER]


@pytest.mark.parametrize("left_out", ["source", "brand"])
def test_no_single_sample_was_learned(left_out: str, corpus: tuple[Recording, ...], knowledge: Knowledge) -> None:
    own = [case for case in corpus if case.truth is not None and case.truth.manufacturer == MAKER]
    with_all, cases = evaluate(own, knowledge).by_maker()[MAKER]
    without, _ = evaluate(own, knowledge, leave_out=left_out).by_maker()[MAKER]
    assert (with_all - without) / cases <= 0.15


def test_the_label_is_not_overruled_by_the_makers_name(knowledge: Knowledge) -> None:
    told = device(("http.header.server", "Hikvision-Webs"), ("http.favicon.mmh3", "-1351901211"))
    assert identify(told, knowledge).brand == "luma"


@pytest.mark.parametrize(
    "says", [("http.header.server", "DNVRS-Webs"), ("tcp.banner", "hex:000000100000000d0000000d00000000")]
)
def test_no_label_is_made_up(says: tuple[str, str], knowledge: Knowledge) -> None:
    assert identify(device(says), knowledge).brand is None


def test_two_kinds_of_evidence_confirm(knowledge: Knowledge) -> None:
    refusal = ("tcp.banner", "hex:000000100000001e0000001e00000000")
    assert identify(device(refusal), knowledge).level is Level.LIKELY
    assert identify(device(refusal, ("http.header.server", "DNVRS-Webs")), knowledge).level is Level.CONFIRMED


def test_an_address_in_a_challenge_counts_only_in_the_makers_blocks(knowledge: Knowledge) -> None:
    def named(address: str) -> str | None:
        said = device(("rtsp.header.www-authenticate", f'Digest realm="{address}", nonce="1", stale="FALSE"'))
        return identify(said, knowledge).manufacturer

    assert named("4419b6aabb01") == MAKER
    assert named("00408caabb01") != MAKER
    assert named("02aabbccdd01") != MAKER
