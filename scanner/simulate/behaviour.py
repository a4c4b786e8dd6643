"""How broken devices answer: what is sent, and how long they wait before each piece. Pure."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

ENDLESS = 256 * 1024 * 1024
"""Bytes after which even an endless answer ends; no test waits for them."""
TARPIT_SECONDS = 1.0
"""Between two bytes of a tarpit."""

HANGING = frozenset({"silent", "half", "tarpit"})
"""Those who leave a connection open when they have said all."""

_LENGTH = re.compile(rb"(?im)^content-length[ \t]*:[^\r\n]*\r?\n")
_PIECE = 64 * 1024
_TERMINAL = (
    b"\x1b]0;owned\x07", b"\x1b[2J\x1b[1;1H", b"\x1b[31mALERT\x1b[0m", b"\x9b6n", b"\x1bP+q544e\x1b\\", b"\r\x08\x7f",
    b"\xff\xfe\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\x00", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nServer: ",
)  # fmt: skip

Step = tuple[float, bytes]
"""Seconds to wait, then what to send."""


def steps(behaviour: str | None, answer: bytes, seed: str) -> Iterator[Step]:
    """The pieces of one answer on a stream, `answer` being what a sound device would have said.

    `silent` and `reset` send nothing; `half` and `tarpit` leave the connection open afterwards.
    """
    match behaviour:
        case "silent" | "reset":
            return
        case "tarpit":
            for place in range(len(answer or b"HTTP")):
                yield TARPIT_SECONDS, (answer or b"HTTP")[place : place + 1]
        case "half":
            first = answer.split(b"\n", 1)[0] or b"HTTP/1.1 200 OK"
            yield 0.0, first[: max(1, len(first) // 2)]
        case "endless":
            yield 0.0, _LENGTH.sub(b"", answer) or b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
            filler = (b"<p>" + seed.encode()[:40] + b"</p>\r\n") * (_PIECE // 16)
            for _ in range(ENDLESS // _PIECE):
                yield 0.0, filler[:_PIECE]
        case "garbage":
            yield 0.0, garbage(seed)
        case _:
            yield 0.0, answer


def datagrams(behaviour: str | None, answer: bytes, seed: str) -> tuple[bytes, ...]:
    """The datagrams that such a device sends in place of one."""
    match behaviour:
        case "silent" | "reset" | "tarpit":
            return ()
        case "half":
            return (answer[: len(answer) // 2],)
        case "garbage":
            return (garbage(seed),)
        case "endless":
            return (answer,) * 100
        case _:
            return (answer,)


def garbage(seed: str) -> bytes:
    """Bytes that are no text, with terminal escapes among them; the same for the same seed."""
    source = random.Random(seed)  # noqa: S311 - repeatable noise, no secret
    parts = [source.choice(_TERMINAL) if source.random() < 0.5 else source.randbytes(24) for _ in range(60)]
    return b"".join(parts)
