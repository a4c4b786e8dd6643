"""What nmap shows and keeps as text: its normal output (`-oN`, or copied from a terminal) and `-oG`, masscan's too.

Less than the XML says (`imports/nmap.py`, whose readers of scripts serve here): of `-oG` only addresses and ports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from scanner.imports.base import Break, Head, Heard, Input
from scanner.imports.nmap import MAX_OUTPUT, script_fields
from scanner.imports.tables import is_station, moment, normal_address, spelled_mac, told
from scanner.model import Observation
from scanner.values import counted

_HOST = re.compile(r"^Nmap scan report for (?:\S{1,255} \()?([0-9A-Fa-f.:%\w]{2,60})\)?( \[host down.*)?\s*$")
_PORT = re.compile(
    r"^(\d{1,5})/(tcp|udp|sctp)\s{1,8}(open|closed|filtered|open\|filtered|unfiltered)\s+(\S{1,40})\s*(.*)$"
)
_MAC = re.compile(r"^MAC Address: ([0-9A-Fa-f:]{17})\b")
_SCRIPT = re.compile(r"^\|[ _]([a-z][a-z0-9-]{2,60}): ?(.*)$")
_GREPPED = re.compile(
    r"^(?:Timestamp: (\d{9,10})\s+)?Host: (\S{2,45}) \([^)]{0,255}\)\s+(?:Ports: (.*)|Status: (\S+).*)$"
)
_NOISE = re.compile(
    r"^\s*(?:#.*|starting (?:nmap|masscan).*|nmap done.*|host is up.*|not shown.*|port\s+state.*|\|.*|service info:.*"
    r"|device type:.*|running.*|os .*|network distance.*|aggressive os.*|no exact os.*|too many finger.*|warning:.*"
    r"|host script results:.*|read data files.*|raw packets.*|all \d+ .*|service detection.*|os and service.*"
    r"|other addresses for.*|rdns record for.*|traceroute.*|hop\s+rtt.*|\d+\s+[\d.]+ ms.*|-\s+hop.*|sf[:-].*|=+.*"
    r"|stats:.*|nse:.*|initiating.*|completed.*|scanning.*|discovered.*|pre-scan.*|post-scan.*|\d+ services? unrec.*"
    r"|uptime.*|tcp sequence.*|ip id.*|increasing send.*|ignored state.*|some closed.*|skipping host.*|cpe:.*)?$",
    re.I,
)


@dataclass
class _Said:
    """One host of the normal output, as far as it was read."""

    address: str | None
    mac: str | None = None
    opened: list[int] = field(default_factory=list)
    seen: list[Observation] = field(default_factory=list)
    port: int | None = None
    """The port that the next scripts are about."""
    script: str | None = None
    output: list[str] = field(default_factory=list)

    def line(self, line: str) -> bool:
        """Take in one line below the host's name; whether it is one of its own."""
        begins = _SCRIPT.match(line)
        if line.startswith("|") and not begins:
            if len(self.output) < 256:
                self.output.append(line[2:])
            return True
        self.end()
        if begins:
            self.script, self.output = begins[1], [begins[2]]
            return True
        port, mac = _PORT.match(line), _MAC.match(line)
        if mac:
            self.mac = spelled_mac(mac[1])
        elif port:
            self.port = int(port[1]) if 0 < int(port[1]) < 65_536 else None
            if port[3] == "open" and self.port is not None and port[2] != "sctp":
                if port[2] == "tcp":
                    self.opened.append(self.port)
                if port[5].strip():
                    self.seen.append(told("nmap.service", port[5].strip()[:1024], port=self.port))
        elif line.startswith("Host script results"):
            self.port = None
        return bool(port or mac)

    def end(self) -> None:
        """The output of a script is over."""
        if self.script is not None:
            self.seen += script_fields(self.script, "\n".join(self.output)[:MAX_OUTPUT], self.port, None)
        self.script, self.output = None, []

    def heard(self) -> Iterator[Heard]:
        """The host, where anything names it."""
        self.end()
        mac = self.mac if self.mac is not None and is_station(self.mac) else None
        if self.opened:
            self.seen.insert(0, told("tcp.open", ",".join(map(str, sorted(set(self.opened))))))
        if mac is not None or self.address is not None:
            yield Heard(mac, self.address, tuple(self.seen))


class NmapText:
    """Hosts by their report, or one line each."""

    name = "nmap-text"
    summary = "nmap -oN, -oG or copied from a terminal; masscan -oG"

    def score(self, head: Head) -> float:
        """Sure where a host's report or line stands."""
        return 0.97 if any(_HOST.match(line) or _GREPPED.match(line) for line in head.lines(400)) else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` for each host that is up; of `-oG` one for each line."""
        said: _Said | None = None
        with Break() as broken:
            for number, line in source.lines():
                line = line[:MAX_OUTPUT]
                report, grepped = _HOST.match(line), _GREPPED.match(line)
                if report:
                    yield from said.heard() if said is not None else ()
                    address = normal_address(report[1])
                    said = _Said(address) if address is not None and not report[2] else None
                elif grepped:
                    yield from _line(grepped)
                elif line.startswith("Nmap scan report for "):  # what follows is not the last host's
                    yield from said.heard() if said is not None else ()
                    said = None
                    source.skip(f"line {number}", line)
                elif not (said is not None and said.line(line)) and not _NOISE.match(line[:512]):
                    source.skip(f"line {number}", line)
        yield from said.heard() if said is not None else ()
        broken.tell()


def _line(found: re.Match[str]) -> Iterator[Heard]:
    address, at = normal_address(found[2]), moment(found[1] or "")
    if address is None or (found[4] and found[4] != "Up"):
        return
    opened: list[int] = []
    seen: list[Observation] = []
    for part in (found[3] or "").partition("\t")[0].split(", ")[:1024]:
        fields = part.strip().split("/")
        port = counted(fields[0], 65_535)
        if len(fields) < 3 or not port or fields[1] != "open":
            continue
        if fields[2] == "tcp":
            opened.append(port)
        if len(fields) > 6 and fields[6]:
            seen.append(told("nmap.service", fields[6].replace("|", "/")[:1024], port=port, at=at))
    if opened:
        seen.insert(0, told("tcp.open", ",".join(map(str, sorted(opened))), at=at))
    yield Heard(None, address, tuple(seen), None, at)


IMPORTER = NmapText()
