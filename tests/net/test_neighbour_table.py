from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scanner.net import interfaces, netlink
from scanner.net import neighbour_table as neighbours
from scanner.net.interfaces import Link
from scanner.net.netlink import Neighbour

LINK = Link("s0", 7, "aa:bb:cc:dd:ee:ff", True, True, True)


class Table:
    """A kernel's neighbour table in memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *entries: Neighbour) -> None:
        self.entries = list(entries)
        self.refuse = False
        monkeypatch.setattr(netlink, "neighbours", self.read)
        monkeypatch.setattr(netlink, "write_neighbours", self.write)
        monkeypatch.setattr(netlink, "delete_neighbours", self.delete)

    def read(self, index: int | None = None) -> list[Neighbour]:
        return [entry for entry in self.entries if index in {None, entry.index}]

    def write(self, entries: list[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
        if self.refuse:
            raise PermissionError(1, "Operation not permitted")
        self.entries += [Neighbour(a, m, i, netlink.STALE, netlink.EXTERN_LEARN) for a, m, i in entries]
        return list(entries)

    def delete(self, entries: list[tuple[str, int]]) -> None:
        self.entries = [e for e in self.entries if (e.address, e.index) not in set(entries)]


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    return Table(
        monkeypatch,
        Neighbour("10.0.0.1", "aa:aa:aa:00:00:01", 7, 2, 0),
        Neighbour("10.0.0.2", None, 7, netlink.FAILED, 0),
        Neighbour("10.0.0.3", "aa:aa:aa:00:00:03", 7, netlink.PERMANENT, 0),
        Neighbour("10.0.0.4", "aa:aa:aa:00:00:04", 8, 2, 0),
    )


def test_the_living_have_a_mac_that_was_learnt(table: Table) -> None:
    assert neighbours.living(LINK) == [neighbours.Known("10.0.0.1", "aa:aa:aa:00:00:01")]


def test_entries_are_written_where_none_is_and_taken_back(table: Table, tmp_path: Path) -> None:
    before = list(table.entries)
    writer = neighbours.Writer(tmp_path)
    known = [neighbours.Known(f"10.0.0.{n}", f"bb:bb:bb:00:00:{n:02x}") for n in range(1, 10)]
    count = writer.load(LINK, known, keep=frozenset({"10.0.0.9"}))

    written = {e.address for e in table.entries if e.flags & netlink.EXTERN_LEARN}
    assert (count, written) == (5, {f"10.0.0.{n}" for n in range(4, 9)})
    journal = tmp_path / f"neighbours-{os.getpid()}.json"
    assert journal.stat().st_mode & 0o777 == 0o600
    writer.undo()
    assert table.entries == before
    assert not journal.exists()


def test_an_address_that_two_claim_is_left_to_the_kernel(table: Table, tmp_path: Path) -> None:
    writer = neighbours.Writer(tmp_path)
    known = [neighbours.Known("10.0.0.20", "bb:00:00:00:00:01"), neighbours.Known("10.0.0.20", "bb:00:00:00:00:02")]

    assert writer.load(LINK, known, keep=frozenset()) == 0


def test_what_the_kernel_has_learnt_better_meanwhile_stays(table: Table, tmp_path: Path) -> None:
    writer = neighbours.Writer(tmp_path)
    writer.load(LINK, [neighbours.Known("10.0.0.20", "bb:00:00:00:00:01")], keep=frozenset())
    table.entries[-1] = Neighbour("10.0.0.20", "cc:00:00:00:00:01", 7, 2, 0)
    writer.undo()

    assert table.entries[-1].mac == "cc:00:00:00:00:01"


def test_without_the_right_nothing_is_left_behind(table: Table, tmp_path: Path) -> None:
    table.refuse = True
    writer = neighbours.Writer(tmp_path)
    with pytest.raises(PermissionError):
        writer.load(LINK, [neighbours.Known("10.0.0.20", "bb:00:00:00:00:01")], keep=frozenset())

    assert list(tmp_path.iterdir()) == []


def dead_scan(tmp_path: Path, **changes: object) -> Path:
    entries = [["10.0.0.20", "bb:00:00:00:00:01", 7]]
    content = {"pid": 2**22 + 1, "started": "1", **neighbours._here(), "entries": entries}
    path = tmp_path / "neighbours-999.json"
    path.write_text(json.dumps({**content, **changes}))
    return path


def test_what_a_dead_scan_left_is_removed(table: Table, tmp_path: Path) -> None:
    table.write([("10.0.0.20", "bb:00:00:00:00:01", 7)])
    path = dead_scan(tmp_path)
    (tmp_path / f"neighbours-{2**22 + 1}.part").write_text("{")
    mine = tmp_path / f"neighbours-{os.getpid()}.part"
    mine.write_text("{")

    assert neighbours.recover(tmp_path) == 1
    assert "10.0.0.20" not in {e.address for e in table.entries}
    assert not path.exists()
    assert list(tmp_path.iterdir()) == [mine]


def test_a_running_scan_another_namespace_and_rubbish_are_left_alone(table: Table, tmp_path: Path) -> None:
    table.write([("10.0.0.20", "bb:00:00:00:00:01", 7)])
    for changes in ({"pid": os.getpid(), "started": neighbours._started(os.getpid())}, {"namespace": "net:[1]"},
                    {"entries": 7}, {"entries": [[1]]}):  # fmt: skip
        path = dead_scan(tmp_path, **changes)
        assert neighbours.recover(tmp_path) == 0
        assert path.exists()
    path.write_text("{")
    assert neighbours.recover(tmp_path) == 0
    assert "10.0.0.20" in {e.address for e in table.entries}


def test_after_a_reboot_there_is_nothing_to_undo(table: Table, tmp_path: Path) -> None:
    path = dead_scan(tmp_path, boot="another")

    assert neighbours.recover(tmp_path) == 0
    assert not path.exists()


@pytest.mark.root
def test_a_scan_that_was_killed_is_undone_by_the_next_one(segment: Any, tmp_path: Path) -> None:
    segment({"10.77.0.1": "3c:ef:8c:00:00:01"})
    code = (
        "import os, sys; from pathlib import Path; from scanner.net import interfaces, neighbour_table as t\n"
        "known = [t.Known(f'10.77.1.{n}', f'3c:ef:8c:00:01:{n:02x}') for n in range(1, 250)]\n"
        "print(t.Writer(Path(sys.argv[1])).load(interfaces.read().link('s0'), known, keep=frozenset({'10.77.1.1'})))\n"
        "os.kill(os.getpid(), 9)"
    )
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)

    assert died.returncode == -9, died.stderr
    assert len([n for n in netlink.neighbours() if n.flags & netlink.EXTERN_LEARN]) == 248
    assert neighbours.recover(tmp_path) == 248
    assert not [n for n in netlink.neighbours() if n.flags & netlink.EXTERN_LEARN]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
def test_entries_of_ipv6_are_written_and_taken_back_too(segment: Any, tmp_path: Path) -> None:
    segment({"10.77.0.7": "3c:ef:8c:00:00:07"})
    subprocess.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0"], check=True)
    link = next(found for found in interfaces.read().links if found.name == "s0")
    writer = neighbours.Writer(tmp_path)
    known = [neighbours.Known(a, "bb:bb:bb:00:00:01") for a in ("10.77.0.20", "fe80::20", "fd10:77::20", "fe80::1")]

    assert writer.load(link, known, keep=frozenset({"fe80::1"})) == 3
    written = {n.address for n in netlink.neighbours(link.index) if n.flags & netlink.EXTERN_LEARN}
    assert written == {"10.77.0.20", "fe80::20", "fd10:77::20"}
    assert {n.address for n in netlink.neighbours6(link.index)} >= {"fe80::20", "fd10:77::20"}
    writer.undo()
    assert not [n for n in netlink.neighbours() if n.flags & netlink.EXTERN_LEARN]


def test_overflows_are_a_number() -> None:
    assert neighbours.overflows() >= 0


def test_the_statistics_are_read_by_the_columns_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "arp_cache"
    file.write_text("entries table_fulls\n00000002 0000000a\n00000002 00000001\n")
    monkeypatch.setattr(neighbours, "_STATISTICS", (file, tmp_path / "ndisc_cache"))
    assert neighbours.overflows() == 11
    (tmp_path / "ndisc_cache").write_text("entries table_fulls\n00000002 00000002\n")
    assert neighbours.overflows() == 13
    file.write_text("other\n1\n")
    assert neighbours.overflows() == 2
    assert neighbours.crowd() == neighbours.CROWD


@pytest.mark.parametrize(("used", "most"), [(2, 512), (255, 512), (256, 0), (1028, 0)])
def test_fewer_hosts_are_a_crowd_where_others_use_the_table(
    used: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "arp_cache"
    file.write_text(f"entries table_fulls\n{used:08x} 0000000a\n{used:08x} 00000001\n")
    monkeypatch.setattr(neighbours, "_STATISTICS", (file, tmp_path / "ndisc_cache"))
    assert neighbours.crowd() == most
