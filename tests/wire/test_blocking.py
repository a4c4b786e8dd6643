"""Every command that the tests of this folder run is watched for calls that block its loop; here, that it would tell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import blocking

PREPARES = """
import asyncio, sys
from pathlib import Path
from scanner.recorded import prepare

async def main():
    await asyncio.to_thread(prepare, Path(sys.argv[1], "aside"))
    if sys.argv[2:]:
        prepare(Path(sys.argv[1], "inside"))

prepare(Path(sys.argv[1], "before"))
asyncio.run(main())
"""


def test_what_blocks_a_loop_is_told_and_nothing_else(place: Path, me: Any) -> None:
    def calls(*words: str) -> list[str]:
        folder = place / f"watched-{len(words)}"
        command = [sys.executable, "-c", PREPARES, *words]
        subprocess.run(command, env=blocking.watched(folder, me.env), check=True)
        commands, found = blocking.told(folder)
        assert commands == [f"-c {' '.join(words)}"]
        return found

    assert calls(str(place)) == []
    assert calls(str(place), "blocking")[0].startswith("os.mkdir: scanner/recorded.py:")
