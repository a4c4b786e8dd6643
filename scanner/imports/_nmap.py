"""A process of its own that reads nmap's XML with python-nmap: XML on standard input, one JSON object a line out.

python-nmap is under the GPL, version 3, and scapy under the GPL, version 2 only: they are never imported into one
process. This one holds neither scapy nor anything of lanveto's beyond this file and gets nothing but the XML.

The document is streamed: python-nmap is given one host at a time, so that a result of any size is read in flat memory,
and what stands before a broken place is told. Entities are refused, and a host that is larger than `MAX_HOST` too.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any, BinaryIO

MAX_HOST = 32 << 20
"""Bytes of one host's element."""
MAX_MEMORY = 2 << 30
"""Bytes of address space of this process."""
_FRAME = (
    '<nmaprun args=""><runstats><finished timestr="" elapsed="0"/><hosts up="1" down="0" total="1"/></runstats>'
    "%s</nmaprun>"
)


class _Bounded:
    """Standard input that ends a host without end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.since = 0

    def read(self, most: int = -1) -> bytes:
        data = self._stream.read(most if most > 0 else 65_536)
        self.since += len(data)
        if self.since > MAX_HOST:
            raise ValueError(f"one host has more than {MAX_HOST >> 20} MiB")
        return data


def main() -> None:
    """Read all hosts; the last line says what was wrong, where something was."""
    import resource
    import xml.etree.ElementTree as ElementTree

    import nmap
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    # Its constructor looks for nmap itself, which reading a file does not need.
    reader: Any = object.__new__(nmap.PortScanner)
    source = _Bounded(sys.stdin.buffer)
    root: Any = None
    count = 0
    try:
        for event, element in iterparse(source, events=("start", "end"), forbid_dtd=False, forbid_entities=True):
            if event == "start":
                if root is None:
                    root = element
                    if element.tag != "nmaprun":
                        _say({"error": f"its root is <{element.tag[:40]}>, not <nmaprun>: this is no result of nmap"})
                        return
                continue
            if element.tag == "host":
                count += 1
                _say(_host(reader, element, ElementTree.tostring(element, encoding="unicode"), count))
            elif element.tag in {"prescript", "postscript"}:
                scripts = [(s.get("id"), s.get("output")) for s in element.findall("script")]
                _say({"scripts": [[name, text] for name, text in scripts if name and text]})
            else:
                continue
            source.since = 0
            root.clear()
    except DefusedXmlException:
        _say({"error": "declares entities, as no result of nmap does: it was not read on"})
    except ElementTree.ParseError as error:
        place = "it is cut off" if "no element found" in str(error) or "unclosed" in str(error) else "it is broken"
        _say({"error": f"{place} ({error}); the {count} hosts before that were read"})
    except (ValueError, MemoryError, RecursionError) as error:
        _say({"error": f"{error or 'too large'}; the {count} hosts before that were read"})


def _host(reader: Any, element: Any, text: str, number: int) -> dict[str, Any]:
    try:
        found = reader.analyse_nmap_xml_scan(nmap_xml_output=_FRAME % text)["scan"]
        host = dict(next(iter(found.values())))
    except Exception as error:  # noqa: BLE001 - whatever a broken host does to somebody else's reader
        return {"skip": f"host {number}", "why": f"{type(error).__name__}: {str(error)[:80]}"}
    # python-nmap keeps the last address of a kind; a host has one of each.
    return {"host": host, "end": element.get("endtime") or element.get("starttime")}


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
