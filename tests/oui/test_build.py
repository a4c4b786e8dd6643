from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from scanner.knowledge.registry import Registry
from scanner.knowledge.registry_files import about


def test_the_builder_merges_and_describes_its_sources(root: Path, tmp_path: Path) -> None:
    package, out = tmp_path / "package", tmp_path / "out"
    package.mkdir()
    out.mkdir()
    (package / "package.json").write_text('{"version": "9.9.9"}')
    (package / "index.json").write_text(
        json.dumps({"3CEF8C": "Somebody  New\nStreet", "402C761": "Scale\nX", "8C1F64D80": "Tiny\nY", "12": "bad"})
    )
    command = [sys.executable, str(root / "oui" / "build.py"), "--oui-data", str(package), "--out", str(out)]
    subprocess.run([*command, "--as-of", "2026-01-02"], check=True, capture_output=True)
    registry = Registry(out / "registry.bin")
    hit = registry.lookup("3c:ef:8c:00:00:00")
    assert hit is not None
    assert hit.organisation == "Somebody New"
    told = about(out)
    assert str(told.as_of) == "2026-01-02"
    assert told.sources[0] == {"name": "npm oui-data 9.9.9", "blocks": 3, "taken": 3, "names_differing": 0}
