"""Switches' tables of addresses: `show mac address-table` (Cisco IOS, NX-OS, Aruba), `show ethernet-switching table`
(Juniper), `display mac-address` (Huawei, H3C), `show fdb` (Extreme), `bridge fdb` and `brctl showmacs` (Linux). They
tell where a device hangs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

from scanner.imports.arp import pair, silent
from scanner.imports.base import Break, Head, Heard, Input
from scanner.imports.learned import Learned
from scanner.imports.tables import is_command, mac_in

_NOISE = re.compile(
    r"^\s*(?:[-=+|\s]+|.*mac addr(?:ess(?:es)?)?\b.*|.*mac-address.*|mac age.*|.*(?:legend|flags).*|total\b.*"
    r"|ag(?:e|ing)\b.*|.*- .* entry,?.*"
    r"|vlan\b.*|.*\bentries\b.*|.*address table.*|\(.*|.*, .* - .*|routing instance.*|ethernet.?switching table.*"
    r"|name\b.*|\S{1,4} - .*|module \d+:|.*\bflood\b.*"
    r"|number of.*|.*criterion.*|status and counters.*)\s*$",
    re.I,
)


class MacTable:
    """Lines with a hardware address and a port, and no network address."""

    name = "mac-table"
    summary = "show mac address-table (Cisco, Aruba), show ethernet-switching table (Juniper), bridge fdb (Linux)"

    def score(self, head: Head) -> float:
        """The share of lines with a hardware address, a port and no network address."""
        table = Learned("")
        lines = [line[:512] for line in head.lines()]
        lines = [line for line in lines if not table.look(line) and not _silent(line)]
        if not lines:
            return 0.0
        taken = [table.take(line) for line in lines]
        hits = sum(took or table.owns(line) for took, line in zip(taken, lines, strict=True))
        return 0.85 * hits / len(lines) if any(taken) else 0.0

    def read(self, source: Input) -> Iterator[Heard]:
        """One `Heard` with a place for each entry that was learned; the switch's own are passed over.

        The switch is named by its prompt where the text holds one, else by the file. Lines of a table of neighbours
        in the same text are read as such.
        """
        table = Learned(PurePath(source.name).stem if source.name != "-" else "switch")
        with Break() as broken:
            for number, line in source.lines():
                if len(line) > 512:
                    source.skip(f"line {number}", line)
                    continue
                if table.take(line) or table.owns(line) or table.look(line):
                    continue
                heard = pair(line)
                if heard is not None:
                    yield heard
                elif line.strip() and not _silent(line) and not (mac_in(line) is None and silent(line)):
                    source.skip(f"line {number}", line)
        yield from table.told()
        broken.tell()


def _silent(line: str) -> bool:
    """Whether a line without a hardware address is one that such tables have."""
    return mac_in(line) is None and bool(_NOISE.match(line) or is_command(line))


IMPORTER = MacTable()
