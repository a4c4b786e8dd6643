"""Fixtures every test may use; test files never import each other. In CI a skipped test is a failure."""

from __future__ import annotations

import ctypes
import datetime
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scanner.errors import Code, Notice, notice
from scanner.model import (
    Action,
    Coverage,
    Device,
    Effect,
    Grade,
    Identity,
    Level,
    Match,
    Method,
    Observation,
    Reading,
    Recording,
    Report,
    RulesVersion,
    Scan,
    Verdict,
)
from scanner.net import neighbour_table
from scanner.recordings import load
from tests import blocking
from tests.databases import Server

CORPUS = Path(__file__).parent / "corpus"
ROOT = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    """Interruption is tested: a runner that was started in the background ignores these, and so would all we start."""
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A skip hides a missing dependency: in CI it fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def _neighbour_table(request: pytest.FixtureRequest) -> Iterator[None]:
    """The kernel has one neighbour table for all namespaces: while a `crowd` fills it, no other test's packets would
    find their way, on loopback neither. So nobody else runs meanwhile, in whatever process.
    """
    kind = fcntl.LOCK_EX if request.node.get_closest_marker("crowd") else fcntl.LOCK_SH
    place = Path(tempfile.gettempdir()) / f"lanveto-tests-{os.getuid()}"
    with Path(f"{place}.gate").open("w") as gate, Path(f"{place}.lock").open("w") as lock:
        fcntl.flock(gate, fcntl.LOCK_EX)  # who waits for all others is overtaken by nobody
        fcntl.flock(lock, kind)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
        until = time.monotonic() + 30  # a namespace that has ended is cleared a while later
        while kind == fcntl.LOCK_EX and neighbour_table.crowd() < neighbour_table.CROWD and time.monotonic() < until:
            time.sleep(0.05)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A running server; what a test stops, it starts again."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:  # a socket's path must be short
        Path(folder).chmod(0o755)
        server = Server(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(autouse=True, scope="session")
def _no_own_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What whoever runs the tests has fetched or cached decides nothing here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def nothing_blocks() -> Iterator[None]:
    """Any of our calls that could block the event loop raises."""
    with blocking.forbidden():
        yield


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """lanveto's folder in an empty data home of this test's own; not made yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data-home"))
    return tmp_path / "data-home" / "lanveto"


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def corpus() -> tuple[Recording, ...]:
    """Every case of the evidence corpus, each with its truth."""
    cases: list[Recording] = []
    for file in sorted(CORPUS.glob("*.yaml")):
        loaded = load(file)
        assert not loaded.problems, loaded.problems
        cases.extend(loaded.recordings)
    return tuple(cases)


@pytest.fixture
def make_device() -> Callable[..., Device]:
    """Builds a device by hand: a Dahua-made recorder with a Lorex label, unless told otherwise."""

    def make(
        *,
        ip: str | None = "192.0.2.42",
        mac: str | None = "3c:ef:8c:11:22:33",
        manufacturer: str | None = "dahua",
        level: Level = Level.CONFIRMED,
        action: Action | None = Action.REMOVE,
        model: str = "NR900",
        value: str = 'Digest realm="Login to ND011111111111"',
        policy: str = "us-889-a1b",
        id_: str = "dev-1",
    ) -> Device:
        seen = Observation(channel="rtsp.header.www-authenticate", value=value, port=554, request="OPTIONS")
        match = Match(
            fingerprint="dahua-rtsp-realm",
            grade=Grade.EXCLUSIVE,
            family="rtsp",
            manufacturer=manufacturer,
            readings=(Reading(seen.channel, seen.value, seen),),
        )
        verdict = Verdict(
            policy=policy,
            title="Section 889(a)(1)(B)",
            effect=Effect.USE_BANNED,
            binds_you=True,
            action=action or Action.NONE,
            entity="Dahua Technology Company",
            path=("dahua is Dahua Technology Company",),
            citation="Pub. L. 115-232, Sec. 889(a)(1)(B)",
            because="evidence indicates made by Dahua; a federal contractor may not use it",
            in_force="2020-08-13",
        )
        return Device(
            key=mac.replace(":", "") if mac else "ip-192-0-2-42",
            recording=Recording(id=id_, ip=ip, mac=mac, observations=(seen,)),
            identity=Identity(
                manufacturer=manufacturer,
                brand="lorex",
                kind="nvr",
                model=model,
                confidence=0.97,
                level=level,
                matches=(match,) if manufacturer else (),
            ),
            verdicts=(verdict,) if action is not None else (),
        )

    return make


@pytest.fixture
def make_report(make_device: Callable[..., Device]) -> Callable[..., Report]:
    """Builds a report of the given devices."""

    def make(*devices: Device, interrupted: bool = False, failures: tuple[str, ...] = (), site: str = "hq") -> Report:
        shown = devices or (make_device(),)
        return Report(
            scan=Scan(
                id="scan-1",
                started="2026-11-24T00:00:00Z",
                finished="2026-11-24T00:01:00Z",
                site=site,
                profiles=("us-federal-contractor",),
                law_as_of="2026-11-24",
                interrupted=interrupted,
                failures=tuple(map(Notice, failures)),
                version="0.1.0",
            ),
            devices=shown,
            coverage=Coverage(
                addresses=254,
                alive=len(shown),
                identified=1,
                unknown=("192.0.2.9",),
                silent=("192.0.2.8",),
                methods=(Method(name="arp", ran=True, hosts=3), Method(name="syn", ran=False, note="needs root")),
                blind_spots=("cameras on a recorder's own ports",),
                warnings=(notice(Code.STALE, "the registry is 200 days old"),),
            ),
            rules_version=RulesVersion(
                rules_as_of="2026-11-22", rules_sha256="0" * 64, registry_as_of="2026-11-20", registry_sha256="1" * 64
            ),
        )

    return make


@pytest.fixture
def today() -> datetime.date:
    """The day the tests judge by: results must not change with the calendar."""
    return datetime.date(2026, 11, 24)


CLONE_NEWNET = 0x40000000


class Segment:
    """Devices (address → MAC) that the kernel answers for, each with its own MAC, on one segment with this thread.

    This thread is 10.77.255.254 on s0; the devices live behind d0 in the namespace of the process `holder`, and die
    with it.
    """

    def __init__(self, holder: int, devices: dict[str, str]) -> None:
        self.holder = holder
        self.devices = devices
        self.mac = ""
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, code: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Run Python on the devices' side; returns once it has written a line. It ends with the test."""
        there = ["nsenter", "-t", str(self.holder), "-n", sys.executable, "-c", code, *arguments]
        process = subprocess.Popen(there, stdout=subprocess.PIPE)
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline()
        return process

    def inside(self, *command: str, stdin: str | None = None) -> str:
        """Run a command on the devices' side."""
        there = ("nsenter", "-t", str(self.holder), "-n")
        done = subprocess.run([*there, *command], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout


@pytest.fixture
def segment() -> Iterator[Callable[[dict[str, str]], Segment]]:
    """Builds a segment of devices; this thread is inside the scanner's namespace until the test ends."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    name = Path("/proc/thread-self/ns/net").readlink()
    built: list[Segment] = []

    def build(devices: dict[str, str]) -> Segment:
        built.append(_build(holder.pid, devices))
        return built[-1]

    holder = subprocess.Popen(["unshare", "-n", "sleep", "300"], stdout=subprocess.DEVNULL)
    try:
        assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        _wait_until_left(holder.pid, name)
        yield build
    finally:
        for process in (p for made in built for p in made.processes):
            process.kill()
            process.communicate()
        libc.setns(home, CLONE_NEWNET)
        os.close(home)
        holder.kill()
        holder.wait()


def _here(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def _build(holder: int, devices: dict[str, str]) -> Segment:
    # Of another number than its other end: the kernel may take a second to bring up a cable whose ends are alike.
    _here("ip", "link", "add", "s0", "index", "4097", "type", "veth", "peer", "name", "d0", "netns", str(holder))
    _here("ip", "link", "set", "lo", "up")
    _here("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    _here("ip", "addr", "add", "10.77.255.254/16", "dev", "s0")
    _here("ip", "link", "set", "s0", "up")
    found = Segment(holder, devices)
    mac = subprocess.run(["ip", "-o", "link", "show", "s0"], capture_output=True, text=True, check=True).stdout
    found.mac = mac.split("link/ether ")[1].split()[0]
    found.inside("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv4.conf.all.rp_filter=0",
                 "net.ipv4.conf.d0.rp_filter=0", "net.ipv4.icmp_ratelimit=0")  # fmt: skip
    found.inside("ip", "link", "set", "lo", "up")
    found.inside("ip", "link", "set", "d0", "up")
    found.inside("ip", "route", "add", "10.77.0.0/16", "dev", "d0")
    routes = "".join(f"route add local {address}/32 dev lo\n" for address in devices)
    found.inside("ip", "-batch", "-", stdin=routes)
    found.inside("ip", "neigh", "replace", "10.77.255.254", "lladdr", found.mac, "dev", "d0", "nud", "permanent")
    elements = "".join(f"{address} : {mac},\n" for address, mac in devices.items())
    found.inside("nft", "-f", "-", stdin=f"""table netdev lab {{
  map macs {{ type ipv4_addr : ether_addr; elements = {{ {elements} }}
  }}
  chain in {{ type filter hook ingress device "d0" priority 0; policy accept;
    meta pkttype other meta pkttype set host
  }}
  chain out {{ type filter hook egress device "d0" priority 0; policy accept;
    ether type ip ether saddr set ip saddr map @macs
    ether type arp arp operation reply ether saddr set arp saddr ip map @macs arp saddr ether set arp saddr ip map @macs
  }}
}}
""")
    return found


def _wait_until_left(pid: int, home: Path) -> None:
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/ns/net").readlink() != home:
                return
        except OSError:
            pass
        time.sleep(0.01)
    raise AssertionError("the devices' namespace did not come up")
