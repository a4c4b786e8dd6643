#!/usr/bin/env python3
"""Turn `lanveto … --format csv` into a file for NetBox: Devices, Import, CSV.

    lanveto identify recordings/*.yaml --profile us-federal-contractor --format csv --output devices.csv
    python3 to_netbox.py devices.csv SITE > netbox.csv

Manufacturers, device types and roles must exist in NetBox before; `--missing` lists what the file needs. Devices whose
maker is not sure are left out: an inventory is no place for guesses. They are counted on standard error.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

SURE = {"likely", "confirmed"}


def plain(cell: str) -> str:
    """The value without the apostrophe that keeps a spreadsheet from calculating it."""
    return cell[1:] if cell.startswith("'") else cell


def main(arguments: list[str]) -> int:
    """The exit code of one command line."""
    missing = "--missing" in arguments
    words = [word for word in arguments if not word.startswith("--")]
    if len(words) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with Path(words[0]).open(encoding="utf-8", newline="") as file:
        rows = [{name: plain(value) for name, value in row.items()} for row in csv.DictReader(file)]
    sure = [row for row in rows if row["level"] in SURE and row["manufacturer"]]
    if missing:
        for what in ("manufacturer", "kind"):
            print(f"{what}: {', '.join(sorted({row[what] or 'unknown' for row in sure}))}")
        return 0
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["name", "role", "manufacturer", "device_type", "serial", "site", "status", "comments"])
    for row in sure:
        comment = f"lanveto: {row['level']}, action {row['action']}; MAC {row['mac']}; IP {row['ip']}"
        kind, model = row["kind"] or "unknown", row["model"] or "unknown"
        out.writerow([row["key"], kind, row["manufacturer"], model, row["serial"], words[1], "active", comment])
    print(f"{len(sure)} devices written, {len(rows) - len(sure)} left out: their maker is not sure", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
