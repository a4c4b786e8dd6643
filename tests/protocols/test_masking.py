from __future__ import annotations

import base64
from collections.abc import Iterable

import msgspec
import pytest

from scanner.identify import identify
from scanner.knowledge import load
from scanner.model import Observation, Recording
from scanner.protocols import masking, reader


def masked(value: str) -> str:
    return masking.answer(Observation(channel="http.response", value=value)).value


def test_a_nonce_keeps_length_and_kind_of_characters() -> None:
    assert masking.nonce("938032d91ffc30ca80b5da94c18887ac") == "000000a00aaa00aa00a0aa00a00000aa"
    assert masking.nonce("2CB39FCBBE5843DA3430129B4EA1414C") == "0AA00AAAAA0000AA0000000A0AA0000A"
    assert masking.nonce("211955164") == "000000000"
    assert masking.nonce("") == ""


def test_readable_text_inside_a_nonce_stays_readable() -> None:
    """Dahua packs `onvif-digest:` and a number: the words are the maker's, the number is not kept."""
    made = masking.nonce("b252aWYtZGlnZXN0OjQzNDkyNzk1NDAw")
    assert base64.b64decode(made) == b"onvif-digest:00000000000"
    assert made.startswith("b252aWYtZGlnZXN0Oj")
    assert len(made) == 32


def test_challenges_cookies_and_sessions_of_an_answer() -> None:
    value = (
        'HTTP/1.1 401 X\r\nWWW-Authenticate: Digest realm="Login to 4H01D66PAJ2FA64", nonce="1987ab", opaque="77", '
        "cnonce=5\r\nSet-Cookie: WebSession_1234567890=9f3c; path=/\r\nSession:        708345999;timeout=60\r\n"
        'Session-Id: 2606109608\r\n\r\n{"salt": "a9", "serial": "B7"}<challenge>98c</challenge>'
    )
    assert masked(value) == (
        'HTTP/1.1 401 X\r\nWWW-Authenticate: Digest realm="Login to 4H01D66PAJ2FA64", nonce="0000aa", opaque="00", '
        "cnonce=0\r\nSet-Cookie: WebSession_1234567890=0a0a; path=/\r\nSession:        000000000;timeout=60\r\n"
        'Session-Id: 0000000000\r\n\r\n{"salt": "00", "serial": "B7"}<challenge>000</challenge>'
    )


def test_what_needs_no_mask_is_the_same_object() -> None:
    seen = Observation(channel="http.response", value="HTTP/1.1 200 OK\r\nServer: App-webs/\r\n\r\n")
    assert masking.answer(seen) is seen


def test_bytes_are_masked_too() -> None:
    value = "hex:" + b'Digest nonce="19"\xff'.hex()
    assert masked(value) == "hex:" + b'Digest nonce="00"\xff'.hex()


@pytest.mark.parametrize("channel", ["http.response", "rtsp.response", "onvif.response"])
def test_masking_keeps_the_length_and_is_done_once(channel: str, corpus: Iterable[Recording]) -> None:
    protocol = reader(channel)
    assert protocol is not None
    count = 0
    for case in corpus:
        for seen in case.observations:
            if seen.channel == channel:
                once = protocol.mask(seen)
                assert len(once.value) == len(seen.value)
                assert protocol.mask(once) == once
                names = [name for name, _value in protocol.read(seen)]
                assert [name for name, _value in protocol.read(once)] == names
                count += once != seen
    assert count or channel == "onvif.response"


def test_masking_changes_nobody(corpus: Iterable[Recording]) -> None:
    """What is stored must name the same maker, label and model as what was heard."""
    knowledge = load()
    changed = 0
    for case in corpus:
        stored = tuple(p.mask(o) if (p := reader(o.channel)) is not None else o for o in case.observations)
        if stored != case.observations:
            changed += 1
            heard, kept = (
                identify(case, knowledge),
                identify(msgspec.structs.replace(case, observations=stored), knowledge),
            )
            for name in ("manufacturer", "level", "brand", "kind", "model", "firmware", "confidence"):
                assert getattr(heard, name) == getattr(kept, name), case.id
    assert changed > 10
