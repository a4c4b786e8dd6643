"""Results of nmap (`-oX`): hosts, hardware addresses, ports, what its scripts heard, and its own opinion as such.

The XML is read by python-nmap in a process of its own (`_nmap.py`). What a script quotes of a device's answer becomes
the field it is; what nmap concludes (service, product, operating system) is kept as `nmap.service`, which is weak.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import msgspec

from scanner.errors import InputProblem
from scanner.imports.base import Head, Heard, Input
from scanner.imports.tables import is_station, moment, normal_address, spelled_mac, told
from scanner.model import Observation
from scanner.values import counted

MAX_OUTPUT = 65_536
"""Characters of one script's output that are looked at."""
MAX_MESSAGE = 128 << 20

_NAMES = {
    "commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C",
    "localityName": "L",
    "stateOrProvinceName": "ST", "serialNumber": "SERIALNUMBER",
}  # fmt: skip
_REALM = re.compile(
    r"^\s*(Basic|Digest)\s+(.*?realm=)(.*?)(?:\s+(?:nonce|qop|algorithm|opaque|stale|domain|charset)=.*)?$", re.I
)
_HEADER = re.compile(r"^\s{1,8}([A-Za-z][A-Za-z0-9-]{0,63}): (.*)$")
_NO_TITLE = ("Site doesn't have a title", "Did not follow redirect", "Error", "ERROR", "Requested resource was")
_UPNP = {
    "server": "upnp.server", "name": "upnp.friendlyname", "manufacturer": "upnp.manufacturer",
    "model name": "upnp.modelname",
    "model descr": "upnp.modeldescription", "model version": "upnp.modelnumber", "location": "upnp.location",
}  # fmt: skip
_WSD = {"address": "onvif.xaddrs", "type": "onvif.types"}


