"""Builds oui/registry.bin and oui/registry.json from published copies of the IEEE registry.

    python oui/build.py --oui-data FOLDER        # the unpacked npm package `oui-data` (npm pack oui-data)

Three sources, newest first: `oui-data` (24, 28 and 36 bits), mac-vendor-lookup's bundled list (24 bits) and scapy's
table (24, 28 and 36 bits). A prefix takes the name of the newest source that has it; the others only fill gaps. Scapy
abbreviates names, so its names serve only prefixes that nobody else has. How many prefixes each source gave, and how
many names differ from the source that won, is written to registry.json.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from scanner.knowledge.ieee import LENGTHS, clean, read  # noqa: E402 - found only after the line above
from scanner.knowledge.registry import pack  # noqa: E402


def from_oui_data(folder: Path) -> dict[str, str]:
    """Prefix → organisation of the npm package (the first line of each record is the organisation)."""
    path = folder / "index.json"
    return read(path.read_bytes(), str(path))


def from_mac_vendor_lookup() -> dict[str, str]:
    """The same of mac-vendor-lookup's bundled list; empty where the package is not installed."""
    path = Path(sys.prefix) / "cache" / "mac-vendors.txt"
    if not path.is_file():
        return {}
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        prefix, colon, name = line.partition(":")
        if colon and len(prefix) == 6:
            found[prefix.upper()] = clean(name)
    return found


def from_scapy() -> dict[str, str]:
    """The same of scapy's table; empty where scapy is not installed."""
    try:
        from scapy.libs.manuf import DATA
    except ImportError:
        return {}
    found = {}
    for line in _lines(DATA):
        parts = line.split("\t")
        address, _, bits = parts[0].partition("/")
        digits = address.replace(":", "").upper()
        length = int(bits) // 4 if bits else len(digits)
        if length in LENGTHS and len(digits) >= length and parts[-1].strip():
            found[digits[:length]] = clean(parts[-1])
    return found


def _lines(data: bytes | str) -> Iterable[str]:
    text = data if isinstance(data, str) else _unpack(data)
    return (line for line in text.splitlines() if line and not line.startswith("#"))


def _unpack(data: bytes) -> str:
    import gzip
    import zlib

    for opener in (gzip.decompress, zlib.decompress):
        try:
            return opener(data).decode("utf-8", "replace")
        except (OSError, zlib.error):
            continue
    return data.decode("utf-8", "replace")


def main() -> None:
    """Build both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oui-data", type=Path, required=True, help="the unpacked npm package oui-data")
    parser.add_argument(
        "--as-of", type=datetime.date.fromisoformat, default=datetime.datetime.now(tz=datetime.UTC).date()
    )
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    version = json.loads((options.oui_data / "package.json").read_text(encoding="utf-8"))["version"]
    merged: dict[str, str] = {}
    sources = []
    for name, table in (
        (f"npm oui-data {version}", from_oui_data(options.oui_data)),
        ("mac-vendor-lookup, bundled list", from_mac_vendor_lookup()),
        ("scapy manuf table", from_scapy()),
    ):
        new = {prefix: org for prefix, org in table.items() if prefix not in merged}
        differing = sum(1 for p, org in table.items() if p in merged and merged[p].casefold() != org.casefold())
        sources.append({"name": name, "blocks": len(table), "taken": len(new), "names_differing": differing})
        merged |= new
    packed = pack(merged)
    (options.out / "registry.bin").write_bytes(packed)
    about = {
        "as_of": options.as_of.isoformat(),
        "sha256": hashlib.sha256(packed).hexdigest(),
        "blocks": {str(4 * n): sum(1 for p in merged if len(p) == n) for n in sorted(LENGTHS)},
        "sources": sources,
        "origin": "IEEE MA-L, MA-M, MA-S and IAB assignments as republished by the sources",
    }
    (options.out / "registry.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(about, indent=2))  # noqa: T201 - the builder's whole output


if __name__ == "__main__":
    main()
