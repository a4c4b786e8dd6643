"""How long 10,000 queued events take to a mosquitto on loopback, beside the same events from mosquitto's own client.

python benchmarks/outbox.py [EVENTS]
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scanner import publish
from scanner.publish.deliver import Delivery
from scanner.store import open_store, outbox
from scanner.store.outbox import Draft


class Silent:
    """Nobody listens."""

    def broken(self, what: str, text: str) -> None:
        print(what, text)

    def mended(self, what: str) -> None:
        pass

    def say(self, text: str, **more: object) -> None:
        print(text)


def _event(number: int) -> Draft:
    body = {"kind": "device-changed", "event": f"e{number}", "level": "likely", "because": "x" * 400}
    return Draft(uid=f"e{number}", site="hq", kind="device-changed", body=json.dumps(body).encode())


def main(events: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
        found = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        broker = subprocess.Popen([found, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        try:
            with open_store(Path(folder) / "h.sqlite") as store:
                outbox.register(store, ["mqtt"])
                began = time.perf_counter()
                outbox.put(store, [_event(number) for number in range(events)])
                queued = time.perf_counter() - began
                sink = publish.configured("mqtt", {"url": f"mqtt://127.0.0.1:{port}/p"})
                began = time.perf_counter()
                taken = asyncio.run(Delivery(store, sink, Silent()).drain())
                ours = time.perf_counter() - began
            peer = None
            if shutil.which("mosquitto_pub"):
                lines = "\n".join(_event(number).body.decode() for number in range(events))
                began = time.perf_counter()
                command = ["mosquitto_pub", "-p", str(port), "-q", "1", "-t", "p/peer", "-l"]
                subprocess.run(command, input=lines, text=True, check=True)
                peer = time.perf_counter() - began
        finally:
            broker.terminate()
            broker.wait(10)
    print(f"{events} events queued in {queued:.2f} s, {taken} delivered in {ours:.2f} s")
    if peer is not None:
        print(f"mosquitto_pub -l with QoS 1: {peer:.2f} s (ours: {ours / peer:.1f} times)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
