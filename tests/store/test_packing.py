"""A device taken apart for the store comes back as it was."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from scanner import assess, knowledge
from scanner.model import Device, Identity, Observation, Recording, Via
from scanner.store.packing import Packed, pack, unpack

observations = st.builds(
    Observation,
    channel=st.sampled_from(["http.response", "rtsp.response", "dhip.response"]),
    value=st.sampled_from(["", "HTTP/1.1 200 OK\r\nDate: Sat, 28 Nov 2026 01:24:47 GMT\r\n\r\n", "hex:00ff", "x" * 500]),
    port=st.one_of(st.none(), st.integers(1, 9)),
    via=st.one_of(st.none(), st.sampled_from(Via)),
    at=st.sampled_from([None, "2026-11-28T01:24:47.123Z", "2026-11-28T01:24:50.000Z", "2026-11-28T01:24:47Z", "0000-99-99T01:24:47.123Z"]),
)


def _back(packed: Packed) -> Device:
    bodies = [piece.body for _, piece in packed.answers]
    return unpack(packed.key, packed.recording.body, bodies, packed.identity.body, packed.verdicts.body,
                  packed.varying, packed.packets, packed.bytes_sent)  # fmt: skip


@settings(max_examples=200)
@given(st.lists(observations, max_size=6))
def test_every_recording_comes_back(seen: list[Observation]) -> None:
    device = Device(key="k", recording=Recording(id="r", ip="192.0.2.1", observations=tuple(seen)), identity=Identity())
    assert _back(pack(device)) == device


def test_the_whole_corpus_comes_back_with_its_evidence(corpus: tuple[Recording, ...], today: datetime.date) -> None:
    devices = assess.assess(corpus, knowledge.load(), profiles=("us-federal-contractor",), as_of=today)
    for device in devices:
        assert _back(pack(device)) == device


def test_the_same_answers_later_and_in_another_order_are_the_same_pieces(make_device: Callable[..., Device]) -> None:
    def look(*values: str, at: str) -> Packed:
        seen = tuple(Observation(channel="http.response", port=80, value=v, at=at) for v in values)
        return pack(replace(make_device(), recording=Recording(id="r", ip="192.0.2.1", observations=seen)))

    first = look("a", "Date: Sat, 28 Nov 2026 01:24:47 GMT\r\n", at="2026-11-28T01:24:47.123Z")
    later = look("Date: Sun, 29 Nov 2026 01:24:47 GMT\r\n", "a", at="2026-11-29T01:24:47.123Z")
    assert first.recording == later.recording
    assert first.answers == later.answers
    assert first.varying != later.varying


def test_a_makers_name_is_not_stored(make_device: Callable[..., Device]) -> None:
    assert pack(make_device(manufacturer="dahua")).facts["manufacturer"] == "dahua"
