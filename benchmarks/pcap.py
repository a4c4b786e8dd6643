"""What a capture costs: 1 GB of a mixed network from the file to the report, on one core, against tshark.

    python benchmarks/pcap.py [--megabytes 1000] [--fleet tests/fleet]

The capture is made up with a fixed seed: bulk transfers, calls and video of unknown kind (large and small frames), and
between them what matters: address resolution, leases, discovery of every kind, and web, RTSP, SSH and TLS answers of
the devices of the test fleet. The peer is tshark with the filter for the same protocols and the fields that the
readers use; both get the same core, and both are run twice, the better time counts.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scanner.imports.dissect import ports
from scanner.model import Recording
from scanner.protocols.fields import bytes_of
from scanner.recordings import load

ROOT = Path(__file__).resolve().parent.parent
FIELDS = (
    "frame.time_epoch", "eth.src", "ip.src", "vlan.id", "arp.src.hw_mac", "arp.src.proto_ipv4", "dhcp.option.hostname",
    "dhcp.option.vendor_class_id", "dns.ptr.domain_name", "dns.txt", "http.server", "http.response.line",
    "lldp.tlv.system.name", "cdp.platform",
    "x509sat.uTF8String", "ssh.protocol", "ftp.response.arg", "udp.payload",
)  # fmt: skip


def _ip(body: bytes, protocol: int, source: bytes, target: bytes, mac: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0) + source + target
    return b"\x02\0\0\0\0\x01" + mac + b"\x08\0" + head + body


def _udp(data: bytes, port: int, source: bytes, mac: bytes) -> bytes:
    return _ip(struct.pack("!HHHH", port, 50_000, 8 + len(data), 0) + data, 17, source, b"\x0a\0\0\x09", mac)


def _tcp(data: bytes, port: int, client: int, sequence: int, source: bytes, mac: bytes) -> bytes:
    head = struct.pack("!HHIIBBHHH", port, client, sequence, 0, 0x50, 0x18, 512, 0, 0)
    return _ip(head + data, 6, source, b"\x0a\0\0\x09", mac)


def _telling(recordings: list[Recording]) -> list[bytes]:
    """The frames that say something about each device."""
    frames: list[bytes] = []
    for number, recording in enumerate(recordings):
        source = bytes((10, 1, number >> 8, number & 255))
        mac = bytes.fromhex((recording.mac or f"02:00:00:01:{number >> 8:02x}:{number & 255:02x}").replace(":", ""))
        frames.append(b"\xff" * 6 + mac + b"\x08\x06\0\x01\x08\0\x06\x04\0\x02" + mac + source + bytes(6) + source)
        for index, seen in enumerate(recording.observations):
            data, port = bytes_of(seen), seen.port
            if (
                seen.silent
                or port is None
                or not seen.channel.endswith((".response", ".discovery", ".ssdp", ".banner"))
            ):
                continue
            if seen.channel in {"http.response", "rtsp.response", "tcp.banner", "onvif.response"}:
                if not seen.tls:
                    frames += [
                        _tcp(data[n : n + 1400], port, 20_000 + index, 1 + n, source, mac)
                        for n in range(0, len(data), 1400)
                    ]
            elif port in ports() and len(data) < 1472:
                frames.append(_udp(data, port, source, mac))
    return frames


def build(path: Path, megabytes: int, recordings: list[Recording]) -> int:
    """Write the capture; returns its number of frames."""
    chance = random.Random(11)
    telling = _telling(recordings)
    noise = []
    for size in (60, 60, 60, 90, 150, 400, 1000, 1514, 1514, 1514, 1514):
        for _ in range(60):
            body = chance.randbytes(max(0, size - 54))
            source, target = bytes((10, 2, 0, chance.randrange(250))), bytes((10, 3, 0, chance.randrange(250)))
            port, other = chance.choice((443, 443, 80, 8080, 2049, 5201, 22)), chance.randrange(1024, 60_000)
            if chance.random() < 0.75:
                head = struct.pack("!HHIIBBHHH", port, other, chance.randrange(1 << 32), 0, 0x50, 0x10, 512, 0, 0)
                noise.append(_ip(head + body, 6, source, target, b"\x02\0\0\0\0\x02"))
            else:
                head = struct.pack("!HHHH", other, chance.choice((443, 4500, 5004, 53)), 8 + len(body), 0)
                noise.append(_ip(head + body, 17, source, target, b"\x02\0\0\0\0\x02"))
    count, size, wanted = 0, 24, megabytes * 1_000_000
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        place = 0
        while size < wanted:
            batch = [chance.choice(noise) for _ in range(4000)]
            for _ in range(20):  # one frame in two hundred says something
                batch[chance.randrange(4000)] = telling[place % len(telling)]
                place += 1
            data = b"".join(
                struct.pack("<IIII", 1_795_514_400 + count // 20_000, (count * 50) % 1_000_000, len(frame), len(frame))
                + frame
                for count, frame in enumerate(batch, count)
            )
            out.write(data)
            count += len(batch)
            size += len(data)
    return count


def run(words: list[str], out: Path, core: int = 0) -> tuple[float, float, int]:
    """(wall, CPU, peak MB) of one command on one core."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with out.open("wb") as stream:
        process = subprocess.Popen(
            words, stdout=stream, stderr=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {core})
        )
        _pid, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu, used.ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--fleet", type=Path, default=ROOT / "tests" / "fleet")
    given = parser.parse_args()
    recordings = [r for file in sorted(given.fleet.glob("*.yaml")) for r in load(file).recordings]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        path = Path(folder) / "capture.pcap"
        frames = build(path, given.megabytes, recordings)
        path.read_bytes()  # both begin with the file in the cache
        print(f"{path.stat().st_size / 1e6:.0f} MB, {frames:,} frames, {len(recordings)} devices in it", flush=True)
        lanveto = str(Path(sys.executable).with_name("lanveto"))
        ours = min(run([lanveto, "import", str(path), "--format", "jsonl"], Path(folder) / "ours") for _ in range(2))
        lines = (Path(folder) / "ours").read_bytes().count(b"\n")
        print(f"lanveto: wall {ours[0]:.1f} s, CPU {ours[1]:.1f} s, {ours[2]} MB, {lines} devices", flush=True)
        if shutil.which("tshark") is None:
            print("tshark is not installed: no peer")
            return
        udp = " or ".join(f"udp.port == {port}" for port in sorted(ports()))
        said = (
            "arp or dhcp or mdns or ssdp or nbns or lldp or cdp or icmpv6 or http.response or rtsp.response "
            "or ssh.protocol or ftp.response or telnet or tls.handshake.certificate"
        )
        peer = ["tshark", "-n", "-r", str(path), "-Y", f"{said} or {udp}", "-T", "fields"]
        peer += [word for field in FIELDS for word in ("-e", field)]
        theirs = min(run(peer, Path(folder) / "theirs") for _ in range(2))
        rows = (Path(folder) / "theirs").read_bytes().count(b"\n")
        print(f"tshark:  wall {theirs[0]:.1f} s, CPU {theirs[1]:.1f} s, {theirs[2]} MB, {rows:,} rows", flush=True)
        print(f"ratio:   {ours[0] / theirs[0]:.3f} of its wall, {ours[2] / theirs[2]:.2f} of its memory")


if __name__ == "__main__":
    main()
