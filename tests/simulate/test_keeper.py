from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanner.model import Observation, Recording
from scanner.simulate.keeper import Order

ROOT = Path(__file__).resolve().parents[2]
SSH = Recording(id="a", observations=(Observation(channel="ssh.banner", value="SSH-2.0-x", port=2222),))


def keep(order: bytes, *questions: bytes) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and lines of a keeper that hears this and then the end of its input."""
    done = subprocess.run(
        [sys.executable, "-m", "scanner.simulate.keeper"], input=order + b"\n" + b"".join(questions),
        capture_output=True, check=False, cwd=ROOT, timeout=30,
    )  # fmt: skip
    assert done.stderr == b""
    return done.returncode, [msgspec.json.decode(line) for line in done.stdout.splitlines()]


def order(**more: Any) -> bytes:
    return msgspec.json.encode(Order(**{"recordings": (SSH,), "network": "127.66.0.0/24", "kind": "high", **more}))


def test_it_says_when_it_is_ready_and_ends_with_its_input() -> None:
    code, lines = keep(order())

    assert code == 0
    assert lines == [
        {"type": "ready", "devices": [{"id": "a", "ip": "127.66.0.1", "mac": None}],
         "port_map": {"127.66.0.1": {"2222": 2222}}, "enter": [], "scanner": None, "address": None,
         "wire": None},
    ]  # fmt: skip


def test_a_question_is_answered_after_everything_before_it() -> None:
    assert [line["type"] for line in keep(order(), b"\n", b"\n")[1]] == ["ready", "told", "told"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (order(recordings=tuple(Recording(id=str(n)) for n in range(9)), network="127.66.0.0/29"), "no room"),
        (b"{}", "internal error"),
        (b"", "internal error"),
    ],
)
def test_what_cannot_be_simulated_is_told_in_one_line(wrong: bytes, reason: str) -> None:
    code, lines = keep(wrong)

    assert code == 1
    assert [line["type"] for line in lines] == ["failed"]
    assert reason in lines[0]["reason"]
