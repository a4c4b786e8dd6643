"""What a build adds to the package: the rules in parsed form, so that the first start is as quick as the second.

YAML stays what counts: the parsed form is found by the SHA-256 of the YAML it was made of, see
`scanner/knowledge/parsed.py`. An editable install gets it too, beside the package in the checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ParsedRules(BuildHookInterface[Any]):
    """Called by hatchling for every wheel, editable ones included."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the file, and have a wheel carry it."""
        root = Path(self.root)
        sys.path.insert(0, str(root))
        try:
            from scanner.knowledge import parsed
            from scanner.resources import package_file
        finally:
            sys.path.remove(str(root))
        made = package_file(parsed.SHIPPED)
        made.parent.mkdir(exist_ok=True)
        made.write_bytes(parsed.ship(root / "rules"))
        if version != "editable":
            build_data["force_include"][str(made)] = str(made.relative_to(root))
