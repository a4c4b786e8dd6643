"""The kernel's neighbour table: read for MACs, checked for overflow, and written where a large segment needs it.

Linux holds 1,024 neighbours by default for the whole machine and drops connections silently beyond. Entries marked as
learnt elsewhere are not counted against that limit. They are written into a journal first, so that a scan that dies
is undone by the next one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scanner.net import netlink
from scanner.net.interfaces import Link

CROWD = 512
"""Live hosts on links above which entries are written: half of the default table."""
JOURNAL = "neighbours-{pid}.json"
_PART = "neighbours-{pid}.part"

_STATISTICS = (Path("/proc/net/stat/arp_cache"), Path("/proc/net/stat/ndisc_cache"))
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/net")
_DEAD = netlink.FAILED | netlink.INCOMPLETE | netlink.NOARP | netlink.PERMANENT


@dataclass(frozen=True, slots=True)
class Known:
    """A neighbour the kernel has heard of."""

    address: str
    """Without a zone."""
    mac: str


def living(link: Link) -> list[Known]:
    """The neighbours on a link whose MAC the kernel has learnt. Raises `OSError`."""
    return [
        Known(n.address, n.mac) for n in netlink.neighbours(link.index)
        if n.mac is not None and n.mac != "00:00:00:00:00:00" and not n.state & _DEAD
    ]  # fmt: skip


def unresolved(link: Link) -> set[str]:
    """The addresses on a link that the kernel is still asking for. Raises `OSError`."""
    return {n.address for n in netlink.neighbours(link.index) if n.state & netlink.INCOMPLETE}


def overflows() -> int:
    """How often the table of IPv4, or that of IPv6, was full since the machine started; 0 where the kernel does not
    say.
    """
    return sum(sum(_column(table, "table_fulls")) for table in _STATISTICS)


def crowd() -> int:
    """Live hosts on links above which entries are written now: `CROWD`; none where others, too, fill a table, for each
    is one for all namespaces of the machine.
    """
    used = max((number for table in _STATISTICS for number in _column(table, "entries")), default=0)
    return CROWD if used < CROWD // 2 else 0


def _column(statistics: Path, name: str) -> list[int]:
    """What the kernel counts, one number for each processor; empty where it does not say."""
    try:
        lines = statistics.read_text().splitlines()
        column = lines[0].split().index(name)
        return [int(line.split()[column], 16) for line in lines[1:]]
    except (OSError, ValueError, IndexError):
        return []


class Writer:
    """Writes neighbour entries and takes them back; the journal lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL.format(pid=os.getpid())
        self._written: list[tuple[str, str, int]] = []

    def load(self, link: Link, known: Iterable[Known], *, keep: frozenset[str]) -> int:
        """Write entries for hosts on a link that have none; returns how many.

        `keep` (gateways, our own addresses) and addresses with an entry are never touched. Raises `OSError`: without
        the right to write entries, or where the journal cannot be kept.
        """
        present = {n.address for n in netlink.neighbours(link.index)} | keep
        wanted: dict[str, tuple[str, str, int]] = {}
        claimed: set[str] = set()
        for host in known:
            if host.address in wanted and wanted[host.address][1] != host.mac:
                claimed.add(host.address)  # two devices claim it: the kernel shall find out itself
            if host.address not in present:
                wanted[host.address] = (host.address, host.mac, link.index)
        entries = [entry for address, entry in wanted.items() if address not in claimed]
        if not entries:
            return 0
        before = list(self._written)
        self._written = before + entries
        self._save()
        try:
            self._written = before + netlink.write_neighbours(entries)
        except BaseException:
            self.undo()
            raise
        self._save()
        return len(self._written) - len(before)

    def undo(self) -> None:
        """Remove what was written, unless the kernel has learnt better meanwhile, and the journal. Raises `OSError`."""
        _remove(self._written)
        self._written = []
        self._path.unlink(missing_ok=True)

    def _save(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        content = {"pid": os.getpid(), "started": _started(os.getpid()), **_here(), "entries": self._written}
        part.write_text(json.dumps(content), encoding="utf-8")
        part.chmod(0o600)
        part.replace(self._path)


def recover(folder: Path) -> int:
    """Undo what scans that died have left in this namespace; returns how many entries. Never raises."""
    count = 0
    try:
        journals = sorted(folder.glob(JOURNAL.format(pid="*")))
        for part in folder.glob(_PART.format(pid="*")):  # cut while it was written: the journal before it holds
            number = part.stem.rpartition("-")[2]
            if number.isdigit() and _started(int(number)) is None:
                part.unlink(missing_ok=True)
    except OSError:
        return 0
    for path in journals:
        try:
            content = json.loads(path.read_text("utf-8"))
            entries = [(str(a), str(m), int(i)) for a, m, i in content["entries"]]
            if _started(int(content["pid"])) == content["started"] and content["started"] is not None:
                continue  # that scan is running
            if content["boot"] == _here()["boot"] and content["namespace"] != _here()["namespace"]:
                continue  # not ours to touch; its own namespace may still be there
            if content["boot"] == _here()["boot"]:
                _remove(entries)
                count += len(entries)
            path.unlink()
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a journal that cannot be read or undone stays for a person to look at
    return count


def _remove(entries: Sequence[tuple[str, str, int]]) -> None:
    wanted = {(address, index): mac for address, mac, index in entries}
    if not wanted:
        return
    netlink.delete_neighbours([
        (n.address, n.index) for n in netlink.neighbours()
        if n.flags & netlink.EXTERN_LEARN and wanted.get((n.address, n.index)) == n.mac
    ])  # fmt: skip


def _here() -> dict[str, str]:
    try:
        return {"boot": _BOOT.read_text().strip(), "namespace": str(_NAMESPACE.readlink())}
    except OSError:
        return {"boot": "", "namespace": ""}


def _started(pid: int) -> str | None:
    """When a process started, in the kernel's ticks; None where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
