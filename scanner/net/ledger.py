"""Everything that is sent is entered here: counted per host for the report, and written line by line where the
security team asked for it (`--audit-log`).
"""

from __future__ import annotations

import os
from pathlib import Path

from scanner.errors import UsageProblem
from scanner.net.closing import Closing
from scanner.values import one_line, stamp

_FLUSH = 32_768  # bytes of lines that wait for one write


def now() -> str:
    """The present moment, RFC 3339, UTC, to the millisecond."""
    return stamp(precision="milliseconds")


class Ledger(Closing):
    """Counts of what was sent, and the audit log where there is one.

    A line holds, tab-separated: time, kind (`arp`, `udp`, `tcp`, `tls`, `neighbour`), destination, bytes, what.
    Raises `UsageProblem` where the log cannot be opened.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.packets: dict[str, int] = {}
        self.bytes: dict[str, int] = {}
        self.total = 0
        """Things sent to anybody."""
        self.problem: str | None = None
        """Why the log could not be continued (a full disk), or None."""
        self._file: int | None = None
        self._lines = bytearray()
        if path is not None:
            try:
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            except OSError as error:
                raise UsageProblem(f"--audit-log {path}: cannot be written: {error.strerror or error}") from error

    @property
    def logs(self) -> bool:
        """Whether lines are kept: a sweep need not word what nobody reads, and adds to `total` itself."""
        return self._file is not None

    def sent(self, kind: str, address: str, size: int, what: str, *, port: int | None = None, packets: int = 1) -> None:
        """One thing went out to `address`: `size` bytes of payload in `packets` packets."""
        self.count(address, packets, size)
        self.write(kind, address, size, what, port=port)

    def count(self, address: str, packets: int, size: int) -> None:
        """Count without a line: what the kernel sent on our behalf."""
        self.packets[address] = self.packets.get(address, 0) + packets
        self.bytes[address] = self.bytes.get(address, 0) + size

    def write(self, kind: str, address: str, size: int, what: str, *, port: int | None = None) -> None:
        """A line without a count: a sweep of addresses where nobody may be."""
        self.total += 1
        if self._file is None:
            return
        host = f"[{address}]" if ":" in address and port is not None else address
        place = host if port is None else f"{host}:{port}"
        self._lines += f"{now()}\t{kind}\t{place}\t{size}\t{one_line(what)}\n".encode()
        if len(self._lines) >= _FLUSH:
            self.flush()

    def flush(self) -> None:
        """Write the lines that wait; a failure is kept in `problem` and ends the log, not the scan."""
        if self._file is None or not self._lines:
            return
        try:
            while self._lines:
                del self._lines[: os.write(self._file, self._lines)]
        except OSError as error:
            self.problem = f"the audit log ends early: {error.strerror or error}"
            self._lines.clear()
            self.close()

    def close(self) -> None:
        """Write what waits; further entries only count."""
        self.flush()
        handle, self._file = self._file, None
        if handle is not None:
            os.close(handle)
