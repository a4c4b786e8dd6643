"""The commands that README and docs show, as their tests run them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\S*)[ ]?([^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def commands(text: str, *, run: bool) -> Iterator[str]:
    """The lines of a page's `sh` blocks: those of `sh run`, or those of the others."""
    for language, mark, content in BLOCK.findall(text):
        if language == "sh" and (mark == "run") is run:
            yield from (line for line in content.replace("\\\n", " ").splitlines() if line.strip())