class Nmap:
    """Hosts that are up."""

    name = "nmap"
    summary = "nmap -oX (extra nmap)"

    def score(self, head: Head) -> float:
        """Sure where the root is nmap's."""
        text = head.text[:8192]
        return 1.0 if "<nmaprun" in text or ("<!DOCTYPE nmaprun" in text) else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` for each host and for each answer to a broadcast script. Raises `InputProblem`."""
        for message in _messages(source):
            if "error" in message:
                raise InputProblem(f"{source.name}: {message['error']}")
            if "skip" in message:
                source.skip(message["skip"], message["why"])
            elif "host" in message:
                yield from _host(message["host"], moment(str(message.get("end") or "")))
            for name, text in message.get("scripts", ()):
                yield from _broadcast(str(name), str(text)[:MAX_OUTPUT])


def _messages(source: Input) -> Iterator[dict[str, Any]]:
    try:
        from importlib.util import find_spec

        if find_spec("nmap") is None:
            raise InputProblem(f"{source.name}: results of nmap need the extra: pip install 'lanveto[nmap]'")
        child = subprocess.Popen(
            [sys.executable, "-m", "scanner.imports._nmap"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )  # fmt: skip
    except OSError as error:
        raise InputProblem(f"{source.name}: no process could be started to read it: {error.strerror}") from error
    assert child.stdin is not None
    assert child.stdout is not None
    broken: list[InputProblem] = []
    feeder = threading.Thread(target=_feed, args=(source, child.stdin, broken), daemon=True)
    feeder.start()
    try:
        while line := child.stdout.readline(MAX_MESSAGE):
            try:
                yield msgspec.json.decode(line)
            except msgspec.DecodeError:
                break
    finally:
        child.kill()
        child.stdout.close()
        child.wait()
        feeder.join(timeout=5)
    if broken:
        raise broken[0]
    if child.returncode not in {0, -9}:
        raise InputProblem(f"{source.name}: the process that reads it ended early; what it had told by then is kept")


def _feed(source: Input, pipe: BinaryIO, broken: list[InputProblem]) -> None:
    count = 0
    try:
        while data := source.read(1 << 18):
            pipe.write(data)
            count += len(data)
            source.tick(count)
    except InputProblem as problem:
        broken.append(problem)
    except (OSError, ValueError):
        pass  # the reader has left, and says why
    with contextlib.suppress(OSError):
        pipe.close()


# -- hosts -------------------------------------------------------------------------------------------------------------


def _host(host: Mapping[str, Any], at: str | None) -> Iterator[Heard]:
    addresses = host.get("addresses") or {}
    address = normal_address(str(addresses.get("ipv4", "")))
    second = normal_address(str(addresses.get("ipv6", "")))
    mac = spelled_mac(str(addresses.get("mac", "")))
    mac = mac if mac is not None and is_station(mac) else None
    if (host.get("status") or {}).get("state") == "down" or (address is None and second is None and mac is None):
        return
    seen: list[Observation] = []
    opened: list[int] = []
    for transport in ("tcp", "udp"):
        for number, port in _ports(host.get(transport)):
            if port.get("state") != "open":
                continue
            if transport == "tcp":
                opened.append(number)
            opinion = " ".join(str(port.get(part) or "") for part in ("product", "version", "extrainfo")).split()
            if opinion:
                seen.append(told("nmap.service", " ".join(opinion)[:1024], port=number, at=at))
            for name, text in (port.get("script") or {}).items():
                seen += script_fields(str(name), str(text or "")[:MAX_OUTPUT], number, at)
    for script in host.get("hostscript") or ():
        seen += script_fields(str(script.get("id")), str(script.get("output") or "")[:MAX_OUTPUT], None, at)
    for match in (host.get("osmatch") or ())[:1]:
        seen.append(told("nmap.service", f"operating system: {match.get('name')}"[:1024], at=at))
    if opened:
        seen.insert(0, told("tcp.open", ",".join(map(str, sorted(opened))), at=at))
    first = address or second
    others = (second,) if address is not None and second is not None else ()
    yield Heard(mac, first, tuple(seen), None, at, None, others)


def _ports(found: object) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, port in found.items() if isinstance(found, dict) else ():
        place = counted(str(number), 65_535)
        if place and isinstance(port, dict):
            yield place, port


def script_fields(name: str, text: str, port: int | None, at: str | None) -> list[Observation]:
    """What the output of one script quotes of a device's own words; nothing for scripts that are not known."""
    reader = _SCRIPTS.get(name)
    return (
        [told(channel, value[:16_384], port=port, at=at) for channel, value in reader(text) if value] if reader else []
    )


Fields = Iterator[tuple[str, str]]


def _title(text: str) -> Fields:
    first = text.strip("\n").partition("\n")[0].strip()
    if first and not first.startswith(_NO_TITLE):
        yield "http.title", first


def _server(text: str) -> Fields:
    for line in text.strip().splitlines()[:4]:
        yield "http.header.server", line.strip()


def _headers(text: str) -> Fields:
    for line in text.splitlines()[:128]:
        found = _HEADER.match(line)
        if found:
            yield f"http.header.{found[1].lower()}", found[2].strip()


def _favicon(text: str) -> Fields:
    found = re.search(r"MD5: ([0-9A-Fa-f]{32})", text)
    if found:
        yield "http.favicon.md5", found[1].lower()


def _auth(text: str) -> Fields:
    """Nmap prints challenges without their quotes; they are put back around the realm."""
    for line in text.splitlines()[:16]:
        found = _REALM.match(line)
        if found:
            yield "http.header.www-authenticate", f'{found[1]} realm="{found[3].strip()}"'


def _certificate(text: str) -> Fields:
    for line in text.splitlines()[:64]:
        label, _, value = line.partition(": ")
        channel = {"Subject": "tls.subject", "Issuer": "tls.issuer"}.get(label.strip())
        if channel:
            parts = re.split(r"/(?=[A-Za-z0-9.]{1,64}=)", value.strip())
            pairs = [part.partition("=") for part in parts]
            yield channel, ",".join(f"{_NAMES.get(key, key)}={text}" for key, equals, text in pairs if equals)
        elif label.strip() == "Subject Alternative Name":
            yield "tls.san", value.strip()


def _rtsp(text: str) -> Fields:
    methods = text.strip().partition("\n")[0].strip()
    if "OPTIONS" in methods or "DESCRIBE" in methods:
        yield "rtsp.header.public", methods


def _sysdescr(text: str) -> Fields:
    yield "snmp.sysdescr", re.split(r"\n\s*System uptime:", text, maxsplit=1)[0].strip()


def _nbstat(text: str) -> Fields:
    found = re.search(r"NetBIOS name: ([^,<>\n]{1,15})", text)
    if found:
        yield "netbios.name", found[1].strip()


def _banner(text: str) -> Fields:
    yield "tcp.banner", re.sub(r"\\x([0-9A-Fa-f]{2})", lambda m: chr(int(m[1], 16)), text)


def _upnp(text: str) -> Fields:
    for line in text.splitlines()[:200]:
        key, colon, value = line.strip().partition(": ")
        channel = _UPNP.get(key.lower())
        if colon and channel:
            yield channel, value.strip()


def _wsd(text: str) -> Fields:
    for line in text.splitlines()[:200]:
        key, colon, value = line.strip().partition(": ")
        channel = _WSD.get(key.lower())
        if colon and channel:
            yield channel, value.strip()


def _dns_sd(text: str) -> Fields:
    for line in text.splitlines()[:200]:
        piece = line.strip()
        service = re.match(r"(\d{1,5})/(tcp|udp) ([\w-]{1,32})$", piece)
        if service:
            yield "mdns.service", f"_{service[3]}._{service[2]}.local"
        elif re.match(r"[\w-]{1,32}=", piece):
            yield "mdns.txt", piece


_SCRIPTS: dict[str, Callable[[str], Fields]] = {
    "http-title": _title, "http-server-header": _server, "http-headers": _headers, "http-favicon": _favicon,
    "http-auth": _auth, "ssl-cert": _certificate, "rtsp-methods": _rtsp, "snmp-sysdescr": _sysdescr, "nbstat": _nbstat,
    "banner": _banner, "upnp-info": _upnp, "wsdd-discover": _wsd, "dns-service-discovery": _dns_sd,
}  # fmt: skip
"""What each script quotes of a device's own words."""

_BROADCAST: dict[str, Callable[[str], Fields]] = {
    "broadcast-upnp-info": _upnp, "broadcast-wsdd-discover": _wsd, "broadcast-dns-service-discovery": _dns_sd,
}  # fmt: skip


def _broadcast(name: str, text: str) -> Iterator[Heard]:
    """Blocks below an address of their own."""
    reader = _BROADCAST.get(name)
    if reader is None:
        return
    address: str | None = None
    block: list[str] = []
    for line in [*text.splitlines(), "  0.0.0.1"]:
        found = re.fullmatch(r"\s{0,12}((?:\d{1,3}\.){3}\d{1,3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})\s*", line, re.I)
        if found is None:
            block.append(line)
            continue
        fields = list(reader("\n".join(block)))
        if address is not None and fields:
            yield Heard(None, address, tuple(told(channel, value[:4096]) for channel, value in fields))
        address, block = normal_address(found[1]), []


IMPORTER = Nmap()
