"""What lanveto costs without a network: loading rules, looking up prefixes, identifying and judging recordings.

    python benchmarks/identify.py [--recordings 10000] [--observations 20] [--profile] [--only rules|oui|identify]

One core (it pins itself to one where the system can). Recordings are made from the evidence corpus: each takes its
observations from the devices of one maker, whole answers included, with a fixed seed, so that every run sees the same.
Rules and registries are measured in fresh processes, as a command line pays for them; the registry's peers are those
that are installed (mac-vendor-lookup and scapy come with the extra `dev`; `pip install netaddr` for the third), asked
the same 1,000 addresses.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import datetime
import json
import os
import platform
import pstats
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import msgspec

from scanner import assess, knowledge
from scanner.model import Device, Level, Observation, Recording
from scanner.recordings import load

CORPUS = Path(__file__).resolve().parent.parent / "tests" / "corpus"
AS_OF = datetime.date(2026, 11, 24)
PROFILES = ("us-federal-contractor",)
PARTS = ("fingerprints", "vendors", "brands", "policies", "profiles", "matcher", "registry", "version")
RULES = PARTS[:5]
"""What `all rules load` counts; the rest is what stands between them and the first answer."""
RUNS = 7

LOADING = """
import json, sys, time
from scanner import knowledge
from scanner.identify import matcher
from scanner.knowledge import brands, fingerprints, policies, profiles, registry, vendors, version, whole
known, taken = knowledge.load(), {}
for part in sys.argv[1:]:
    began = time.perf_counter()
    getattr(known, part)
    taken[part] = 1000 * (time.perf_counter() - began)
print(json.dumps(taken))
"""

LOOKING = """
import json, sys, time
macs = json.load(sys.stdin)
start = time.perf_counter()
{modules}
began = time.perf_counter()
{table}
loaded = time.perf_counter()
found = 0
for mac in macs:
    try:
        found += bool({look})
    except Exception:
        pass
done = time.perf_counter()
print(json.dumps([1000 * (began - start), 1000 * (loaded - began), 1000 * (done - loaded), found]))
"""
TABLES = {
    "lanveto": (
        "from scanner.knowledge import registry",
        "table = registry.installed()",
        "table.lookup(mac)",
    ),
    "mac_vendor_lookup": (
        "from mac_vendor_lookup import MacLookup",
        "table = MacLookup(); table.load_vendors()",
        "table.lookup(mac)",
    ),
    "netaddr": ("", "import netaddr", "netaddr.EUI(mac).oui.registration().org"),
    "scapy": ("", "from scapy.data import MANUFDB", "MANUFDB.lookup(mac)[1] != mac"),
}
"""Name → what is imported, how its table is loaded, and how one address is looked up (true: it names an owner).

