"""The pipeline of a live scan, the only place where stages meet: discover, ask, record, assess.

Bounded, paced and interruptible; nothing is sent before the whole plan has been checked.
"""

from __future__ import annotations

from scanner.engine.checkpoint import Past, Record
from scanner.engine.live import Progress, run, scan
from scanner.engine.rehearsal import dry_run
from scanner.engine.ways import proposal

__all__ = ["Past", "Progress", "Record", "dry_run", "proposal", "run", "scan"]
