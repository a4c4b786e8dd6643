"""The commands of README and docs that need a network are run in one: 192.0.2.0/24, with the files they name at hand.

What a command needs of the world stands here: `ssh` and `sudo` are stand-ins, whoever would end by Ctrl-C is ended so
after a moment, and what is not run is in `LEFT_OUT` with its reason.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanner.knowledge import bundle, registry
from scanner.model import Observation, Recording
from scanner.simulate.lab import Lab
from tests.imports.frames import arp, pcapng
from tests.imports.test_snmp_walk import SWITCH
from tests.imports.test_windows_dhcp import ROWS
from tests.knowledge.test_refresh import as_csvs
from tests.pages import PAGES, ROOT, commands

OWN_TEST = {"writing-rules.md"}
"""Pages whose commands another test runs."""
ON_THE_WIRE = [
    page for page in PAGES
    if page.name not in OWN_TEST and any("lanveto " in c for c in commands(page.read_text(encoding="utf-8"), run=False))
]  # fmt: skip

LEFT_OUT = {
    "make demo": "sets up an environment from the network; the demo has its own test",
    "make test": "this is it",
    "pip install": "needs the network; tests/test_packaging.py installs the wheel",
    "lanveto oui update  ": "asks the IEEE",
    "lanveto rules eval": "scores the corpus, minute-long in all; tests/knowledge/test_evaluate.py",
    "lanveto listen --for": "hears on physical links, and a laboratory has none",
    "lanveto rules pack": "checks all rules, which takes seconds; tests/knowledge/test_bundle.py",
    "LANVETO_MQTT_PASSWORD": "there is no broker.example; tests/publish has real brokers",
}
"""How a command begins that is not run, and why."""
ENDED = ("lanveto listen", "lanveto watch", "lanveto --config lanveto.toml watch", "lanveto scan 10.0.0.0/8",
         "lanveto scan --resume last", "--gentle")  # fmt: skip
"""What would go on for minutes: it gets Ctrl-C."""
CODES = {
    "lanveto snmp --secret-file": 3,
    "LANVETO_SNMP_COMMUNITY": 3,
    "lanveto rules update --from rules-2026-12-01.zip --sha256 5f2c": 2,
}
"""Commands that cannot succeed here: no agent, an invented checksum. What begins otherwise leaves with 0."""
@pytest.fixture(scope="module")
def enter() -> Iterator[list[str]]:
    """A network 192.0.2.0/24 as an administrator has one, with a way to 10.0.0.0/8 and a second and a mirror port."""
    said = Observation(channel="http.title", port=80, value="WEB SERVICE")
    fleet = [
        Recording(id=f"d{n}", ip=f"192.0.2.{n}", mac=f"3c:ef:8c:11:22:{n:02x}", observations=(said,)) for n in (7, 42)
    ]
    with Lab(fleet, network="192.0.2.0/24") as lab:
        words = list(lab.ready.enter)
        for line in (
            "link set s0 down", "link set s0 name eth0", "link set eth0 up", "route add 10.0.0.0/8 dev eth0",
            "link add eth1 type veth peer name mirror0", "link set eth1 up", "link set mirror0 up",
        ):  # fmt: skip
            subprocess.run([*words, "ip", *line.split()], check=True)
        yield words


def _files(folder: Path, props: Path) -> None:
    """What the pages name, each as its tool writes it."""
    table = "Internet  192.0.2.42  3  3cef.8c11.222a  ARPA  Vlan10\n"
    host = '<host><status state="up"/><address addr="192.0.2.42" addrtype="ipv4"/></host>'
    done = '<runstats><finished time="1" timestr="x" elapsed="1"/><hosts up="1" down="0" total="1"/></runstats>'
    waiver = "{device: 192.0.2.42, policy: all, reason: replaced in May, who: J. Doe, expires: 2099-01-01}"
    texts = {
        "arp.txt": table,
        "scan.xml": f'<?xml version="1.0"?><nmaprun scanner="nmap" args="nmap">{host}{done}</nmaprun>',
        "leases.csv": ROWS,
        "inventory.csv": "Hardware,Address\n3c:ef:8c:11:22:2a,192.0.2.42\n",
        "assets.csv": "ip,owner\n192.0.2.42,facilities\n",
        "waivers.yaml": f"waivers:\n  - {waiver}\n",
        "snmp.toml": 'community = "public"\n',
        "walks/a.walk": SWITCH,
        "lanveto.toml": '[scan]\ntargets = ["192.0.2.0/24"]\n',
        "bin/ssh": "#!/bin/sh\ncat arp.txt\n",
        "bin/sudo": '#!/bin/sh\nexec "$@"\n',
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if name.startswith("bin/") else 0o600)
    (folder / "capture.pcapng.gz").write_bytes(gzip.compress(pcapng([arp("192.0.2.42")])))
    (folder / "recordings").mkdir()
    for one in props.iterdir():
        (folder / one.name).symlink_to(one)


@pytest.fixture(scope="module")
def props(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Newer rules, packed, and the registry as the IEEE's files."""
    folder = tmp_path_factory.mktemp("props")
    as_csvs(folder / "downloads", dict(registry.installed().blocks()))
    (folder / "oui.csv").symlink_to(folder / "downloads" / "oui.csv")
    newer = tmp_path_factory.mktemp("newer")
    shutil.copytree(ROOT / "rules", newer, dirs_exist_ok=True)
    version = newer / "version.yaml"
    version.write_text(f"as_of: {datetime.datetime.now(tz=datetime.UTC).date()}\n", encoding="utf-8")
    bundle.pack(newer, folder / "rules.zip")
    for name in ("rules.zip", "rules.zip.sha256"):
        (folder / name.replace("rules", "rules-2026-12-01")).symlink_to(folder / name)
    shutil.unpack_archive(folder / "rules.zip", newer / "unpacked")
    with tarfile.open(folder / "rules-2026-12-01.tar.gz", "w:gz") as tar:
        for path in sorted((newer / "unpacked").iterdir()):
            tar.add(path, path.name)
    digest = hashlib.sha256((folder / "rules-2026-12-01.tar.gz").read_bytes()).hexdigest()
    (folder / "rules-2026-12-01.tar.gz.sha256").write_text(f"{digest}  rules-2026-12-01.tar.gz\n", encoding="utf-8")
    return folder


