"""What a watch costs: memory and file descriptors over many cycles, then an idle one with a broker.

python -m benchmarks.watch [CYCLES [SECONDS]]
"""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scanner.store import open_store
from scanner.watch.log import Log
from scanner.watch.service import Service
from tests import brokers
from tests.watch import fleet


def rss(pid: int) -> float:
    """MB of memory."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def handles(pid: int) -> int:
    """Open file descriptors."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def cpu(pid: int) -> float:
    """Seconds of CPU so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def cycles(folder: Path, port: int, count: int) -> None:
    """Scans of the invented network as fast as they come, their events delivered to mosquitto."""
    with open_store(folder / "h.sqlite") as store:
        service = Service(store, fleet.setup(store, port, count * 2), Log(io.StringIO()), cycles=count)
        task = asyncio.create_task(service.run())
        began, me = time.monotonic(), os.getpid()
        step = max(1, count // 5)
        for mark in [*range(step, count, step), count - 1]:
            while service.cycles < mark:  # noqa: ASYNC110 - it is counted, not told
                await asyncio.sleep(0.05)
            spent = time.monotonic() - began
            print(f"{service.cycles:5} cycles: {rss(me):6.1f} MB, {handles(me)} descriptors, {spent:.1f} s", flush=True)
        await task


def idle(folder: Path, port: int, seconds: float) -> None:
    """A real watch between two scans."""
    config = folder / "lanveto.toml"
    config.write_text(
        f'[watch]\nevery = "1h"\n[scan]\ntargets = ["127.66.8.1"]\nports = "80"\nno-raw = true\nno-multicast = true\n'
        f'timeout = 0.2\nstore = "{folder / "idle.sqlite"}"\n[publish.mqtt]\nurl = "mqtt://127.0.0.1:{port}/idle"\n'
    )
    command = [sys.executable, "-m", "scanner.cli.main", "--config", str(config), "watch"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"XDG_STATE_HOME": str(folder)})
    try:
        time.sleep(8)
        before = cpu(process.pid)
        time.sleep(seconds)
        share = (cpu(process.pid) - before) / seconds
        size, open_ = rss(process.pid), handles(process.pid)
        print(f"idle, {seconds:g} s: {100 * share:.2f} % of a core, {size:.1f} MB, {open_} descriptors")
        began = time.monotonic()
        process.terminate()
        process.wait(10)
        print(f"SIGTERM to the end: {time.monotonic() - began:.2f} s")
    finally:
        process.kill()


def main(count: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), brokers.free_port()
        config = f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"
        with brokers.running(config, folder, port):
            asyncio.run(cycles(folder, port, count))
            idle(folder, port, seconds)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(int(words[0]) if words else 1000, float(words[1]) if len(words) > 1 else 30)
