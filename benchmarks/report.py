"""What a report of many devices costs: each format to render, HTML to open and filter in Chromium, and in memory.

    python benchmarks/report.py [--devices 10000] [--formats html,xlsx,cyclonedx]

Devices are the demo's recordings, each with addresses of its own; identified and judged for a federal contractor. The
browser is Debian's Chromium, headless, with a fresh profile; the page times itself (`performance.now()` from navigation
to the first frame after load, then a filter and a sort with their layout). Memory is the summed PSS of its processes.
"""

from __future__ import annotations

import argparse
import http.server
import os
import queue
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from scanner import assess, knowledge, report
from scanner.cli.demo import fleet
from scanner.model import Recording, Report, Scan

CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync")  # fmt: skip
DRIVER = """
addEventListener('load',function(){requestAnimationFrame(function(){setTimeout(function(){
var opened=performance.now(),a=document.getElementById('fa');
a.value='remove';a.dispatchEvent(new Event('change'));document.body.offsetHeight;var filtered=performance.now();
document.querySelectorAll('#t thead th button')[2].click();document.body.offsetHeight;var sorted=performance.now();
var times=[opened,filtered-opened,sorted-filtered].map(Math.round);
fetch('/said',{method:'POST',body:'opened '+times[0]+', filtered '+times[1]+', sorted '+times[2]});
},0);});});
"""


EMPTY = f"<!DOCTYPE html><body><select id=fa></select><table id=t><thead>{'<th><button>x</button>' * 3}</table></body>"


def made(count: int) -> Report:
    """A report of that many devices."""
    known = knowledge.load()
    kinds = fleet()
    recordings: list[Recording] = [
        replace(kinds[n % len(kinds)], id=f"d{n}", ip=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}",
                mac=(kinds[n % len(kinds)].mac or "")[:9] + f"{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}"
                if kinds[n % len(kinds)].mac else None)
        for n in range(1, count + 1)
    ]  # fmt: skip
    day = datetime.now(tz=UTC).date()
    profiles = ("us-federal-contractor",)
    devices = assess.assess(recordings, known, profiles=profiles, as_of=day)
    scan = Scan(id="bench", started=f"{day}T00:00:00Z", profiles=profiles, law_as_of=day.isoformat(), version="bench")
    return assess.report(scan, devices, assess.coverage(devices), known)


def browser_memory(root: int) -> int:
    """Summed PSS, in bytes, of a process and its children."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    ours, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in ours} - ours
        grown = bool(more)
        ours |= more
    total = 0
    for pid in ours:
        try:
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        except OSError:
            continue
        total += int(found[1]) * 1024 if found else 0
    return total


class Door(http.server.ThreadingHTTPServer):
    """Serves one page on loopback and hears what it measured of itself."""

    def __init__(self, page: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Visitor)
        self.page = page
        self.said: queue.Queue[str] = queue.Queue()


class Visitor(http.server.BaseHTTPRequestHandler):
    """One request."""

    server: Door

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.server.page)

    def do_POST(self) -> None:
        self.server.said.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


def opened(page: str) -> tuple[str, int]:
    """What the page measured of itself, and the memory of all processes of the browser then."""
    door = Door(page.encode())
    threading.Thread(target=door.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="lanveto-bench-", ignore_cleanup_errors=True) as folder:
        command = ["chromium", *CHROMIUM, "--remote-debugging-port=0", "--window-size=1280,900",
                   f"--user-data-dir={folder}", f"http://127.0.0.1:{door.server_port}/"]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            said = door.said.get(timeout=120)
            return said, browser_memory(process.pid)
        finally:
            process.terminate()
            process.wait(timeout=20)
            door.shutdown()


def measured(name: str, whole: Report) -> tuple[str | bytes, str]:
    """A report in one format, and what that cost; memory is read in a child that renders nothing else."""
    child = os.fork()
    if not child:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        report.get(name).render(whole)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"peak memory {after / 1024:.0f} MB ({before / 1024:.0f} MB before); ", end="", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    start, cpu = time.perf_counter(), time.process_time()
    rendered = report.get(name).render(whole)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    return rendered, f"{wall:.1f} s ({cpu:.1f} s CPU), {len(rendered) / 1e6:.1f} MB"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--devices", type=int, default=10_000)
    options.add_argument("--keep", type=Path, help="write the page here")
    options.add_argument("--formats", default=",".join(report.names()), help="which, separated by commas")
    given = options.parse_args()
    whole = made(given.devices)
    page = ""
    for name in given.formats.split(","):
        rendered, line = measured(name, whole)
        print(f"{given.devices:,} devices as {name}: {line}", flush=True)
        if name == "html":
            assert isinstance(rendered, str)
            page = rendered
        del rendered
    if not page:
        return 0
    if given.keep:
        given.keep.write_text(page, encoding="utf-8")
    for what, text in (("an empty page", EMPTY), ("the report", page)):
        driven = re.sub(r"<meta http-equiv=[^>]*>", "", text).replace("</body>", f"<script>{DRIVER}</script></body>")
        said, memory = opened(driven)
        print(f"Chromium, {what}: {said} (ms); memory of all its processes {memory / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
