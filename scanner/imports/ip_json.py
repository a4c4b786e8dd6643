"""Linux' tables as JSON: `ip -j neigh` (who has which address) and `bridge -j fdb` (where a device hangs)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import msgspec

from scanner.errors import InputProblem
from scanner.imports.base import Head, Heard, Input
from scanner.imports.learned import placed
from scanner.imports.tables import is_station, normal_address, spelled_mac
from scanner.model import Place
from scanner.values import counted

_NOBODY = frozenset({"FAILED", "INCOMPLETE", "NOARP"})


class IpJson:
    """A list of objects with `dst` and `lladdr`, or with `mac` and `ifname`."""

    name = "ip-json"
    summary = "ip -j neigh and bridge -j fdb (Linux)"

    def score(self, head: Head) -> float:
        """Sure where a list begins with an entry of either kind."""
        text = head.text[:4096].replace(" ", "").replace("\n", "")
        begins = text.startswith(('[{"dst":', '[{"mac":'))
        return 0.96 if begins and ('"dev":' in text or '"ifname":' in text) else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` for each entry; empty ones and the machine's own are passed over. Raises `InputProblem`."""
        try:
            entries = msgspec.json.decode(source.whole())
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise InputProblem(f"{source.name}: is no whole JSON: {error}") from error
        switch = PurePath(source.name).stem if source.name != "-" else "switch"
        learned: list[tuple[str, Place]] = []
        for number, entry in enumerate(entries if isinstance(entries, list) else [entries], 1):
            if not isinstance(entry, dict):
                source.skip(f"entry {number}", str(entry))
            elif "dst" in entry and "ifname" not in entry:
                heard = _neighbour(entry)
                if heard is not None:
                    yield heard
                elif not _NOBODY & set(_words(entry.get("state"))):
                    source.skip(f"entry {number}", str(entry))
            else:
                found = _learned(entry, switch)
                if found is not None:
                    learned.append(found)
                elif spelled_mac(str(entry.get("mac", ""))) is None:
                    source.skip(f"entry {number}", str(entry))
        yield from placed(learned)


def _words(value: object) -> list[str]:
    """What stands in a field that is a word or a list of them."""
    return [str(word) for word in value] if isinstance(value, list) else [str(value)] if value else []


def _neighbour(entry: dict[str, Any]) -> Heard | None:
    mac, address = spelled_mac(str(entry.get("lladdr", ""))), normal_address(str(entry["dst"]))
    if mac is None or address is None or not is_station(mac):
        return None
    tag = str(entry.get("dev", "")).rpartition(".")[2]
    vlan = (counted(tag, 4094) or None) if "." in str(entry.get("dev", "")) else None
    return Heard(mac, address, (), Place(vlan=vlan) if vlan is not None else None)


def _learned(entry: dict[str, Any], switch: str) -> tuple[str, Place] | None:
    mac, state = spelled_mac(str(entry.get("mac", ""))), str(entry.get("state", ""))
    alone = "self" in _words(entry.get("flags")) and "dst" not in entry and "master" not in entry
    if mac is None or alone or state == "permanent" or not is_station(mac):
        return None
    vlan, port = entry.get("vlan"), entry.get("ifname")
    return mac, Place(
        switch=switch, port=port if isinstance(port, str) else None,
        vlan=vlan if isinstance(vlan, int) and 0 < vlan < 4095 else None,
    )  # fmt: skip


IMPORTER = IpJson()
