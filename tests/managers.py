"""A service manager's end of the notify socket: hears what a service says."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path


class Heard(list[str]):
    """The datagrams, in order."""

    def until(self, text: str) -> None:
        """Wait until one of them holds the text."""
        for _ in range(400):
            if any(text in said for said in self):
                return
            time.sleep(0.05)
        raise AssertionError(f"{text!r} was never said: {list(self)}")


@contextlib.contextmanager
def listening(address: Path) -> Iterator[Heard]:
    """What is said at this address while the block runs."""
    heard = Heard()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(str(address))
        there.settimeout(0.05)
        over = threading.Event()

        def hear() -> None:
            while True:
                try:
                    heard.append(there.recv(4000).decode())
                except TimeoutError:
                    if over.is_set():
                        return

        thread = threading.Thread(target=hear)
        thread.start()
        try:
            yield heard
        finally:
            over.set()
            thread.join()
