"""The rooms of the house: who may import whom (docs/architecture.md), and a test file for every source file."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

BASE = {"model", "errors", "values", "channels", "ports", "resources", "documents", "archives", "userfiles"}
EVERYTHING = None
MAY_IMPORT: dict[str, set[str] | None] = {
    **dict.fromkeys(BASE, BASE),
    "recordings": BASE,
    "recorded": BASE | {"recordings"},
    "protocols": BASE | {"recordings"},
    "knowledge": BASE | {"protocols", "identify", "recordings"},
    "identify": BASE | {"knowledge", "protocols"},
    "judge": BASE | {"knowledge"},
    "assess": BASE | {"knowledge", "identify", "judge"},
    "state": BASE | {"recordings"},
    "assets": BASE,
    "evidence": BASE | {"recordings", "knowledge", "assess", "assets", "judge", "report"},
    "targets": BASE,
    "config": BASE | {"targets"},
    "net": BASE | {"protocols", "config", "targets"},
    "discover": BASE | {"protocols", "net", "config", "targets"},
    "engine": BASE
    | {"protocols", "net", "discover", "config", "targets", "assess", "identify", "judge", "knowledge", "recordings",
       "recorded", "state"},
    "report": BASE,
    "publish": BASE | {"store"},
    "store": BASE | {"recordings"},
    "watch": BASE | {"store", "publish"},
    "imports": BASE | {"recordings", "protocols"},
    "picture": BASE | {"protocols", "imports", "discover"},
    "simulate": BASE | {"protocols", "recordings"},
    "cli": EVERYTHING,
}
"""Room → rooms it may import at run time or for types; None: all."""

SCANNER = Path(__file__).resolve().parent.parent / "scanner"
FILES = sorted(p for p in SCANNER.rglob("*.py") if "data" not in p.relative_to(SCANNER).parts)

UNTESTED = {
    "report/view.py": "every format's test goes through it",
    "cli/options.py": "every command's test goes through it",
    "cli/sources.py": "the tests of import, listen and snmp go through it",
}
"""Source files without a test file of their name, each with the reason."""


def _room(path: Path) -> str:
    return path.relative_to(SCANNER).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "scanner" else [f"scanner.{alias.name}" for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("scanner.") and name.count(".") >= 1}
    return rooms - {"__version__"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SCANNER)))
def test_imports_point_one_way(path: Path) -> None:
    room = _room(path)
    if room == "__init__":
        return
    assert room in MAY_IMPORT, f"the room {room!r} has no row in docs/architecture.md and here"
    allowed = MAY_IMPORT[room]
    if allowed is not EVERYTHING:
        assert _imports(path) - {room} <= allowed


def test_only_the_edges_touch_sockets() -> None:
    """Pure rooms open no socket, start no process and read no clock-driven loop."""
    forbidden = {"socket", "asyncio", "subprocess", "selectors"}
    pure = {"model", "channels", "values", "protocols", "knowledge", "identify", "judge", "assess", "report"}
    for path in FILES:
        if _room(path) not in pure:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
            )
            assert not forbidden & {n.split(".")[0] for n in names}, path


def test_every_source_file_has_its_test() -> None:
    tests = SCANNER.parent / "tests"
    missing = []
    for path in FILES:
        inside = path.relative_to(SCANNER)
        if path.name == "__init__.py" or str(inside) in UNTESTED:
            continue
        if not (tests / inside.parent / f"test_{inside.stem.lstrip('_')}.py").exists():
            missing.append(str(inside))
    assert not missing


def test_the_exceptions_still_exist() -> None:
    assert all((SCANNER / name).exists() for name in UNTESTED)
