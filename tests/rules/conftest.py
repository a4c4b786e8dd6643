"""Our own rules, once for all rule tests of a module."""

from __future__ import annotations

import pytest

from scanner.knowledge import Knowledge, load


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    """What lanveto knows, without overlays."""
    return load()