The tables of netaddr and scapy load with their modules and cannot be told from them."""


def fleet(count: int, length: int) -> list[Recording]:
    """`count` recordings of `length` observations: of one maker each, as the corpus has them."""
    chance = random.Random(889)
    cases = [r for file in sorted(CORPUS.glob("*.yaml")) for r in load(file).recordings]
    heard: dict[str, list[Observation]] = defaultdict(list)
    for case in cases:
        heard[_maker(case)] += [seen for seen in case.observations if seen.channel != "mac"]
    made = []
    for number in range(count):
        case = cases[number % len(cases)]
        own = [seen for seen in case.observations if seen.channel != "mac"][:length]
        more = chance.choices(heard[_maker(case)] or own, k=length - len(own)) if own else []
        if len(own) + len(more) < length:
            more = [Observation(channel="tcp.open", value="80")] * length
        mac = case.mac and f"{case.mac[:8]}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        made.append(Recording(id=f"b-{number}", ip=None, mac=mac or None, observations=(*own, *more)[:length]))
    return made


def _maker(case: Recording) -> str:
    return case.truth.manufacturer if case.truth else "unknown"


def measure_identify(count: int, length: int, *, profile: bool) -> None:
    """Identify and judge, and say what the answers were: a quick wrong answer is worth nothing."""
    recordings = fleet(count, length)
    size = sum(len(seen.value) for recording in recordings for seen in recording.observations)
    known = knowledge.load()
    assess.assess(recordings[:200], known, profiles=PROFILES, as_of=AS_OF)  # loads the rules, compiles expressions
    tracer = cProfile.Profile() if profile else None
    with tracer or contextlib.nullcontext():
        wall, cpu = time.perf_counter(), time.process_time()
        devices = assess.assess(recordings, known, profiles=PROFILES, as_of=AS_OF)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{count:,} recordings of {length} observations ({size / count:,.0f} characters each), one core:")
    print(f"  {wall:.1f} s ({cpu:.1f} s of the processor), {1000 * cpu / count:.2f} ms a device")
    print(f"  {_shares(devices)}; {sum(len(d.verdicts) for d in devices):,} verdicts")
    if tracer is not None:
        pstats.Stats(tracer).sort_stats("tottime").print_stats(25)


def _shares(devices: tuple[Device, ...]) -> str:
    counts = {level: sum(1 for d in devices if d.identity.level is level) for level in Level}
    return ", ".join(f"{level} {count / len(devices):.0%}" for level, count in counts.items())


def measure_rules() -> None:
    """The parts of the knowledge, each in the order a command needs them; the middle of several fresh processes."""
    print(f"loading (middle of {RUNS} fresh processes, ms)")
    with tempfile.TemporaryDirectory() as folder:
        _fresh(LOADING, *PARTS, cache=folder)
        for what, cache in (("parsed files kept", folder), ("nothing kept", os.devnull)):
            runs = [json.loads(_fresh(LOADING, *PARTS, cache=cache)) for _ in range(RUNS)]
            middle = {part: statistics.median(run[part] for run in runs) for part in PARTS}
            whole = sorted(sum(run[part] for part in RULES) for run in runs)
            print(
                f"  {what}: all rules {statistics.median(whole):.0f} (fastest {whole[0]:.0f}, slowest {whole[-1]:.0f})"
            )
            print("    " + ", ".join(f"{part} {taken:.1f}" for part, taken in middle.items()))


def measure_oui() -> None:
    """Load and 1,000 lookups of every table that is installed, in turns; ratios against ours."""
    macs = json.dumps(addresses(1000))
    present = [name for name in TABLES if name == "lanveto" or find_spec(name) is not None]
    runs: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    _fresh(LOOKING.format(modules=TABLES["lanveto"][0], table="", look="False"), stdin="[]")  # compiled from here on
    for _ in range(RUNS):
        for name in present:
            modules, table, look = TABLES[name]
            runs[name].append(json.loads(_fresh(LOOKING.format(modules=modules, table=table, look=look), stdin=macs)))
    ours = _middle(runs["lanveto"])
    print(f"registry (middle of {RUNS} fresh processes, in turns, ms)")
    print(f"  {'':18}{'import':>8}{'load':>8}{'1,000 lookups':>15}{'load + lookups':>16}{'all':>8}   found")
    for name in present:
        modules_, loading, looking = _middle(runs[name])
        ratio = (loading + looking) / (ours[1] + ours[2])
        whole, found = (modules_ + loading + looking) / sum(ours), runs[name][0][3]
        print(f"  {name:18}{modules_:8.1f}{loading:8.1f}{looking:15.1f}{ratio:13.1f} x {whole:7.1f} x {found:7}")
    for name in sorted(TABLES.keys() - set(present)):
        print(f"  {name}: not installed")


def _middle(runs: list[tuple[float, ...]]) -> tuple[float, float, float]:
    first, second, third = (statistics.median(run[column] for run in runs) for column in range(3))
    return first, second, third


def addresses(count: int) -> list[str]:
    """Addresses from registered blocks of all three lengths, as often as there are such blocks."""
    chance = random.Random(24)
    blocks = sorted(prefix for prefix, _ in knowledge.load().registry.blocks())
    picked = [block + f"{chance.getrandbits(48):012X}"[len(block) :] for block in chance.sample(blocks, count)]
    return [":".join(text[i : i + 2] for i in range(0, 12, 2)).lower() for text in picked]


def _fresh(code: str, *arguments: str, stdin: str | None = None, cache: str | None = None) -> str:
    """What code prints in a process of its own; `cache`: its cache folder (a device: it cannot have one)."""
    own = {**os.environ, "XDG_CACHE_HOME": cache} if cache is not None else dict(os.environ)
    own.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], input=stdin, check=True, capture_output=True, text=True, env=own
    ).stdout


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=10_000)
    parser.add_argument("--observations", type=int, default=20)
    parser.add_argument("--profile", action="store_true", help="where the time goes (slower: the profiler counts too)")
    parser.add_argument("--only", choices=["rules", "oui", "identify"])
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"Python {platform.python_version()}, msgspec {msgspec.__version__}, {platform.machine()}")
    if options.only in {None, "rules"}:
        measure_rules()
    if options.only in {None, "oui"}:
        measure_oui()
    if options.only in {None, "identify"}:
        measure_identify(options.recordings, options.observations, profile=options.profile)


if __name__ == "__main__":
    main()
