from __future__ import annotations

from itertools import islice

import pytest

from scanner.simulate import behaviour

ANSWER = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\nhi"


def sent(how: str | None, answer: bytes = ANSWER, most: int = 50) -> list[tuple[float, bytes]]:
    return list(islice(behaviour.steps(how, answer, "seed"), most))


def test_a_sound_device_says_what_it_has_to_say() -> None:
    assert sent(None) == [(0.0, ANSWER)]
    assert behaviour.datagrams(None, ANSWER, "seed") == (ANSWER,)


@pytest.mark.parametrize("how", ["silent", "reset"])
def test_some_say_nothing(how: str) -> None:
    assert sent(how) == []
    assert behaviour.datagrams(how, ANSWER, "seed") == ()


def test_a_tarpit_says_a_byte_a_second() -> None:
    pieces = sent("tarpit", most=4)

    assert pieces == [(1.0, b"H"), (1.0, b"T"), (1.0, b"T"), (1.0, b"P")]


def test_half_a_line_and_no_more() -> None:
    assert sent("half") == [(0.0, b"HTTP/1.1")]
    assert behaviour.datagrams("half", b"abcd", "seed") == (b"ab",)
    assert sent("half", b"")


def test_an_endless_answer_is_beyond_100_megabytes_and_states_no_length() -> None:
    total, first = 0, b""
    for _, piece in behaviour.steps("endless", ANSWER, "seed"):
        first = first or piece
        total += len(piece)

    assert first == b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nhi"
    assert 100_000_000 < total <= behaviour.ENDLESS + 1000
    assert len(behaviour.datagrams("endless", ANSWER, "seed")) == 100


def test_garbage_has_terminal_escapes_and_is_no_text() -> None:
    (_, noise), = sent("garbage")

    assert b"\x1b" in noise
    with pytest.raises(UnicodeDecodeError):
        noise.decode()
    assert noise == behaviour.garbage("seed") != behaviour.garbage("other")
    assert behaviour.datagrams("garbage", ANSWER, "seed") == (noise,)
