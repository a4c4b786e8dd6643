"""Files as users have them, read the way the command reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scanner import imports
from scanner.imports.base import Heard, Input
from scanner.imports.opening import opened


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., tuple[list[Heard], Input]]:
    """Writes a file, lets it be recognised (or reads it as `as_`) and gives what it says, and the input."""

    def reading(
        content: str | bytes, expected: str, *, name: str = "file.txt", mapping: dict[str, str] | None = None,
        recognised: bool = True,
    ) -> tuple[list[Heard], Input]:  # fmt: skip
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        source = opened(path, mapping=mapping)
        if recognised:
            assert imports.recognise(source.head, source.name).name == expected
        try:
            return list(imports.get(expected).read(source)), source
        finally:
            source.stream.close()

    return reading
