"""What an import costs: tables of 100,000 lines from the file to the report, on one core.

    python benchmarks/imports.py [--lines 100000]

Each table is read by the command in a process of its own (`lanveto import FILE --format jsonl`), so that start, rules,
reading, merging, identifying and judging are all in the figure. The peer is what an administrator has at hand: awk that
takes the two addresses of each line, and `nmap`'s list of prefixes joined with it (no merging, no rules).
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PREFIXES = ("3c:ef:8c", "c4:2f:90", "00:40:8c", "00:1b:21", "b8:27:eb", "02:00:00", "38:c4:e8")


def _pairs(count: int) -> list[tuple[str, str]]:
    chance = random.Random(7)
    return [
        (f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}",
         f"{chance.choice(PREFIXES)}:{n >> 16 & 255:02x}:{n >> 8 & 255:02x}:{n & 255:02x}")
        for n in range(1, count + 1)
    ]  # fmt: skip


def _neigh(address: str, mac: str) -> str:
    return f"{address} dev eth0 lladdr {mac} REACHABLE"


def _cisco(address: str, mac: str) -> str:
    bare = mac.replace(":", "")
    return f"Internet  {address:15}  12   {bare[:4]}.{bare[4:8]}.{bare[8:]}  ARPA   Vlan10"


def _windows(address: str, mac: str) -> str:
    return f"  {address:20}  {mac.replace(':', '-')}     dynamic"


def _table(address: str, mac: str) -> str:
    bare = mac.replace(":", "")
    return f"  10    {bare[:4]}.{bare[4:8]}.{bare[8:]}    DYNAMIC     Gi1/0/{hash(address) % 48}"


TABLES: dict[str, Callable[[str, str], str]] = {
    "ip neigh": _neigh, "show ip arp": _cisco, "arp -a (Windows)": _windows, "show mac address-table": _table,
}  # fmt: skip


def _run(words: list[str], out: Path) -> tuple[float, float, int]:
    """(wall, CPU, peak MB) of one command on one core."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with out.open("wb") as stream:
        process = subprocess.Popen(words, stdout=stream, preexec_fn=lambda: os.sched_setaffinity(0, {0}))
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, used.ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=100_000)
    lines = parser.parse_args().lines
    lanveto = str(Path(sys.executable).with_name("lanveto"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        place = Path(folder)
        for name, spell in TABLES.items():
            table = place / "table.txt"
            table.write_text("".join(spell(a, m) + "\n" for a, m in _pairs(lines)))
            peer, _cpu, _mb = _run(["awk", "{ print $1, $3, $5 }", str(table)], place / "peer")
            reading = (
                "import sys, time, pathlib; from scanner.imports.opening import opened; from scanner import imports; "
                "began = time.perf_counter(); s = opened(pathlib.Path(sys.argv[1])); "
                "n = sum(1 for _ in imports.recognise(s.head, s.name).read(s)); "
                f"assert n == {lines}, n; print(time.perf_counter() - began)"
            )
            _run([sys.executable, "-c", reading, str(table)], place / "only")
            only = float((place / "only").read_text())
            for form in ("jsonl", "table"):
                out = place / "out"
                wall, cpu, megabytes = _run([lanveto, "import", str(table), "--format", form], out)
                print(
                    f"{name:24} {lines:,} lines  read {only:.2f} s  to {form}: wall {wall:.2f} s, CPU {cpu:.2f} s, "
                    f"{megabytes} MB, awk {peer:.2f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
