"""Hikvision and Dahua, their subsidiaries and labels: named in every published shape, lookalikes never."""

from __future__ import annotations

import pytest

from scanner.identify import identify
from scanner.knowledge import Knowledge
from scanner.knowledge.evaluate import evaluate
from scanner.model import Recording
from tests.rules.devices import SURE, folded, misplaced, recordings

MAKERS = ("dahua", "hikvision")
TELLS = ("brand", "kind", "model", "firmware", "serial")
DEVICES = [pytest.param(maker, one, id=one.id) for maker in MAKERS for one in recordings(f"{maker}_devices")]
LOOKALIKES = [pytest.param(maker, one, id=one.id) for maker in MAKERS for one in recordings(f"{maker}_lookalikes")]


@pytest.mark.parametrize(("maker", "recording"), DEVICES)
def test_named_with_what_it_tells(maker: str, recording: Recording, knowledge: Knowledge) -> None:
    identity = identify(recording, knowledge)
    assert (identity.manufacturer, identity.level in SURE) == (maker, True), identity.matches
    wanted = {name: getattr(recording.truth, name) for name in TELLS if getattr(recording.truth, name) is not None}
    assert {name: getattr(identity, name) for name in wanted} == wanted


@pytest.mark.parametrize(("maker", "recording"), DEVICES)
def test_named_in_lower_case_too(maker: str, recording: Recording, knowledge: Knowledge) -> None:
    identity = identify(folded(recording), knowledge)
    assert (identity.manufacturer, identity.level in SURE) == (maker, True), identity.matches


@pytest.mark.parametrize(("maker", "recording"), LOOKALIKES)
def test_a_lookalike_is_never_more_than_possible(maker: str, recording: Recording, knowledge: Knowledge) -> None:
    identity = identify(recording, knowledge)
    assert identity.manufacturer != maker or identity.level not in SURE, identity.matches


@pytest.mark.parametrize(("maker", "recording"), DEVICES)
def test_a_piece_in_the_wrong_place_names_nobody(maker: str, recording: Recording, knowledge: Knowledge) -> None:
    identity = identify(misplaced(recording, "dhcp.hostname", "lldp.sysname"), knowledge)
    assert identity.manufacturer != maker or identity.level not in SURE, identity.matches


@pytest.mark.parametrize("maker", MAKERS)
def test_every_recorded_case(maker: str, corpus: tuple[Recording, ...], knowledge: Knowledge) -> None:
    scores = evaluate(corpus, knowledge)
    right, all_ = scores.by_maker()[maker]
    assert right >= 0.98 * all_, [case.line() for case in scores.misses() if case.truth == maker]
    assert not [case.line() for case in scores.accusations() if case.identity.manufacturer == maker]


@pytest.mark.parametrize("left_out", ["source", "brand"])
@pytest.mark.parametrize("maker", MAKERS)
def test_no_single_sample_was_learned(
    maker: str, left_out: str, corpus: tuple[Recording, ...], knowledge: Knowledge
) -> None:
    own = [case for case in corpus if case.truth is not None and case.truth.manufacturer == maker]
    with_all, cases = evaluate(own, knowledge).by_maker()[maker]
    without, _ = evaluate(own, knowledge, leave_out=left_out).by_maker()[maker]
    assert (with_all - without) / cases <= 0.15
