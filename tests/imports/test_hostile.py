"""Files that nobody meant: whatever the bytes, every importer ends with what it could read and one kind of error."""

from __future__ import annotations

import contextlib
import json
import random
import re
import subprocess
import sys
from io import BufferedReader, BytesIO, RawIOBase
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner import imports
from scanner.errors import InputProblem
from scanner.imports import nmap
from scanner.imports.base import HEAD, Head, Input
from scanner.picture import Picture
from tests.imports import test_nmap
from tests.imports.frames import arp, datagram, pcap, pcapng, request, segment
from tests.imports.test_base import steps

MOST = 20_000
"""Things one small file can tell; more would be one that multiplies."""

SAMPLES = {
    "arp": b"192.0.2.1 dev eth0 lladdr 3c:ef:8c:11:22:33 REACHABLE\nInternet  192.0.2.2  4  c42f.90a7.b5d1  ARPA  Vlan10\n",
    "csv": b"ip,mac,hostname,vlan,time\n192.0.2.1,3c:ef:8c:11:22:33,\"a, \"\"b\"\"\",10,2026-11-24T10:00:00Z\n",
    "dhcpd": b'lease 192.0.2.1 {\n  starts 2 2026/11/24 10:00:00;\n  hardware ethernet 3c:ef:8c:11:22:33;\n  client-hostname "cam";\n  set vendor-class-identifier = "dahua";\n}\n',
    "dnsmasq": b"1764000000 3c:ef:8c:11:22:33 192.0.2.1 cam 01:3c:ef:8c:11:22:33\n",
    "kea": b"address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id\n192.0.2.1,3c:ef:8c:11:22:33,,3600,1764000000,1,0,0,cam,0,,0\n",
    "mac-table": b"core-1#show mac address-table\n  10    3cef.8c11.2233    DYNAMIC     Gi1/0/1\n",
    "masscan": b'[\n{ "ip": "192.0.2.1", "timestamp": "1764000000", "ports": [ {"port": 80, "proto": "tcp", "status": "open"} ] },\n{ "ip": "192.0.2.1", "ports": [ {"port": 80, "proto": "tcp", "service": {"name": "http", "banner": "HTTP/1.0 200 OK"}} ] }\n]\n',
    "ip-json": b'[{"dst":"192.0.2.1","dev":"eth0","lladdr":"3c:ef:8c:11:22:33","state":["STALE"]}]\n',
    "nmap-text": b"Nmap scan report for 192.0.2.1\n80/tcp open http Dahua\n|_http-title: x\nMAC Address: 3C:EF:8C:11:22:33 (x)\nHost: 192.0.2.1 ()\tPorts: 80/open/tcp//http///\n",
    "zgrab2": b'{"ip":"192.0.2.1","data":{"http":{"status":"success","protocol":"http","port":80,"result":{"response":{"status_code":200,"headers":{"server":["App-webs/"]},"body":"<title>x</title>"}},"timestamp":"2026-11-24T10:00:00Z"}}}\n',
    "lanveto": b'{"id":"x","ip":"192.0.2.1","mac":"3c:ef:8c:11:22:33","observations":[{"channel":"dhcp.hostname","value":"cam"}]}\n',
    "snmp-walk": b".1.3.6.1.2.1.4.22.1.2.1.192.0.2.1 = Hex-STRING: 3C EF 8C 11 22 33\n.1.3.6.1.2.1.17.4.3.1.2.60.239.140.17.34.51 = INTEGER: 3\n.1.3.6.1.2.1.1.1.0 = STRING: \"x\"\n",
    "windows-dhcp": b'"IPAddress","ScopeId","ClientId","HostName","AddressState","LeaseExpiryTime"\n"192.0.2.1","192.0.2.0","3c-ef-8c-11-22-33","cam","Active","11/24/2026 10:00:00"\n',
}  # fmt: skip
NAMES = [name for name in imports.names() if name != "nmap"]
"""nmap's XML is read in a process of its own (tests/imports/test_nmap.py)."""


def _source(data: bytes) -> Input:
    head = data[:HEAD]
    return Input("hostile", BytesIO(data), Head(head, head.decode("utf-8", "replace"), "hostile"))


def _taken(name: str, data: bytes) -> int:
    """Reads, enters and makes recordings of everything; returns how much there was."""
    picture, count, source = Picture(), 0, _source(data)
    assert 0 <= imports.get(name).score(source.head) <= 1
    with contextlib.suppress(InputProblem):
        for heard in imports.get(name).read(source):
            picture.enter(heard, "hostile", None)
            count += 1
            assert count < MOST
    picture.recordings()
    return count


