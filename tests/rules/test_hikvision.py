"""What only Hikvision, its subsidiaries and its labels do; what holds for every maker is in `test_makers.py`."""

from __future__ import annotations

import pytest

from scanner.identify import identify
from scanner.knowledge import Knowledge
from scanner.model import Level
from tests.rules.devices import device

MAKER = "hikvision"


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
