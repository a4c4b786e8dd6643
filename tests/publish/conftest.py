"""No sink holds up the loop of whoever delivers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import blocking

OURS = {
    "scanner/publish/__init__.py": ("configured",), "scanner/store/opening.py": ("open_store",),
    "scanner/store/outbox.py": ("standing", "refused", "put"), "scanner/store/writing.py": ("save",),
}  # fmt: skip
"""What tests call inside a loop, and nobody else."""


@pytest.fixture(autouse=True)
def _nothing_blocks() -> Iterator[None]:
    with blocking.forbidden(OURS):
        yield