def _mutated(sample: bytes, chance: random.Random) -> bytes:
    """A sample with parts cut, doubled, swapped and overwritten."""
    data = bytearray(sample)
    for _ in range(chance.randrange(1, 6)):
        if not data:
            break
        at, length = chance.randrange(len(data)), chance.randrange(1, 40)
        kind = chance.randrange(5)
        if kind == 0:
            del data[at : at + length]
        elif kind == 1:
            data[at:at] = data[at : at + length] * chance.randrange(1, 8)
        elif kind == 2:
            data[at : at + length] = chance.randbytes(length)
        elif kind == 3:
            data[at] = chance.choice(b'\0\r\n"\'{}[],;:.%\xff-9')
        else:
            del data[at:]
    return bytes(data)


def test_every_importer_of_text_has_a_sample() -> None:
    assert set(SAMPLES) == set(NAMES) - {"pcap"}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_are_understood(name: str) -> None:
    assert _taken(name, SAMPLES[name]) > 0


@pytest.mark.parametrize("name", NAMES)
@given(data=st.binary(max_size=2000))
@settings(max_examples=60, deadline=None)
def test_any_bytes(name: str, data: bytes) -> None:
    _taken(name, data)


@pytest.mark.parametrize("name", SAMPLES)
def test_mutated_samples(name: str) -> None:
    chance = random.Random(7)
    for _ in range(300):
        _taken(name, _mutated(SAMPLES[name] * chance.choice((1, 1, 5)), chance))


@pytest.mark.parametrize("number", ["\u00b2", "\u0663", "1" * 5000], ids=["superscript", "arabic", "endless"])
@pytest.mark.parametrize("name", SAMPLES)
def test_numbers_that_are_none(name: str, number: str) -> None:
    """`str.isdigit` is true of a superscript, which `int` refuses, as it does five thousand digits."""
    sample = SAMPLES[name]
    for found in islice(re.finditer(rb"\d+", sample), 60):
        _taken(name, sample[: found.start()] + number.encode() + sample[found.end() :])


