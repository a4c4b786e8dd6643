"""What systemd wants to know of a service: datagrams to `NOTIFY_SOCKET` (sd_notify(3)); without it nothing happens."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Tells the service manager. A manager that does not listen is no failure of the service."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        limit, who = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        mine = not who or who == str(os.getpid())
        self.beat = int(limit) / 2e6 if limit.isdecimal() and int(limit) and mine else None
        """Seconds between two signs of life: half of what the manager allows; None where it expects none."""

    def tell(self, *lines: str) -> bool:
        """Whether the lines (`READY=1`, `STATUS=…`) were handed over."""
        address = self._address
        if address[:1] not in ("/", "@"):
            return False
        if address[0] == "@":
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as there:
                there.setblocking(False)
                there.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False
        return True

    def reloading(self) -> bool:
        """Configuration is being read again; `READY=1` ends it."""
        return self.tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
