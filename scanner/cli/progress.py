"""Progress on a terminal: one line on standard error, redrawn a few times a second; nothing in a pipe."""

from __future__ import annotations

import sys
import time


class Line:
    """What a scan reports its progress to; draws only where standard error is a terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._on = sys.stderr is not None and sys.stderr.isatty() and not quiet
        self._drawn = 0.0
        self._stage = ""
        self._began = time.monotonic()

    def update(self, stage: str, done: int, total: int | None, found: int) -> None:
        """Show a stage: how much of it is done (`total` None: not known), how many devices were found."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._began = stage, now
        elif now - self._drawn < 0.1 and done != total:
            return
        if not self._on:
            return
        self._drawn = now
        share = f" {done}/{total}" if total else ""
        left = ""
        if total and 0 < done < total and now - self._began > 1:
            left = f", {_short((now - self._began) / done * (total - done))} left"
        sys.stderr.write(f"\r\x1b[K{stage}{share}{left}, {found} device(s)")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away, so that what follows stands on its own."""
        if self._on:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _short(seconds: float) -> str:
    whole = int(seconds + 0.5)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"