class Endless(RawIOBase):
    """A beginning, and then the same for ever: 2 GiB of it."""

    def __init__(self, beginning: bytes, filler: bytes) -> None:
        self._left, self._filler, self.taken = beginning, filler * (65_536 // len(filler)), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._left or self._filler
        size = min(len(buffer), len(piece))
        buffer[:size] = piece[:size]
        self._left = self._left[size:]
        self.taken += size
        return size if self.taken < 2 << 30 else 0


@pytest.mark.parametrize("filler", [b"x", b'"', b"{"], ids=["text", "quotes", "braces"])
@pytest.mark.parametrize("name", SAMPLES)
def test_one_line_of_two_gigabytes(name: str, filler: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every importer of text ends with one sentence, soon, and keeps what stands before the line."""
    monkeypatch.setattr("scanner.imports.base.MAX_WHOLE", 8 << 20)  # of the format that is read as a whole
    monkeypatch.setattr("scanner.imports.lanveto.MAX_RECORDING", 4 << 20)
    sample = SAMPLES[name] if name != "masscan" else SAMPLES[name].rpartition(b"]")[0]
    stream = Endless(sample, filler)
    source = Input("hostile", BufferedReader(stream, 1 << 20), Head(sample, sample.decode(), "hostile"))
    heard: list[Any] = []
    with pytest.raises(InputProblem, match=r"longer than|larger than"):
        heard.extend(imports.get(name).read(source))

    assert heard or name == "ip-json"
    assert stream.taken < 16 << 20  # no more than that can be in memory


def _many(name: str, count: int) -> bytes:
    """A file with so many entries, each of its own."""
    sample = SAMPLES[name]
    if name in {"csv", "kea", "windows-dhcp"}:
        head, entry = sample.split(b"\n", 1)
        head += b"\n"
    elif name == "masscan":
        head, entry = b"[\n", sample.splitlines()[1] + b"\n"
    elif name == "ip-json":
        return b"[%s]" % b",".join(sample[1:-2].replace(b"192.0.2.1", b"10.0.%d.%d" % (n >> 8, n & 255)) for n in range(count))
    else:
        head, entry = b"", sample
    return head + b"".join(
        entry.replace(b"192.0.2.1", b"10.0.%d.%d" % (n >> 8, n & 255)).replace(b'"id":"x"', b'"id":"x%d"' % n) for n in range(count)
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_twice_the_entries_are_twice_the_work(name: str) -> None:
    def read(data: bytes) -> int:
        source = _source(data)
        return sum(1 for _ in imports.get(name).read(source))

    few, many = _many(name, 400), _many(name, 800)
    assert read(many) >= 800 or name == "snmp-walk"
    assert steps(lambda: read(many)) < 2.4 * steps(lambda: read(few))


FILLERS = (
    b"a", b" ", b"- ", b"1.", b"1:", b"ab:", b"(", b"{", b"[", b'"', b"\\", b"\t", b",", b"lease ", b"a-", b"a ", b" - entry", b"x#", b"show",
    b"@", b"1.1.1.1 ", b"aa:bb:cc:dd:ee:ff ", b"10/", b"\\x41", b"dev a.", b"vl", b"a(0001)", b"/-", b";", b"<", b"&#x2c", b"flags",
    b"host a{", b"~", b"\xc3\xa9", b"\0", b"RP/",
)  # fmt: skip
READ_ALL = """
import contextlib, resource, sys
from scanner import imports
from scanner.errors import InputProblem
from tests.imports.test_hostile import FILLERS, SAMPLES, _source
resource.setrlimit(resource.RLIMIT_CPU, (90, 90))
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
count = 0
for name, sample in SAMPLES.items():
    for filler in FILLERS:
        line = filler * (250_000 // len(filler)) + b"\\n"
        lines = (filler * (500 // len(filler)) + b"\\n") * 200
        for data in (sample + line + sample, line, sample + lines):
            source = _source(data)
            imports.get(name).score(source.head)
            with contextlib.suppress(InputProblem):
                for heard in imports.get(name).read(source):
                    count += 1
print(count)
"""


def test_no_line_makes_an_importer_work_for_ever() -> None:
    """A regular expression that tries every way to read 250 kB would take hours; all of these are read in seconds."""
    done = subprocess.run([sys.executable, "-c", READ_ALL], capture_output=True, text=True, check=False, timeout=300)

    assert done.returncode == 0, done.stderr[-500:] or "more than a minute and a half of a processor"
    assert int(done.stdout) > 1000


READ_MANY = """
import io, json, sys
from scanner.imports import _nmap
for document in json.load(sys.stdin):
    told = []
    _nmap._say = told.append
    sys.stdin = io.TextIOWrapper(io.BytesIO(document.encode("latin-1")))
    _nmap.main()
    print(json.dumps(told))
"""


def test_damaged_results_of_nmap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents that were cut, doubled and overwritten, read by python-nmap in one process of its own."""
    chance = random.Random(9)
    whole = (test_nmap.BEGIN + test_nmap.PRE + test_nmap.HOST.format(n=1) + test_nmap.HOST.format(n=2) + test_nmap.END).encode()
    documents = [_mutated(whole, chance).decode("latin-1") for _ in range(300)]
    done = subprocess.run([sys.executable, "-c", READ_MANY], input=json.dumps(documents), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(documents)
    heard = 0
    for line in lines:
        told = json.loads(line)
        monkeypatch.setattr("scanner.imports.nmap._messages", lambda _source, told=told: iter(told))
        picture = Picture()
        with contextlib.suppress(InputProblem):
            for one in imports.get("nmap").read(_source(whole)):
                picture.enter(one, "hostile", None)
                heard += 1
        picture.recordings()
    assert heard > 300


_TEXT = st.text(max_size=40)
_PORT = st.fixed_dictionaries({"state": st.just("open")}, optional={
    "product": _TEXT, "version": _TEXT, "extrainfo": _TEXT,
    "script": st.dictionaries(st.sampled_from(["http-title", "http-auth", "ssl-cert", "upnp-info", "banner", "nbstat", "rtsp-methods", "x"]), _TEXT | st.none(), max_size=4),
})  # fmt: skip
_ADDRESS = st.sampled_from(["192.0.2.1", "2001:db8::1", "3C:EF:8C:11:22:33", "", "x"]) | _TEXT


@given(st.fixed_dictionaries({}, optional={
    "addresses": st.dictionaries(st.sampled_from(["ipv4", "ipv6", "mac"]), _ADDRESS), "status": st.just({"state": "up"}) | st.none(),
    "tcp": st.dictionaries(st.integers(-1, 70_000).map(str) | _TEXT, _PORT, max_size=4) | st.none(), "udp": st.none(),
    "hostscript": st.lists(st.fixed_dictionaries({"id": _TEXT, "output": _TEXT | st.none()}), max_size=2) | st.none(),
    "osmatch": st.lists(st.fixed_dictionaries({"name": _TEXT | st.none()}), max_size=2) | st.none(),
}))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_whatever_nmap_says_of_a_host(host: dict[str, Any]) -> None:
    picture = Picture()
    for heard in nmap._host(host, None):
        picture.enter(heard, "hostile", None)
    picture.recordings()


def test_captures_with_damaged_and_doubled_frames() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<title>x</title>"
    frames = [arp(), arp(tags=(10,)), datagram(b"<?xml?><ProbeMatch/>", 37020, 50_000), request(), segment(page, 80, 40_000)]
    assert _taken("pcap", pcap(frames)) > 0
    chance = random.Random(8)
    for _ in range(200):
        damaged = [_mutated(frame, chance) for frame in chance.choices(frames, k=8)]
        _taken("pcap", chance.choice((pcap, pcapng))(damaged))
        _taken("pcap", _mutated(chance.choice((pcap, pcapng))(frames), chance))
