from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from scanner.model import ACTION_ORDER, Action, Device, Recording


def test_actions_are_ordered_mildest_first() -> None:
    assert ACTION_ORDER[0] is Action.NONE
    assert ACTION_ORDER[-1] is Action.REMOVE


def test_a_device_takes_its_strictest_action(make_device: Callable[..., Device]) -> None:
    remove, note = make_device(action=Action.REMOVE), make_device(action=Action.NOTE)
    both = msgspec.structs.replace(remove, verdicts=note.verdicts + remove.verdicts)
    assert both.action is Action.REMOVE
    assert make_device(action=None).action is Action.NONE


def test_types_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Recording(id="a").id = "b"  # type: ignore[misc]
