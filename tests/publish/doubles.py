"""What the tests of sinks share: events, a log, and a certificate authority of their own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from scanner.store.outbox import Draft


class Log:
    """Keeps what a delivery says, a condition once when it begins and once when it ends."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._standing: set[str] = set()

    def broken(self, what: str, text: str) -> None:
        if what not in self._standing:
            self._standing.add(what)
            self.lines.append(f"broken {what}: {text}")

    def mended(self, what: str) -> None:
        if what in self._standing:
            self._standing.remove(what)
            self.lines.append(f"mended {what}")

    def say(self, text: str, **more: object) -> None:
        self.lines.append(text)


def event(number: int = 1, kind: str = "finding-opened", **more: object) -> Draft:
    """An event as the outbox holds it."""
    told: dict[str, object] = {
        "schema": 1, "kind": kind, "event": f"e{number}", "time": "2026-02-03T04:05:06Z", "site": "hq",
        "device": "3cef8c112233", "ip": "192.0.2.7", "mac": "3c:ef:8c:11:22:33", "manufacturer": "dahua",
        "level": "confirmed", "policy": "us-889-a1b", "action": "remove", "previous": None,
    }  # fmt: skip
    return Draft(f"e{number}", "hq", kind, json.dumps(told | more).encode(), "3cef8c112233", "us-889-a1b")


def state() -> Draft:
    """What is true now: nothing for a sink of events."""
    return Draft("s", "hq", "state", b'{"device": "3cef8c112233"}', "3cef8c112233", None, "hq/3cef8c112233/state")


def certificates(folder: Path, *names: str) -> None:
    """An authority `ca.pem`, and for each name `NAME.pem` and `NAME.key` of 127.0.0.1."""

    def run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *curve, "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA")
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in names:
        run("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-out", f"{name}.pem", "-extfile", "ext")  # fmt: skip
    for file in folder.iterdir():
        if file.is_file():
            file.chmod(0o644)
