"""What the service has to say: one line each on standard error, as text or as one JSON object.

A condition (a broker that is away, a store that is full) is said once when it begins and once when it ends, however
often it is met in between. A line that cannot be written is lost; the service goes on.
"""

from __future__ import annotations

import contextlib
from typing import Literal, TextIO

import msgspec

from scanner.errors import Code, brief, code_of, notice
from scanner.values import stamp

Form = Literal["text", "json"]
LONGEST = 2000
"""Characters of one message."""
CODES = {
    "store": Code.STORE, "scan": Code.SCAN, "pace": Code.PACE, "configuration": Code.USAGE,
}  # fmt: skip
"""Codes of the service's own conditions; every other one is a sink's, or what a scan said, which has its code."""


class Log:
    """Writes lines; remembers which conditions stand."""

    def __init__(self, stream: TextIO, form: Form = "text") -> None:
        self.standing: dict[str, str] = {}
        """Conditions that were said and have not ended: name → what was said."""
        self._stream = stream
        self._form = form

    def broken(self, what: str, text: str) -> None:
        """A condition begins; nothing is said where it stands already."""
        if what not in self.standing:
            self.standing[what] = said = notice(CODES.get(what, Code.SINK), text)
            self._line("warning", said, {"condition": what, "state": "broken", "code": code_of(said)})

    def mended(self, what: str) -> None:
        """A condition ends; nothing is said where there was none."""
        text = self.standing.pop(what, None)
        if text is not None:
            self._line("info", f"over: {text}", {"condition": what, "state": "mended", "code": code_of(text)})

    def say(self, text: str, **more: object) -> None:
        """Something worth a line, a warning where it ends with a code; `more` are further keys of the JSON object."""
        code = code_of(text)
        self._line("info" if code is None else "warning", text, more if code is None else {"code": code} | more)

    def _line(self, level: str, text: str, more: dict[str, object]) -> None:
        text = brief(text, LONGEST)
        if self._form == "json":

            at = stamp(precision="milliseconds")
            line = msgspec.json.encode({"time": at, "level": level, "text": text} | more).decode()
        else:
            line = f"lanveto: {text}"
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()
