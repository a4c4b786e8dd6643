"""Whatever happens in the block, it is closed, and nothing is hidden."""

from __future__ import annotations

import pytest

from scanner.net.closing import Closing


class Door(Closing):
    def __init__(self) -> None:
        self.shut = False

    def close(self) -> None:
        self.shut = True


def test_the_end_of_the_block_closes() -> None:
    with Door() as door:
        assert not door.shut
    assert door.shut


def test_an_error_closes_too_and_goes_on() -> None:
    door = Door()
    with pytest.raises(ValueError, match="inside"), door:
        raise ValueError("inside")
    assert door.shut
