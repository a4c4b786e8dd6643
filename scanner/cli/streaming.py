"""Results of a scan as they come: remembered for `lanveto explain`, looked through for `--fail-on`, and written at once
where the format allows it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from scanner import state
from scanner.cli import options
from scanner.errors import Code, notice
from scanner.model import Action, Device, Report
from scanner.report import Format, Streamed


class Results:
    """Takes every device of a scan as it is done, and the report at its end.

    A context: what was not closed when it ends is dropped, and the scan before stays remembered. `added` puts what the
    organisation adds (waivers, columns) into a device.
    """

    def __init__(
        self, renderer: Format, output: Path | None, wanted: frozenset[Action], added: Callable[[Device], Device]
    ) -> None:
        self.streamed = renderer if isinstance(renderer, Streamed) else None
        self.found = False
        """Whether a verdict asked for one of the wanted actions."""
        self.used: set[tuple[str, str]] = set()
        """Device and policy of the waivers that fitted a verdict."""
        self.problem: str | None = None
        """Why the results could not be written to their end."""
        self._added = added
        self._wanted = wanted
        self._output = output
        self._last: state.Last | None = None
        self._file: TextIO | None = None
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._last is not None:
            self._last.drop()
        self._close()

    def tell(self, device: Device) -> None:
        """One more device; never raises for a result that cannot be written."""
        if self._last is None:
            self._last = state.Last()
        self._last.add(device.recording)
        device = self._added(device)
        self.used.update((v.waiver.device, v.waiver.policy) for v in device.verdicts if v.waiver is not None)
        self.found = self.found or any(v.action in self._wanted and not v.waived for v in device.verdicts)
        if self.streamed is not None:
            self._begin(self.streamed)
            self._write(self.streamed.device(device))

    def close(self, report: Report) -> bool:
        """Write the end; returns whether everything stands where it was wanted."""
        if self.streamed is not None:
            self._begin(self.streamed)
            self._write(self.streamed.end(report))
        self._close()
        if problem := (self._last or state.Last()).commit():
            options.complain(notice(Code.MEMORY, f"this scan is not remembered for `lanveto explain`: {problem}"))
        if self.problem:
            options.complain(notice(Code.WRITE, f"{self.problem}; `lanveto explain` still knows this scan"))
        return self.problem is None

    def _begin(self, streamed: Streamed) -> None:
        """Open the place of the results with the first of them: a scan that is refused overwrites nothing."""
        if self._begun:
            return
        self._begun = True
        try:
            self._file = sys.stdout if self._output is None else self._output.open("w", encoding="utf-8")
        except OSError as error:
            self.problem = f"--output {self._output}: cannot be written: {error.strerror or error}"
        self._write(streamed.begin())

    def _write(self, text: str) -> None:
        if self._file is None or not text:
            return
        try:
            self._file.write(text)
            self._file.flush()
        except BrokenPipeError:  # a reader that has left (`| head`) is no failure
            if self._output is None:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._close()
        except OSError as error:
            place = "standard output" if self._output is None else f"--output {self._output}"
            self.problem = f"{place}: cannot be written: {error.strerror or error}"
            self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None and self._output is not None:
            with contextlib.suppress(OSError):
                file.close()
