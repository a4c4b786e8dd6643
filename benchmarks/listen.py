"""What listening costs beside 50,000 packets a second of other traffic, on a pair of interfaces of its own.

    python benchmarks/listen.py [--rate 50000] [--seconds 10]     # needs root

A sender on the other end of the pair offers UDP and TCP of no interest at the given rate, and ten frames a second that
say something. Reported are the CPU that `lanveto listen` used (of one core, its start left out), the frames lost, and
the same for tcpdump with the filter for the same ports writing to nowhere.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SENDER = """
import socket, struct, sys, time
rate, seconds = int(sys.argv[1]), float(sys.argv[2])
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind(("d0", 0))
def ip(body, proto): return b"\\x02\\0\\0\\0\\0\\x01\\x02\\0\\0\\0\\0\\x02\\x08\\0" + struct.pack("!BBHHHBBH", 69, 0, 20 + len(body), 1, 0, 63, proto, 0) + b"\\x0a\\x02\\0\\x01\\x0a\\x02\\0\\x02" + body
udp = ip(struct.pack("!HHHH", 40000, 443, 508, 0) + bytes(500), 17)
tcp = ip(struct.pack("!HHIIBBHHH", 443, 40000, 1, 1, 80, 24, 512, 0, 0) + bytes(900), 6)
said = b"\\xff" * 6 + bytes.fromhex("3cef8c112233") + b"\\x08\\x06\\0\\x01\\x08\\0\\x06\\x04\\0\\x02" + bytes.fromhex("3cef8c112233") + b"\\x0a\\0\\0\\x01" + bytes(6) + b"\\x0a\\0\\0\\x01"
began = time.monotonic(); count = 0; last = 0
while (now := time.monotonic() - began) < seconds:
    due = int(now * rate)
    for _ in range(min(due - count, 500)):
        sock.send(udp if count & 1 else tcp); count += 1
    if int(now * 10) > last:
        last = int(now * 10); sock.send(said.ljust(60, b"\\0"))
    if count >= due: time.sleep(0.0005)
print(count / seconds)
"""  # noqa: E501


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _measure(words: list[str], holder: int, rate: int, seconds: float, settle: float) -> tuple[float, float, str, str]:
    """(packets offered a second, share of a core, output, errors) of one listener."""
    listener = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(settle)
    there = [
        "nsenter",
        "-t",
        str(holder),
        "-n",
        "taskset",
        "-c",
        "1",
        sys.executable,
        "-c",
        SENDER,
        str(rate),
        str(seconds),
    ]
    before, began = _cpu(listener.pid), time.monotonic()
    offered = float(subprocess.run(there, capture_output=True, text=True, check=True).stdout)
    share = (_cpu(listener.pid) - before) / (time.monotonic() - began)
    listener.send_signal(2)
    out, err = listener.communicate(timeout=60)
    return offered, share, out, err


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.inside:
        sys.exit(
            subprocess.run(
                ["unshare", "-n", sys.executable, __file__, *sys.argv[1:], "--inside"], check=False
            ).returncode
        )
    holder = subprocess.Popen(["unshare", "-n", "sleep", "120"])
    try:
        time.sleep(0.3)
        for line in (f"link add s0 type veth peer name d0 netns {holder.pid}", "link set s0 up", "link set lo up"):
            subprocess.run(["ip", *line.split()], check=True)
        subprocess.run(["nsenter", "-t", str(holder.pid), "-n", "ip", "link", "set", "d0", "up"], check=True)
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_STATE_HOME"] = folder
            ours = [
                "taskset",
                "-c",
                "0",
                sys.executable,
                "-m",
                "scanner.cli.main",
                "listen",
                "-i",
                "s0",
                "--format",
                "json",
            ]
            offered, share, out, err = _measure(ours, holder.pid, given.rate, given.seconds, 4.0)
            report = json.loads(out)
            print(
                f"lanveto: {offered:,.0f} packets/s offered, {100 * share:.1f} % of a core, "
                f"{len(report['devices'])} device(s) heard"
            )
            print(
                f"         {report['coverage']['methods'][0]['note']}; "
                f"warnings: {report['coverage']['warnings'] or err or 'none'}"
            )
            theirs = [
                "taskset",
                "-c",
                "0",
                "tcpdump",
                "-i",
                "s0",
                "-w",
                "/dev/null",
                "arp or port 67 or port 5353 or port 1900 or port 37020",
            ]
            offered, share, _out, err = _measure(theirs, holder.pid, given.rate, given.seconds, 1.0)
            print(
                f"tcpdump: {offered:,.0f} packets/s offered, {100 * share:.1f} % of a core; "
                f"{err.splitlines()[-1] if err else ''}"
            )
    finally:
        holder.kill()
        holder.wait()


if __name__ == "__main__":
    main()
