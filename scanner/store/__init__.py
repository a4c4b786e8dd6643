"""The history of scans: one SQLite file, or a PostgreSQL database, that many scans go into and any answer comes out of.

    schema.py     the tables, their version, and the steps from one version to the next
    opening.py    a file name or URL → a store that is ready, or a sentence that says why not
    varying.py    an answer without its clock and its message numbers, so that the same answer is stored once
    packing.py    a device of a report → the pieces that are stored once each, and back
    writing.py    a whole scan in one transaction
    reading.py    scans by number, id, date or `last~1`; their reports; one device's sightings
    changes.py    what became of devices and findings between two looks (pure)
    findings.py   which devices are there and which findings are open: the state behind the events of `lanveto watch`
    outbox.py     messages that wait for their sinks
    pruning.py    old scans leave, with what nothing else needs

What is stored of a maker is its id; names are looked up in the rules of the day when somebody reads. What is stored of
a device is what it said, so that later rules can judge it again without a packet.
"""

from __future__ import annotations

from scanner.store.opening import Store, open_store, place

__all__ = ["Store", "open_store", "place"]
