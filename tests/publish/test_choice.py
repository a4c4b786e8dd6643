"""Filters of a sink."""

from __future__ import annotations

import pytest

from scanner.model import Action, Level
from scanner.publish.choice import Choice

REMOVE = {"kind": "finding-opened", "action": "remove", "previous": None, "level": "confirmed", "policy": "us-889-a1b"}


@pytest.mark.parametrize(
    ("choice", "told", "passes"),
    [
        (Choice(), REMOVE, True),
        (Choice(actions=(Action.REMOVE,)), REMOVE, True),
        (Choice(actions=(Action.PLAN,)), REMOVE, False),
        (Choice(actions=(Action.PLAN,)), REMOVE | {"previous": "plan"}, True),
        (Choice(policies=("x",)), REMOVE, False),
        (Choice(levels=(Level.LIKELY,)), REMOVE, False),
        (Choice(kinds=("scan-failed",)), REMOVE, False),
        (Choice(actions=(Action.REMOVE,), levels=(Level.CONFIRMED,)), {"kind": "scan-failed"}, True),
        (Choice(kinds=("finding-opened",)), {"kind": "events-lost"}, True),
    ],
)
def test_events(choice: Choice, told: dict[str, object], passes: bool) -> None:
    assert choice.wants_event(told) is passes


def test_findings_and_states() -> None:
    choice = Choice(actions=(Action.REMOVE,))
    assert choice.wants_finding(REMOVE)
    assert not choice.wants_state({"action": "note", "level": "likely"})