def _begun(pid: int, state: Path, *, recorded: bool) -> bool:
    """Whether a command is at work, and has begun its record: it takes an end in order then."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return True
    caught = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt")), 0)
    return bool(caught >> (signal.SIGTERM - 1) & 1) and (not recorded or any(state.glob("**/*.scan")))


def _run(command: str, folder: Path, enter: list[str], env: dict[str, str], *, end: bool) -> tuple[int, str]:
    """Exit code, and what was said; `end`: it gets Ctrl-C once it is at work."""
    process = subprocess.Popen(
        [*enter, "bash", "-o", "pipefail", "-c", f"exec {command}" if end else command], cwd=folder, env=env,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        for _ in range(600 if end else 0):
            if process.poll() is not None or _begun(process.pid, folder, recorded="lanveto scan" in command):
                break
            time.sleep(0.05)
        if end and process.poll() is None:
            process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=90)[0]
    finally:
        process.kill()
        process.communicate()
    return process.returncode, said


def _page(page: Path, folder: Path, enter: list[str]) -> list[str]:
    """What went otherwise than the page says."""
    wrong = []
    places = f"{folder / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    names = ("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
    env = os.environ | dict.fromkeys(names, str(folder))
    env |= {"PATH": places, "LANVETO_SCAN_TIMEOUT": "1", "LANVETO_SNMP_TIMEOUT": "0.2"}
    for line in commands(page.read_text(encoding="utf-8"), run=False):
        if line.startswith(tuple(LEFT_OUT)):
            continue
        command = line.partition(" #")[0].strip()
        end = any(part in line for part in ENDED)
        quick = {} if "--gentle" in line else {"LANVETO_SCAN_FAST": "true", "LANVETO_SCAN_NO_MULTICAST": "true"}
        if "lanveto scan" in line and "--store" in line:  # `diff` compares two
            _run(command, folder, enter, env | quick, end=end)
        code, said = _run(command, folder, enter, env | quick, end=end)
        due = next((c for begin, c in CODES.items() if line.startswith(begin)), 0)
        if code not in ({0, 130} if end else {due}) or "Traceback" in said:
            wrong.append(f"{page.name}: {line}: {code}\n{said[-1000:]}")
    return wrong


@pytest.mark.root
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", ON_THE_WIRE, ids=lambda p: p.name)
def test_what_a_page_says_is_what_happens(page: Path, enter: list[str], props: Path, tmp_path: Path) -> None:
    _files(tmp_path, props)
    wrong = _page(page, tmp_path, enter)
    assert not wrong, "\n".join(wrong)


def test_nothing_is_left_out_that_no_page_says() -> None:
    assert {"README.md", "snmp.md", "imports.md"} <= {page.name for page in ON_THE_WIRE}
    lines = [line for page in ON_THE_WIRE for line in commands(page.read_text(encoding="utf-8"), run=False)]
    for begin in (*LEFT_OUT, *CODES):
        assert any(line.startswith(begin) for line in lines), f"no page has {begin}"
    assert all(shlex.split(line.partition(" #")[0]) for line in lines)
