"""How long `diff` takes in a history of a million sightings, and how large the file is.

python benchmarks/store.py [DEVICES SCANS]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import msgspec

from scanner.model import (
    Coverage,
    Device,
    Grade,
    Identity,
    Level,
    Match,
    Observation,
    Reading,
    Recording,
    Report,
    RulesVersion,
    Scan,
)
from scanner.store import open_store, reading, writing
from scanner.store.diff import diff


def device(number: int, scan: int) -> Device:
    """One of the fleet; every hundredth one changes its firmware from scan to scan."""
    ip = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    mac = f"3c:ef:8c:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    at = f"2026-01-01T{scan % 24:02}:{scan % 60:02}:00.{number % 1000:03}Z"
    page = f"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 {scan % 24:02}:00:00 GMT\r\n\r\n" + f"camera {number} " * 40
    seen = tuple(Observation(channel="http.response", port=port, value=page, at=at) for port in (80, 81, 82, 83))
    match = Match(fingerprint="x", grade=Grade.STRONG, family="http", manufacturer="dahua",
                  readings=(Reading("http.response", page, seen[0]),))  # fmt: skip
    identity = Identity(manufacturer="dahua", firmware=f"2.{scan if number % 100 == 0 else 0}", level=Level.LIKELY,
                        confidence=0.9, matches=(match,))  # fmt: skip
    recording = Recording(id=mac, ip=ip, mac=mac, observations=seen)
    return Device(key=mac.replace(":", ""), recording=recording, identity=identity)


def main(devices: int, scans: int) -> None:
    version = RulesVersion(rules_as_of="", rules_sha256="", registry_as_of="", registry_sha256="")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "h.sqlite"
        began = time.perf_counter()
        with open_store(path) as store:
            for scan in range(scans):
                head = Scan(id=f"scan-{scan}", started=f"2026-01-01T00:{scan:05}Z", targets=("10.0.0.0/8",))
                fleet = tuple(device(n, scan) for n in range(devices) if (n + scan) % 50)
                writing.save(store, Report(scan=head, devices=fleet, coverage=Coverage(), rules_version=version))
            built = time.perf_counter() - began
            began = time.perf_counter()
            found = diff(store, reading.find(store, "last~1"), reading.find(store, "last"))
            took = time.perf_counter() - began
        raw = len(msgspec.json.encode(device(1, 1))) * devices * scans
        size = path.stat().st_size
        print(f"{devices * scans} sightings: written in {built:.0f} s ({devices * scans / built:.0f}/s)")
        print(f"{size / 1e6:.0f} MB ({raw / size:.0f} times smaller than as JSON)")
        print(f"diff of two scans: {took:.2f} s; {len(found.changed)} changed, {len(found.missing)} missed")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3] or ("2000", "500")))
